//! Key transparency.
pub mod codec;
pub mod hash;
pub mod vrf;
