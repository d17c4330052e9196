//! Trees, proofs and ladders from the draft's definitions, by brute force.

use std::collections::BTreeMap;

use paigham_transparency::hash::HashValue;
use paigham_transparency::structs::{PrefixLeaf, PrefixProof, PrefixSearchResult};
use sha2::{Digest, Sha256};

/// A prefix tree: place to commitment.
pub type Tree = BTreeMap<HashValue, HashValue>;

pub fn sha(parts: &[&[u8]]) -> HashValue {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn bit_of(key: &HashValue, index: usize) -> bool {
    key[index / 8] & (0x80 >> (index % 8)) != 0
}

fn prefix_value(leaves: &[(HashValue, HashValue)], depth: usize) -> HashValue {
    match leaves {
        [] if depth > 0 => [0; 32],
        [(key, commitment)] if depth > 0 => sha(&[&[2], key, commitment]),
        _ => {
            let (right, left): (Vec<_>, Vec<_>) =
                leaves.iter().partition(|(key, _)| bit_of(key, depth));
            let (left, right) = (
                prefix_value(&left, depth + 1),
                prefix_value(&right, depth + 1),
            );
            sha(&[&[3], &left, &right])
        }
    }
}

pub fn prefix_root(tree: &Tree) -> HashValue {
    let leaves: Vec<_> = tree.iter().map(|(key, value)| (*key, *value)).collect();
    prefix_value(&leaves, 0)
}

/// Truthful searches in a tree.
pub fn prefix_proof(tree: &Tree, keys: &[HashValue]) -> PrefixProof {
    let mut results = vec![None; keys.len()];
    let mut elements = Vec::new();
    let leaves: Vec<_> = tree.iter().map(|(key, value)| (*key, *value)).collect();
    let all: Vec<usize> = (0..keys.len()).collect();
    descend(&leaves, 0, keys, &all, &mut results, &mut elements);
    PrefixProof {
        results: results.into_iter().map(Option::unwrap).collect(),
        elements,
    }
}

fn descend(
    leaves: &[(HashValue, HashValue)],
    depth: usize,
    keys: &[HashValue],
    searches: &[usize],
    results: &mut [Option<PrefixSearchResult>],
    elements: &mut Vec<HashValue>,
) {
    if searches.is_empty() {
        elements.push(prefix_value(leaves, depth));
        return;
    }
    let depth_byte = u8::try_from(depth).unwrap();
    if depth > 0 && leaves.len() < 2 {
        for search in searches {
            results[*search] = Some(match leaves.first() {
                None => PrefixSearchResult::NonInclusionParent { depth: depth_byte },
                Some((key, _)) if *key == keys[*search] => {
                    PrefixSearchResult::Inclusion { depth: depth_byte }
                }
                Some((key, value)) => PrefixSearchResult::NonInclusionLeaf {
                    leaf: PrefixLeaf {
                        vrf_output: *key,
                        commitment: *value,
                    },
                    depth: depth_byte,
                },
            });
        }
        return;
    }
    for side in [false, true] {
        let part: Vec<_> = leaves
            .iter()
            .filter(|(key, _)| bit_of(key, depth) == side)
            .copied()
            .collect();
        let inside: Vec<usize> = searches
            .iter()
            .copied()
            .filter(|at| bit_of(&keys[*at], depth) == side)
            .collect();
        descend(&part, depth + 1, keys, &inside, results, elements);
    }
}

/// The draft's own listing of the ladder.
pub fn base_ladder(greatest: u64) -> Vec<u32> {
    let mut out: Vec<u64> = Vec::new();
    loop {
        let value = (1 << out.len()) - 1;
        out.push(value);
        if value > greatest {
            break;
        }
    }
    let (mut low, mut high) = (out[out.len() - 2], out[out.len() - 1]);
    while low + 1 < high {
        let value = (low + high) / 2;
        out.push(value);
        if value <= greatest {
            low = value;
        } else {
            high = value;
        }
    }
    out.into_iter().map(|value| value as u32).collect()
}

/// The implicit tree over `[from, to)`: for each entry its ancestors, from the root.
fn ancestors(from: u64, to: u64, above: &[u64], out: &mut BTreeMap<u64, Vec<u64>>) {
    if from < to {
        let root = from + (1 << (to - from).ilog2()) - 1;
        out.insert(root, above.to_vec());
        let mut above = above.to_vec();
        above.push(root);
        ancestors(from, root, &above, out);
        ancestors(root + 1, to, &above, out);
    }
}

pub fn all_ancestors(size: u64) -> BTreeMap<u64, Vec<u64>> {
    let mut out = BTreeMap::new();
    ancestors(0, size, &[], &mut out);
    out
}

pub fn frontier(size: u64) -> Vec<u64> {
    let mut path = all_ancestors(size)[&(size - 1)].clone();
    path.push(size - 1);
    path
}
