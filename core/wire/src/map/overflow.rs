//! Overflow pages: numbered from 1, those that are free in a list.

use super::header::Header;
use super::memory::MapMemory;
use super::nodes::PAGE_BYTES;

/// Where a page or overflow page names the next.
pub(super) const NEXT_AT: usize = 36;

/// A free overflow page, or a new one; `None` if the memory cannot grow.
pub(super) fn make(memory: &mut impl MapMemory, header: &mut Header) -> Option<u32> {
    let free = header.overflow_free;
    if free == 0 {
        let number = header.overflow_made.checked_add(1)?;
        if !memory.grow_to(offset(number) + PAGE_BYTES as u64) {
            return None;
        }
        header.overflow_made = number;
        return Some(number);
    }
    let mut next = [0; 4];
    memory.read(offset(free) + NEXT_AT as u64, &mut next);
    let next = u32::from_le_bytes(next);
    header.overflow_free = if next <= header.overflow_made {
        next
    } else {
        0
    };
    Some(free)
}

/// Clears an overflow page and puts it before the other free ones.
pub(super) fn free(number: u32, memory: &mut impl MapMemory, header: &mut Header) {
    let mut bytes = [0; PAGE_BYTES];
    bytes[NEXT_AT..NEXT_AT + 4].copy_from_slice(&header.overflow_free.to_le_bytes());
    memory.write(offset(number), &bytes);
    header.overflow_free = number;
}

/// The next overflow page that a page or overflow page names, 0 = none.
pub(super) fn next(page: &[u8]) -> u32 {
    let mut next = [0; 4];
    next.copy_from_slice(&page[NEXT_AT..NEXT_AT + 4]);
    u32::from_le_bytes(next)
}

pub(super) fn offset(number: u32) -> u64 {
    u64::from(number - 1) * PAGE_BYTES as u64
}
