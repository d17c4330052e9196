//! Searches: requests and responses (draft, §13.1).

use crate::codec::{
    Codec, DecodeError, Reader, TooLong, put_all8, put_opaque8, put_opaque32, put_optional,
    put_u32, put_u64,
};
use crate::hash::{HashValue, Label, Opening};
use crate::structs::messages::read_label;
use crate::structs::{CombinedTreeProof, FullTreeHead};
use crate::vrf::VrfProof;

/// Where one version of a label lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryLadderStep {
    /// Shows the place.
    pub proof: VrfProof,
    /// To the value, where the version exists and the commitment cannot be computed.
    pub commitment: Option<HashValue>,
}

impl Codec for BinaryLadderStep {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(&self.proof);
        put_optional(out, self.commitment.as_ref(), |out, hash| {
            out.extend_from_slice(hash);
        });
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            proof: input.array()?,
            commitment: input.optional(Reader::array)?,
        })
    }
}

/// Asks for a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchRequest {
    /// Size of the newest head that the asker verified.
    pub last: Option<u64>,
    /// What it is about.
    pub label: Label,
    /// The version wanted; the greatest if absent.
    pub version: Option<u32>,
}

impl Codec for SearchRequest {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_optional(out, self.last.as_ref(), put_u64);
        put_opaque8(out, self.label.as_bytes(), "label")?;
        put_optional(out, self.version.as_ref(), put_u32);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            last: input.optional(Reader::u64)?,
            label: read_label(input)?,
            version: input.optional(Reader::u32)?,
        })
    }
}

/// Not in the draft: shows that a label has no version at all (`spec/transparency.md` §9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentResponse {
    /// The head that the answer is about.
    pub full_tree_head: FullTreeHead,
    /// Shows where version 0 would lie.
    pub proof: VrfProof,
    /// View, then a search for version 0 as the greatest that finds nothing.
    pub search: CombinedTreeProof,
}

impl Codec for AbsentResponse {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.full_tree_head.write(out)?;
        out.extend_from_slice(&self.proof);
        self.search.write(out)?;
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::read(input)?,
            proof: input.array()?,
            search: CombinedTreeProof::read(input)?,
        })
    }
}

/// Not in the draft: shows which entry brought a version (`spec/transparency.md` §9). The value is
/// not in it: whoever asks has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceResponse {
    /// The head that the answer is about.
    pub full_tree_head: FullTreeHead,
    /// The entry.
    pub position: u64,
    /// Of the commitment to the value.
    pub opening: Opening,
    /// Shows where the version lies in the prefix trees.
    pub proof: VrfProof,
    /// View, then the version's absence before the entry and its presence from there on.
    pub place: CombinedTreeProof,
}

impl Codec for PlaceResponse {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.full_tree_head.write(out)?;
        put_u64(out, &self.position);
        out.extend_from_slice(&self.opening);
        out.extend_from_slice(&self.proof);
        self.place.write(out)
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::read(input)?,
            position: input.u64()?,
            opening: input.array()?,
            proof: input.array()?,
            place: CombinedTreeProof::read(input)?,
        })
    }
}

/// Answers a [`SearchRequest`].
///
/// Whether the version stands in the answer depends on the request, so this structure is read with
/// [`SearchResponse::decode_for`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchResponse {
    /// The head that the answer is about.
    pub full_tree_head: FullTreeHead,
    /// The greatest version, if the request named none.
    pub version: Option<u32>,
    /// Of the commitment to the value.
    pub opening: Opening,
    /// What the label maps to.
    pub value: Vec<u8>,
    /// In the order of the ladder.
    pub binary_ladder: Vec<BinaryLadderStep>,
    /// View, then the search.
    pub search: CombinedTreeProof,
}

impl SearchResponse {
    /// The encoding.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        self.full_tree_head.write(&mut out)?;
        if let Some(version) = &self.version {
            put_u32(&mut out, version);
        }
        out.extend_from_slice(&self.opening);
        put_opaque32(&mut out, &self.value, "value")?;
        put_all8(&mut out, &self.binary_ladder, "binary ladder")?;
        self.search.write(&mut out)?;
        Ok(out)
    }

    /// Reads the answer to a request.
    ///
    /// # Errors
    /// [`DecodeError`], also for bytes behind the structure.
    pub fn decode_for(request: &SearchRequest, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let response = Self {
            full_tree_head: FullTreeHead::read(&mut input)?,
            version: match request.version {
                None => Some(input.u32()?),
                Some(_) => None,
            },
            opening: input.array()?,
            value: input.opaque32()?,
            binary_ladder: input.vec8(BinaryLadderStep::read)?,
            search: CombinedTreeProof::read(&mut input)?,
        };
        input.finish()?;
        Ok(response)
    }
}
