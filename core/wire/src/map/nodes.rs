//! Where hash nodes lie: blocks of 4 KiB, each a subtree of seven levels.
//!
//! The nodes on the way from a page to the root lie in three or four blocks, and a batch that
//! touches m random pages dirties each block once. A place of depth 0–2, 3–9, 10–16 or 17–23 lies
//! in the block of the region of these depths that its first 0, 3, 10 or 17 bits number; in the
//! block at 2ʳ − 1 + its other bits, r of them, numbered as places are. The first region is short
//! so that a boundary falls at 10 and 17, which suits 0.7 to 1.4 million keys: a thousand blocks
//! of their own, and pages right below them.

use super::shape::{Place, Shape, mask};
use crate::hash::Hash;

/// Bytes of a page and of a block: what a replica copies when one byte of it changes.
pub(super) const PAGE_BYTES: usize = 4096;

/// Bytes in front of the nodes of a block; in the first block, the header of the map.
pub(super) const FRONT_BYTES: usize = 32;

/// Depth of the roots of the blocks of each region.
const BOUNDARIES: [usize; 4] = [0, 3, 10, 17];

/// First block of each region.
const REGIONS: [u64; 4] = [0, 1, 1 + (1 << 3), 1 + (1 << 3) + (1 << 10)];

// The nodes of seven levels fit a block.
const _: () = assert!(FRONT_BYTES + 127 * size_of::<Hash>() <= PAGE_BYTES);

const fn region(depth: usize) -> usize {
    match depth {
        0..3 => 0,
        3..10 => 1,
        10..17 => 2,
        _ => 3,
    }
}

/// The block of a node above the pages.
pub(super) fn block(place: Place) -> u64 {
    let region = region(place.depth);
    REGIONS[region] + u64::from(place.number & mask(BOUNDARIES[region]))
}

/// Where the hash of a node above the pages lies.
pub(super) fn offset(place: Place) -> u64 {
    let top = BOUNDARIES[region(place.depth)];
    let row = u64::from(mask(place.depth - top));
    let nodes_before = row + u64::from(place.number >> top);
    let front = block(place) * PAGE_BYTES as u64 + FRONT_BYTES as u64;
    front + nodes_before * size_of::<Hash>() as u64
}

/// Bytes that the nodes above so many pages take.
pub(super) fn bytes_needed(shape: Shape) -> u64 {
    let last = |depth: usize, places: u32| {
        // Of places in order, the last block is that of the last one or the last of its region.
        let top = BOUNDARIES[region(depth)];
        let number = (places - 1).min(mask(top));
        block(Place { depth, number })
    };
    let above = shape
        .level
        .checked_sub(1)
        .map_or(0, |depth| last(depth, 1 << depth));
    let splitting = match shape.split {
        0 => 0,
        split => last(shape.level, split),
    };
    (above.max(splitting) + 1) * PAGE_BYTES as u64
}
