//! What lies under a key.

use super::page::RECORD_MAX_BYTES;

/// What the map holds under a key.
#[derive(Clone, PartialEq, Eq)]
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

    /// Of parts that are not too long.
    pub(super) fn of(leaf: &[u8], extra: &[u8]) -> Self {
        let length = |part: &[u8]| u16::try_from(part.len()).unwrap_or(u16::MAX);
        Self {
            leaf: length(leaf),
            extra: length(extra),
        }
    }

    /// The leaf at the start of a record.
    pub(super) fn leaf_of(self, record: &[u8; RECORD_MAX_BYTES]) -> &[u8] {
        &record[..usize::from(self.leaf).min(RECORD_MAX_BYTES)]
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
