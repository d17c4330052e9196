//! The relay canister: it keeps each group's posts in one certified order, without knowing who is
//! in the group or what they say (`spec/protocol.md` §6).
//!
//! [`Relay`] is the whole logic over any memory and is tested natively; `api` is the thin layer
//! of methods. Everything lives in stable memory, and an upgrade does no work in proportion to it.
//!
//! ```text
//! memory id  structure                      key → value
//! 0          certified map, pages           id → leaf, and with it
//!                                            of a queue: keys, newest entries, quota
//!                                            of an inbox: key, numbers, signature
//!                                            of a locator: queue ‖ epoch started
//! 1          certified map, nodes           hashes above the pages (see paigham_wire::map)
//! 2          posts                          log of entries, linked from their queue's record
//! 3          commits                        log of entries, likewise
//! 4          places of deposits             inbox ‖ hash of the sealed bytes → seq, accepted_at
//! 5          tokens                         queue ‖ token hash → generation, seq of its end
//! 7          certified map, overflow pages
//! 8          pools                          inbox → X-Wing key, last resort, claim ids
//! 9          deposits                       inbox ‖ seq → accepted_at, sealed bytes
//! 10         key packages                   inbox ‖ number → key package
//! 11         claims                         inbox ‖ claim id → key package
//! 12         layout version                 u32
//! 13         beacons                        the two that count
//! 14, 15     spent tickets                  end of the ticket's hash → what its call made
//! 16         administration                 administrators, what waits, settings
//! 17         administration log             number → executed proposal
//! 18         blobs                          blob → manifest, expiry, offsets of its chunks
//! 19         expiries of blobs              expires_at ‖ blob
//! 20         blob quotas                    queue → day, bytes announced
//! 21, 22, 23 chunks                         logs of blobs kept a day, a week, thirty days
//! ```
//! This is layout 2; in layout 1 some ids meant something else. Numbers in keys are big-endian,
//! values are TLS structures of `records`.

// The macros of ic-cdk export functions by attribute, which `forbid` would refuse.
#![deny(unsafe_code)]

mod administration;
mod api;
mod append;
mod blob;
mod blobs;
mod entries;
mod expiry;
mod fetch;
mod inboxes;
mod inspect;
mod limits;
mod log;
mod pieces;
mod pool;
mod posts;
mod quota;
mod records;
mod relay;
mod tail;
mod tend;
#[cfg(feature = "testkit")]
pub mod testkit;
mod tickets;
mod welcomes;

pub use api::candid_interface;
pub use expiry::{Horizons, Retention};
pub use limits::{argument_limit, is_query};
pub use relay::{OpenError, Relay};

#[cfg(test)]
mod tests;
