//! What an auditor reads and signs (draft, §11.3, §15.2).

use crate::codec::{Codec, DecodeError, Reader, TooLong, put_len16, put_opaque16, put_u64};
use crate::hash::HashValue;
use crate::structs::{Configuration, PrefixLeaf, PrefixProof};

/// What one entry changed in the prefix tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditorUpdate {
    /// Of the entry.
    pub timestamp: u64,
    /// Ascending by VRF output; the proof's one-byte vector lets at most 255 through.
    pub added: Vec<PrefixLeaf>,
    /// Ascending by VRF output.
    pub removed: Vec<PrefixLeaf>,
    /// In the prefix tree before the entry: the searches for all added, then for all removed.
    pub proof: PrefixProof,
}

impl Codec for AuditorUpdate {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.timestamp);
        for leaves in [&self.added, &self.removed] {
            put_len16(out, leaves.len(), "changed leaves")?;
            leaves.iter().try_for_each(|leaf| leaf.write(out))?;
        }
        self.proof.write(out)
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            timestamp: input.u64()?,
            added: input.vec16(PrefixLeaf::read)?,
            removed: input.vec16(PrefixLeaf::read)?,
            proof: PrefixProof::read(input)?,
        })
    }
}

/// What an auditor says: so far the log was kept by the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditorTreeHead {
    /// Of the newest entry audited.
    pub timestamp: u64,
    /// Number of entries audited.
    pub tree_size: u64,
    /// Over [`AuditorTreeHeadTbs`].
    pub signature: Vec<u8>,
}

impl Codec for AuditorTreeHead {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.timestamp);
        put_u64(out, &self.tree_size);
        put_opaque16(out, &self.signature, "signature")
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            timestamp: input.u64()?,
            tree_size: input.u64()?,
            signature: input.opaque16()?,
        })
    }
}

/// What an auditor signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditorTreeHeadTbs {
    /// The log's configuration.
    pub config: Configuration,
    /// As in [`AuditorTreeHead`].
    pub timestamp: u64,
    /// As in [`AuditorTreeHead`].
    pub tree_size: u64,
    /// Root of the log tree at that size.
    pub root: HashValue,
}

impl Codec for AuditorTreeHeadTbs {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.config.write(out)?;
        put_u64(out, &self.timestamp);
        put_u64(out, &self.tree_size);
        out.extend_from_slice(&self.root);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            config: Configuration::read(input)?,
            timestamp: input.u64()?,
            tree_size: input.u64()?,
            root: input.array()?,
        })
    }
}
