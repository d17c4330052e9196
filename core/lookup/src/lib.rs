//! What an answer of the transparency log proves.
//!
//! The log shows that a label has these values and no others. This crate adds what the log itself
//! does not know: that its heads are signed by the directory of *this* network, that the values are
//! all versions of the label, each following the one before, since when those count that count by
//! time, and that an account's records keep the rules of `spec/identity.md`. Directory and clients
//! apply these rules alike; here they are applied to what is proved, so that nobody has to trust
//! the directory for them.
//!
//! ```text
//! reply ──▶ Reading ──▶ answer by answer ──▶ LabelVersions ──▶ AccountHistory
//!            │ head: certificate, canister, tree     values, places    state at any time
//!            └─▶ TreeView, certified time, signature: what the caller keeps
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`trust`] | whose log it is |
//! | [`heads`] | signatures over heads |
//! | [`reading`] | one reply, answer by answer |
//! | [`label`] | all versions of a label, with the places of those that count by time |
//! | [`account`] | an account's history and what follows from it |
//! | [`finding`] | what is wrong, in words |
//! | [`mod@evidence`] | files that show it to anybody |
//! | [`handle`] | a handle's records and whose it is |
//! | [`networks`] | the network files in the log |
//! | [`auditors`] | what the network's auditors say of a head |
//!
//! Nothing here reads a clock or does I/O: the time of a judgement is that of the head or of the
//! certificate, so that everybody who holds an answer judges it alike. How old a certificate may
//! be is the caller's to say.

#![forbid(unsafe_code)]

pub mod account;
pub mod auditors;
pub mod error;
pub mod evidence;
pub mod finding;
pub mod handle;
pub mod heads;
pub mod label;
pub mod networks;
pub mod reading;
pub mod trust;

pub use account::{AccountHistory, verify_account};
pub use auditors::{AuditorPolicy, AuditorReport, AuditorSays, AuditorWord};
pub use error::LookupError;
pub use evidence::Evidence;
pub use finding::Finding;
pub use handle::{HandleVersions, JudgedHandle};
pub use heads::CanisterHeads;
pub use label::{LabelVersion, LabelVersions, TimeRule};
pub use reading::{LookedUp, Reading};
pub use trust::LogTrust;
