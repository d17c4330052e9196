//! A page of records, with its overflow pages, as it lies in memory and on the heap.
//!
//! Keys lie in no order and without gaps: the n-th in slot n mod 10 of page or overflow page
//! n div 10. What hashing needs lies in front of the records, so that an update reads and writes
//! a quarter of the page and one record. A page also keeps the hashes of its two halves and four
//! quarters: with those an update hashes five nodes of its page instead of a dozen, for a tenth of
//! the room.

use super::header::{Header, MapError};
use super::memory::MapMemory;
use super::nodes::PAGE_BYTES;
use super::overflow::{self, NEXT_AT};
use super::record::{Lengths, Record};
use super::shape::Place;
use super::{EMPTY, Key, MAX_DEPTH, bit, inner_hash, leaf_hash};
use crate::hash::{Hash, blake3};

/// Records of a page.
pub(super) const SLOTS: usize = 10;
/// Overflow pages of one page, at most. Random keys need one, very seldom two; 60 keys that share
/// 17 bits cost eight million hashes to find, and then only hold up those who want to be beside
/// them.
const OVERFLOW_MAX: usize = 5;
/// Keys of one page and its overflow pages.
pub(super) const PAGE_MAX_KEYS: usize = SLOTS * (1 + OVERFLOW_MAX);

const HASH_BYTES: usize = size_of::<Hash>();
/// Parts of a page.
const COUNT_AT: usize = 32;
const HALVES_AT: usize = 64;
const QUARTERS_AT: usize = 128;
const KEYS_AT: usize = 256;
const LEAF_HASHES_AT: usize = KEYS_AT + SLOTS * HASH_BYTES;
const LENGTHS_AT: usize = LEAF_HASHES_AT + SLOTS * HASH_BYTES;
const RECORDS_AT: usize = LENGTHS_AT + SLOTS * Lengths::BYTES;

/// Longest record in bytes, leaf and extra together: what ten slots leave of a page.
pub const RECORD_MAX_BYTES: usize = (PAGE_BYTES - RECORDS_AT) / SLOTS;

const _: () = assert!(RECORDS_AT + SLOTS * RECORD_MAX_BYTES == PAGE_BYTES);

/// A page and its overflow pages on the heap, without the records that are not changed.
pub(super) struct Page {
    place: Place,
    /// What lies in front of the records of the page, then of its overflow pages.
    heads: Vec<u8>,
    /// Numbers of the overflow pages, from 1.
    overflow: Vec<u32>,
    keys: usize,
    /// Records to write, at most one of a slot.
    changed: Vec<Change>,
    /// Quarters whose hash is out of date, and with them the page's.
    quarters: u8,
    /// Whether the list of overflow pages has changed.
    relinked: bool,
}

struct Change {
    slot: usize,
    bytes: [u8; RECORD_MAX_BYTES],
    /// Whether the leaf hash is out of date.
    stale: bool,
}

impl Change {
    const fn cleared(slot: usize) -> Self {
        Self {
            slot,
            bytes: [0; RECORD_MAX_BYTES],
            stale: false,
        }
    }
}

impl Page {
    /// Reads a page. What a damaged memory says beyond the bounds is left out.
    pub(super) fn read<M: MapMemory>(
        place: Place,
        pages: &M,
        overflow: &M,
        made: u32,
        mut heads: Vec<u8>,
    ) -> Self {
        heads.resize(RECORDS_AT, 0);
        pages.read(page_offset(place), &mut heads);
        let keys = count(&heads);
        let mut numbers = Vec::new();
        let mut next = overflow::next(&heads);
        while room(&heads) < keys && (1..=made).contains(&next) {
            let at = heads.len();
            heads.resize(at + RECORDS_AT, 0);
            overflow.read(overflow::offset(next), &mut heads[at..]);
            numbers.push(next);
            next = overflow::next(&heads[at..]);
        }
        Self {
            place,
            keys: keys.min(room(&heads)),
            heads,
            overflow: numbers,
            changed: Vec::new(),
            quarters: 0,
            relinked: false,
        }
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Takes the bytes to read another page into.
    pub(super) fn into_heads(mut self) -> Vec<u8> {
        self.heads.truncate(RECORDS_AT);
        self.heads
    }

    pub(super) fn find(&self, key: &Key) -> Option<usize> {
        (0..self.keys).find(|slot| self.key(*slot) == key)
    }

    pub(super) fn key(&self, slot: usize) -> &Key {
        self.hash_at(in_heads(slot, KEYS_AT, HASH_BYTES))
    }

    /// The record of a slot, from the heap or from memory.
    pub(super) fn record<M: MapMemory>(&self, slot: usize, pages: &M, overflow: &M) -> Record {
        self.lengths(slot)
            .record(|bytes| self.read_record(slot, bytes, pages, overflow))
    }

    fn lengths(&self, slot: usize) -> Lengths {
        let at = in_heads(slot, LENGTHS_AT, Lengths::BYTES);
        let mut lengths = [0; Lengths::BYTES];
        lengths.copy_from_slice(&self.heads[at..at + Lengths::BYTES]);
        Lengths::from_bytes(lengths)
    }

    fn read_record<M: MapMemory>(&self, slot: usize, into: &mut [u8], pages: &M, overflow: &M) {
        if let Some(change) = self.changed.iter().find(|change| change.slot == slot) {
            into.copy_from_slice(&change.bytes[..into.len()]);
            return;
        }
        let offset = self.offset(slot / SLOTS) + in_page(slot);
        let memory = if slot < SLOTS { pages } else { overflow };
        memory.read(offset, into);
    }

    fn leaf_hash(&self, slot: usize) -> &Hash {
        self.hash_at(in_heads(slot, LEAF_HASHES_AT, HASH_BYTES))
    }

    /// All keys and their leaf hashes in order.
    pub(super) fn sorted(&self) -> Vec<(&Key, &Hash)> {
        let mut sorted: Vec<_> = (0..self.keys)
            .map(|slot| (self.key(slot), self.leaf_hash(slot)))
            .collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        sorted
    }

    /// Changes the record of a slot.
    pub(super) fn set(&mut self, slot: usize, leaf: &[u8], extra: &[u8]) {
        self.put_row(slot, LENGTHS_AT, &Lengths::of(leaf, extra).to_bytes());
        self.quarters |= 1 << self.quarter(slot);
        let change = self.change(slot);
        let (record, rest) = change.bytes.split_at_mut(leaf.len() + extra.len());
        record[..leaf.len()].copy_from_slice(leaf);
        record[leaf.len()..].copy_from_slice(extra);
        rest.fill(0);
        change.stale = true;
    }

    /// Adds a key; there is a slot for it, or there is `Full` or `Crowded`.
    pub(super) fn push<M: MapMemory>(
        &mut self,
        (key, leaf, extra): (&Key, &[u8], &[u8]),
        overflow: &mut M,
        header: &mut Header,
    ) -> Result<(), MapError> {
        if self.keys == PAGE_MAX_KEYS {
            return Err(MapError::Crowded);
        }
        if self.keys == room(&self.heads) {
            let number = overflow::make(overflow, header).ok_or(MapError::Full)?;
            self.overflow.push(number);
            self.heads.resize(self.heads.len() + RECORDS_AT, 0);
            self.relinked = true;
        }
        self.put_row(self.keys, KEYS_AT, key);
        self.keys += 1;
        self.set(self.keys - 1, leaf, extra);
        Ok(())
    }

    /// Takes a key out: the last one takes its slot.
    pub(super) fn remove<M: MapMemory>(
        &mut self,
        slot: usize,
        pages: &M,
        overflow: &mut M,
        header: &mut Header,
    ) {
        self.quarters |= 1 << self.quarter(slot);
        let last = self.keys - 1;
        let mut bytes = [0; RECORD_MAX_BYTES];
        self.read_record(last, &mut bytes, pages, overflow);
        let moved = self.changed.iter().find(|change| change.slot == last);
        let stale = moved.is_some_and(|change| change.stale);
        *self.change(slot) = Change { slot, bytes, stale };
        for (row, width) in ROWS {
            let (from, to) = (in_heads(last, row, width), in_heads(slot, row, width));
            self.heads.copy_within(from..from + width, to);
            self.heads[from..from + width].fill(0);
        }
        *self.change(last) = Change::cleared(last);
        self.keys = last;
        if self.keys.is_multiple_of(SLOTS)
            && let Some(number) = self.overflow.pop()
        {
            self.heads.truncate(self.heads.len() - RECORDS_AT);
            self.changed.retain(|change| change.slot < last);
            self.relinked = true;
            overflow::free(number, overflow, header);
        }
    }

    /// Shares a page, which is written, out to its two children.
    pub(super) fn split<M: MapMemory>(
        self,
        pages: &M,
        overflow: &mut M,
        header: &mut Header,
    ) -> [Self; 2] {
        let mut spare = self.overflow.clone();
        let children = [false, true].map(|ones| {
            let mut child = self.child(ones, pages, overflow);
            let wanted = child.heads.len() / RECORDS_AT - 1;
            // Two children never need more overflow pages than their parent has.
            child.overflow = spare.split_off(spare.len().saturating_sub(wanted));
            child
        });
        for number in spare {
            overflow::free(number, overflow, header);
        }
        children
    }

    fn child<M: MapMemory>(&self, ones: bool, pages: &M, overflow: &M) -> Self {
        let mut child = Self {
            place: self.place.child(ones),
            heads: vec![0; RECORDS_AT],
            overflow: Vec::new(),
            keys: 0,
            changed: Vec::new(),
            quarters: 0b1111,
            relinked: true,
        };
        let depth = self.place.depth;
        for slot in (0..self.keys).filter(|slot| bit(self.key(*slot), depth) == ones) {
            if child.keys == room(&child.heads) {
                child.heads.resize(child.heads.len() + RECORDS_AT, 0);
            }
            for (row, width) in ROWS {
                let at = in_heads(slot, row, width);
                child.put_row(child.keys, row, &self.heads[at..at + width]);
            }
            let mut change = Change::cleared(child.keys);
            self.read_record(slot, &mut change.bytes, pages, overflow);
            child.changed.push(change);
            child.keys += 1;
        }
        let left = (child.keys..room(&child.heads)).map(Change::cleared);
        child.changed.extend(left);
        child
    }

    /// Writes what changed; the hash of the page if that did.
    pub(super) fn write<M: MapMemory>(&mut self, pages: &mut M, overflow: &mut M) -> Option<Hash> {
        let hash = (self.quarters != 0).then(|| self.hash());
        if self.relinked {
            self.link();
        }
        for number in 0..self.heads.len() / RECORDS_AT {
            let changed = || {
                self.changed
                    .iter()
                    .any(|change| change.slot / SLOTS == number)
            };
            if self.relinked || number == 0 && hash.is_some() || changed() {
                let memory = if number == 0 {
                    &mut *pages
                } else {
                    &mut *overflow
                };
                let head = &self.heads[number * RECORDS_AT..(number + 1) * RECORDS_AT];
                memory.write(self.offset(number), head);
            }
        }
        for change in &self.changed {
            let memory = if change.slot < SLOTS {
                &mut *pages
            } else {
                &mut *overflow
            };
            let offset = self.offset(change.slot / SLOTS) + in_page(change.slot);
            memory.write(offset, &change.bytes);
        }
        self.changed.clear();
        (self.quarters, self.relinked) = (0, false);
        hash
    }

    /// Brings hashes and number of keys up to date.
    fn hash(&mut self) -> Hash {
        for n in 0..self.changed.len() {
            let Change { slot, bytes, stale } = &self.changed[n];
            if *stale {
                let leaf = self.lengths(*slot).leaf_of(bytes);
                let hash = leaf_hash(self.key(*slot), &blake3(leaf));
                self.put_row(*slot, LEAF_HASHES_AT, &hash);
            }
        }
        let mut keys = [0; 4];
        let mut quarters = [0; PAGE_MAX_KEYS];
        for slot in 0..self.keys {
            quarters[slot] = self.quarter(slot);
            keys[quarters[slot]] += 1;
        }
        let changed = self.quarters;
        for quarter in (0..4).filter(|quarter| changed >> quarter & 1 != 0) {
            let mut slots = [0; PAGE_MAX_KEYS];
            let inside = (0..self.keys).filter(|slot| quarters[*slot] == quarter);
            for (place, slot) in slots.iter_mut().zip(inside) {
                *place = slot;
            }
            let hash = self.subtree(&mut slots[..keys[quarter]], self.place.depth + 2);
            self.put_hash(QUARTERS_AT, quarter, &hash);
        }
        for half in (0..2).filter(|half| changed >> (2 * half) & 0b11 != 0) {
            let hash = self.join(QUARTERS_AT, half, keys[2 * half] + keys[2 * half + 1]);
            self.put_hash(HALVES_AT, half, &hash);
        }
        let hash = self.join(HALVES_AT, 0, self.keys);
        self.put_hash(0, 0, &hash);
        let keys = u16::try_from(self.keys).unwrap_or(u16::MAX);
        self.heads[COUNT_AT..COUNT_AT + 2].copy_from_slice(&keys.to_le_bytes());
        hash
    }

    /// The hash of a subtree from the slots of its keys, which it sorts by the bits that decide; for
    /// the two or three keys of a quarter that costs half of sorting them before.
    fn subtree(&self, slots: &mut [usize], depth: usize) -> Hash {
        match slots {
            [] => return EMPTY,
            [slot] => return *self.leaf_hash(*slot),
            // One key twice: only in a page that was damaged.
            [slot, ..] if depth == MAX_DEPTH => return *self.leaf_hash(*slot),
            _ => {}
        }
        let mut zeros = 0;
        for n in 0..slots.len() {
            if !bit(self.key(slots[n]), depth) {
                slots.swap(n, zeros);
                zeros += 1;
            }
        }
        let (left, right) = slots.split_at_mut(zeros);
        inner_hash(
            &self.subtree(left, depth + 1),
            &self.subtree(right, depth + 1),
        )
    }

    /// The hash above the n-th pair of a row, below which so many keys lie; a leaf that is alone
    /// is lifted.
    fn join(&self, row: usize, pair: usize, keys: usize) -> Hash {
        let at = |n: usize| self.heads[row + HASH_BYTES * n..].first_chunk();
        match (at(2 * pair), at(2 * pair + 1)) {
            (Some(left), Some(right)) if keys > 1 => inner_hash(left, right),
            (Some(&EMPTY), Some(alone)) | (Some(alone), _) => *alone,
            _ => EMPTY,
        }
    }

    fn put_hash(&mut self, row: usize, n: usize, hash: &Hash) {
        let at = row + HASH_BYTES * n;
        self.heads[at..at + HASH_BYTES].copy_from_slice(hash);
    }

    /// In which quarter of the page's subtree a key lies.
    fn quarter(&self, slot: usize) -> usize {
        let key = self.key(slot);
        let first_bits = u32::from_be_bytes([key[0], key[1], key[2], key[3]]);
        (first_bits << self.place.depth >> 30) as usize
    }

    /// Names to each page the next.
    fn link(&mut self) {
        let next = self.overflow.iter().copied().chain([0]);
        for (head, next) in self.heads.chunks_mut(RECORDS_AT).zip(next) {
            head[NEXT_AT..NEXT_AT + 4].copy_from_slice(&next.to_le_bytes());
        }
    }

    /// The change of a slot, to be filled in.
    fn change(&mut self, slot: usize) -> &mut Change {
        let known = self.changed.iter().position(|change| change.slot == slot);
        let at = known.unwrap_or_else(|| {
            self.changed.push(Change::cleared(slot));
            self.changed.len() - 1
        });
        &mut self.changed[at]
    }

    /// Where the page, or the n-th overflow page, lies in its memory.
    fn offset(&self, n: usize) -> u64 {
        match n.checked_sub(1).and_then(|n| self.overflow.get(n)) {
            Some(number) => overflow::offset(*number),
            None => page_offset(self.place),
        }
    }

    fn put_row(&mut self, slot: usize, row: usize, bytes: &[u8]) {
        let at = in_heads(slot, row, bytes.len());
        self.heads[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn hash_at(&self, at: usize) -> &Hash {
        self.heads[at..]
            .first_chunk()
            .expect("no row ends with half a hash")
    }
}

/// What of a slot lies in front of the records: where its row begins, and bytes of each slot.
const ROWS: [(usize, usize); 3] = [
    (KEYS_AT, HASH_BYTES),
    (LEAF_HASHES_AT, HASH_BYTES),
    (LENGTHS_AT, Lengths::BYTES),
];

/// The record of a key without the rest of its page, for who only looks.
pub(super) fn look_up<M: MapMemory>(
    (place, key): (Place, &Key),
    pages: &M,
    overflow: &M,
    made: u32,
) -> Option<Record> {
    let mut front = [0; LEAF_HASHES_AT];
    let (mut memory, mut start) = (pages, page_offset(place));
    memory.read(start, &mut front);
    let mut keys = count(&front);
    loop {
        let there = front[KEYS_AT..].chunks_exact(HASH_BYTES).take(keys);
        if let Some(slot) = there.into_iter().position(|there| there == key) {
            let mut lengths = [0; Lengths::BYTES];
            memory.read(
                start + (LENGTHS_AT + slot * Lengths::BYTES) as u64,
                &mut lengths,
            );
            let read = |bytes: &mut [u8]| memory.read(start + in_page(slot), bytes);
            return Some(Lengths::from_bytes(lengths).record(read));
        }
        let next = overflow::next(&front);
        keys = keys.checked_sub(SLOTS).filter(|left| *left > 0)?;
        if !(1..=made).contains(&next) {
            return None;
        }
        (memory, start) = (overflow, overflow::offset(next));
        memory.read(start, &mut front);
    }
}

/// The hash and the number of keys of a page, without its slots.
pub(super) fn summary(place: Place, pages: &impl MapMemory) -> (Hash, usize) {
    let mut bytes = [0; COUNT_AT + 2];
    pages.read(page_offset(place), &mut bytes);
    let mut hash = EMPTY;
    hash.copy_from_slice(&bytes[..COUNT_AT]);
    (hash, count(&bytes))
}

/// How many keys a page says it has, and no more than it can have.
fn count(page: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([page[COUNT_AT], page[COUNT_AT + 1]])).min(PAGE_MAX_KEYS)
}

/// Slots of a page with so many heads.
const fn room(heads: &[u8]) -> usize {
    heads.len() / RECORDS_AT * SLOTS
}

fn page_offset(place: Place) -> u64 {
    u64::from(place.number) * PAGE_BYTES as u64
}

/// Where the record of a slot lies in its page or overflow page.
const fn in_page(slot: usize) -> u64 {
    (RECORDS_AT + slot % SLOTS * RECORD_MAX_BYTES) as u64
}

/// Where the part of a slot in a row lies on the heap.
const fn in_heads(slot: usize, row: usize, width: usize) -> usize {
    if slot < SLOTS {
        // Nearly always, and without a division.
        return row + slot * width;
    }
    slot / SLOTS * RECORDS_AT + row + slot % SLOTS * width
}
