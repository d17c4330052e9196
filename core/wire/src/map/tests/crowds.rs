//! Strangers grind keys that begin alike.

use super::super::page::PAGE_MAX_KEYS;
use super::*;

/// A key whose first 31 bytes are chosen.
fn ground(first: u8, last: u8) -> Key {
    let mut key = [first; 32];
    key[31] = last;
    key
}

fn model_of(keys: impl Iterator<Item = Key>) -> BTreeMap<Key, Vec<u8>> {
    keys.map(|key| (key, key[28..].to_vec())).collect()
}

fn insert(map: &mut Map, key: &Key) -> Result<(), MapError> {
    map.insert(key, &key[28..], &[9; 20])
}

/// A stranger fills a page up to the bound: the next key there is refused and changes nothing,
/// keys that are there can be changed and removed, all others are served as ever.
#[test]
fn a_crowd_holds_up_itself_only() {
    let mut map = new();
    let honest: Vec<_> = (0..500).map(random_key).collect();
    for key in &honest {
        insert(&mut map, key).unwrap();
    }
    let mut crowd: Vec<_> = (0..=u8::MAX)
        .map(|last| ground(0x77, last))
        .take_while(|key| insert(&mut map, key).is_ok())
        .collect();
    assert!((PAGE_MAX_KEYS - 20..=PAGE_MAX_KEYS).contains(&crowd.len()));
    let mut model = model_of(honest.iter().chain(&crowd).copied());
    assert_eq!(map.root(), root_of(&model));
    let late = ground(0x77, 200);
    assert_eq!(insert(&mut map, &late), Err(MapError::Crowded));
    assert_eq!(map.get(&late), None);
    assert_eq!(map.root(), root_of(&model));

    map.insert(&crowd[30], b"changed", &[]).unwrap();
    model.insert(crowd[30], b"changed".to_vec());
    insert(&mut map, &ground(0x78, 0)).unwrap();
    model.extend(model_of([ground(0x78, 0)].into_iter()));
    assert!(map.remove(&crowd[3]));
    model.remove(&crowd.swap_remove(3));
    insert(&mut map, &late).unwrap();
    model.extend(model_of([late].into_iter()));
    assert_eq!(map.root(), root_of(&model));
    for key in model.keys() {
        assert_eq!(map.get(key).unwrap().leaf, model[key]);
    }
    let witness = map.witness(&crowd);
    assert_eq!(witness.root(), root_of(&model));
    assert_eq!(
        witness.get(&crowd[9]),
        Ok(Found::Present(&model[&crowd[9]]))
    );
}

/// A crowd goes away again: its overflow pages are used by the next one, and the memory does not
/// grow.
#[test]
fn overflow_pages_are_used_again() {
    let mut map = new();
    let mut sizes = Vec::new();
    for first in [0x11, 0x22, 0x99] {
        for last in 0..55 {
            insert(&mut map, &ground(first, last)).unwrap();
        }
        let model = model_of((0..55).map(|last| ground(first, last)));
        assert_eq!(map.root(), root_of(&model));
        for last in 0..55 {
            assert!(map.remove(&ground(first, last)));
        }
        assert_eq!(map.root(), EMPTY);
        sizes.push(map.overflow.size());
    }
    assert_eq!(sizes[1..], [sizes[0]; 2]);
    // Nothing of a record is left behind, only links to free pages.
    let left: usize = map
        .overflow
        .iter()
        .map(|byte| usize::from(*byte != 0))
        .sum();
    assert!(left < map.overflow.len() / 1_000, "{left} bytes");
}

/// Honest keys come after a crowd: splits share it out as its keys allow, and lose none.
#[test]
fn splits_share_a_crowd_out() {
    let mut map = new();
    let mut crowd: Vec<Key> = (0..40).map(|last| ground(0x55, last)).collect();
    // Half of it leaves the others at bit 9.
    for key in crowd.iter_mut().step_by(2) {
        key[1] = 0;
    }
    for key in &crowd {
        insert(&mut map, key).unwrap();
    }
    let overflowing = map.header.overflow_made;
    for number in 0..8_000 {
        insert(&mut map, &random_key(number)).unwrap();
    }
    let model = model_of(crowd.iter().copied().chain((0..8_000).map(random_key)));
    assert_eq!(map.root(), root_of(&model));
    assert_eq!(map.len() as usize, model.len());
    assert!(overflowing >= 3);
}
