//! Proofs from the trees (draft, §12).

use crate::codec::{
    Codec, DecodeError, Reader, TooLong, put_all8, put_hashes16, put_len8, put_u64,
};
use crate::hash::{self, HashValue};

/// Heads of balanced subtrees of the log tree, left to right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InclusionProof {
    /// At most 65,535.
    pub elements: Vec<HashValue>,
}

impl Codec for InclusionProof {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_hashes16(out, &self.elements, "inclusion proof")
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            elements: input.hashes16()?,
        })
    }
}

/// A leaf of the prefix tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixLeaf {
    /// Its place.
    pub vrf_output: HashValue,
    /// The commitment to the value.
    pub commitment: HashValue,
}

impl PrefixLeaf {
    /// The leaf's value in the tree.
    #[must_use]
    pub fn hash(&self) -> HashValue {
        hash::prefix_leaf(&self.vrf_output, &self.commitment)
    }
}

impl Codec for PrefixLeaf {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(&self.vrf_output);
        out.extend_from_slice(&self.commitment);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            vrf_output: input.array()?,
            commitment: input.array()?,
        })
    }
}

/// How one search in the prefix tree ended, and at which depth. The root has depth 0 and is never
/// where a search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixSearchResult {
    /// At the leaf that was looked for.
    Inclusion {
        /// Of the leaf.
        depth: u8,
    },
    /// At another leaf.
    NonInclusionLeaf {
        /// The other leaf.
        leaf: PrefixLeaf,
        /// Of that leaf.
        depth: u8,
    },
    /// At a parent that lacks the child.
    NonInclusionParent {
        /// Of the missing child.
        depth: u8,
    },
}

impl PrefixSearchResult {
    /// Depth of the end of the search.
    #[must_use]
    pub const fn depth(&self) -> u8 {
        match self {
            Self::Inclusion { depth }
            | Self::NonInclusionLeaf { depth, .. }
            | Self::NonInclusionParent { depth } => *depth,
        }
    }

    /// What was looked for is in the tree.
    #[must_use]
    pub const fn is_inclusion(&self) -> bool {
        matches!(self, Self::Inclusion { .. })
    }
}

impl Codec for PrefixSearchResult {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Inclusion { .. } => out.push(1),
            Self::NonInclusionLeaf { leaf, .. } => {
                out.push(2);
                leaf.write(out)?;
            }
            Self::NonInclusionParent { .. } => out.push(3),
        }
        out.push(self.depth());
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match input.u8()? {
            1 => Self::Inclusion { depth: input.u8()? },
            2 => Self::NonInclusionLeaf {
                leaf: PrefixLeaf::read(input)?,
                depth: input.u8()?,
            },
            3 => Self::NonInclusionParent { depth: input.u8()? },
            _ => return Err(DecodeError::Value("search result type")),
        })
    }
}

/// Searches in one prefix tree, and what is needed to compute its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixProof {
    /// In the order of the searches, at most 255.
    pub results: Vec<PrefixSearchResult>,
    /// Node values, left to right, 32 zeros where a node is missing.
    pub elements: Vec<HashValue>,
}

impl Codec for PrefixProof {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_all8(out, &self.results, "search results")?;
        put_hashes16(out, &self.elements, "prefix proof")
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            results: input.vec8(PrefixSearchResult::read)?,
            elements: input.hashes16()?,
        })
    }
}

/// All that an answer shows of the combined tree, in the order in which the algorithms ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CombinedTreeProof {
    /// Milliseconds since 1970, at most 255.
    pub timestamps: Vec<u64>,
    /// At most 255.
    pub prefix_proofs: Vec<PrefixProof>,
    /// Of entries whose timestamp is given and whose prefix tree is not searched, left to right.
    pub prefix_roots: Vec<HashValue>,
    /// Joins all of them to the root of the log.
    pub inclusion: InclusionProof,
}

impl Codec for CombinedTreeProof {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_len8(out, self.timestamps.len(), "timestamps")?;
        for timestamp in &self.timestamps {
            put_u64(out, timestamp);
        }
        put_all8(out, &self.prefix_proofs, "prefix proofs")?;
        put_len8(out, self.prefix_roots.len(), "prefix roots")?;
        out.extend_from_slice(self.prefix_roots.as_flattened());
        self.inclusion.write(out)
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            timestamps: input.vec8(Reader::u64)?,
            prefix_proofs: input.vec8(PrefixProof::read)?,
            prefix_roots: input.vec8(Reader::array)?,
            inclusion: InclusionProof::read(input)?,
        })
    }
}
