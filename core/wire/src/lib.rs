//! Every byte layout of Paigham, named once.
//!
//! Clients, canisters and tools share this crate, so that a field, a label or a hash input exists
//! in one place. It does no I/O, reads no clock, draws no randomness and builds for wasm32. The
//! prose with byte tables is `spec/protocol.md`; section numbers in the docs refer to it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`hash`] | labelled hashes and signatures (§1) |
//! | [`ids`] | ids as newtypes and how they are derived (§2) |
//! | [`frame`] | the post frame, its hash and its MAC (§3.1) |
//! | [`chain`] | the chains of a queue, an inbox and a record (§3.2, §6.1, §7) |
//! | [`identity`] | the records of an account and their rules (`spec/identity.md`); handles (`spec/handles.md`) |
//! | [`keys`] | the keys of an epoch (§3.3) |
//! | [`envelope`] | what an envelope holds, credential, policy, Welcome (§4, §5) |
//! | [`reset`] | the claim of a reset, the request for a re-add (§5.3, §5.4) |
//! | [`leaf`] | the values of the certified map (§6.1) |
//! | [`map`] | the certified map and its witnesses (§6.1) |
//! | [`relay`] | requests, replies and errors of the relay (§6.2) |
//! | [`directory`] | requests, replies and errors of the directory (§7) |
//! | [`log`] | requests to the transparency log, and its replies (`spec/directory.md`) |
//! | [`canister_signature`] | the key that signs the log's heads, and what it signed |
//! | [`ticket`] | beacons and tickets: work in place of accounts (§6.4) |
//! | [`blob`] | attachments in chunks (§6.5) |
//! | [`admin`] | administration by a threshold (§6.6) |
//! | [`shards`] | the shard map and placement (§7.1) |
//! | [`codec`] | encoding and decoding whole structures |
//!
//! With the feature `network` also `network` (the trust root, `spec/network.md`); with `client`
//! that, `certificate` (what a subnet signed) and `recovery_kit` (24 words).

#![forbid(unsafe_code)]

pub mod admin;
pub mod blob;
pub mod canister_signature;
#[cfg(feature = "client")]
pub mod certificate;
pub mod chain;
pub mod codec;
pub mod directory;
pub mod envelope;
pub mod frame;
pub mod hash;
pub mod identity;
pub mod ids;
pub mod keys;
pub mod leaf;
pub mod log;
pub mod map;
#[cfg(feature = "network")]
pub mod network;
#[cfg(feature = "client")]
pub mod recovery_kit;
pub mod relay;
pub mod reset;
pub mod shards;
pub mod ticket;
