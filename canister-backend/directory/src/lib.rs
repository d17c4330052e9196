//! The directory canister: the transparency log of accounts, handles and networks
//! (`spec/directory.md`, `spec/transparency.md`, `spec/identity.md`).
//!
//! [`Directory`] is the logic over any memory; `api` is the thin layer of methods, `tend` what the
//! canister does by itself. A submission goes `submit` → `judge` → `pending`, and by a timer
//! `publish` → `store`; `answers` proves what is there, under a head that `heads` certifies.
//!
//! ```text
//! memory id  structure             key → value
//! 0          certified map, pages  the shard map's leaf
//! 1          retired: records of accounts before there was a log
//! 2          certified map, nodes  hashes above the pages (see paigham_wire::map)
//! 3          layout version        u32
//! 4          certified map, overflow pages
//! 5          administration        administrators, what waits, shard map, difficulties
//! 6          administration log    number → executed proposal
//! 7          keys                  one draw of raw_rand, 32 bytes; never given out
//! 8          log: entries          50 bytes each (`store::records` draws the records)
//! 9          log: tree nodes       32 bytes each
//! 10         log: prefix leaves    64 bytes each
//! 11         log: prefix parents   42 bytes each
//! 12         log: VRF proofs       80 bytes for each leaf
//! 13         log: versions         56 bytes each
//! 14         log: proofs ahead     121 bytes each
//! 15         log: labels, values   bytes
//! 16         log: index            SHA-256 of a label → newest version
//! 17         queue                 class ‖ number → what waits
//! 18         queue: labels         SHA-256 of a label → its key in the queue
//! 19         queue: number         u64
//! 20         proofs made           number of the first version that may lack some
//! 21         release key           of the network, from the install; 32 bytes or none
//! 22         cosignatures          key of an auditor → its newest statement
//! 23         handles               account → label of the handle that it claimed last
//! 24         beacons               the two that count
//! 25, 26     spent tickets         end of the ticket's hash → version and time of what it paid for
//! ```
//! This is layout 3; layouts 1 and 2 had no log, and id 2 meant something else in layout 1. An
//! upgrade reads counts and no records.

// The macros of ic-cdk export functions by attribute, which `forbid` would refuse.
#![deny(unsafe_code)]

mod answers;
mod api;
mod cosign;
mod directory;
mod handles;
mod heads;
mod judge;
mod keys;
mod networks;
mod pending;
mod publish;
mod shards;
mod store;
mod submit;
mod tend;
#[cfg(feature = "testkit")]
pub mod testkit;
mod tickets;

pub use api::candid_interface;
pub use directory::{Directory, MAX_RECORDS, OpenError, RECORDS_KEPT_FOR_KIT};
pub use networks::Caller;
pub use pending::PENDING_MAX;
pub use publish::{ENTRY_INTERVAL_NS, HEARTBEAT_NS};
pub use submit::Call;

#[cfg(test)]
mod tests;
