//! A page of records, with its overflow pages, as it lies in memory and on the heap.
//!
//! Keys lie in no order and without gaps: the n-th in slot n mod 10 of page or overflow page
//! n div 10. A page also keeps the hashes of its two halves and four quarters: with those an update
//! hashes five nodes of its page instead of a dozen, for a tenth of the room.

use super::header::{Header, MapError};
use super::memory::MapMemory;
use super::nodes::PAGE_BYTES;
use super::overflow::{self, NEXT_AT};
use super::shape::Place;
use super::{EMPTY, Key, bit, inner_hash, leaf_hash, subtree};
use crate::hash::{Hash, blake3};

/// Longest record in bytes, leaf and extra together: what ten slots leave of a page.
pub const RECORD_MAX_BYTES: usize = SLOT_BYTES - RECORD_AT;

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
const KEYS_AT: usize = 32;
const HALVES_AT: usize = 64;
const QUARTERS_AT: usize = 128;
const SLOTS_AT: usize = 256;
/// Parts of a slot.
const SLOT_BYTES: usize = 384;
const LEAF_HASH_AT: usize = 32;
const LENGTHS_AT: usize = 64;
const RECORD_AT: usize = 68;

const _: () = assert!(SLOTS_AT + SLOTS * SLOT_BYTES == PAGE_BYTES);
// A bit for each slot, and two behind those of the deepest place among the first 32.
const _: () = assert!(PAGE_MAX_KEYS <= u64::BITS as usize);

/// What the map holds under a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The value that the root stands for.
    pub leaf: Vec<u8>,
    /// What lies beside it and nobody outside sees or needs.
    pub extra: Vec<u8>,
}

impl Record {
    fn new((leaf, extra): (&[u8], &[u8])) -> Self {
        Self {
            leaf: leaf.to_vec(),
            extra: extra.to_vec(),
        }
    }
}

/// Lengths only: what lies beside a leaf may be secret.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("leaf_bytes", &self.leaf.len())
            .field("extra_bytes", &self.extra.len())
            .finish()
    }
}

/// A page and its overflow pages on the heap, with changes that are not written yet.
pub(super) struct Page {
    place: Place,
    /// The page, then its overflow pages.
    bytes: Vec<u8>,
    /// Numbers of the overflow pages, from 1.
    overflow: Vec<u32>,
    keys: usize,
    /// Slots to write.
    changed: u64,
    /// Slots whose leaf hash is out of date.
    stale: u64,
    /// Quarters whose hash is, and with them the page.
    quarters: u8,
    /// Whether all bytes are to be written.
    whole: bool,
}

impl Page {
    /// Reads a page. What a damaged memory says beyond the bounds is left out.
    pub(super) fn read<M: MapMemory>(
        place: Place,
        pages: &M,
        overflow: &M,
        made: u32,
        mut bytes: Vec<u8>,
    ) -> Self {
        bytes.resize(PAGE_BYTES, 0);
        pages.read(page_offset(place), &mut bytes);
        let keys = usize::from(u16::from_le_bytes([bytes[KEYS_AT], bytes[KEYS_AT + 1]]));
        let mut numbers = Vec::new();
        let mut next = overflow::next(&bytes);
        while bytes.len() / PAGE_BYTES * SLOTS < keys.min(PAGE_MAX_KEYS)
            && (1..=made).contains(&next)
        {
            let at = bytes.len();
            bytes.resize(at + PAGE_BYTES, 0);
            overflow.read(overflow::offset(next), &mut bytes[at..]);
            numbers.push(next);
            next = overflow::next(&bytes[at..]);
        }
        let keys = keys.min(bytes.len() / PAGE_BYTES * SLOTS);
        Self {
            place,
            bytes,
            overflow: numbers,
            keys,
            changed: 0,
            stale: 0,
            quarters: 0,
            whole: false,
        }
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Takes the bytes to read another page into.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(PAGE_BYTES);
        self.bytes
    }

    pub(super) fn find(&self, key: &Key) -> Option<usize> {
        (0..self.keys).find(|slot| self.key(*slot) == key)
    }

    pub(super) fn key(&self, slot: usize) -> &Key {
        self.chunk(slot, 0)
    }

    pub(super) fn leaf(&self, slot: usize) -> &[u8] {
        self.parts(slot).0
    }

    pub(super) fn record(&self, slot: usize) -> Record {
        Record::new(self.parts(slot))
    }

    /// All keys and their leaf hashes in order.
    pub(super) fn sorted(&self) -> Vec<(&Key, &Hash)> {
        self.sort(0..self.keys)
    }

    fn sort(&self, slots: impl Iterator<Item = usize>) -> Vec<(&Key, &Hash)> {
        let mut sorted: Vec<_> = slots
            .map(|slot| (self.key(slot), self.chunk(slot, LEAF_HASH_AT)))
            .collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        sorted
    }

    /// Changes the record of a slot, which fits.
    pub(super) fn set(&mut self, slot: usize, leaf: &[u8], extra: &[u8]) {
        if self.leaf(slot) != leaf {
            self.stale |= 1 << slot;
            self.quarters |= 1 << self.quarter(slot);
        }
        self.changed |= 1 << slot;
        self.fill(slot, leaf, extra);
    }

    /// Adds a key; there is a slot for it, or there is `Full` or `Crowded`.
    pub(super) fn push<M: MapMemory>(
        &mut self,
        (key, leaf, extra): (&Key, &[u8], &[u8]),
        overflow: &mut M,
        header: &mut Header,
    ) -> Result<(), MapError> {
        let slot = self.keys;
        if slot == PAGE_MAX_KEYS {
            return Err(MapError::Crowded);
        }
        if slot == self.bytes.len() / PAGE_BYTES * SLOTS {
            let number = overflow::make(overflow, header).ok_or(MapError::Full)?;
            self.overflow.push(number);
            self.bytes.resize(self.bytes.len() + PAGE_BYTES, 0);
            self.whole = true;
        }
        self.keys += 1;
        let at = slot_offset(slot);
        self.bytes[at..at + LEAF_HASH_AT].copy_from_slice(key);
        self.fill(slot, leaf, extra);
        self.changed |= 1 << slot;
        self.stale |= 1 << slot;
        self.quarters |= 1 << self.quarter(slot);
        Ok(())
    }

    /// Takes a key out: the last one takes its slot.
    pub(super) fn remove<M: MapMemory>(
        &mut self,
        slot: usize,
        overflow: &mut M,
        header: &mut Header,
    ) {
        self.quarters |= 1 << self.quarter(slot);
        self.keys -= 1;
        let last = self.keys;
        let from = slot_offset(last);
        self.bytes
            .copy_within(from..from + SLOT_BYTES, slot_offset(slot));
        self.bytes[from..from + SLOT_BYTES].fill(0);
        self.stale &= !(1 << slot);
        self.stale |= (self.stale >> last & 1) << slot;
        self.stale &= !(1 << last);
        self.changed |= 1 << slot | 1 << last;
        if self.keys.is_multiple_of(SLOTS)
            && let Some(number) = self.overflow.pop()
        {
            self.bytes.truncate(self.bytes.len() - PAGE_BYTES);
            self.whole = true;
            overflow::free(number, overflow, header);
        }
    }

    /// Shares a page, which is written, out to its two children.
    pub(super) fn split<M: MapMemory>(self, overflow: &mut M, header: &mut Header) -> [Self; 2] {
        let mut spare = self.overflow.clone();
        let children = [false, true].map(|ones| {
            let slots = (0..self.keys)
                .filter(|slot| bit(self.key(*slot), self.place.depth) == ones)
                .map(|slot| &self.bytes[slot_offset(slot)..slot_offset(slot) + SLOT_BYTES]);
            let mut child = Self::of_slots(self.place.child(ones), slots);
            let wanted = child.bytes.len() / PAGE_BYTES - 1;
            // Two children never need more overflow pages than their parent has.
            child.overflow = spare.split_off(spare.len().saturating_sub(wanted));
            child
        });
        for number in spare {
            overflow::free(number, overflow, header);
        }
        children
    }

    fn of_slots<'a>(place: Place, slots: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut page = Self {
            place,
            bytes: vec![0; PAGE_BYTES],
            overflow: Vec::new(),
            keys: 0,
            changed: 0,
            stale: 0,
            quarters: 0b1111,
            whole: true,
        };
        for bytes in slots {
            if page.keys == page.bytes.len() / PAGE_BYTES * SLOTS {
                page.bytes.resize(page.bytes.len() + PAGE_BYTES, 0);
            }
            let at = slot_offset(page.keys);
            page.bytes[at..at + SLOT_BYTES].copy_from_slice(bytes);
            page.keys += 1;
        }
        page
    }

    /// Writes what changed; the hash of the page if that did.
    pub(super) fn write<M: MapMemory>(&mut self, pages: &mut M, overflow: &mut M) -> Option<Hash> {
        let hash = (self.quarters != 0).then(|| self.hash());
        if self.whole {
            self.link();
        }
        if self.whole || hash.is_some() {
            let length = if self.whole { PAGE_BYTES } else { SLOTS_AT };
            pages.write(page_offset(self.place), &self.bytes[..length]);
        }
        if self.whole {
            let bytes = self.bytes[PAGE_BYTES..].chunks(PAGE_BYTES);
            for (number, bytes) in self.overflow.iter().zip(bytes) {
                overflow.write(overflow::offset(*number), bytes);
            }
        } else {
            self.write_slots(pages, overflow);
        }
        (self.changed, self.stale) = (0, 0);
        (self.quarters, self.whole) = (0, false);
        hash
    }

    fn write_slots<M: MapMemory>(&self, pages: &mut M, overflow: &mut M) {
        let mut left = self.changed;
        while left != 0 {
            let slot = left.trailing_zeros() as usize;
            left &= left - 1;
            let at = slot_offset(slot);
            let bytes = &self.bytes[at..at + SLOT_BYTES];
            let within = (at % PAGE_BYTES) as u64;
            match (at / PAGE_BYTES)
                .checked_sub(1)
                .and_then(|page| self.overflow.get(page))
            {
                Some(number) => overflow.write(overflow::offset(*number) + within, bytes),
                None => pages.write(page_offset(self.place) + within, bytes),
            }
        }
    }

    /// Brings hashes and number of keys up to date.
    fn hash(&mut self) -> Hash {
        self.hash_leaves();
        let mut keys = [0; 4];
        for slot in 0..self.keys {
            keys[self.quarter(slot)] += 1;
        }
        let changed = self.quarters;
        for quarter in (0..4).filter(|quarter| changed >> quarter & 1 != 0) {
            let slots = (0..self.keys).filter(|slot| self.quarter(*slot) == quarter);
            let hash = subtree(&self.sort(slots), self.place.depth + 2);
            self.put_hash(QUARTERS_AT, quarter, &hash);
        }
        for half in (0..2).filter(|half| changed >> (2 * half) & 0b11 != 0) {
            let hash = self.join(QUARTERS_AT, half, keys[2 * half] + keys[2 * half + 1]);
            self.put_hash(HALVES_AT, half, &hash);
        }
        let hash = self.join(HALVES_AT, 0, self.keys);
        self.put_hash(0, 0, &hash);
        let keys = u16::try_from(self.keys).unwrap_or(u16::MAX);
        self.bytes[KEYS_AT..KEYS_AT + 2].copy_from_slice(&keys.to_le_bytes());
        hash
    }

    fn hash_leaves(&mut self) {
        let mut left = self.stale;
        while left != 0 {
            let slot = left.trailing_zeros() as usize;
            left &= left - 1;
            let hash = leaf_hash(self.key(slot), &blake3(self.leaf(slot)));
            self.put_hash(slot_offset(slot) + LEAF_HASH_AT, 0, &hash);
        }
    }

    /// The hash above the n-th pair of a row, below which so many keys lie; a leaf that is alone
    /// is lifted.
    fn join(&self, row: usize, pair: usize, keys: usize) -> Hash {
        let at = |n: usize| self.bytes[row + HASH_BYTES * n..].first_chunk();
        match (at(2 * pair), at(2 * pair + 1)) {
            (Some(left), Some(right)) if keys > 1 => inner_hash(left, right),
            (Some(&EMPTY), Some(alone)) | (Some(alone), _) => *alone,
            _ => EMPTY,
        }
    }

    fn put_hash(&mut self, row: usize, n: usize, hash: &Hash) {
        let at = row + HASH_BYTES * n;
        self.bytes[at..at + HASH_BYTES].copy_from_slice(hash);
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
        for (bytes, next) in self.bytes.chunks_mut(PAGE_BYTES).zip(next) {
            bytes[NEXT_AT..NEXT_AT + 4].copy_from_slice(&next.to_le_bytes());
        }
    }

    fn fill(&mut self, slot: usize, leaf: &[u8], extra: &[u8]) {
        let at = slot_offset(slot);
        let bytes = &mut self.bytes[at + LENGTHS_AT..at + SLOT_BYTES];
        // Both are at most RECORD_MAX_BYTES.
        let length = |part: &[u8]| u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes();
        bytes[..2].copy_from_slice(&length(leaf));
        bytes[2..4].copy_from_slice(&length(extra));
        let (record, rest) = bytes[4..].split_at_mut(leaf.len() + extra.len());
        record[..leaf.len()].copy_from_slice(leaf);
        record[leaf.len()..].copy_from_slice(extra);
        rest.fill(0);
    }

    fn parts(&self, slot: usize) -> (&[u8], &[u8]) {
        let at = slot_offset(slot);
        parts(&self.bytes[at + LENGTHS_AT..at + SLOT_BYTES])
    }

    fn chunk(&self, slot: usize, at: usize) -> &[u8; 32] {
        self.bytes[slot_offset(slot) + at..]
            .first_chunk()
            .expect("a slot has more bytes")
    }
}

/// The record of a key without the rest of its page: who only looks reads a few keys and one
/// record, a sixth of the work.
pub(super) fn look_up<M: MapMemory>(
    (place, key): (Place, &Key),
    pages: &M,
    overflow: &M,
    made: u32,
) -> Option<Record> {
    let mut front = [0; NEXT_AT + 4];
    let (mut memory, mut start) = (pages, page_offset(place));
    memory.read(start, &mut front);
    let keys = usize::from(u16::from_le_bytes([front[KEYS_AT], front[KEYS_AT + 1]]));
    for slot in 0..keys.min(PAGE_MAX_KEYS) {
        if slot > 0 && slot.is_multiple_of(SLOTS) {
            let next = overflow::next(&front);
            if !(1..=made).contains(&next) {
                break;
            }
            (memory, start) = (overflow, overflow::offset(next));
            memory.read(start, &mut front);
        }
        let at = start + slot_offset(slot % SLOTS) as u64;
        let mut there = [0; LEAF_HASH_AT];
        memory.read(at, &mut there);
        if there == *key {
            let mut bytes = [0; SLOT_BYTES - LENGTHS_AT];
            memory.read(at + LENGTHS_AT as u64, &mut bytes);
            return Some(Record::new(parts(&bytes)));
        }
    }
    None
}

/// Leaf and extra bytes of a slot from its lengths on; within it, whatever they say.
fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let record = &bytes[RECORD_AT - LENGTHS_AT..];
    let (leaf, rest) = record.split_at(length(0).min(record.len()));
    (leaf, &rest[..length(2).min(rest.len())])
}

/// The hash and the number of keys of a page, without its slots.
pub(super) fn summary(place: Place, pages: &impl MapMemory) -> (Hash, u16) {
    let mut bytes = [0; KEYS_AT + 2];
    pages.read(page_offset(place), &mut bytes);
    let mut hash = [0; KEYS_AT];
    hash.copy_from_slice(&bytes[..KEYS_AT]);
    (
        hash,
        u16::from_le_bytes([bytes[KEYS_AT], bytes[KEYS_AT + 1]]),
    )
}

fn page_offset(place: Place) -> u64 {
    u64::from(place.number) * PAGE_BYTES as u64
}

const fn slot_offset(slot: usize) -> usize {
    if slot < SLOTS {
        // Nearly always, and without a division.
        return SLOTS_AT + slot * SLOT_BYTES;
    }
    slot / SLOTS * PAGE_BYTES + SLOTS_AT + slot % SLOTS * SLOT_BYTES
}
