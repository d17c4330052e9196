//! The certified map of a canister and its witnesses (`spec/protocol.md` §6.1).
//!
//! [`MerkleMap`] keeps records under keys in pages of 4 KiB and hashes lazily:
//! [`MerkleMap::root`] hashes what changed since. [`Witness`] is the tree pruned to what is shown;
//! whoever trusts the root can check it without anything else.
//!
//! A replica pays for each page of 4 KiB in which a byte changes. An update of a key changes its
//! page, where record, leaf hash and the hash of the page's subtree lie together, and the blocks of
//! hash nodes above it, which updates in one batch share. With a million keys and a batch of a
//! thousand that is one page and two thirds of a block per update.
//!
//! ```text
//! memory     contents
//! pages      page n at n · 4096; which keys it holds: see `shape`
//! nodes      block n at n · 4096; which nodes it holds: see `nodes`
//! overflow   overflow page n at (n − 1) · 4096, for pages with more than ten keys
//!
//! offset  bytes  header, in front of the first block of nodes
//! 0       4      "PMAP"
//! 4       1      layout version, 2
//! 5       1      level of the pages
//! 6       1      1 if something changed that is not hashed
//! 7       1      zero
//! 8       4      next page to split
//! 12      4      keys in the map
//! 16      4      overflow pages ever made
//! 20      4      first free overflow page, 0 = none
//! 24      8      zero
//!
//! offset  bytes  block of nodes
//! 0       32     zero, or the header
//! 32      …      127 hashes (7 in the first block), the root of the block first, row by row
//!
//! offset  bytes  page · overflow page
//! 0       32     hash of the subtree · zero
//! 32      2      keys in it and its overflow pages · zero
//! 34      2      zero
//! 36      4      first overflow page, 0 = none · next one, in a page's list or in that of free ones
//! 40      24     zero
//! 64      64     hashes of its halves, the first bit behind its own being 0 and 1 · zero
//! 128     128    hashes of its quarters · zero
//! 256     320    10 keys, in no order, filled without gaps, then zeros
//! 576     320    their leaf hashes
//! 896     40     lengths of their leaves and extra bytes, 2 + 2 each
//! 936     …      their records, 316 bytes each: leaf, extra bytes, zeros
//! ```
//! Numbers are little-endian. Nothing is rebuilt when the memories are opened again.
//!
//! Keys are hashes, but strangers can grind them. A page takes 60 keys with its overflow pages;
//! a new key that would be one more is refused ([`MapError::Crowded`]), while those that are there
//! can always be changed. Pages are never merged.

mod certified;
mod header;
mod memory;
mod nodes;
mod overflow;
mod page;
mod record;
mod shape;
mod show;
mod witness;

pub use certified::MerkleMap;
pub use header::MapError;
pub use memory::MapMemory;
#[cfg(feature = "stable")]
pub use memory::StableMemory;
pub use page::RECORD_MAX_BYTES;
pub use record::Record;
pub use witness::{Found, WITNESS_MAX_BYTES, Witness, WitnessError};

use std::sync::OnceLock;

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
    static LABEL_HASH: OnceLock<Hash> = OnceLock::new();
    let label_hash = LABEL_HASH.get_or_init(|| blake3(label::MAP_LEAF.as_bytes()));
    keyed(label_hash, key, value_hash)
}

fn inner_hash(left: &Hash, right: &Hash) -> Hash {
    static LABEL_HASH: OnceLock<Hash> = OnceLock::new();
    let label_hash = LABEL_HASH.get_or_init(|| blake3(label::MAP_INNER.as_bytes()));
    keyed(label_hash, left, right)
}

fn keyed(label_hash: &Hash, left: &Hash, right: &Hash) -> Hash {
    #[cfg(test)]
    tests::HASHED.set(tests::HASHED.get() + 1);
    let mut block = [0; 64];
    block[..32].copy_from_slice(left);
    block[32..].copy_from_slice(right);
    blake3::keyed_hash(label_hash, &block).into()
}

/// The hash of a map by its definition, from all its pairs; for checks and tests.
#[must_use]
pub fn root_of(pairs: &std::collections::BTreeMap<Key, Vec<u8>>) -> Hash {
    let leaves: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (key, leaf_hash(key, &blake3(value))))
        .collect();
    let sorted: Vec<_> = leaves.iter().map(|(key, hash)| (*key, hash)).collect();
    subtree(&sorted, 0)
}

/// The hash of a subtree from its keys, in order, and their leaf hashes.
fn subtree(sorted: &[(&Key, &Hash)], depth: usize) -> Hash {
    match sorted {
        [] => EMPTY,
        [(_, leaf_hash)] => **leaf_hash,
        // One key twice: only in a page that was damaged.
        [(_, leaf_hash), ..] if depth == MAX_DEPTH => **leaf_hash,
        _ => {
            let middle = sorted.partition_point(|(key, _)| !bit(key, depth));
            let (left, right) = sorted.split_at(middle);
            inner_hash(&subtree(left, depth + 1), &subtree(right, depth + 1))
        }
    }
}

#[cfg(test)]
mod tests;
