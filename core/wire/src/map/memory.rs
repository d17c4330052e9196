//! The memory that a map lives in.

/// A growing array of bytes. Reads and writes stay within [`MapMemory::size`]; the map sees to it.
pub trait MapMemory {
    /// Bytes there are.
    fn size(&self) -> u64;
    /// Makes room for at least `bytes` in all; false if there is none.
    fn grow_to(&mut self, bytes: u64) -> bool;
    /// Fills `into` from `offset`.
    fn read(&self, offset: u64, into: &mut [u8]);
    /// Writes `bytes` at `offset`.
    fn write(&mut self, offset: u64, bytes: &[u8]);
}

impl MapMemory for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn grow_to(&mut self, bytes: u64) -> bool {
        let Ok(bytes) = usize::try_from(bytes) else {
            return false;
        };
        if bytes > self.len() {
            self.resize(bytes, 0);
        }
        true
    }

    fn read(&self, offset: u64, into: &mut [u8]) {
        if let Ok(start) = usize::try_from(offset) {
            into.copy_from_slice(&self[start..start + into.len()]);
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        if let Ok(start) = usize::try_from(offset) {
            self[start..start + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// A memory of `ic-stable-structures` as a [`MapMemory`].
#[cfg(feature = "stable")]
#[derive(Debug)]
pub struct StableMemory<M>(pub M);

#[cfg(feature = "stable")]
impl<M: ic_stable_structures::Memory> MapMemory for StableMemory<M> {
    fn size(&self) -> u64 {
        self.0.size() * PAGE_BYTES
    }

    fn grow_to(&mut self, bytes: u64) -> bool {
        let wanted = bytes.div_ceil(PAGE_BYTES);
        let pages = self.0.size();
        wanted <= pages || self.0.grow(wanted - pages) >= 0
    }

    fn read(&self, offset: u64, into: &mut [u8]) {
        self.0.read(offset, into);
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.0.write(offset, bytes);
    }
}

/// Bytes of a wasm page.
#[cfg(feature = "stable")]
const PAGE_BYTES: u64 = 64 * 1024;
