//! The canisters' `.wasm` modules, built by the ordinary cargo commands and embedded.
//!
//! `build.rs` builds them reproducibly; the hash of a module is what a subnet certifies as its
//! `module_hash` and what the network file allows.

#![forbid(unsafe_code)]

use sha2::{Digest, Sha256};

/// The directory canister.
pub const DIRECTORY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/paigham_directory.wasm"));

/// The relay canister.
pub const RELAY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/paigham_relay.wasm"));

/// The module hash that a subnet certifies for a module: its SHA-256.
#[must_use]
pub fn module_hash(module: &[u8]) -> [u8; 32] {
    Sha256::digest(module).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reviewer who builds in another folder must get the same bytes: no path of the builder's
    /// machine may lie in a module.
    #[test]
    fn modules_hold_no_path_of_the_machine() {
        let workspace = env!("CARGO_MANIFEST_DIR").trim_end_matches("/canister-backend/modules");
        let registry = format!("{}/.cargo", std::env::var("HOME").unwrap_or_default());
        for module in [DIRECTORY, RELAY] {
            assert!(module.starts_with(b"\0asm"));
            for path in [workspace, &registry] {
                let found = module
                    .windows(path.len())
                    .any(|part| part == path.as_bytes());
                assert!(!found, "a module holds {path}");
            }
        }
    }
}
