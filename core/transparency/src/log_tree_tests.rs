use proptest::prelude::*;

use super::*;
use crate::hash::log_leaf;
use crate::store::{Child, LogEntry, MemoryStore};

fn leaf(position: u64) -> HashValue {
    log_leaf(position, &[9; 32])
}

fn log(size: u64) -> MemoryStore {
    log_of(size, 9)
}

/// A log whose entries all have this prefix root.
pub(crate) fn log_of(size: u64, prefix_root: u8) -> MemoryStore {
    let prefix_root = [prefix_root; 32];
    let mut store = MemoryStore::default();
    for position in 0..size {
        append(&mut store, log_leaf(position, &prefix_root)).unwrap();
        store.push_entry(LogEntry {
            timestamp: position,
            prefix_root,
            root: Child::Missing,
            first_leaf: 0,
        });
    }
    store
}

/// The root by the definition alone: split at the largest power of two below the size.
fn root_by_definition(from: u64, to: u64) -> LogNode {
    let size = to - from;
    if size == 1 {
        return LogNode {
            value: leaf(from),
            is_leaf: true,
        };
    }
    let split = from + size.next_power_of_two() / 2;
    log_parent(
        &root_by_definition(from, split),
        &root_by_definition(split, to),
    )
}

fn heads_of(store: &MemoryStore, size: u64) -> Vec<LogNode> {
    full_subtrees(size)
        .into_iter()
        .map(|subtree| head(store, subtree).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The root is the one of the definition; a proof of any entries from any earlier size gives
    /// the same root and the new full subtrees; with one entry changed it does not.
    #[test]
    fn a_batch_proof_gives_the_root(
        size in 1u64..80,
        last in 0u64..80,
        entries in proptest::collection::btree_set(0u64..80, 0..6),
    ) {
        let last = last.min(size);
        let store = log(size);
        let entries: BTreeSet<u64> = entries.into_iter().filter(|entry| *entry < size).collect();
        let expected = root_by_definition(0, size).value;
        prop_assert_eq!(root(&store, size), Some(expected));
        let elements = prove(&store, size, last, &entries).unwrap();
        let retained = heads_of(&store, last);
        let leaves: BTreeMap<u64, HashValue> = entries.iter().map(|at| (*at, leaf(*at))).collect();
        let evaluate = |leaves: &BTreeMap<u64, HashValue>, retained: &[LogNode], elements: &[HashValue]| {
            LogProof { entries: leaves, last, retained, elements }.evaluate(size)
        };
        let heads = evaluate(&leaves, &retained, &elements).unwrap();
        let full = full_heads(&heads, size).unwrap();
        prop_assert_eq!(root_of(&full), Some(expected));

        for at in &entries {
            let mut forged = leaves.clone();
            forged.insert(*at, [0; 32]);
            let outcome = evaluate(&forged, &retained, &elements);
            let refused = match outcome {
                Err(LogProofError::Retained) => *at < last,
                Ok(heads) => root_of(&full_heads(&heads, size).unwrap()) != Some(expected),
                Err(LogProofError::Length) => false,
            };
            prop_assert!(refused);
        }
        let mut longer = elements.clone();
        longer.push([1; 32]);
        prop_assert_eq!(evaluate(&leaves, &retained, &longer), Err(LogProofError::Length));
        if let Some((_, shorter)) = elements.split_last() {
            prop_assert_eq!(evaluate(&leaves, &retained, shorter), Err(LogProofError::Length));
        }
    }

    /// A proof carries nothing that could be left out: with an entry, the number of elements never
    /// exceeds the path and the full subtrees.
    #[test]
    fn growth_alone_needs_few_elements(size in 1u64..2000, last in 1u64..2000) {
        let last = last.min(size);
        let store = log(size);
        let elements = prove(&store, size, last, &BTreeSet::new()).unwrap();
        prop_assert!(elements.len() <= 22);
        if last == size {
            prop_assert!(elements.is_empty());
        }
    }
}
