//! Append-only records of one size in stable memory.
//!
//! ```text
//! offset  bytes  what
//! 0       4      "PARR"
//! 4       1      layout version, 1
//! 5       3      bytes of a record
//! 8       8      number of records
//! 16      48     zeros
//! 64      n · N  records
//! ```
//! Numbers are little-endian. New records lie in a buffer until [`Array::flush`] has written them
//! and their number: every update that appends ends with it, and a trap undoes both. So a hundred
//! nodes of a tree cost one write.

use ic_stable_structures::Memory;

const MAGIC: &[u8; 4] = b"PARR";
const LAYOUT: u8 = 1;
const HEADER_BYTES: usize = 64;
const WASM_PAGE: u64 = 64 * 1024;

/// The memory holds something else than records of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign;

/// Records of `N` bytes.
#[derive(Debug)]
pub(crate) struct Array<const N: usize, M> {
    memory: M,
    /// Records that the memory holds.
    written: u64,
    buffer: Vec<[u8; N]>,
}

impl<const N: usize, M: Memory> Array<N, M> {
    /// Opens the records in `memory`, or begins with none in an empty one.
    ///
    /// # Errors
    /// [`Foreign`].
    pub(crate) fn open(memory: M) -> Result<Self, Foreign> {
        let mut array = Self {
            memory,
            written: 0,
            buffer: Vec::new(),
        };
        if array.memory.size() == 0 {
            return Ok(array);
        }
        let mut header = [0; 16];
        array.memory.read(0, &mut header);
        array.written = u64::from_le_bytes(last_eight(&header));
        let fits = array
            .written
            .checked_mul(N as u64)
            .and_then(|bytes| bytes.checked_add(HEADER_BYTES as u64))
            .is_some_and(|end| end <= array.memory.size().saturating_mul(WASM_PAGE));
        if header[..8] == Self::head() && fits {
            Ok(array)
        } else {
            Err(Foreign)
        }
    }

    fn head() -> [u8; 8] {
        let size = (N as u64).to_le_bytes();
        let [a, b, c, d] = *MAGIC;
        [a, b, c, d, LAYOUT, size[0], size[1], size[2]]
    }

    /// Number of records, those in the buffer included.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(crate) fn get(&self, index: u64) -> Option<[u8; N]> {
        if let Some(buffered) = index.checked_sub(self.written) {
            return self.buffer.get(usize::try_from(buffered).ok()?).copied();
        }
        let mut record = [0; N];
        self.memory.read(offset::<N>(index), &mut record);
        Some(record)
    }

    /// Appends a record and returns its index.
    pub(crate) fn push(&mut self, record: [u8; N]) -> u64 {
        self.buffer.push(record);
        self.len() - 1
    }

    /// Replaces a record that exists; others are left alone.
    pub(crate) fn set(&mut self, index: u64, record: [u8; N]) {
        match index.checked_sub(self.written) {
            None => self.memory.write(offset::<N>(index), &record),
            Some(buffered) => {
                let slot = usize::try_from(buffered)
                    .ok()
                    .and_then(|slot| self.buffer.get_mut(slot));
                if let Some(slot) = slot {
                    *slot = record;
                }
            }
        }
    }

    /// Writes what lies in the buffer.
    ///
    /// # Panics
    /// When stable memory cannot grow: half of the update is stored by then, and the trap undoes
    /// it.
    pub(crate) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let records = self.buffer.as_flattened();
        let start = offset::<N>(self.written);
        grow_to(&self.memory, start + records.len() as u64);
        self.memory.write(start, records);
        self.written = self.len();
        self.buffer.clear();
        let mut header = [0; 16];
        header[..8].copy_from_slice(&Self::head());
        header[8..].copy_from_slice(&self.written.to_le_bytes());
        self.memory.write(0, &header);
    }
}

const fn offset<const N: usize>(index: u64) -> u64 {
    HEADER_BYTES as u64 + index * N as u64
}

fn last_eight(header: &[u8; 16]) -> [u8; 8] {
    let mut number = [0; 8];
    number.copy_from_slice(&header[8..]);
    number
}

/// Makes room for `end` bytes.
///
/// # Panics
/// As [`Array::flush`].
pub(super) fn grow_to(memory: &impl Memory, end: u64) {
    let missing = end.div_ceil(WASM_PAGE).saturating_sub(memory.size());
    if missing > 0 {
        let before = memory.grow(missing);
        assert!(
            before >= 0,
            "no stable memory left; the whole call is undone"
        );
    }
}

#[cfg(test)]
mod tests {
    use ic_stable_structures::VectorMemory;

    use super::*;

    /// Records are there before they are written and after, and after the code was replaced.
    #[test]
    fn records_stay() {
        let memory = VectorMemory::default();
        let mut array = Array::<3, _>::open(memory.clone()).unwrap();
        assert_eq!(array.push([1; 3]), 0);
        assert_eq!(array.push([2; 3]), 1);
        assert_eq!(array.get(1), Some([2; 3]));
        assert_eq!(array.get(2), None);
        array.flush();
        array.set(0, [9; 3]);
        assert_eq!(array.push([3; 3]), 2);
        array.set(2, [4; 3]);
        array.flush();
        let again = Array::<3, _>::open(memory.clone()).unwrap();
        let all: Vec<_> = (0..4).map(|index| again.get(index)).collect();
        assert_eq!(all, [Some([9; 3]), Some([2; 3]), Some([4; 3]), None]);
        assert_eq!(Array::<4, _>::open(memory).unwrap_err(), Foreign);
    }

    /// What was not flushed never was.
    #[test]
    fn a_buffer_is_no_memory() {
        let memory = VectorMemory::default();
        let mut array = Array::<3, _>::open(memory.clone()).unwrap();
        array.push([1; 3]);
        drop(array);
        assert_eq!(Array::<3, _>::open(memory).unwrap().len(), 0);
    }

    /// A number of records that the memory cannot hold is refused, not read.
    #[test]
    fn a_damaged_header_is_refused() {
        let memory = VectorMemory::default();
        let mut array = Array::<3, _>::open(memory.clone()).unwrap();
        array.push([1; 3]);
        array.flush();
        memory.write(8, &u64::MAX.to_le_bytes());
        assert_eq!(Array::<3, _>::open(memory).unwrap_err(), Foreign);
    }
}
