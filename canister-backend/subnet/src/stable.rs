//! Stable memory: sparse 4-KiB pages with an overlay per message. What was never written takes no
//! room, here and in a checkpoint.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes of a page as memory is counted dirty.
pub(crate) const PAGE: usize = 4096;
/// Bytes of a wasm page, in which memory grows.
const WASM_PAGE: u64 = 65_536;
/// Most wasm pages: 500 GiB, as on a subnet.
const MAX_WASM_PAGES: u64 = 500 * 1024 * 1024 * 1024 / WASM_PAGE;
/// Most pages that are kept: 8 GiB, since they lie in the memory of one machine.
const MAX_PAGES: usize = 2 * 1024 * 1024;

/// Shared between a canister and its copy during an upgrade, until one of them writes.
type Page = Arc<[u8; PAGE]>;

/// The committed pages and what the running message changed.
#[derive(Debug, Default)]
pub(crate) struct StableMemory {
    pages: HashMap<u64, Page>,
    committed_size: u64,
    overlay: HashMap<u64, Page>,
    size: u64,
    /// What the last committed message wrote to.
    #[cfg(feature = "testkit")]
    written: Vec<u64>,
}

/// Why stable memory was not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StableError {
    #[error("beyond the end")]
    OutOfBounds,
    #[error("more pages than are kept")]
    Full,
}

impl StableMemory {
    /// From stored pages, if they lie within the size.
    pub fn restore(size: u64, pages: BTreeMap<u64, Vec<u8>>) -> Option<Self> {
        let end = size.checked_mul(WASM_PAGE / PAGE as u64)?;
        if size > MAX_WASM_PAGES || pages.len() > MAX_PAGES || pages.keys().any(|page| *page >= end)
        {
            return None;
        }
        let pages = pages
            .into_iter()
            .map(|(number, bytes)| Some((number, Page::new(bytes.try_into().ok()?))))
            .collect::<Option<_>>()?;
        Some(Self {
            pages,
            committed_size: size,
            size,
            ..Self::default()
        })
    }

    /// The committed part, for another instance.
    pub fn committed(&self) -> Self {
        Self {
            pages: self.pages.clone(),
            committed_size: self.committed_size,
            size: self.committed_size,
            ..Self::default()
        }
    }

    /// Committed wasm pages.
    pub const fn committed_size(&self) -> u64 {
        self.committed_size
    }

    /// Committed pages that hold anything, in order.
    pub fn committed_pages(&self) -> BTreeMap<u64, &[u8]> {
        self.pages
            .iter()
            .map(|(number, page)| (*number, &page[..]))
            .collect()
    }

    /// Whether another memory holds the same.
    pub fn is_committed_as(&self, other: &Self) -> bool {
        self.committed_size == other.committed_size && self.pages == other.pages
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The old size in wasm pages, or `None` if it cannot grow.
    pub fn grow(&mut self, by: u64) -> Option<u64> {
        let new = self
            .size
            .checked_add(by)
            .filter(|new| *new <= MAX_WASM_PAGES)?;
        Some(std::mem::replace(&mut self.size, new))
    }

    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), StableError> {
        self.check(offset, into.len())?;
        for (number, start, range) in spans(offset, into.len()) {
            let into = &mut into[range];
            match self
                .overlay
                .get(&number)
                .or_else(|| self.pages.get(&number))
            {
                Some(page) => into.copy_from_slice(&page[start..start + into.len()]),
                None => into.fill(0),
            }
        }
        Ok(())
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StableError> {
        self.check(offset, bytes.len())?;
        for (number, start, range) in spans(offset, bytes.len()) {
            let bytes = &bytes[range];
            let full = self.pages.len() + self.overlay.len() >= MAX_PAGES;
            let page = match self.overlay.entry(number) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(entry) => match self.pages.get(&number) {
                    Some(page) => entry.insert(Page::clone(page)),
                    None if full => return Err(StableError::Full),
                    None => entry.insert(Page::new([0; PAGE])),
                },
            };
            Arc::make_mut(page)[start..start + bytes.len()].copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Pages that the running message wrote to.
    pub fn dirty(&self) -> u64 {
        self.overlay.len() as u64
    }

    #[cfg(feature = "testkit")]
    pub fn written(&self) -> &[u64] {
        &self.written
    }

    pub fn commit(&mut self) {
        #[cfg(feature = "testkit")]
        {
            self.written = self.overlay.keys().copied().collect();
        }
        self.pages.extend(self.overlay.drain());
        self.committed_size = self.size;
    }

    pub fn rollback(&mut self) {
        self.overlay.clear();
        self.size = self.committed_size;
    }

    fn check(&self, offset: u64, length: usize) -> Result<(), StableError> {
        let end = offset
            .checked_add(length as u64)
            .ok_or(StableError::OutOfBounds)?;
        if end > self.size * WASM_PAGE {
            Err(StableError::OutOfBounds)
        } else {
            Ok(())
        }
    }
}

/// (page, start within the page, range of the buffer) for each page touched.
fn spans(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let at = offset + done as u64;
        #[expect(clippy::cast_possible_truncation, reason = "below the page size")]
        let start = (at % PAGE as u64) as usize;
        let count = (PAGE - start).min(length - done);
        let range = done..done + count;
        done += count;
        Some((at / PAGE as u64, start, range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that traps leaves no byte behind; one that succeeds leaves all.
    #[test]
    fn a_message_is_all_or_nothing() {
        let mut memory = StableMemory::default();
        assert_eq!(memory.grow(1), Some(0));
        memory.write(4090, b"across pages").unwrap();
        assert_eq!(memory.dirty(), 2);
        memory.commit();
        memory.write(4090, b"ACROSS").unwrap();
        assert_eq!(memory.grow(1), Some(1));
        memory.rollback();
        let mut read = [0; 12];
        memory.read(4090, &mut read).unwrap();
        assert_eq!(&read, b"across pages");
        assert_eq!(memory.size(), 1);
        assert_eq!(
            memory.write(65_530, b"too far"),
            Err(StableError::OutOfBounds)
        );
        assert_eq!(
            memory.read(u64::MAX, &mut read),
            Err(StableError::OutOfBounds)
        );
    }

    /// A canister may spread over 500 GiB; what it never wrote takes no room and reads as zeros.
    #[test]
    fn only_what_was_written_takes_room() {
        let mut memory = StableMemory::default();
        assert_eq!(memory.grow(MAX_WASM_PAGES), Some(0));
        assert_eq!(memory.grow(1), None);
        let end = MAX_WASM_PAGES * WASM_PAGE;
        memory.write(end - 3, b"end").unwrap();
        assert_eq!(memory.write(end - 2, b"end"), Err(StableError::OutOfBounds));
        memory.commit();
        assert_eq!(memory.committed_pages().len(), 1);
        let mut read = [1; 4];
        memory.read(end - 4, &mut read).unwrap();
        assert_eq!(&read, b"\0end");
        let copy = memory.committed();
        memory.write(end - 3, b"END").unwrap();
        memory.commit();
        copy.read(end - 4, &mut read).unwrap();
        assert_eq!(&read, b"\0end", "a copy does not see later writes");
    }
}
