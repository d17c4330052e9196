//! The certified map of a canister and its witnesses (`spec/protocol.md` §6.1).
//!
//! [`MerkleMap`] lives in a byte-addressed memory and is hashed lazily: a change marks the nodes
//! above it, and [`MerkleMap::root`] hashes what is marked. [`Witness`] is the tree pruned to what
//! is shown; whoever trusts the root can check it without anything else.

mod memory;
mod tree;
mod witness;

pub use memory::MapMemory;
#[cfg(feature = "stable")]
pub use memory::StableMemory;
pub use tree::{MapError, MerkleMap};
pub use witness::{Found, WITNESS_MAX_BYTES, Witness, WitnessError};

use crate::hash::{Hash, blake3, label};

/// A key of the map.
pub type Key = [u8; 32];

/// Keys have 256 bits, so no node is deeper.
pub const MAX_DEPTH: usize = 256;

/// Hash of a subtree without keys.
pub const EMPTY: Hash = [0; 32];

/// The bit of `key` that decides at `depth`, most significant first.
fn bit(key: &Key, depth: usize) -> bool {
    key[depth / 8] & (0x80 >> (depth % 8)) != 0
}

fn leaf_hash(key: &Key, value_hash: &Hash) -> Hash {
    keyed(label::MAP_LEAF, key, value_hash)
}

fn inner_hash(left: &Hash, right: &Hash) -> Hash {
    keyed(label::MAP_INNER, left, right)
}

fn keyed(key_label: &str, left: &Hash, right: &Hash) -> Hash {
    let mut block = [0; 64];
    block[..32].copy_from_slice(left);
    block[32..].copy_from_slice(right);
    blake3::keyed_hash(&key_of(key_label), &block).into()
}

/// K_leaf and K_inner, computed once.
fn key_of(key_label: &str) -> Hash {
    use std::sync::OnceLock;
    static LEAF: OnceLock<Hash> = OnceLock::new();
    static INNER: OnceLock<Hash> = OnceLock::new();
    let cell = if key_label == label::MAP_LEAF {
        &LEAF
    } else {
        &INNER
    };
    *cell.get_or_init(|| blake3(key_label.as_bytes()))
}

/// The hash of a map by its definition, from all its pairs; for checks and tests.
#[must_use]
pub fn root_of(pairs: &std::collections::BTreeMap<Key, Vec<u8>>) -> Hash {
    let sorted: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (*key, blake3(value)))
        .collect();
    subtree(&sorted, 0)
}

fn subtree(sorted: &[(Key, Hash)], depth: usize) -> Hash {
    match sorted {
        [] => EMPTY,
        [(key, value_hash)] => leaf_hash(key, value_hash),
        _ => {
            let middle = sorted.partition_point(|(key, _)| !bit(key, depth));
            let (left, right) = sorted.split_at(middle);
            inner_hash(&subtree(left, depth + 1), &subtree(right, depth + 1))
        }
    }
}

#[cfg(test)]
mod tests;
