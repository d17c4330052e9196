//! Key transparency after draft-ietf-keytrans-protocol-05, core profile, contact monitoring.
//!
//! A *log* maps labels to values, version after version, so that whoever reads it, whoever owns a
//! label, and whoever audits the whole notice when it shows two people two things.
//!
//! ```text
//!        log tree            entry = (timestamp, root of the prefix tree at that time)
//!       ┌────┴────┐
//!    ┌──┴──┐   ┌──┴──┐       each entry's prefix tree shares all nodes with the one before
//!    e0    e1  e2    e3      but the paths to what the entry added
//!    │     │   │     │
//!    ▼     ▼   ▼     ▼       leaf = (VRF(label, version), commitment(value))
//!   prefix trees, path copied
//! ```
//!
//! - [`publish`] adds entries; [`prover`] answers requests from a [`store`].
//! - [`verifier`] checks the answers against a [`verifier::TreeView`] and gives back the next one.
//! - [`auditor`] checks every entry without knowing a label; [`audit_file`] is its file.
//! - [`consistency`] connects what an auditor signed with a head of another size.
//! - The algorithms between them are written once (module `algorithm`): the prover's source records
//!   what they ask, the verifier's takes it from the proof.
//! - [`structs`] are the draft's structures, [`hash`] and [`vrf`] every hash input byte by byte.
//!
//! Everything, with the decisions where the draft leaves a choice, is in `spec/transparency.md`.
//! Nothing here reads a clock, does I/O, or makes random numbers.

#![forbid(unsafe_code)]

mod algorithm;
pub mod audit_file;
pub mod auditor;
pub mod codec;
pub mod consistency;
pub mod hash;
pub mod implicit;
pub mod ladder;
pub mod log_tree;
mod prefix_proof;
mod prefix_tree;
pub mod prover;
pub mod publish;
pub mod store;
pub mod structs;
pub mod verifier;
pub mod vrf;

pub use algorithm::{Recent, Verdict};
pub use prefix_proof::PrefixProofError;
