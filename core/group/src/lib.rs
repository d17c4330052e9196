//! The MLS group of a conversation, as a state machine without I/O and clock.
//!
//! [`Group`] turns what a user wants into posts for the relay, and entries of the relay's log into
//! what happened. The caller passes storage, time and proofs' judge, and persists everything in
//! one step; the order of entries is the relay's, certified before it comes here.
//!
//! | module | what it holds |
//! |---|---|
//! | [`crypto`] | provider: libcrux over the caller's storage |
//! | [`device`] | a device's keys and key packages |
//! | [`group`] | the group's state, members, epoch keys |
//! | [`commit`] | making commits: add, remove, update, policy |
//! | [`message`] | envelopes; application messages; leaving |
//! | [`receive`] | entries of the log, in order |
//! | [`verdict`] | what every member must judge alike |
//! | [`proof`] | which account a leaf belongs to |
//! | [`join`] | Welcomes |
//! | [`re_add`] | a leaf is replaced because its device asks for it |
//! | [`reset`] | what a new group must be to continue one that stopped |
//! | [`mod@pointer`] | sealed pointers to Welcomes |
//! | [`content`] | what people say |

#![forbid(unsafe_code)]

pub mod commit;
pub mod content;
pub mod crypto;
pub mod device;
pub mod error;
pub mod group;
pub mod join;
pub mod message;
pub mod pointer;
pub mod proof;
pub mod re_add;
pub mod receive;
pub mod reset;
mod seal;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod verdict;

pub use error::GroupError;
pub use group::{Group, GroupState, Member};

#[cfg(test)]
mod tests;
