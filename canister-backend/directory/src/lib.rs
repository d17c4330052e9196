//! The directory canister: which keys belong to which account (`spec/protocol.md` §7,
//! `spec/identity.md`).
//!
//! [`Directory`] is the logic over any memory; `api` is the thin layer of methods.
//!
//! ```text
//! memory id  structure             key → value
//! 0          certified map, pages  directory key of a label → its leaf
//! 1          records               account ‖ version → accepted_at, record
//! 2          certified map, nodes  hashes above the pages (see paigham_wire::map)
//! 3          layout version        u32
//! 4          certified map, overflow pages
//! 5          administration        administrators, what waits, shard map
//! 6          administration log    number → executed proposal
//! ```
//! This is layout 2; in layout 1 id 2 meant something else.

// The macros of ic-cdk export functions by attribute, which `forbid` would refuse.
#![deny(unsafe_code)]

mod api;
mod directory;
mod shards;

pub use api::candid_interface;
pub use directory::{Directory, MAX_RECORDS, OpenError};

#[cfg(test)]
mod tests;
