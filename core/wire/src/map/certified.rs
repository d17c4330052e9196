//! The map itself.

use std::collections::BTreeMap;

use super::header::{Header, MapError, PENDING_AT};
use super::memory::MapMemory;
use super::nodes::{self, PAGE_BYTES};
use super::page::{self, Page, RECORD_MAX_BYTES};
use super::record::Record;
use super::shape::{Place, Shape};
use super::{EMPTY, Key, inner_hash};
use crate::hash::Hash;

/// A Merkle map in three memories; see the [module](super) for what lies where.
///
/// A change is seen by all methods at once but [`MerkleMap::witness`], and is durable with the
/// next [`MerkleMap::root`].
pub struct MerkleMap<M> {
    pub(super) pages: M,
    pub(super) nodes: M,
    pub(super) overflow: M,
    pub(super) header: Header,
    /// The page in use, with what is not written of it yet.
    open: Option<Page>,
    /// New hashes of pages by [`Place::order`], for the nodes above them.
    touched: BTreeMap<u32, Hash>,
    /// Whether something changed since the last root.
    pending: bool,
}

/// Counts only: records may be secret.
impl<M> std::fmt::Debug for MerkleMap<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MerkleMap")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl<M: MapMemory> MerkleMap<M> {
    /// Opens the map in three memories, or makes an empty one in three empty memories.
    ///
    /// # Errors
    /// [`MapError::Foreign`], [`MapError::Layout`], [`MapError::Corrupt`],
    /// [`MapError::Unfinished`] or [`MapError::Full`]. Only the header is read, so that opening
    /// costs the same however large the map is.
    pub fn open(pages: M, nodes: M, overflow: M) -> Result<Self, MapError> {
        let new = nodes.size() == 0;
        let mut map = Self {
            pages,
            nodes,
            overflow,
            header: Header::default(),
            open: None,
            touched: BTreeMap::new(),
            pending: false,
        };
        if new {
            map.make()?;
        } else {
            map.header = Header::read(&map.nodes)?;
        }
        let sizes = (map.pages.size(), map.nodes.size(), map.overflow.size());
        if !map.header.fits(sizes.0, sizes.1, sizes.2) {
            return Err(MapError::Corrupt);
        }
        Ok(map)
    }

    fn make(&mut self) -> Result<(), MapError> {
        if self.pages.size() != 0 || self.overflow.size() != 0 {
            return Err(MapError::Foreign);
        }
        if !self.grow(self.header.shape) {
            return Err(MapError::Full);
        }
        self.header.write(&mut self.nodes);
        Ok(())
    }

    /// Keys in the map.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.header.keys
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.header.keys == 0
    }

    /// The record of a key.
    pub fn get(&self, key: &Key) -> Option<Record> {
        let place = self.header.shape.page_of(key);
        match &self.open {
            Some(page) if page.place() == place => {
                let slot = page.find(key)?;
                Some(page.record(slot, &self.pages, &self.overflow))
            }
            _ => {
                let made = self.header.overflow_made;
                page::look_up((place, key), &self.pages, &self.overflow, made)
            }
        }
    }

    /// As [`MerkleMap::get`], and keeps the page at hand: [`MerkleMap::insert`] or
    /// [`MerkleMap::remove`] of the same key right after it does not read it again.
    pub fn load(&mut self, key: &Key) -> Option<Record> {
        self.open_page(key);
        self.get(key)
    }

    /// Sets the record of a key: its leaf, which the root stands for, and what lies beside it.
    ///
    /// # Errors
    /// [`MapError::TooLong`]; for a key that is not there yet also [`MapError::Crowded`] and
    /// [`MapError::Full`]. The map is as before then.
    pub fn insert(&mut self, key: &Key, leaf: &[u8], extra: &[u8]) -> Result<(), MapError> {
        let bytes = leaf.len() + extra.len();
        if bytes > RECORD_MAX_BYTES {
            return Err(MapError::TooLong(bytes));
        }
        let page = self.open_page(key);
        if let Some(slot) = page.find(key) {
            page.set(slot, leaf, extra);
            self.mark();
            return Ok(());
        }
        let keys = self.header.keys.checked_add(1).ok_or(MapError::Full)?;
        let splits = self.header.shape.is_full(keys);
        // Before any change: what is refused leaves the map as it was.
        if splits && !self.grow(self.header.shape.grown()) {
            return Err(MapError::Full);
        }
        if let Some(page) = &mut self.open {
            page.push((key, leaf, extra), &mut self.overflow, &mut self.header)?;
        }
        self.header.keys = keys;
        self.mark();
        if splits {
            self.split();
        }
        Ok(())
    }

    /// Takes a key out; true if it was there.
    pub fn remove(&mut self, key: &Key) -> bool {
        self.open_page(key);
        let Some((page, slot)) = self
            .open
            .as_mut()
            .and_then(|page| page.find(key).map(|slot| (page, slot)))
        else {
            return false;
        };
        page.remove(slot, &self.pages, &mut self.overflow, &mut self.header);
        self.header.keys = self.header.keys.saturating_sub(1);
        self.mark();
        true
    }

    /// The root hash; hashes what changed since the last call, each node once, and makes it
    /// durable. Call it in the same message as the changes.
    pub fn root(&mut self) -> Hash {
        self.flush();
        if self.pending {
            self.hash_touched();
            self.header.write(&mut self.nodes);
            self.pending = false;
        }
        self.hash_at(Place::ROOT)
    }

    fn hash_touched(&mut self) {
        let shape = self.header.shape;
        let mut hashes: Vec<_> = std::mem::take(&mut self.touched)
            .into_iter()
            .map(|(first_bits, hash)| (shape.page(first_bits), hash))
            .collect();
        for depth in (0..=shape.level).rev() {
            hashes = self.hash_parents(depth, hashes);
        }
    }

    /// From new hashes of places of a depth and of the one below, in the order of their keys, to
    /// those of this depth and above.
    fn hash_parents(&mut self, depth: usize, new: Vec<(Place, Hash)>) -> Vec<(Place, Hash)> {
        let mut above = Vec::with_capacity(new.len());
        let mut new = new.into_iter().peekable();
        while let Some((place, hash)) = new.next() {
            if place.depth <= depth {
                above.push((place, hash));
                continue;
            }
            let sibling = place.sibling();
            let other = match new.next_if(|(next, _)| *next == sibling) {
                Some((_, hash)) => hash,
                None => self.hash_at(sibling),
            };
            let children = if place.is_ones() {
                (other, hash)
            } else {
                (hash, other)
            };
            let parent = place.parent();
            let hash = self.join(parent, children);
            self.nodes.write(nodes::offset(parent), &hash);
            above.push((parent, hash));
        }
        above
    }

    /// The hash of a place from those of its children.
    fn join(&self, place: Place, (zeros, ones): (Hash, Hash)) -> Hash {
        let alone = match (zeros == EMPTY, ones == EMPTY) {
            (true, true) => return EMPTY,
            (false, false) => return inner_hash(&zeros, &ones),
            (true, false) => true,
            (false, true) => false,
        };
        // A leaf that is alone is lifted, as the hash defines it.
        match (self.is_leaf(place.child(alone)), alone) {
            (true, true) => ones,
            (true, false) => zeros,
            (false, _) => inner_hash(&zeros, &ones),
        }
    }

    /// Whether exactly one key lies in a place; seldom asked, only beside an empty one.
    pub(super) fn is_leaf(&self, mut place: Place) -> bool {
        while !self.header.shape.is_page(place) {
            let (zeros, ones) = (place.child(false), place.child(true));
            place = match (self.hash_at(zeros) == EMPTY, self.hash_at(ones) == EMPTY) {
                (false, true) => zeros,
                (true, false) => ones,
                _ => return false,
            };
        }
        page::summary(place, &self.pages).1 == 1
    }

    /// The stored hash of a place.
    pub(super) fn hash_at(&self, place: Place) -> Hash {
        if self.header.shape.is_page(place) {
            return page::summary(place, &self.pages).0;
        }
        let mut hash = EMPTY;
        self.nodes.read(nodes::offset(place), &mut hash);
        hash
    }

    /// Runs on a page, the one in use or one that is only read.
    pub(super) fn with_page<T>(&self, place: Place, run: impl FnOnce(&Page) -> T) -> T {
        match &self.open {
            Some(page) if page.place() == place => run(page),
            _ => run(&self.read_page(place, Vec::new())),
        }
    }

    fn read_page(&self, place: Place, heads: Vec<u8>) -> Page {
        let made = self.header.overflow_made;
        Page::read(place, &self.pages, &self.overflow, made, heads)
    }

    /// The page of a key; the one in use before is written.
    fn open_page(&mut self, key: &Key) -> &mut Page {
        let place = self.header.shape.page_of(key);
        let page = match self.open.take() {
            Some(page) if page.place() == place => page,
            Some(mut other) => {
                self.write(&mut other);
                self.read_page(place, other.into_heads())
            }
            None => self.read_page(place, Vec::new()),
        };
        self.open.insert(page)
    }

    /// Writes what changed of the page in use.
    fn flush(&mut self) {
        if let Some(mut page) = self.open.take() {
            self.write(&mut page);
            self.open = Some(page);
        }
    }

    fn write(&mut self, page: &mut Page) {
        if let Some(hash) = page.write(&mut self.pages, &mut self.overflow) {
            self.touched.insert(page.place().order(), hash);
        }
    }

    /// Splits the next page, for which there is room.
    fn split(&mut self) {
        self.flush();
        let page = self.read_page(self.header.shape.next_to_split(), Vec::new());
        let mut children = page.split(&self.pages, &mut self.overflow, &mut self.header);
        self.header.shape = self.header.shape.grown();
        for page in &mut children {
            self.write(page);
        }
        // It may be the one that was split.
        self.open = None;
    }

    /// Room for the pages and nodes of a shape.
    fn grow(&mut self, shape: Shape) -> bool {
        let pages = u64::from(shape.pages()) * PAGE_BYTES as u64;
        self.pages.grow_to(pages) && self.nodes.grow_to(nodes::bytes_needed(shape))
    }

    /// Before anything is written: who opens the map without what is on the heap must not trust it.
    fn mark(&mut self) {
        if !self.pending {
            self.nodes.write(PENDING_AT, &[1]);
            self.pending = true;
        }
    }
}
