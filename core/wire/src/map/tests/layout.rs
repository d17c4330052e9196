//! What lies in the memories, and memories that hold something else.
#![expect(
    clippy::cast_possible_truncation,
    reason = "tests count to small numbers"
)]

use super::super::nodes::PAGE_BYTES;
use super::*;

type Memories = [Vec<u8>; 3];

fn memories(map: Map) -> Memories {
    [map.pages, map.nodes, map.overflow]
}

fn open([pages, nodes, overflow]: Memories) -> Result<Map, MapError> {
    MerkleMap::open(pages, nodes, overflow)
}

/// The map is there again when its memories are opened again; memories with something else in
/// them are refused.
#[test]
fn a_map_outlives_its_canister() {
    let pairs: BTreeMap<Key, Vec<u8>> = (0..99).map(|n| (random_key(n), vec![5])).collect();
    let mut map = build(&pairs);
    let root = map.root();
    let memories = memories(map);
    assert_eq!(&memories[1][..8], b"PMAP\x02\x03\0\0");
    let mut again = open(memories.clone()).unwrap();
    assert_eq!(again.root(), root);
    assert_eq!(again.get(&random_key(9)).unwrap().extra, b"beside");

    let nothing = Vec::new;
    let refused = |memories| open(memories).unwrap_err();
    let foreign = [nothing(), vec![7; PAGE_BYTES], nothing()];
    assert_eq!(refused(foreign), MapError::Foreign);
    let [pages, _, overflow] = memories.clone();
    assert_eq!(
        refused([pages, nothing(), nothing()]),
        MapError::Foreign,
        "pages without nodes"
    );
    assert_eq!(
        refused([nothing(), nothing(), [overflow, vec![1]].concat()]),
        MapError::Foreign,
        "overflow pages without nodes"
    );
    for layout in [1, 3] {
        let mut other = memories.clone();
        other[1][4] = layout;
        assert_eq!(refused(other), MapError::Layout(layout));
    }
}

/// A canister is left after a change that it never certified: nobody takes its hashes for the
/// map's.
#[test]
fn a_map_that_was_not_hashed_is_refused() {
    let mut map = new();
    map.insert(&[1; 32], b"one", &[]).unwrap();
    map.root();
    let hashed = memories(map);
    let changes: [fn(&mut Map); 3] = [
        |map| map.insert(&[1; 32], b"two", &[]).unwrap(),
        |map| map.insert(&[2; 32], b"two", &[]).unwrap(),
        |map| assert!(map.remove(&[1; 32])),
    ];
    for change in changes {
        let mut map = open(hashed.clone()).unwrap();
        change(&mut map);
        assert_eq!(open(memories(map)).unwrap_err(), MapError::Unfinished);
        let mut map = open(hashed.clone()).unwrap();
        change(&mut map);
        let root = map.root();
        assert_eq!(open(memories(map)).unwrap().root(), root);
    }
}

/// What earlier versions left in stable memory is read by later ones: three keys, one of them
/// removed again, lie there byte for byte as the layout is drawn.
#[test]
fn the_layout_is_as_drawn() {
    let (low, high, gone) = ([0x10; 32], [0x90; 32], [0xd0; 32]);
    let mut map = new();
    map.insert(&low, b"low", b"beside").unwrap();
    map.insert(&gone, b"gone", b"secret").unwrap();
    map.insert(&high, b"high", &[]).unwrap();
    assert!(map.remove(&gone));
    let root = map.root();
    let [pages, nodes, overflow] = memories(map);

    let mut page = root.to_vec();
    page.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    page.resize(64, 0);
    // 0x10 lies in the first half and quarter, 0x90 in the second half, the third quarter.
    let leaves = [
        leaf_hash(&low, &blake3(b"low")),
        leaf_hash(&high, &blake3(b"high")),
    ];
    page.extend(leaves.concat());
    page.extend([leaves[0], EMPTY, leaves[1], EMPTY].concat());
    page.extend([low, high].concat());
    page.resize(576, 0);
    page.extend(leaves.concat());
    page.resize(896, 0);
    page.extend([3, 0, 6, 0, 4, 0, 0, 0]);
    page.resize(936, 0);
    page.extend(b"lowbeside");
    page.resize(936 + 316, 0);
    page.extend(b"high");
    page.resize(4096, 0);
    assert_eq!(hex::encode(pages), hex::encode(page));

    // Level 0, nothing pending, page 0 the next to split, two keys, no overflow pages.
    let mut block = b"PMAP\x02\0\0\0".to_vec();
    block.extend([0, 0, 0, 0, 2, 0, 0, 0]);
    block.resize(4096, 0);
    assert_eq!(hex::encode(nodes), hex::encode(block));
    assert!(overflow.is_empty());
}

/// A larger map with splits, overflow pages and a free one, by the hash of each memory.
#[test]
fn the_layout_of_a_larger_map_stays() {
    let mut map = new();
    for number in 0..1_000u32 {
        let leaf = vec![number as u8; number as usize % 181];
        map.insert(&random_key(number), &leaf, &leaf[..leaf.len() / 2])
            .unwrap();
    }
    for last in 0..30 {
        let mut key = [0xaa; 32];
        key[31] = last;
        map.insert(&key, &[last], &[]).unwrap();
    }
    for last in 0..15 {
        let mut key = [0xaa; 32];
        key[31] = last;
        assert!(map.remove(&key));
    }
    map.root();
    let found =
        memories(map).map(|memory| (memory.len() / PAGE_BYTES, hex::encode(blake3(&memory))));
    let expected = [
        (
            134,
            "6b42b80dd15b78731c8d9969831226814c4744de2aa990a0b2a401d4573c7648",
        ),
        (
            9,
            "7f54860f3aa14dcedf194ea12eb1adee34cf4f8e392a20ab7c6f9d2ec140cd6a",
        ),
        (
            23,
            "5ee96625a12c99f3f713d05d932920085e20c7aad52c7bd0b3e6e62fdd9059cd",
        ),
    ];
    assert_eq!(
        found,
        expected.map(|(pages, hash)| (pages, hash.to_owned()))
    );
}

/// A header that does not fit its memories is refused when it is opened, not when it is used.
#[test]
fn a_header_fits_its_memories() {
    let mut map = new();
    for number in 0..200 {
        map.insert(&random_key(number), b"value", &[]).unwrap();
    }
    map.root();
    let good = memories(map);
    let refused = |change: &dyn Fn(&mut Memories)| {
        let mut memories = good.clone();
        change(&mut memories);
        open(memories).unwrap_err()
    };
    for field in [8, 12, 16, 20] {
        let damaged = refused(&|[_, nodes, _]| nodes[field + 3] = 0x7f);
        assert_eq!(damaged, MapError::Corrupt, "header field at {field}");
    }
    for level in [6, 24, 25, 200, 255] {
        let damaged = refused(&|[_, nodes, _]| nodes[5] = level);
        assert_eq!(damaged, MapError::Corrupt, "level {level}");
    }
    assert_eq!(refused(&|[_, nodes, _]| nodes[6] = 2), MapError::Corrupt);
    for memory in 0..2 {
        let cut = refused(&|memories| {
            let shorter = memories[memory].len() - 1;
            memories[memory].truncate(shorter);
        });
        assert_eq!(cut, MapError::Corrupt, "memory {memory}");
    }
    assert_eq!(
        refused(&|memories| memories[1].truncate(4095)),
        MapError::Foreign
    );
}

/// Pages that were damaged behind the map's back: whatever they say, every method returns.
#[test]
fn damaged_pages_do_not_stop_the_map() {
    let mut map = new();
    for number in 0..60 {
        map.insert(&random_key(number), b"value", b"beside")
            .unwrap();
    }
    let crowd = |last| {
        let mut key = [0x33; 32];
        key[31] = last;
        key
    };
    for last in 0..40 {
        map.insert(&crowd(last), b"value", &[]).unwrap();
    }
    map.root();
    let good = memories(map);
    for (memory, at) in [
        (0, 32),
        (0, 33),
        (0, 36),
        (0, 896),
        (0, 897),
        (0, 899),
        (2, 36),
        (2, 39),
        (2, 899),
    ] {
        for value in [1, 2, 40, 0xff] {
            let mut damaged = good.clone();
            for page in damaged[memory].chunks_mut(PAGE_BYTES) {
                page[at] = value;
            }
            let mut map = open(damaged).unwrap();
            for number in 0..90 {
                let key = random_key(number);
                map.get(&key);
                let _refused = map.insert(&key, b"other", b"");
                let _refused = map.insert(&crowd(number as u8), b"other", b"");
            }
            for number in 0..90 {
                map.remove(&random_key(number));
                map.remove(&crowd(number as u8));
            }
            map.root();
            map.witness(&[random_key(1), crowd(1), [0; 32]]);
        }
    }
}

/// Memories that cannot grow refuse the key and leave the map as it was.
#[test]
fn full_memories_change_nothing() {
    struct Small(Vec<u8>, u64);
    impl MapMemory for Small {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn grow_to(&mut self, bytes: u64) -> bool {
            bytes <= self.1 && self.0.grow_to(bytes)
        }
        fn read(&self, offset: u64, into: &mut [u8]) {
            self.0.read(offset, into);
        }
        fn write(&mut self, offset: u64, bytes: &[u8]) {
            self.0.write(offset, bytes);
        }
    }
    let pages = |pages| Small(Vec::new(), pages * PAGE_BYTES as u64);
    for limits in [[5, 100, 100], [100, 2, 100], [100, 100, 0], [100, 100, 1]] {
        let [a, b, c] = limits.map(pages);
        let mut map = MerkleMap::open(a, b, c).unwrap();
        let mut refused = 0;
        for number in 0..400 {
            let before = (map.root(), map.len());
            match map.insert(&random_key(number), b"value", &[]) {
                Ok(()) => assert_eq!(map.len(), before.1 + 1),
                Err(MapError::Full) => {
                    refused += 1;
                    assert_eq!((map.root(), map.len()), before);
                    assert_eq!(map.get(&random_key(number)), None);
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 0, "{limits:?}");
        assert!(map.insert(&random_key(0), b"changed", &[]).is_ok());
    }
    let [a, b, c] = [0, 1, 1].map(pages);
    assert_eq!(MerkleMap::open(a, b, c).err(), Some(MapError::Full));
}
