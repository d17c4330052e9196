//! Key transparency.
mod algorithm;
pub mod codec;
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
pub mod vrf;
pub use algorithm::{Recent, Verdict};
pub use prefix_proof::PrefixProofError;
pub mod auditor;
pub mod verifier;
