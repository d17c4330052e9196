//! What lies under a key.

use super::page::RECORD_MAX_BYTES;

/// What the map holds under a key.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The value that the root stands for.
    pub leaf: Vec<u8>,
    /// What lies beside it and nobody outside sees or needs.
    pub extra: Vec<u8>,
}

/// Lengths only: what lies beside a leaf may be secret.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("leaf_bytes", &self.leaf.len())
            .field("extra_bytes", &self.extra.len())
            .finish()
    }
}

impl Record {
    pub(super) fn new(leaf: &[u8], extra: &[u8]) -> Self {
        Self {
            leaf: leaf.to_vec(),
            extra: extra.to_vec(),
        }
    }

    /// As it lies in a page, with zeros behind; it is not too long.
    pub(super) fn to_bytes(&self) -> [u8; RECORD_MAX_BYTES] {
        let mut bytes = [0; RECORD_MAX_BYTES];
        let (leaf, rest) = bytes.split_at_mut(self.leaf.len());
        leaf.copy_from_slice(&self.leaf);
        rest[..self.extra.len()].copy_from_slice(&self.extra);
        bytes
    }

    pub(super) fn lengths(&self) -> Lengths {
        let length = |part: &[u8]| u16::try_from(part.len()).unwrap_or(u16::MAX);
        Lengths {
            leaf: length(&self.leaf),
            extra: length(&self.extra),
        }
    }
}

/// Lengths of the parts of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    leaf: u16,
    extra: u16,
}

impl Lengths {
    pub(super) const BYTES: usize = 4;

    pub(super) const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self {
            leaf: u16::from_le_bytes([bytes[0], bytes[1]]),
            extra: u16::from_le_bytes([bytes[2], bytes[3]]),
        }
    }

    pub(super) const fn to_bytes(self) -> [u8; Self::BYTES] {
        let (leaf, extra) = (self.leaf.to_le_bytes(), self.extra.to_le_bytes());
        [leaf[0], leaf[1], extra[0], extra[1]]
    }

    /// The record that `read` fills in; no longer than one may be, whatever a damaged page says.
    pub(super) fn record(self, read: impl FnOnce(&mut [u8])) -> Record {
        let leaf_bytes = usize::from(self.leaf).min(RECORD_MAX_BYTES);
        let bytes = (leaf_bytes + usize::from(self.extra)).min(RECORD_MAX_BYTES);
        let mut leaf = vec![0; bytes];
        read(&mut leaf);
        let extra = leaf.split_off(leaf_bytes);
        Record { leaf, extra }
    }
}
