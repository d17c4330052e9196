//! What an owner keeps of its own label.

use std::collections::BTreeSet;

use crate::algorithm::MapEntry;
use crate::codec::{
    Codec, DecodeError, Reader, TooLong, put_len8, put_len16, put_optional, put_u32, put_u64,
};
use crate::hash::Label;
use crate::ladder::{base_ladder, monitoring_ladder};
use crate::structs::{MonitorMapEntry, OwnerMonitorRequest, UpdateRequest};
use crate::verifier::consumer::VersionKeys;
use crate::verifier::{TreeView, VersionKey};

/// A label's history as its owner has verified it.
///
/// Encoding: start (u64); greatest version at the start (a presence octet, u32); a u16 with the
/// number of later entries that brought versions, each position (u64) and greatest version (u32);
/// a byte with the number of versions not yet seen in a distinguished entry, each position (u64)
/// and version (u32); a u16 with the number of known places, each version (u32), VRF output (32),
/// commitment (a presence octet, 32).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerState {
    pub(super) start: u64,
    pub(super) base: Option<u32>,
    pub(super) history: Vec<(u64, u32)>,
    pub(super) map: Vec<MapEntry>,
    pub(super) keys: VersionKeys,
}

impl OwnerState {
    /// The newest distinguished entry that was verified.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The greatest version that the owner knows of.
    #[must_use]
    pub fn greatest_version(&self) -> Option<u32> {
        self.expected_at(u64::MAX)
    }

    /// The greatest version that must lie at an entry, from the start on.
    pub(super) fn expected_at(&self, position: u64) -> Option<u32> {
        let later = self.history.iter().rfind(|(at, _)| *at <= position);
        later.map_or(self.base, |(_, version)| Some(*version))
    }

    /// The newest entry known to have brought a version, or else the start.
    pub(super) fn newest_position(&self) -> u64 {
        self.history
            .last()
            .map_or(self.start, |(position, _)| *position)
    }

    /// What to ask about the entries since.
    #[must_use]
    pub fn monitor_request(&self, label: Label, view: &TreeView) -> OwnerMonitorRequest {
        let entries = self.map.iter().map(|entry| MonitorMapEntry {
            position: entry.position,
            version: entry.version,
        });
        OwnerMonitorRequest {
            last: Some(view.size()),
            label,
            entries: entries.collect(),
            start: self.start,
            greatest_version: self.greatest_version(),
        }
    }

    /// What to ask about versions unknown to the owner; with the values that the owner itself has
    /// asked for.
    #[must_use]
    pub fn update_request(
        &self,
        label: Label,
        view: &TreeView,
        values: Vec<Vec<u8>>,
    ) -> UpdateRequest {
        UpdateRequest {
            last: Some(view.size()),
            label,
            greatest_version: self.greatest_version(),
            values,
        }
    }

    /// Moves the start on, and forgets what lies before it.
    pub(super) fn advance(&mut self, start: u64) {
        self.base = self.expected_at(start);
        self.start = start;
        self.history.retain(|(position, _)| *position > start);
        self.forget_unneeded_keys();
    }

    pub(super) fn forget_unneeded_keys(&mut self) {
        let mut needed = BTreeSet::from([0]);
        let versions = self
            .base
            .into_iter()
            .chain(self.history.iter().map(|(_, version)| *version));
        for version in versions {
            needed.extend(base_ladder(version).unwrap_or_default());
        }
        for entry in &self.map {
            needed.extend(monitoring_ladder(entry.version).unwrap_or_default());
        }
        self.keys.retain(|version, _| needed.contains(version));
    }
}

impl Codec for OwnerState {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.start);
        put_optional(out, self.base.as_ref(), put_u32);
        put_len16(out, self.history.len(), "history")?;
        for (position, version) in &self.history {
            put_u64(out, position);
            put_u32(out, version);
        }
        put_len8(out, self.map.len(), "monitoring map")?;
        for entry in &self.map {
            put_u64(out, &entry.position);
            put_u32(out, &entry.version);
        }
        put_len16(out, self.keys.len(), "known places")?;
        for (version, key) in &self.keys {
            put_u32(out, version);
            out.extend_from_slice(&key.vrf_output);
            put_optional(out, key.commitment.as_ref(), |out, hash| {
                out.extend_from_slice(hash);
            });
        }
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = input.u64()?;
        let base = input.optional(Reader::u32)?;
        let history = input.vec16(|input| Ok((input.u64()?, input.u32()?)))?;
        let map = input.vec8(|input| {
            Ok(MapEntry {
                position: input.u64()?,
                version: input.u32()?,
            })
        })?;
        let keys = input.vec16(|input| {
            let version = input.u32()?;
            let key = VersionKey {
                vrf_output: input.array()?,
                commitment: input.optional(Reader::array)?,
            };
            Ok((version, key))
        })?;
        let ascending = history.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1)
            && map.is_sorted_by(|a, b| a.position < b.position && a.version < b.version)
            && keys.is_sorted_by(|a, b| a.0 < b.0);
        if !ascending
            || history
                .first()
                .is_some_and(|(position, _)| *position <= start)
        {
            return Err(DecodeError::Value("owner state"));
        }
        Ok(Self {
            start,
            base,
            history,
            map,
            keys: keys.into_iter().collect(),
        })
    }
}
