//! An append-only string of bytes in stable memory.
//!
//! ```text
//! offset  bytes  what
//! 0       4      "PBYT"
//! 4       4      layout version, 1
//! 8       8      number of bytes, little-endian
//! 16      n      bytes
//! ```
//! As in [`super::array`], what was appended counts once [`Bytes::flush`] has written it.

use ic_stable_structures::Memory;

use super::array::{Foreign, grow_to};

const HEAD: [u8; 8] = *b"PBYT\x01\0\0\0";
const HEADER_BYTES: u64 = 16;
const WASM_PAGE: u64 = 64 * 1024;

/// The bytes.
#[derive(Debug)]
pub(crate) struct Bytes<M> {
    memory: M,
    written: u64,
    buffer: Vec<u8>,
}

impl<M: Memory> Bytes<M> {
    /// Opens the bytes in `memory`, or begins with none in an empty one.
    ///
    /// # Errors
    /// [`Foreign`].
    pub(crate) fn open(memory: M) -> Result<Self, Foreign> {
        let mut bytes = Self {
            memory,
            written: 0,
            buffer: Vec::new(),
        };
        if bytes.memory.size() == 0 {
            return Ok(bytes);
        }
        let (mut head, mut length) = ([0; 8], [0; 8]);
        bytes.memory.read(0, &mut head);
        bytes.memory.read(8, &mut length);
        bytes.written = u64::from_le_bytes(length);
        let room = bytes.memory.size().saturating_mul(WASM_PAGE);
        if head == HEAD && bytes.written <= room.saturating_sub(HEADER_BYTES) {
            Ok(bytes)
        } else {
            Err(Foreign)
        }
    }

    /// Appends and returns where it begins.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> u64 {
        let start = self.written + self.buffer.len() as u64;
        self.buffer.extend_from_slice(bytes);
        start
    }

    /// What was appended at `start`.
    pub(crate) fn read(&self, start: u64, length: u32) -> Option<Vec<u8>> {
        let length = length as usize;
        if let Some(start) = start.checked_sub(self.written) {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(length)?;
            return self.buffer.get(start..end).map(<[u8]>::to_vec);
        }
        if start.checked_add(length as u64)? > self.written {
            return None;
        }
        let mut out = vec![0; length];
        self.memory.read(HEADER_BYTES + start, &mut out);
        Some(out)
    }

    /// Writes what lies in the buffer.
    ///
    /// # Panics
    /// When stable memory cannot grow: the trap undoes the update.
    pub(crate) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let start = HEADER_BYTES + self.written;
        grow_to(&self.memory, start + self.buffer.len() as u64);
        self.memory.write(start, &self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.memory.write(0, &HEAD);
        self.memory.write(8, &self.written.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use ic_stable_structures::VectorMemory;

    use super::*;

    /// Bytes are found before they are written and after; beyond the end there are none.
    #[test]
    fn bytes_stay() {
        let memory = VectorMemory::default();
        let mut bytes = Bytes::open(memory.clone()).unwrap();
        assert_eq!(bytes.append(b"one"), 0);
        assert_eq!(bytes.read(0, 3).unwrap(), b"one");
        bytes.flush();
        assert_eq!(bytes.append(b"three"), 3);
        assert_eq!(bytes.read(3, 5).unwrap(), b"three");
        assert_eq!(bytes.read(3, 6), None);
        bytes.flush();
        let bytes = Bytes::open(memory).unwrap();
        assert_eq!(bytes.read(0, 8).unwrap(), b"onethree");
        assert_eq!(bytes.read(1, 8), None);
        assert_eq!(bytes.read(u64::MAX, 1), None);
    }
}
