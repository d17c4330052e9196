//! Key transparency.
pub mod codec;
pub mod hash;
pub mod implicit;
pub mod ladder;
pub mod log_tree;
mod prefix_proof;
mod prefix_tree;
pub mod store;
pub mod structs;
pub mod vrf;
