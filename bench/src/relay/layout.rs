//! Which structure a page of a relay's stable memory belongs to.
//!
//! The memory manager of `ic-stable-structures` deals memory out in buckets; its first page says to
//! which structure each went.

use paigham_relay::testkit::BUCKET_PAGES;

/// Bytes that a replica counts dirty at once.
pub(super) const PAGE_BYTES: u64 = 4_096;
const WASM_PAGE: u64 = 65_536;
/// Offset of the sizes of the structures, in wasm pages, u64 little-endian each.
const SIZES_AT: usize = 40;
/// Offset of the structure of each bucket, a byte each, 255 = none.
const BUCKETS_AT: usize = SIZES_AT + 255 * 8;
/// Bytes before the first bucket.
pub(super) const HEADER_BYTES: u64 = WASM_PAGE;

/// The structures of a relay that posts touch (see the crate docs of `paigham-relay`).
pub(super) const MAP_PAGES: u8 = 0;
pub(super) const MAP_NODES: u8 = 1;
pub(super) const POSTS: u8 = 2;
pub(super) const TOKENS: u8 = 5;
pub(super) const MAP_OVERFLOW: u8 = 7;

/// Where the entries of a log begin in its structure: what is before is its header and tables.
const LOG_DATA_AT: u64 = 4_390_912;
/// Where a log's header keeps the offset of its next byte.
const LOG_TAIL_AT: u64 = 8;

/// The layout of a memory, from its first wasm page.
pub(super) struct Layout {
    buckets: Vec<u8>,
    sizes: Vec<u64>,
}

impl Layout {
    /// Reads the memory manager's header.
    pub fn read(header: &[u8]) -> Self {
        let sizes = header[SIZES_AT..BUCKETS_AT].chunks_exact(8);
        Self {
            sizes: sizes.map(little).collect(),
            buckets: header[BUCKETS_AT..].to_vec(),
        }
    }

    /// Bytes of a structure.
    pub fn bytes(&self, structure: u8) -> u64 {
        self.sizes[usize::from(structure)] * WASM_PAGE
    }

    /// Where the tail of a log stands in memory.
    pub fn log_tail_at(&self, log: u8) -> Option<u64> {
        let bucket = self.buckets.iter().position(|owner| *owner == log)?;
        Some(HEADER_BYTES + bucket as u64 * bucket_bytes() + LOG_TAIL_AT)
    }

    /// How many of these pages lie in each structure.
    pub fn sort(&self, pages: &[u64]) -> Pages {
        let mut sorted = Pages::default();
        for page in pages {
            let Some(inside) = (page * PAGE_BYTES).checked_sub(HEADER_BYTES) else {
                sorted.other += 1;
                continue;
            };
            let bucket = usize::try_from(inside / bucket_bytes()).unwrap_or(usize::MAX);
            let structure = self.buckets.get(bucket).copied().unwrap_or(u8::MAX);
            match structure {
                POSTS if self.offset_in(structure, bucket, inside) >= LOG_DATA_AT => {
                    sorted.payload += 1;
                }
                MAP_PAGES => sorted.map_pages += 1,
                MAP_NODES => sorted.map_nodes += 1,
                MAP_OVERFLOW => sorted.map_overflow += 1,
                _ => sorted.other += 1,
            }
        }
        sorted
    }

    /// Offset in its structure of a byte in a bucket.
    fn offset_in(&self, structure: u8, bucket: usize, inside: u64) -> u64 {
        let before = self.buckets[..bucket].iter();
        let before = before.filter(|owner| **owner == structure).count();
        before as u64 * bucket_bytes() + inside % bucket_bytes()
    }
}

/// Pages by what they hold.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    pub map_pages: u64,
    pub map_nodes: u64,
    pub map_overflow: u64,
    pub payload: u64,
    pub other: u64,
}

const fn bucket_bytes() -> u64 {
    BUCKET_PAGES as u64 * WASM_PAGE
}

/// A little-endian u64 of eight bytes.
pub(super) fn little(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}
