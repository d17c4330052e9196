use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::prefix_proof::{Lookup, Partial, PrefixProofError, evaluate};
use crate::store::MemoryStore;

/// The tree by its definition alone, from all keys at once.
fn root_by_definition(leaves: &[PrefixLeaf], depth: u8) -> HashValue {
    match leaves {
        [] if depth > 0 => MISSING,
        [leaf] if depth > 0 => leaf.hash(),
        _ => {
            let (left, right): (Vec<_>, Vec<_>) = leaves
                .iter()
                .partition(|leaf| !bit(&leaf.vrf_output, depth));
            prefix_parent(
                &root_by_definition(&left, depth + 1),
                &root_by_definition(&right, depth + 1),
            )
        }
    }
}

/// Keys that share long prefixes, so that paths are split deep down.
fn key(short: u16) -> HashValue {
    let mut key = [0xaa; 32];
    key[..2].copy_from_slice(&short.to_be_bytes());
    key[20] = u8::from(short & 1 == 1);
    if short & 2 != 0 {
        key[1] &= 0xf0;
    }
    key
}

/// Several numbers have one key, and then one leaf.
fn leaf(short: u16) -> PrefixLeaf {
    let vrf_output = key(short);
    PrefixLeaf {
        vrf_output,
        commitment: [vrf_output[1]; 32],
    }
}

fn publish(store: &mut MemoryStore, root: Child, leaves: &[PrefixLeaf]) -> Node {
    let leaves: Vec<NewLeaf> = leaves
        .iter()
        .map(|leaf| NewLeaf {
            leaf: *leaf,
            index: store.push_leaf(*leaf),
        })
        .collect();
    insert(store, root, &leaves).unwrap()
}

fn distinct(shorts: Vec<u16>) -> BTreeMap<HashValue, PrefixLeaf> {
    shorts
        .into_iter()
        .map(|short| (key(short), leaf(short)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However the keys arrive in batches, the root is the one of the definition, and the earlier
    /// roots stay searchable.
    #[test]
    fn insertion_equals_a_full_rebuild(
        first in proptest::collection::vec(0u16..64, 0..20),
        second in proptest::collection::vec(any::<u16>(), 0..20),
    ) {
        let first = distinct(first);
        let mut second = distinct(second);
        second.retain(|key, _| !first.contains_key(key));
        let mut store = MemoryStore::default();
        let first: Vec<_> = first.into_values().collect();
        let second: Vec<_> = second.into_values().collect();
        let one = publish(&mut store, Child::Missing, &first);
        let two = publish(&mut store, one.child, &second);
        prop_assert_eq!(one.hash, root_by_definition(&first, 0));
        let mut all = first.clone();
        all.extend(&second);
        all.sort_by_key(|leaf| leaf.vrf_output);
        prop_assert_eq!(two.hash, root_by_definition(&all, 0));
        let keys: Vec<HashValue> = second.iter().map(|leaf| leaf.vrf_output).collect();
        let before = prove(&store, one.child, &keys).unwrap();
        prop_assert!(before.results.iter().all(|result| !result.is_inclusion()));
        let after = prove(&store, two.child, &keys).unwrap();
        prop_assert!(after.results.iter().all(PrefixSearchResult::is_inclusion));
        if let Some(known) = first.first() {
            let mut again = store.clone();
            let index = again.push_leaf(*known);
            let twice = insert(&mut again, two.child, &[NewLeaf { leaf: *known, index }]);
            prop_assert!(matches!(twice, Err(TreeError::Exists)));
        }
    }

    /// A proof gives the root, and inserting into what it shows gives the root after insertion.
    /// Changing any one thing in it does not.
    #[test]
    fn a_proof_gives_the_root(
        present in proptest::collection::vec(any::<u16>(), 0..20),
        asked in proptest::collection::vec(any::<u16>(), 1..6),
        absent_first in any::<bool>(),
    ) {
        let present = distinct(present);
        let leaves: Vec<_> = present.values().copied().collect();
        let mut store = MemoryStore::default();
        let root = publish(&mut store, Child::Missing, &leaves);
        let mut asked = distinct(asked);
        if absent_first {
            asked.extend(present.clone().into_iter().take(3));
        }
        let lookups: Vec<Lookup> = asked
            .values()
            .rev()
            .map(|leaf| Lookup { key: leaf.vrf_output, commitment: Some(leaf.commitment) })
            .collect();
        let keys: Vec<HashValue> = lookups.iter().map(|lookup| lookup.key).collect();
        let proof = prove(&store, root.child, &keys).unwrap();
        let mut partial = evaluate(&proof, &lookups).unwrap();
        for (lookup, result) in lookups.iter().zip(&proof.results) {
            prop_assert_eq!(result.is_inclusion(), present.contains_key(&lookup.key));
        }
        prop_assert_eq!(partial.hash(), root.hash);

        for index in 0..proof.elements.len() {
            let mut forged = proof.clone();
            forged.elements[index][0] ^= 1;
            prop_assert_ne!(evaluate(&forged, &lookups).unwrap().hash(), root.hash);
        }
        let mut longer = proof;
        longer.elements.push(MISSING);
        prop_assert_eq!(evaluate(&longer, &lookups).unwrap_err(), PrefixProofError::Elements);

        let mut all = present.clone();
        for leaf in asked.values().filter(|leaf| !present.contains_key(&leaf.vrf_output)) {
            partial = partial.insert(*leaf, 0).unwrap();
            all.insert(leaf.vrf_output, *leaf);
        }
        let all: Vec<_> = all.into_values().collect();
        prop_assert_eq!(partial.hash(), root_by_definition(&all, 0));
    }

    /// No proof makes the evaluation panic, whatever its depths and elements.
    #[test]
    fn no_proof_panics(
        results in proptest::collection::vec((0u8..3, any::<u8>(), any::<[u8; 32]>()), 1..5),
        elements in proptest::collection::vec(any::<[u8; 32]>(), 0..300),
    ) {
        let lookups: Vec<Lookup> = results
            .iter()
            .map(|(_, _, key)| Lookup { key: *key, commitment: None })
            .collect();
        let results = results.iter().map(|(kind, depth, key)| match kind {
            0 => PrefixSearchResult::Inclusion { depth: *depth },
            1 => PrefixSearchResult::NonInclusionParent { depth: *depth },
            _ => PrefixSearchResult::NonInclusionLeaf {
                leaf: PrefixLeaf { vrf_output: *key, commitment: *key },
                depth: *depth,
            },
        });
        let proof = PrefixProof { results: results.collect(), elements };
        let _outcome = evaluate(&proof, &lookups);
    }
}

/// A leaf that lies elsewhere shows nothing about the key, even if it is in the tree.
#[test]
fn a_leaf_off_the_path_is_refused() {
    let mut store = MemoryStore::default();
    let mut low = leaf(0);
    low.vrf_output = [0; 32];
    let mut high = leaf(0);
    high.vrf_output = [0xff; 32];
    let root = publish(&mut store, Child::Missing, &[low, high]);
    let mut asked = [0; 32];
    asked[31] = 1;
    let mut proof = prove(&store, root.child, &[asked]).unwrap();
    let lookups = [Lookup {
        key: asked,
        commitment: None,
    }];
    assert_eq!(evaluate(&proof, &lookups).unwrap().hash(), root.hash);
    proof.results[0] = PrefixSearchResult::NonInclusionLeaf {
        leaf: high,
        depth: 1,
    };
    proof.elements[0] = low.hash();
    let refused = evaluate(&proof, &lookups).unwrap_err();
    assert_eq!(refused, PrefixProofError::Contradiction);
}

/// A search cannot end at the root, which is a parent even when the tree is empty.
#[test]
fn an_empty_tree_has_a_root() {
    let store = &mut MemoryStore::default();
    let root = publish(store, Child::Missing, &[]);
    assert_eq!(root.hash, prefix_parent(&MISSING, &MISSING));
    assert_eq!(root.hash, Partial::empty_root().hash());
    let proof = prove(store, root.child, &[[5; 32]]).unwrap();
    let result = PrefixSearchResult::NonInclusionParent { depth: 1 };
    assert_eq!(
        (&proof.results[..], &proof.elements[..]),
        (&[result][..], &[MISSING][..])
    );
    let at_root = PrefixProof {
        results: vec![PrefixSearchResult::NonInclusionParent { depth: 0 }],
        elements: Vec::new(),
    };
    let lookup = Lookup {
        key: [5; 32],
        commitment: None,
    };
    let refused = evaluate(&at_root, &[lookup]).unwrap_err();
    assert_eq!(refused, PrefixProofError::Depth);
}
