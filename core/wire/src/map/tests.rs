use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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

fn build(pairs: &BTreeMap<Key, Vec<u8>>) -> MerkleMap<Vec<u8>> {
    let mut map = MerkleMap::open(Vec::new()).unwrap();
    for (key, value) in pairs {
        map.insert(key, value).unwrap();
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
        let mut map = MerkleMap::open(Vec::new()).unwrap();
        let mut model = BTreeMap::new();
        for (key, value) in steps {
            match value {
                Some(value) => {
                    map.insert(&key, &value).unwrap();
                    model.insert(key, value);
                }
                None => prop_assert_eq!(map.remove(&key), model.remove(&key).is_some()),
            }
            prop_assert_eq!(map.root(), root_of(&model));
        }
        prop_assert_eq!(map.len() as usize, model.len());
        let mut asked: Vec<Key> = model.keys().copied().step_by(2).collect();
        asked.push(absent);
        let witness = map.witness(&asked, |key| model.get(key).cloned());
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
    let bytes = map
        .witness(&[shown, [0; 32]], |key| pairs.get(key).cloned())
        .encode();
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
    let witness = map.witness(&[[0; 32]], |key| pairs.get(key).cloned());
    assert_eq!(witness.get(&[0x80; 32]), Err(WitnessError::NotShown));
    let other = map.witness(&[[1; 32]], |key| pairs.get(key).cloned());
    assert_eq!(other.get(&[1; 32]), Ok(Found::Absent));
    assert_eq!(other.get(&[0; 32]), Err(WitnessError::NotShown));
}

/// The map is there again when its memory is opened again, without being rebuilt; a memory with
/// something else in it is refused.
#[test]
fn a_map_outlives_its_canister() {
    let pairs: BTreeMap<Key, Vec<u8>> = (0..9u8).map(|i| (blake3(&[i]), vec![i])).collect();
    let mut map = build(&pairs);
    let root = map.root();
    let memory = map.memory_for_tests();
    assert_eq!(&memory[..8], b"PMAP\x01\0\0\0");
    let mut again = MerkleMap::open(memory).unwrap();
    assert_eq!(again.root(), root);
    assert_eq!(
        MerkleMap::open(vec![7; 128]).unwrap_err(),
        MapError::Foreign
    );
    let mut newer = vec![0; 64];
    newer[..5].copy_from_slice(b"PMAP\x02");
    assert_eq!(MerkleMap::open(newer).unwrap_err(), MapError::Layout(2));
}

/// What earlier versions left in stable memory is read by later ones: three keys, one of them
/// removed again, lie there byte for byte as the layout is drawn.
#[test]
fn the_layout_is_as_drawn() {
    let leaf = |key: &Key, value: &[u8]| {
        let hash = leaf_hash(key, &blake3(value));
        [&[1, 0, 0, 0, 0, 0, 0, 0][..], &hash, key, &blake3(value)].concat()
    };
    let inner = |hash: &Hash, left: u8, right: u8| {
        let children = [left, 0, 0, 0, right, 0, 0, 0];
        [&[2, 0, 0, 0, 0, 0, 0, 0][..], hash, &children, &[0; 56]].concat()
    };
    let (low, high, gone) = ([0x10; 32], [0x90; 32], [0xd0; 32]);
    let mut map = MerkleMap::open(Vec::new()).unwrap();
    map.insert(&low, b"low").unwrap();
    map.insert(&high, b"high").unwrap();
    map.insert(&gone, b"gone").unwrap();
    assert!(map.remove(&gone));
    let root = map.root();
    let mut expected = b"PMAP\x01\0\0\0".to_vec();
    // Root 3, five nodes allocated, 5 the first free one, two keys.
    expected.extend([3, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0]);
    expected.extend([0; 40]);
    expected.extend(leaf(&low, b"low"));
    expected.extend(leaf(&high, b"high"));
    expected.extend(inner(&root, 1, 2));
    // 4 held the removed leaf, 5 the inner node above it; the last one released comes first.
    expected.extend([&[0; 40][..], &[0; 64]].concat());
    expected.extend([&[0; 40][..], &[4, 0, 0, 0], &[0; 60]].concat());
    let memory = map.memory_for_tests();
    assert_eq!(
        hex::encode(&memory[..expected.len()]),
        hex::encode(&expected)
    );
    assert!(memory[expected.len()..].iter().all(|byte| *byte == 0));
}

/// A header that does not fit its memory is refused when it is opened, not when it is used.
#[test]
fn a_header_fits_its_memory() {
    let mut map = MerkleMap::open(Vec::new()).unwrap();
    map.insert(&[1; 32], b"one").unwrap();
    map.insert(&[2; 32], b"two").unwrap();
    let memory = map.memory_for_tests();
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut memory = memory.clone();
        change(&mut memory);
        MerkleMap::open(memory).unwrap_err()
    };
    for field in [8, 12, 16, 20] {
        assert_eq!(
            refused(&|memory| memory[field + 3] = 0x7f),
            MapError::Corrupt,
            "header field at {field}"
        );
    }
    assert_eq!(
        refused(&|memory| memory[8..12].fill(0)),
        MapError::Corrupt,
        "keys without a root"
    );
    assert_eq!(refused(&|memory| memory.truncate(100)), MapError::Corrupt);
    assert_eq!(refused(&|memory| memory.truncate(60)), MapError::Foreign);
}

/// A memory that cannot grow refuses the key and leaves the map as it was.
#[test]
fn a_full_memory_changes_nothing() {
    struct Small(Vec<u8>);
    impl MapMemory for Small {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn grow_to(&mut self, bytes: u64) -> bool {
            bytes <= 30_000 && self.0.grow_to(bytes)
        }
        fn read(&self, offset: u64, into: &mut [u8]) {
            self.0.read(offset, into);
        }
        fn write(&mut self, offset: u64, bytes: &[u8]) {
            self.0.write(offset, bytes);
        }
    }
    let mut map = MerkleMap::open(Small(Vec::new())).unwrap();
    let refused = (0..=u8::MAX).find(|i| {
        let before = (map.root(), map.len());
        let full = map.insert(&blake3(&[*i]), b"value") == Err(MapError::Full);
        assert!(!full || before == (map.root(), map.len()));
        full
    });
    assert_eq!(u32::from(refused.unwrap()), map.len());
}

/// To show one key, the values of others are never asked for.
#[test]
fn only_shown_values_are_looked_up() {
    let pairs: BTreeMap<Key, Vec<u8>> = (0..40u8).map(|i| (blake3(&[i]), vec![i])).collect();
    let mut map = build(&pairs);
    map.root();
    let wanted = *pairs.keys().next().unwrap();
    let absent = [0x55; 32];
    map.witness(&[wanted, absent], |key| {
        assert_eq!(*key, wanted);
        pairs.get(key).cloned()
    });
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
