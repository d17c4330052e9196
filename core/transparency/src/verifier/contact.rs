//! Watching the versions of a label that one was shown (draft, §8.2, §13.2).

use std::collections::{BTreeMap, BTreeSet};

use crate::algorithm::{MapEntry, Verdict, contact_monitor};
use crate::codec::{Codec, DecodeError, Reader, TooLong, put_all8, put_len8, put_u32, put_u64};
use crate::hash::Label;
use crate::ladder::monitoring_ladder;
use crate::structs::{ContactMonitorRequest, ContactMonitorResponse, MonitorMapEntry, PrefixLeaf};
use crate::verifier::consumer::VersionKeys;
use crate::verifier::search::check_last;
use crate::verifier::{TreeView, Verified, Verifier, VerifyError, VersionKey};

/// A leaf as an answer gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GivenLeaf {
    leaf: PrefixLeaf,
    /// It was shown included. A search for one version also gives commitments that it does not
    /// come to look up: whoever carried the answer may have changed them.
    shown: bool,
}

/// A version under watch, with the leaves of its monitoring ladder, which later answers do not
/// repeat.
///
/// Encoding: position (u64), version (u32), a byte with the number of leaves, the leaves in the
/// order of the ladder, each VRF output (32), commitment (32) and whether it was shown included
/// (0 or 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitoredVersion {
    position: u64,
    version: u32,
    leaves: Vec<GivenLeaf>,
}

impl MonitoredVersion {
    pub(super) fn new(
        position: u64,
        version: u32,
        keys: &VersionKeys,
        included: &BTreeSet<u32>,
    ) -> Result<Self, VerifyError> {
        let steps = monitoring_ladder(version).ok_or(Verdict::VersionOutOfRange)?;
        let given = |step| {
            let key: &VersionKey = keys.get(&step)?;
            Some(GivenLeaf {
                leaf: PrefixLeaf {
                    vrf_output: key.vrf_output,
                    commitment: key.commitment?,
                },
                shown: included.contains(&step),
            })
        };
        let leaves: Option<Vec<GivenLeaf>> = steps.into_iter().map(given).collect();
        Ok(Self {
            position,
            version,
            leaves: leaves.ok_or(VerifyError::Commitment)?,
        })
    }

    /// The entry up to which the version was verified.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    fn given(&self) -> impl Iterator<Item = (u32, &GivenLeaf)> {
        let steps = monitoring_ladder(self.version).unwrap_or_default();
        steps.into_iter().zip(&self.leaves)
    }
}

impl Codec for GivenLeaf {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.leaf.write(out)?;
        out.push(u8::from(self.shown));
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            leaf: PrefixLeaf::read(input)?,
            shown: match input.u8()? {
                0 => false,
                1 => true,
                _ => return Err(DecodeError::Value("given leaf")),
            },
        })
    }
}

impl Codec for MonitoredVersion {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.position);
        put_u32(out, &self.version);
        put_len8(out, self.leaves.len(), "leaves")?;
        self.leaves.iter().try_for_each(|leaf| leaf.write(out))
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let monitored = Self {
            position: input.u64()?,
            version: input.u32()?,
            leaves: input.vec8(GivenLeaf::read)?,
        };
        let steps = monitoring_ladder(monitored.version).map(|steps| steps.len());
        if steps == Some(monitored.leaves.len()) {
            Ok(monitored)
        } else {
            Err(DecodeError::Value("monitored version"))
        }
    }
}

/// All versions of one label under watch, ascending by position and by version.
///
/// Encoding: a byte with their number, then each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactMap(Vec<MonitoredVersion>);

impl ContactMap {
    /// Nothing is under watch.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is under watch.
    #[must_use]
    pub fn versions(&self) -> &[MonitoredVersion] {
        &self.0
    }

    /// Takes a version in. Of two the one further left with the greater version covers the other:
    /// its path leads through the other's position, and a greater version there stands for the
    /// lesser (draft, §8.2, step 3.1.1).
    ///
    /// # Errors
    /// [`VerifyError::TwoValues`] if a version was shown to this user with another value before.
    /// The map stays as it was, and the two answers with their heads are the proof.
    pub fn add(&mut self, new: MonitoredVersion) -> Result<(), VerifyError> {
        merge_keys(self.0.iter().chain([&new]))?;
        let covers = |a: &MonitoredVersion, b: &MonitoredVersion| {
            a.position <= b.position && a.version >= b.version
        };
        if self.0.iter().any(|old| covers(old, &new)) {
            return Ok(());
        }
        self.0.retain(|old| !covers(&new, old));
        let place = self.0.partition_point(|old| old.position < new.position);
        self.0.insert(place, new);
        Ok(())
    }

    /// What to ask the log.
    #[must_use]
    pub fn request(&self, label: Label, view: &TreeView) -> ContactMonitorRequest {
        let entries = self.0.iter().map(|monitored| MonitorMapEntry {
            position: monitored.position,
            version: monitored.version,
        });
        ContactMonitorRequest {
            last: Some(view.size()),
            label,
            entries: entries.collect(),
        }
    }
}

impl Codec for ContactMap {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_all8(out, &self.0, "monitoring map")
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let versions = input.vec8(MonitoredVersion::read)?;
        let ascend = |pair: &[MonitoredVersion]| match pair {
            [a, b] => a.position < b.position && a.version < b.version,
            _ => true,
        };
        if versions.windows(2).all(ascend) {
            Ok(Self(versions))
        } else {
            Err(DecodeError::Value("monitoring map"))
        }
    }
}

impl Verifier<'_> {
    /// Checks the answer to [`ContactMap::request`] and returns what is still to be watched.
    ///
    /// # Errors
    /// [`Verdict::MissingVersion`] if a version that was shown is gone; others of
    /// [`VerifyError`].
    pub fn contact_monitor(
        &self,
        view: &TreeView,
        contacts: &ContactMap,
        request: &ContactMonitorRequest,
        response: &[u8],
        now: u64,
    ) -> Result<Verified<ContactMap>, VerifyError> {
        check_last(Some(view), request.last)?;
        if *request != contacts.request(request.label.clone(), view) {
            return Err(VerifyError::State);
        }
        let response = ContactMonitorResponse::decode(response)?;
        let keys = merge_keys(contacts.0.iter())?;
        let map: Vec<MapEntry> = contacts.0.iter().map(map_entry).collect();
        let head = &response.full_tree_head;
        let (mut consumer, tree) = self.open(Some(view), head, &response.monitor, &keys)?;
        let left = contact_monitor(&mut consumer, &tree, &map, None)?;
        let view = self.close(consumer, head, now)?.view;
        let versions = left.iter().map(|entry| {
            let old = contacts.0.iter().find(|old| old.version == entry.version);
            old.map(|old| MonitoredVersion {
                position: entry.position,
                ..old.clone()
            })
        });
        let versions: Option<Vec<MonitoredVersion>> = versions.collect();
        Ok(Verified {
            view,
            outcome: ContactMap(versions.ok_or(VerifyError::State)?),
        })
    }
}

const fn map_entry(monitored: &MonitoredVersion) -> MapEntry {
    MapEntry {
        position: monitored.position,
        version: monitored.version,
    }
}

/// The leaves of all versions under watch. A leaf that was shown stands against one that was not.
fn merge_keys<'a>(
    versions: impl Iterator<Item = &'a MonitoredVersion>,
) -> Result<VersionKeys, VerifyError> {
    let mut merged: BTreeMap<u32, GivenLeaf> = BTreeMap::new();
    for (version, given) in versions.flat_map(MonitoredVersion::given) {
        match merged.get(&version) {
            Some(known) if known.shown && given.shown && known.leaf != given.leaf => {
                return Err(VerifyError::TwoValues { version });
            }
            Some(known) if known.shown => {}
            _ => {
                merged.insert(version, *given);
            }
        }
    }
    let key = |given: GivenLeaf| VersionKey {
        vrf_output: given.leaf.vrf_output,
        commitment: Some(given.leaf.commitment),
    };
    Ok(merged
        .into_iter()
        .map(|(version, given)| (version, key(given)))
        .collect())
}
