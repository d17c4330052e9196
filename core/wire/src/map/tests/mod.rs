//! Stories of the certified map: what it shows is its definition, and nothing else is shown.

mod counting;
mod crowds;
mod layout;
mod model;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

thread_local! {
    /// Leaves and inner nodes hashed.
    pub(super) static HASHED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

type Map = MerkleMap<Vec<u8>>;

fn new() -> Map {
    MerkleMap::open(Vec::new(), Vec::new(), Vec::new()).unwrap()
}

/// A key as honest clients have them.
fn random_key(number: u32) -> Key {
    blake3(&number.to_be_bytes())
}

/// Keys that collide in many bits as well as random ones.
fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<Key>(),
        (any::<u8>(), any::<bool>()).prop_map(|(last, high)| {
            let mut key = [if high { 0xff } else { 0 }; 32];
            key[31] = last;
            key
        }),
    ]
}

fn build(pairs: &BTreeMap<Key, Vec<u8>>) -> Map {
    let mut map = new();
    for (key, value) in pairs {
        map.insert(key, value, b"beside").unwrap();
    }
    map
}

proptest! {
    /// Whatever is inserted, changed and removed, in whatever order: the root is that of the
    /// definition, and every key is shown as it is, present or absent.
    #[test]
    fn the_map_is_its_definition(
        steps in prop::collection::vec((key(), prop::option::of(prop::collection::vec(any::<u8>(), 0..40))), 1..60),
        absent in key(),
    ) {
        let mut map = new();
        let mut model = BTreeMap::new();
        for (key, value) in steps {
            match value {
                Some(value) => {
                    map.insert(&key, &value, &[]).unwrap();
                    model.insert(key, value);
                }
                None => prop_assert_eq!(map.remove(&key), model.remove(&key).is_some()),
            }
            prop_assert_eq!(map.root(), root_of(&model));
        }
        prop_assert_eq!(map.len() as usize, model.len());
        let mut asked: Vec<Key> = model.keys().copied().step_by(2).collect();
        asked.push(absent);
        let witness = map.witness(&asked);
        let decoded = Witness::decode(&witness.encode()).unwrap();
        prop_assert_eq!(&decoded, &witness);
        prop_assert_eq!(decoded.root(), root_of(&model));
        for key in &asked {
            let expected = model.get(key).map_or(Found::Absent, |value| Found::Present(value));
            prop_assert_eq!(decoded.get(key).unwrap(), expected);
            let alone = decoded.cut(&[*key]);
            prop_assert_eq!(alone.root(), decoded.root());
            prop_assert_eq!(alone.get(key).unwrap(), expected);
            prop_assert_eq!(Witness::decode(&alone.encode()).unwrap(), alone);
        }
    }

    /// Bytes from anywhere are a witness or an error, never a panic.
    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..400)) {
        if let Ok(witness) = Witness::decode(&bytes) {
            prop_assert_eq!(witness.encode(), bytes);
        }
    }
}

/// A node that flips any bit of a witness shows another root, or something that is refused.
#[test]
fn every_flipped_bit_is_noticed() {
    let pairs: BTreeMap<Key, Vec<u8>> = (0..40u8).map(|i| (blake3(&[i]), vec![i; 20])).collect();
    let mut map = build(&pairs);
    let root = map.root();
    let shown = *pairs.keys().nth(7).unwrap();
    let bytes = map.witness(&[shown, [0; 32]]).encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let accepted = Witness::decode(&flipped).is_ok_and(|witness| witness.root() == root);
        assert!(!accepted, "bit {bit}");
    }
}

/// A relay can't show a lone leaf below an inner node, nothing below one, or a leaf off its path.
#[test]
fn other_forms_are_refused() {
    let leaf = |key: Key| [&[4][..], &key, &[9; 32]].concat();
    let inner = |left: &[u8], right: &[u8]| [&[1], left, right].concat();
    let refused = |bytes: Vec<u8>| Witness::decode(&bytes).unwrap_err();
    assert_eq!(refused(inner(&[0], &[0])), WitnessError::NotCanonical);
    assert_eq!(
        refused(inner(&leaf([0; 32]), &[0])),
        WitnessError::NotCanonical
    );
    assert_eq!(
        refused(inner(&[0], &leaf([0x80; 32]))),
        WitnessError::NotCanonical
    );
    assert_eq!(
        refused([&[3][..], &[0; 32]].concat()),
        WitnessError::NotCanonical
    );
    assert_eq!(
        refused(inner(&leaf([0x80; 32]), &leaf([0x80; 32]))),
        WitnessError::OffPath
    );
    assert_eq!(refused(vec![0, 0]), WitnessError::Malformed);
    assert_eq!(refused(vec![1; 300]), WitnessError::TooDeep);
    assert_eq!(
        refused(vec![1; WITNESS_MAX_BYTES + 1]),
        WitnessError::TooLong
    );
}

/// A relay can't hide a key by pruning it: that is no proof of absence.
#[test]
fn a_pruned_key_is_not_absent() {
    let pairs: BTreeMap<Key, Vec<u8>> = [([0; 32], vec![1]), ([0x80; 32], vec![2])].into();
    let mut map = build(&pairs);
    map.root();
    let witness = map.witness(&[[0; 32]]);
    assert_eq!(witness.get(&[0x80; 32]), Err(WitnessError::NotShown));
    let other = map.witness(&[[1; 32]]);
    assert_eq!(other.get(&[1; 32]), Ok(Found::Absent));
    assert_eq!(other.get(&[0; 32]), Err(WitnessError::NotShown));
}

/// The smallest inner node has two bytes, its own and one of an empty side, and becomes one
/// allocation of two nodes: so much memory do bytes of a stranger take, and no more.
#[test]
fn a_witness_takes_bounded_memory() {
    let inner = size_of::<(witness::Node, witness::Node)>();
    assert!(inner <= 2 * 72, "{inner} bytes");
    let deepest = [&[1, 0].repeat(255)[..], &[1, 3], &[1; 32], &[3], &[1; 32]].concat();
    let witness = Witness::decode(&deepest).unwrap();
    assert_eq!(witness.encode(), deepest);
    assert_eq!(witness.get(&[0xff; 32]), Err(WitnessError::NotShown));
    assert_eq!(witness.get(&[0; 32]), Ok(Found::Absent));
}
