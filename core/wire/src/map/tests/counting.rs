//! What the map costs: pages that become dirty, bytes and times that are read.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::super::nodes::PAGE_BYTES;
use super::*;

/// A memory that counts.
#[derive(Debug, Default)]
struct Counting {
    bytes: Vec<u8>,
    reads: Cell<u64>,
    writes: u64,
    dirty: BTreeSet<u64>,
}

impl MapMemory for Counting {
    fn size(&self) -> u64 {
        self.bytes.size()
    }
    fn grow_to(&mut self, bytes: u64) -> bool {
        self.bytes.grow_to(bytes)
    }
    fn read(&self, offset: u64, into: &mut [u8]) {
        self.reads.set(self.reads.get() + 1);
        self.bytes.read(offset, into);
    }
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.writes += 1;
        let page = |offset| offset / PAGE_BYTES as u64;
        self.dirty
            .extend(page(offset)..=page(offset + bytes.len() as u64 - 1));
        self.bytes.write(offset, bytes);
    }
}

impl Counting {
    fn start(&mut self) {
        self.reads.set(0);
        self.writes = 0;
        self.dirty.clear();
    }
}

type Counted = MerkleMap<Counting>;

fn memories(map: &mut Counted) -> [&mut Counting; 3] {
    [&mut map.pages, &mut map.nodes, &mut map.overflow]
}

fn map_of(keys: u32) -> Counted {
    let new = Counting::default;
    let mut map = MerkleMap::open(new(), new(), new()).unwrap();
    for number in 0..keys {
        map.insert(&random_key(number), &[1; 181], &[2; 118])
            .unwrap();
    }
    map.root();
    map
}

fn per_update(keys: u32, batch: u32) -> [f64; 4] {
    let mut map = map_of(keys);
    memories(&mut map).map(Counting::start);
    for number in (0..batch).map(|number| number * (keys / batch)) {
        let record = map.load(&random_key(number)).unwrap();
        map.insert(&random_key(number), &[3; 181], &record.extra)
            .unwrap();
    }
    map.root();
    let [pages, nodes, overflow] = memories(&mut map);
    let each = |count: u64| count as f64 / f64::from(batch);
    [
        each((pages.dirty.len() + overflow.dirty.len()) as u64),
        each(nodes.dirty.len() as u64),
        each(nodes.writes),
        each(pages.reads.get() + overflow.reads.get()),
    ]
}

/// A gateway brings a thousand posts for a thousand of 200,000 queues: each dirties the page of
/// its queue and its share of the blocks above, and no node is hashed twice.
#[test]
fn a_batch_of_updates_dirties_a_page_each_and_shares_the_blocks() {
    let [pages, blocks, hashes, reads] = per_update(200_000, 1_000);
    assert!(pages < 1.1, "{pages} pages");
    assert!(blocks < 0.7, "{blocks} blocks");
    assert!(hashes < 12.0, "{hashes} hashes");
    // The page and the hash of its sibling, and an overflow page of some.
    assert!(reads < 2.4, "{reads} reads");
}

/// The figures at a million keys, to be run by hand: `--ignored --nocapture`.
#[test]
#[ignore = "a minute; prints figures"]
fn the_figures_at_a_million_keys() {
    for keys in [700_000, 1_000_000, 1_400_000] {
        let [pages, blocks, hashes, reads] = per_update(keys, 1_000);
        println!("{keys} keys: {pages} pages, {blocks} blocks, {hashes} hashes, {reads} reads");
    }
}

/// An upgrade opens a map of any size with one read, and changes nothing.
#[test]
fn opening_reads_only_the_header() {
    for keys in [0, 1, 100, 20_000] {
        let mut map = map_of(keys);
        let root = map.root();
        memories(&mut map).map(Counting::start);
        let mut map = MerkleMap::open(map.pages, map.nodes, map.overflow).unwrap();
        let costs = memories(&mut map).map(|memory| (memory.reads.get(), memory.writes));
        assert_eq!(costs, [(0, 0), (1, 0), (0, 0)], "{keys} keys");
        assert_eq!(map.root(), root);
    }
}

/// Posts for one queue in a row read its page once and write it once.
#[test]
fn a_page_in_use_is_not_read_again() {
    let mut map = map_of(1_000);
    memories(&mut map).map(Counting::start);
    for step in 0..50 {
        assert!(map.load(&random_key(7)).is_some());
        map.insert(&random_key(7), &[step; 181], &[]).unwrap();
    }
    let [pages, ..] = memories(&mut map);
    assert_eq!((pages.reads.get(), pages.writes), (1, 0));
    map.root();
    let [pages, ..] = memories(&mut map);
    // Header and slot.
    assert_eq!(pages.writes, 2);
}
