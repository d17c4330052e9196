//! The map against a sorted list and the definition of its hash.

use super::*;

/// What callers do.
#[derive(Debug, Clone)]
enum Step {
    /// A new or an old key, by number.
    Insert(u16, u8),
    Remove(u16),
    /// Hashes and opens the memories again.
    Reopen,
    Show(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3_000u16, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
        4 => (0..3_000u16).prop_map(Step::Remove),
        1 => Just(Step::Reopen),
        1 => (0..4_000u16).prop_map(Step::Show),
    ]
}

/// Some keys share their first 40 bits: of the 3,000 that are put in as many as one page has room
/// for beside others.
fn key_of(number: u16) -> Key {
    let mut key = random_key(u32::from(number));
    if number.is_multiple_of(75) {
        key[..5].fill(0xa5);
    }
    key
}

fn record_of(value: u8) -> (Vec<u8>, Vec<u8>) {
    let leaf = vec![value; usize::from(value) % 180];
    (leaf, vec![!value; usize::from(value) % 110])
}

fn reopened(map: Map) -> Map {
    MerkleMap::open(map.pages, map.nodes, map.overflow).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Thousands of insertions, changes, removals and upgrades in any order: every record is as
    /// it was last set, the root is that of the definition, witnesses show what is and is not there.
    #[test]
    fn the_map_behaves_like_a_list(steps in prop::collection::vec(step(), 500..5_000)) {
        let mut map = new();
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Insert(number, value) => {
                    let (leaf, extra) = record_of(value);
                    let record = Record { leaf, extra };
                    map.insert(&key_of(number), &record.leaf, &record.extra).unwrap();
                    prop_assert_eq!(map.get(&key_of(number)), Some(record.clone()));
                    model.insert(key_of(number), record);
                }
                Step::Remove(number) => {
                    let removed = model.remove(&key_of(number)).is_some();
                    prop_assert_eq!(map.remove(&key_of(number)), removed);
                    prop_assert_eq!(map.get(&key_of(number)), None);
                }
                Step::Reopen => {
                    let root = map.root();
                    map = reopened(map);
                    prop_assert_eq!(map.root(), root);
                }
                Step::Show(number) => {
                    let root = map.root();
                    let keys = [key_of(number), key_of(number / 2)];
                    let witness = map.witness(&keys);
                    prop_assert_eq!(witness.root(), root);
                    for key in keys {
                        let leaf = model.get(&key).map(|record| &record.leaf[..]);
                        prop_assert_eq!(
                            witness.get(&key).unwrap(),
                            leaf.map_or(Found::Absent, Found::Present)
                        );
                    }
                }
            }
        }
        let pairs = model.iter().map(|(key, record)| (*key, record.leaf.clone())).collect();
        prop_assert_eq!(map.root(), root_of(&pairs));
        prop_assert_eq!(map.len() as usize, model.len());
        for (key, record) in &model {
            prop_assert_eq!(map.get(key), Some(record.clone()));
            prop_assert_eq!(map.load(key), Some(record.clone()));
        }
    }

    /// The same keys in another order, with others that came and went: the same root.
    #[test]
    fn the_order_of_insertions_leaves_no_trace(
        numbers in prop::collection::btree_set(0..5_000u16, 1..400),
        gone in prop::collection::btree_set(5_000..9_000u16, 0..200),
    ) {
        let mut one = new();
        let mut other = new();
        for number in &numbers {
            one.insert(&key_of(*number), &number.to_be_bytes(), &[]).unwrap();
        }
        for number in numbers.iter().rev().chain(&gone) {
            other.insert(&key_of(*number), &number.to_be_bytes(), b"beside").unwrap();
            if number % 7 == 0 {
                other.root();
            }
        }
        for number in &gone {
            prop_assert!(other.remove(&key_of(*number)));
        }
        prop_assert_eq!(one.root(), other.root());
        let keys: Vec<_> = numbers.iter().chain(&gone).copied().step_by(5).map(key_of).collect();
        prop_assert_eq!(one.witness(&keys), other.witness(&keys));
    }
}

/// At every size from none to hundreds: each present and an absent key are shown as they are.
#[test]
fn every_size_shows_every_key() {
    let mut map = new();
    let mut model = BTreeMap::new();
    for number in 0..300u32 {
        let root = map.root();
        assert_eq!(root, root_of(&model), "{number} keys");
        let witness = map.witness(&[random_key(number), random_key(number / 2)]);
        assert_eq!(Witness::decode(&witness.encode()).unwrap(), witness);
        assert_eq!(witness.root(), root);
        assert_eq!(witness.get(&random_key(number)), Ok(Found::Absent));
        if number > 0 {
            let value = model[&random_key(number / 2)].as_slice();
            assert_eq!(
                witness.get(&random_key(number / 2)),
                Ok(Found::Present(value))
            );
        }
        let value = vec![7; number as usize];
        map.insert(&random_key(number), &value, &[]).unwrap();
        model.insert(random_key(number), value);
    }
}

/// A relay changes what lies beside a leaf: it is there, and the root stays.
#[test]
fn what_lies_beside_a_leaf_is_not_certified() {
    let pairs: BTreeMap<Key, Vec<u8>> = (0..30).map(|n| (random_key(n), vec![1; 9])).collect();
    let mut map = build(&pairs);
    let root = map.root();
    map.insert(&random_key(4), &[1; 9], b"other").unwrap();
    assert_eq!(map.root(), root);
    let map = reopened(map);
    assert_eq!(map.get(&random_key(4)).unwrap().extra, b"other");
}

/// A record of the greatest length fits, one byte more is refused and changes nothing.
#[test]
fn records_are_bounded() {
    let mut map = new();
    let longest = [5; RECORD_MAX_BYTES];
    map.insert(&[1; 32], &longest[..181], &longest[181..])
        .unwrap();
    let root = map.root();
    assert_eq!(
        map.insert(&[1; 32], &longest, &[5]),
        Err(MapError::TooLong(RECORD_MAX_BYTES + 1))
    );
    assert_eq!(
        map.insert(&[2; 32], &[0; RECORD_MAX_BYTES + 1], &[]),
        Err(MapError::TooLong(RECORD_MAX_BYTES + 1))
    );
    assert_eq!((map.root(), map.len()), (root, 1));
    assert_eq!(
        map.get(&[1; 32]).unwrap().extra.len(),
        RECORD_MAX_BYTES - 181
    );
}

/// What is printed of a map and its records shows nothing of what they hold.
#[test]
fn debug_shows_no_bytes() {
    let mut map = new();
    map.insert(&[0xab; 32], &[0xcd; 3], &[0xef; 4]).unwrap();
    let printed = format!("{map:?} {:?}", map.get(&[0xab; 32]).unwrap());
    for secret in [0xabu8, 0xcd, 0xef] {
        assert!(!printed.contains(&secret.to_string()), "{printed}");
    }
    assert!(printed.contains("extra_bytes: 4"));
}
