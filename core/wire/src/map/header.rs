//! The header of a map and why a memory may hold none.

use super::memory::MapMemory;
use super::nodes::{self, FRONT_BYTES, PAGE_BYTES};
use super::page::SLOTS;
use super::shape::Shape;

const MAGIC: &[u8; 4] = b"PMAP";
/// Retired: 1, nodes of 104 bytes in the order in which they were made.
const LAYOUT: u8 = 2;
/// Where the header says whether it is out of date.
pub(super) const PENDING_AT: u64 = 6;

/// Why a memory holds no map, or a map takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The memory holds something else.
    #[error("the memory holds no certified map")]
    Foreign,
    /// The memory holds a layout that this version does not know.
    #[error("certified map of layout {0}")]
    Layout(u8),
    /// The header says what cannot be, or does not fit its memories.
    #[error("the header of the certified map does not fit its memories")]
    Corrupt,
    /// The map was left after a change without [`root`](super::MerkleMap::root).
    #[error("the last changes of the certified map were never hashed")]
    Unfinished,
    /// A memory cannot grow.
    #[error("no memory left for the certified map")]
    Full,
    /// A record longer than [`RECORD_MAX_BYTES`](super::RECORD_MAX_BYTES).
    #[error("a record of {0} bytes")]
    TooLong(usize),
    /// Too many keys begin with the same bits as this new one. Keys are hashes, so somebody
    /// chose them so; whoever did not, chooses another nonce and is elsewhere.
    #[error("too many keys near this one")]
    Crowded,
}

/// What the map knows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Header {
    pub shape: Shape,
    pub keys: u32,
    /// Overflow pages ever made.
    pub overflow_made: u32,
    /// First free overflow page, 0 = none.
    pub overflow_free: u32,
}

impl Header {
    pub(super) fn read(memory: &impl MapMemory) -> Result<Self, MapError> {
        if memory.size() < PAGE_BYTES as u64 {
            return Err(MapError::Foreign);
        }
        let mut bytes = [0; FRONT_BYTES];
        memory.read(0, &mut bytes);
        if &bytes[..4] != MAGIC {
            return Err(MapError::Foreign);
        }
        if bytes[4] != LAYOUT {
            return Err(MapError::Layout(bytes[4]));
        }
        match bytes[6] {
            0 => {}
            1 => return Err(MapError::Unfinished),
            _ => return Err(MapError::Corrupt),
        }
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Ok(Self {
            shape: Shape::new(usize::from(bytes[5]), number(8)).ok_or(MapError::Corrupt)?,
            keys: number(12),
            overflow_made: number(16),
            overflow_free: number(20),
        })
    }

    /// Whether this can be true of memories of such sizes: nothing read later lies outside.
    pub(super) fn fits(&self, pages: u64, nodes: u64, overflow: u64) -> bool {
        let slots = (u64::from(self.shape.pages()) + u64::from(self.overflow_made)) * SLOTS as u64;
        u64::from(self.shape.pages()) * PAGE_BYTES as u64 <= pages
            && nodes::bytes_needed(self.shape) <= nodes
            && u64::from(self.overflow_made) * PAGE_BYTES as u64 <= overflow
            && self.overflow_free <= self.overflow_made
            && u64::from(self.keys) <= slots
    }

    pub(super) fn write(&self, memory: &mut impl MapMemory) {
        let mut bytes = [0; FRONT_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = LAYOUT;
        bytes[5] = u8::try_from(self.shape.level).unwrap_or(u8::MAX);
        bytes[8..12].copy_from_slice(&self.shape.split.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.keys.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.overflow_made.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.overflow_free.to_le_bytes());
        memory.write(0, &bytes);
    }
}
