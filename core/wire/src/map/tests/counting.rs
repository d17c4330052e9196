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
    bytes_read: Cell<u64>,
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
        self.bytes_read
            .set(self.bytes_read.get() + into.len() as u64);
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
        self.bytes_read.set(0);
        self.writes = 0;
        self.dirty.clear();
    }
}

type Counted = MerkleMap<Counting>;

fn memories(map: &mut Counted) -> [&mut Counting; 3] {
    [&mut map.pages, &mut map.nodes, &mut map.overflow]
}

fn start(map: &mut Counted) {
    for memory in memories(map) {
        memory.start();
    }
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

/// What an update of a batch costs.
#[derive(Debug)]
struct Costs {
    /// Dirty pages with records.
    pages: f64,
    /// Dirty blocks of nodes.
    blocks: f64,
    /// Reads of pages or of their hashes.
    reads: f64,
    /// Hashes of nodes above the pages.
    above: f64,
    /// Leaf hashes and hashes of nodes within pages.
    within: f64,
}

fn per_update(keys: u32, batch: u32) -> Costs {
    let mut map = map_of(keys);
    start(&mut map);
    let hashed = HASHED.get();
    for number in (0..batch).map(|number| number * (keys / batch)) {
        let record = map.load(&random_key(number)).unwrap();
        map.insert(&random_key(number), &[3; 181], &record.extra)
            .unwrap();
    }
    map.root();
    let hashed = HASHED.get() - hashed;
    let [pages, nodes, overflow] = memories(&mut map);
    let each = |count: u64| f64::from(u32::try_from(count).unwrap()) / f64::from(batch);
    // Each node above a page is written when it is hashed; the header is written twice.
    let above = nodes.writes - 2;
    Costs {
        pages: each((pages.dirty.len() + overflow.dirty.len()) as u64),
        blocks: each(nodes.dirty.len() as u64),
        reads: each(pages.reads.get() + overflow.reads.get()),
        above: each(above),
        within: each(hashed - above),
    }
}

/// A gateway brings a thousand posts for a thousand of 200,000 queues: each dirties the page of
/// its queue and its share of the blocks above, and no node is hashed twice.
#[test]
fn a_batch_of_updates_dirties_a_page_each_and_shares_the_blocks() {
    let costs = per_update(200_000, 1_000);
    let within = costs.pages < 1.2
        && costs.blocks < 0.7
        // The page, the record, the hash of its sibling, and of some an overflow page.
        && costs.reads < 3.5
        && costs.above < 8.0
        && costs.within < 7.5;
    assert!(within, "{costs:?}");
}

/// The figures at a million keys, to be run by hand: `--ignored --nocapture`.
#[test]
#[ignore = "minutes; prints figures"]
fn the_figures_at_a_million_keys() {
    for keys in [700_000, 850_000, 1_000_000, 1_200_000] {
        println!("{keys} keys: {:?}", per_update(keys, 1_000));
    }
}

/// An upgrade opens a map of any size with one read, and changes nothing.
#[test]
fn opening_reads_only_the_header() {
    for keys in [0, 1, 100, 20_000] {
        let mut map = map_of(keys);
        let root = map.root();
        start(&mut map);
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
    start(&mut map);
    for step in 0..50 {
        assert!(map.load(&random_key(7)).is_some());
        map.insert(&random_key(7), &[step; 181], &[]).unwrap();
    }
    let [pages, ..] = memories(&mut map);
    // What lies in front of the records, and the record.
    assert_eq!((pages.reads.get(), pages.writes), (2, 0));
    map.root();
    let [pages, ..] = memories(&mut map);
    // The same two.
    assert_eq!(pages.writes, 2);
}

/// A query that looks one record up reads keys and one record, no hashes.
#[test]
fn looking_a_record_up_reads_little() {
    let mut map = map_of(20_000);
    start(&mut map);
    for number in 0..1_000 {
        assert!(map.get(&random_key(number)).is_some());
    }
    for number in 20_000..21_000 {
        assert_eq!(map.get(&random_key(number)), None);
    }
    let [pages, nodes, overflow] = memories(&mut map);
    let bytes = (pages.bytes_read.get() + overflow.bytes_read.get()) / 2_000;
    assert!(bytes < 900, "{bytes} bytes");
    assert_eq!(nodes.reads.get(), 0);
}
