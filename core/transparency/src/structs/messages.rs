//! Requests and responses but those of searches (draft, §13). In contact monitoring mode an `UpdateValue` is its value and
//! an `UpdateSuffix` is empty.

use crate::codec::{
    Codec, DecodeError, Reader, TooLong, put_all8, put_len8, put_len16, put_opaque8, put_opaque32,
    put_optional, put_u32, put_u64,
};
use crate::hash::{HashValue, Label, Opening};
use crate::structs::{BinaryLadderStep, CombinedTreeProof, FullTreeHead};

pub(super) fn read_label(input: &mut Reader<'_>) -> Result<Label, DecodeError> {
    Label::new(input.opaque8()?).map_err(|_| DecodeError::Value("label"))
}

fn put_values8(out: &mut Vec<u8>, values: &[Vec<u8>]) -> Result<(), TooLong> {
    put_len8(out, values.len(), "values")?;
    values
        .iter()
        .try_for_each(|value| put_opaque32(out, value, "value"))
}

/// One version that a user still watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorMapEntry {
    /// The entry up to which it was verified.
    pub position: u64,
    /// The version.
    pub version: u32,
}

impl Codec for MonitorMapEntry {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.position);
        put_u32(out, &self.version);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            position: input.u64()?,
            version: input.u32()?,
        })
    }
}

/// Asks whether what was shown earlier still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactMonitorRequest {
    /// Size of the newest head that the asker verified.
    pub last: Option<u64>,
    /// What it is about.
    pub label: Label,
    /// Ascending by position.
    pub entries: Vec<MonitorMapEntry>,
}

impl Codec for ContactMonitorRequest {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_optional(out, self.last.as_ref(), put_u64);
        put_opaque8(out, self.label.as_bytes(), "label")?;
        put_all8(out, &self.entries, "monitoring map")?;
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            last: input.optional(Reader::u64)?,
            label: read_label(input)?,
            entries: input.vec8(MonitorMapEntry::read)?,
        })
    }
}

/// Shows that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactMonitorResponse {
    /// The head that the answer is about.
    pub full_tree_head: FullTreeHead,
    /// View, then §8.2.
    pub monitor: CombinedTreeProof,
}

impl Codec for ContactMonitorResponse {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.full_tree_head.write(out)?;
        self.monitor.write(out)?;
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::read(input)?,
            monitor: CombinedTreeProof::read(input)?,
        })
    }
}

/// Begins the watch over a label that is one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerInitRequest {
    /// Size of the newest head that the asker verified.
    pub last: Option<u64>,
    /// What it is about.
    pub label: Label,
    /// A distinguished entry.
    pub start: u64,
}

impl Codec for OwnerInitRequest {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_optional(out, self.last.as_ref(), put_u64);
        put_opaque8(out, self.label.as_bytes(), "label")?;
        put_u64(out, &self.start);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            last: input.optional(Reader::u64)?,
            label: read_label(input)?,
            start: input.u64()?,
        })
    }
}

/// Shows what existed at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerInitResponse {
    /// The head that the answer is about.
    pub full_tree_head: FullTreeHead,
    /// At the start and at the entries left of it on its direct path.
    pub greatest_versions: Vec<u32>,
    /// Ascending by version.
    pub binary_ladder: Vec<BinaryLadderStep>,
    /// View, then the first algorithm of §8.3.
    pub init: CombinedTreeProof,
}

impl Codec for OwnerInitResponse {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.full_tree_head.write(out)?;
        put_len8(out, self.greatest_versions.len(), "versions")?;
        self.greatest_versions
            .iter()
            .for_each(|version| put_u32(out, version));
        put_len16(out, self.binary_ladder.len(), "binary ladder")?;
        self.binary_ladder
            .iter()
            .try_for_each(|step| step.write(out))?;
        self.init.write(out)?;
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::read(input)?,
            greatest_versions: input.vec8(Reader::u32)?,
            binary_ladder: input.vec16(BinaryLadderStep::read)?,
            init: CombinedTreeProof::read(input)?,
        })
    }
}

/// Asks whether unknown versions have appeared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerMonitorRequest {
    /// Size of the newest head that the asker verified.
    pub last: Option<u64>,
    /// What it is about.
    pub label: Label,
    /// Versions not yet seen in a distinguished entry, ascending by position.
    pub entries: Vec<MonitorMapEntry>,
    /// The newest distinguished entry that was verified.
    pub start: u64,
    /// The newest version known to the owner.
    pub greatest_version: Option<u32>,
}

impl Codec for OwnerMonitorRequest {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_optional(out, self.last.as_ref(), put_u64);
        put_opaque8(out, self.label.as_bytes(), "label")?;
        put_all8(out, &self.entries, "monitoring map")?;
        put_u64(out, &self.start);
        put_optional(out, self.greatest_version.as_ref(), put_u32);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            last: input.optional(Reader::u64)?,
            label: read_label(input)?,
            entries: input.vec8(MonitorMapEntry::read)?,
            start: input.u64()?,
            greatest_version: input.optional(Reader::u32)?,
        })
    }
}

/// Shows the distinguished entries since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerMonitorResponse {
    /// The head that the answer is about.
    pub full_tree_head: FullTreeHead,
    /// View, then §8.2, then the second algorithm of §8.3.
    pub monitor: CombinedTreeProof,
}

impl Codec for OwnerMonitorResponse {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.full_tree_head.write(out)?;
        self.monitor.write(out)?;
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::read(input)?,
            monitor: CombinedTreeProof::read(input)?,
        })
    }
}

/// Asks for new versions, or to be told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRequest {
    /// Size of the newest head that the asker verified.
    pub last: Option<u64>,
    /// What it is about.
    pub label: Label,
    /// The newest version known to the owner.
    pub greatest_version: Option<u32>,
    /// Of the versions to make; empty to be told only.
    pub values: Vec<Vec<u8>>,
}

impl Codec for UpdateRequest {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_optional(out, self.last.as_ref(), put_u64);
        put_opaque8(out, self.label.as_bytes(), "label")?;
        put_optional(out, self.greatest_version.as_ref(), put_u32);
        put_values8(out, &self.values)?;
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            last: input.optional(Reader::u64)?,
            label: read_label(input)?,
            greatest_version: input.optional(Reader::u32)?,
            values: input.vec8(Reader::opaque32)?,
        })
    }
}

/// How a new version was committed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateInfo {
    /// Of its commitment.
    pub opening: Opening,
}

impl Codec for UpdateInfo {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(&self.opening);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            opening: input.array()?,
        })
    }
}

/// Shows how new versions were inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateResponse {
    /// The head that the answer is about.
    pub full_tree_head: FullTreeHead,
    /// The entry that brought them.
    pub position: u64,
    /// Of versions that the owner did not ask for; empty if they are those of the request.
    pub values: Vec<Vec<u8>>,
    /// One for each new version.
    pub info: Vec<UpdateInfo>,
    /// Ascending by version.
    pub binary_ladder: Vec<BinaryLadderStep>,
    /// View, then §9.1.
    pub update: CombinedTreeProof,
}

impl Codec for UpdateResponse {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.full_tree_head.write(out)?;
        put_u64(out, &self.position);
        put_values8(out, &self.values)?;
        put_all8(out, &self.info, "update information")?;
        put_all8(out, &self.binary_ladder, "binary ladder")?;
        self.update.write(out)?;
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::read(input)?,
            position: input.u64()?,
            values: input.vec8(Reader::opaque32)?,
            info: input.vec8(UpdateInfo::read)?,
            binary_ladder: input.vec8(BinaryLadderStep::read)?,
            update: CombinedTreeProof::read(input)?,
        })
    }
}

/// Asks for the newest distinguished entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedRequest {
    /// Size of the newest head that the asker verified.
    pub last: Option<u64>,
    /// Where to stop.
    pub stop: Option<u64>,
}

impl Codec for DistinguishedRequest {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_optional(out, self.last.as_ref(), put_u64);
        put_optional(out, self.stop.as_ref(), put_u64);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            last: input.optional(Reader::u64)?,
            stop: input.optional(Reader::u64)?,
        })
    }
}

/// Shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedResponse {
    /// The head that the answer is about.
    pub full_tree_head: FullTreeHead,
    /// View, then §10.1.
    pub distinguished: CombinedTreeProof,
}

impl Codec for DistinguishedResponse {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.full_tree_head.write(out)?;
        self.distinguished.write(out)?;
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::read(input)?,
            distinguished: CombinedTreeProof::read(input)?,
        })
    }
}

/// Roots to compare with somebody else's, left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedHead {
    /// At most 255.
    pub heads: Vec<HashValue>,
}

impl Codec for DistinguishedHead {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_len8(out, self.heads.len(), "heads")?;
        out.extend_from_slice(self.heads.as_flattened());
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            heads: input.vec8(Reader::array)?,
        })
    }
}
