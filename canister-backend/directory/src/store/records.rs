//! The records of the log in stable memory, byte by byte. Numbers are little-endian; `u40` takes
//! five bytes.
//!
//! ```text
//! entry     50  timestamp u64 · prefix root 32 · root node u40 · leaves before u40
//! leaf      64  VRF output 32 · commitment 32
//! parent    42  hash 32 · left child u40 · right child u40
//! version   56  version u32 · position u40 · leaf u40 · version before u40 · jump u40 ·
//!               ahead u40 · offset of label and value u48 · length of the label u8 ·
//!               length of the value u32 · opening 16
//! ahead    121  version u32 · VRF output 32 · VRF proof 80 · next u40
//! ```

use paigham_transparency::hash::Opening;
use paigham_transparency::store::{Child, LogEntry, PrefixParent};
use paigham_transparency::structs::PrefixLeaf;
use paigham_transparency::vrf::{VrfOutput, VrfProof};

pub(crate) const ENTRY_BYTES: usize = 50;
pub(crate) const LEAF_BYTES: usize = 64;
pub(crate) const PARENT_BYTES: usize = 42;
pub(crate) const VERSION_BYTES: usize = 56;
pub(crate) const AHEAD_BYTES: usize = 121;

/// Writes fields one behind the other.
struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            at: 0,
        }
    }

    fn put(mut self, field: &[u8]) -> Self {
        let end = self.at + field.len();
        self.bytes[self.at..end].copy_from_slice(field);
        self.at = end;
        self
    }

    /// The low `bytes` bytes of a number.
    fn number(self, value: u64, bytes: usize) -> Self {
        self.put(&value.to_le_bytes()[..bytes])
    }
}

/// Reads fields one behind the other.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn array<const K: usize>(&mut self) -> [u8; K] {
        let (field, rest) = self.rest.split_at(K);
        self.rest = rest;
        let mut out = [0; K];
        out.copy_from_slice(field);
        out
    }

    fn number(&mut self, bytes: usize) -> u64 {
        let (field, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        let mut out = [0; 8];
        out[..bytes].copy_from_slice(field);
        u64::from_le_bytes(out)
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }
}

pub(crate) fn write_entry(entry: &LogEntry) -> [u8; ENTRY_BYTES] {
    Writer::new()
        .number(entry.timestamp, 8)
        .put(&entry.prefix_root)
        .number(entry.root.to_number(), 5)
        .number(entry.first_leaf, 5)
        .bytes
}

pub(crate) fn read_entry(bytes: &[u8; ENTRY_BYTES]) -> LogEntry {
    let mut input = Reader { rest: bytes };
    LogEntry {
        timestamp: input.number(8),
        prefix_root: input.array(),
        root: Child::from_number(input.number(5)),
        first_leaf: input.number(5),
    }
}

pub(crate) fn write_leaf(leaf: &PrefixLeaf) -> [u8; LEAF_BYTES] {
    Writer::new()
        .put(&leaf.vrf_output)
        .put(&leaf.commitment)
        .bytes
}

pub(crate) fn read_leaf(bytes: &[u8; LEAF_BYTES]) -> PrefixLeaf {
    let mut input = Reader { rest: bytes };
    PrefixLeaf {
        vrf_output: input.array(),
        commitment: input.array(),
    }
}

pub(crate) fn write_parent(parent: &PrefixParent) -> [u8; PARENT_BYTES] {
    Writer::new()
        .put(&parent.hash)
        .number(parent.left.to_number(), 5)
        .number(parent.right.to_number(), 5)
        .bytes
}

pub(crate) fn read_parent(bytes: &[u8; PARENT_BYTES]) -> PrefixParent {
    let mut input = Reader { rest: bytes };
    PrefixParent {
        hash: input.array(),
        left: Child::from_number(input.number(5)),
        right: Child::from_number(input.number(5)),
    }
}

/// A version of a label. Those of one label form a list from the newest back, with jumps so that
/// any of them is found in logarithmic time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionRecord {
    pub version: u32,
    /// The entry that brought it.
    pub position: u64,
    /// Its leaf.
    pub leaf: u64,
    /// Record of the version before; of version 0 its own.
    pub before: u64,
    /// Record of some version further back, or its own.
    pub jump: u64,
    /// One more than the record of the first [`AheadRecord`]; 0 for none.
    pub ahead: u64,
    /// Where label and value lie.
    pub offset: u64,
    pub label_length: u8,
    pub value_length: u32,
    pub opening: Opening,
}

impl VersionRecord {
    pub(crate) fn write(&self) -> [u8; VERSION_BYTES] {
        Writer::new()
            .number(self.version.into(), 4)
            .number(self.position, 5)
            .number(self.leaf, 5)
            .number(self.before, 5)
            .number(self.jump, 5)
            .number(self.ahead, 5)
            .number(self.offset, 6)
            .number(self.label_length.into(), 1)
            .number(self.value_length.into(), 4)
            .put(&self.opening)
            .bytes
    }

    pub(crate) fn read(bytes: &[u8; VERSION_BYTES]) -> Self {
        let mut input = Reader { rest: bytes };
        Self {
            version: input.u32(),
            position: input.number(5),
            leaf: input.number(5),
            before: input.number(5),
            jump: input.number(5),
            ahead: input.number(5),
            offset: input.number(6),
            label_length: input.array::<1>()[0],
            value_length: input.u32(),
            opening: input.array(),
        }
    }
}

/// The VRF proof of a version that does not exist yet, which searches show to be absent. Those of
/// one label form a list, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AheadRecord {
    pub version: u32,
    pub output: VrfOutput,
    pub proof: VrfProof,
    /// One more than the next record; 0 for none.
    pub next: u64,
}

impl AheadRecord {
    pub(crate) fn write(&self) -> [u8; AHEAD_BYTES] {
        Writer::new()
            .number(self.version.into(), 4)
            .put(&self.output)
            .put(&self.proof)
            .number(self.next, 5)
            .bytes
    }

    pub(crate) fn read(bytes: &[u8; AHEAD_BYTES]) -> Self {
        let mut input = Reader { rest: bytes };
        Self {
            version: input.u32(),
            output: input.array(),
            proof: input.array(),
            next: input.number(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of each record are those drawn above; a later version reads them.
    #[test]
    fn records_have_golden_bytes() {
        let entry = LogEntry {
            timestamp: 0x0102,
            prefix_root: [7; 32],
            root: Child::Parent(1),
            first_leaf: 3,
        };
        let bytes = write_entry(&entry);
        assert_eq!(bytes[..8], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..40], [7; 32]);
        assert_eq!(bytes[40..], [4, 0, 0, 0, 0, 3, 0, 0, 0, 0]);
        assert_eq!(read_entry(&bytes), entry);

        let parent = PrefixParent {
            hash: [8; 32],
            left: Child::Missing,
            right: Child::Leaf((1 << 39) - 1),
        };
        let bytes = write_parent(&parent);
        assert_eq!(bytes[32..], [0, 0, 0, 0, 0, 255, 255, 255, 255, 255]);
        assert_eq!(read_parent(&bytes), parent);

        let version = VersionRecord {
            version: 1,
            position: 2,
            leaf: 3,
            before: 4,
            jump: 5,
            ahead: 6,
            offset: 7,
            label_length: 8,
            value_length: 9,
            opening: [10; 16],
        };
        let bytes = version.write();
        let golden = [
            1, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 5, 0, 0, 0, 0, 6, 0, 0, 0, 0,
            7, 0, 0, 0, 0, 0, 8, 9, 0, 0, 0,
        ];
        assert_eq!(bytes[..40], golden);
        assert_eq!(bytes[40..], [10; 16]);
        assert_eq!(VersionRecord::read(&bytes), version);

        let ahead = AheadRecord {
            version: 1,
            output: [2; 32],
            proof: [3; 80],
            next: 4,
        };
        let bytes = ahead.write();
        assert_eq!(bytes[..4], [1, 0, 0, 0]);
        assert_eq!(bytes[4..36], [2; 32]);
        assert_eq!(bytes[36..116], [3; 80]);
        assert_eq!(bytes[116..], [4, 0, 0, 0, 0]);
        assert_eq!(AheadRecord::read(&bytes), ahead);
    }
}
