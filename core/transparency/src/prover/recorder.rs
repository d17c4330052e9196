//! The prover's source: answers from the store and keeps what was asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::algorithm::Source;
use crate::hash::{HashValue, Label};
use crate::implicit::frontier;
use crate::ladder::next_version;
use crate::log_tree;
use crate::prefix_tree;
use crate::prover::ProveError;
use crate::store::{LogEntry, Store, VersionPlace};
use crate::structs::{CombinedTreeProof, InclusionProof, PrefixProof};
use crate::vrf::VrfSecretKey;

/// What limits owner monitoring: see [`Source::continues`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnerLimit {
    pub(crate) ladders: usize,
    /// The greatest version that the owner knows of.
    pub(crate) greatest: Option<u32>,
}

pub(crate) struct Recorder<'a, S> {
    store: &'a S,
    vrf: &'a VrfSecretKey,
    label: Option<&'a Label>,
    pub(crate) last: u64,
    pub(crate) size: u64,
    pub(crate) owner: Option<OwnerLimit>,
    /// Retained by the asker.
    retained: BTreeSet<u64>,
    places: BTreeMap<u32, Option<VersionPlace>>,
    keys: BTreeMap<u32, HashValue>,
    timestamps: Vec<u64>,
    given: BTreeSet<u64>,
    searched: BTreeSet<u64>,
    proofs: Vec<PrefixProof>,
}

impl<'a, S: Store> Recorder<'a, S> {
    pub(crate) fn new(
        store: &'a S,
        vrf: &'a VrfSecretKey,
        label: Option<&'a Label>,
        last: u64,
        size: u64,
    ) -> Self {
        Self {
            store,
            vrf,
            label,
            last,
            size,
            owner: None,
            retained: frontier(last).into_iter().collect(),
            places: BTreeMap::new(),
            keys: BTreeMap::new(),
            timestamps: Vec::new(),
            given: BTreeSet::new(),
            searched: BTreeSet::new(),
            proofs: Vec::new(),
        }
    }

    fn entry(&self, position: u64) -> Result<LogEntry, ProveError> {
        self.store.entry(position).ok_or(ProveError::Store)
    }

    fn place(&mut self, version: u32) -> Option<VersionPlace> {
        let (store, label) = (self.store, self.label?);
        *self
            .places
            .entry(version)
            .or_insert_with(|| store.version_place(label, version))
    }

    fn exists_at(&mut self, version: u32, position: u64) -> bool {
        self.place(version)
            .is_some_and(|place| place.position <= position)
    }

    /// Where a version lies. An existing one has its leaf; of others the store may keep a proof.
    fn key(&mut self, version: u32) -> Result<HashValue, ProveError> {
        if let Some(key) = self.keys.get(&version) {
            return Ok(*key);
        }
        let label = self.label.ok_or(ProveError::Store)?;
        let key = if let Some(place) = self.place(version) {
            let leaf = self.store.leaf(place.leaf).ok_or(ProveError::Store)?;
            leaf.vrf_output
        } else if let Some((output, _)) = self.store.vrf(label, version) {
            output
        } else {
            self.vrf.evaluate(&label.vrf_input(version))?
        };
        self.keys.insert(version, key);
        Ok(key)
    }

    /// Everything asked for, as the draft packs it.
    pub(crate) fn into_proof(self) -> Result<CombinedTreeProof, ProveError> {
        let mut prefix_roots = Vec::new();
        for position in self.given.difference(&self.searched) {
            prefix_roots.push(self.entry(*position)?.prefix_root);
        }
        let elements = log_tree::prove(self.store, self.size, self.last, &self.given);
        Ok(CombinedTreeProof {
            timestamps: self.timestamps,
            prefix_proofs: self.proofs,
            prefix_roots,
            inclusion: InclusionProof {
                elements: elements.ok_or(ProveError::Store)?,
            },
        })
    }
}

impl<S: Store> Source for Recorder<'_, S> {
    type Error = ProveError;

    fn timestamp(&mut self, position: u64) -> Result<u64, ProveError> {
        let timestamp = self.entry(position)?.timestamp;
        if !self.retained.contains(&position) && self.given.insert(position) {
            self.timestamps.push(timestamp);
        }
        Ok(timestamp)
    }

    fn lookups(
        &mut self,
        position: u64,
        versions: &[u32],
        ends: &mut dyn FnMut(u32, bool) -> bool,
    ) -> Result<(), ProveError> {
        self.timestamp(position)?;
        let mut keys = Vec::new();
        for version in versions {
            keys.push(self.key(*version)?);
            let included = self.exists_at(*version, position);
            if ends(*version, included) {
                break;
            }
        }
        let root = self.entry(position)?.root;
        self.proofs
            .push(prefix_tree::prove(self.store, root, &keys)?);
        self.searched.insert(position);
        Ok(())
    }

    fn continues(&mut self, position: u64) -> bool {
        let Some(limit) = self.owner else {
            return true;
        };
        if limit.ladders == 0 {
            return false;
        }
        if next_version(limit.greatest).is_some_and(|next| self.exists_at(next, position)) {
            return false;
        }
        self.owner = Some(OwnerLimit {
            ladders: limit.ladders - 1,
            ..limit
        });
        true
    }
}
