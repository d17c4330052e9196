//! Small maps, what they show of some keys, and what is no witness.

use std::collections::BTreeMap;

use paigham_wire::hash::blake3;
use paigham_wire::map::{Found, Key, MerkleMap, Witness, WitnessError, root_of};
use serde_json::{Value, json};

use crate::hex;

type Pairs = BTreeMap<Key, Vec<u8>>;

pub fn all() -> Value {
    let mut nearly = [0; 32];
    nearly[31] = 1;
    let maps: [(&str, Pairs, Vec<Key>); 5] = [
        ("no keys", Pairs::new(), vec![[0; 32]]),
        (
            "one key",
            [([9; 32], b"nine".to_vec())].into(),
            vec![[9; 32], [8; 32]],
        ),
        (
            "two keys that differ in the first bit",
            [([0; 32], vec![]), ([0x80; 32], vec![1])].into(),
            vec![[0; 32], [0x81; 32]],
        ),
        (
            "two keys that differ in the last bit: 255 inner nodes with one child",
            [([0; 32], b"left".to_vec()), (nearly, b"right".to_vec())].into(),
            vec![nearly, [0x40; 32]],
        ),
        (
            "twenty keys",
            (0..20u8)
                .map(|n| (blake3(&[n]), vec![n; usize::from(n)]))
                .collect(),
            vec![blake3(&[3]), blake3(&[19]), [0; 32]],
        ),
    ];
    let maps: Vec<_> = maps
        .iter()
        .map(|(what, pairs, keys)| map(what, pairs, keys))
        .collect();
    json!({ "maps": maps, "refused": refused() })
}

fn map(what: &str, pairs: &Pairs, keys: &[Key]) -> Value {
    let mut map = MerkleMap::open(Vec::new(), Vec::new(), Vec::new()).unwrap();
    for (key, value) in pairs {
        map.insert(key, value, &[]).unwrap();
    }
    let root = map.root();
    assert_eq!(root, root_of(pairs), "{what}");
    let witness = map.witness(keys);
    let decoded = Witness::decode(&witness.encode()).unwrap();
    assert_eq!(decoded.root(), root, "{what}");
    let shown: Vec<_> = keys
        .iter()
        .map(|key| {
            let value = match decoded.get(key).unwrap() {
                Found::Present(value) => hex(value),
                Found::Absent => Value::Null,
            };
            assert_eq!(value, pairs.get(key).map_or(Value::Null, hex));
            json!({ "key": hex(key), "value": value, "cut": hex(decoded.cut(&[*key]).encode()) })
        })
        .collect();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| json!({ "key": hex(key), "value": hex(value) }))
        .collect();
    json!({
        "what": what,
        "pairs": pairs,
        "root": hex(root),
        "witness": hex(witness.encode()),
        "shown": shown,
    })
}

fn refused() -> Value {
    let leaf = |key: Key| [&[2][..], &key, &[0, 1, 7]].concat();
    let other = |key: Key| [&[4][..], &key, &[9; 32]].concat();
    let inner = |left: &[u8], right: &[u8]| [&[1], left, right].concat();
    let pruned = |hash: Key| [&[3][..], &hash].concat();
    let good = inner(&leaf([0; 32]), &pruned([5; 32]));
    assert!(Witness::decode(&good).is_ok());
    let cases = [
        ("nothing", vec![], WitnessError::Malformed),
        ("unknown tag", vec![5], WitnessError::Malformed),
        (
            "a byte left over",
            [&good[..], &[0]].concat(),
            WitnessError::Malformed,
        ),
        ("half a leaf", good[..30].to_vec(), WitnessError::Malformed),
        ("257 inner nodes", vec![1; 257], WitnessError::TooDeep),
        (
            "a leaf off its path",
            inner(&leaf([0x80; 32]), &pruned([5; 32])),
            WitnessError::OffPath,
        ),
        (
            "a pruned hash of zeros",
            pruned([0; 32]),
            WitnessError::NotCanonical,
        ),
        (
            "an inner node over nothing",
            inner(&[0], &[0]),
            WitnessError::NotCanonical,
        ),
        (
            "a lone leaf on the left",
            inner(&leaf([0; 32]), &[0]),
            WitnessError::NotCanonical,
        ),
        (
            "a lone leaf on the right",
            inner(&[0], &other([0x80; 32])),
            WitnessError::NotCanonical,
        ),
    ];
    cases
        .iter()
        .map(|(why, witness, error)| {
            assert_eq!(Witness::decode(witness).unwrap_err(), *error, "{why}");
            json!({ "why": why, "witness": hex(witness) })
        })
        .collect()
}
