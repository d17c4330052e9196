//! The verifier's source: takes answers from the proof, in order, and believes none of them until
//! the root they lead to is signed.

use std::collections::{BTreeMap, BTreeSet};

use crate::algorithm::Source;
use crate::hash::{HashValue, log_leaf};
use crate::implicit::frontier;
use crate::log_tree::{Heads, LogProof, LogProofError, full_heads};
use crate::prefix_proof::{Lookup, evaluate};
use crate::structs::{CombinedTreeProof, PrefixProof};
use crate::verifier::{KnownEntry, TreeView, VerifyError};

/// Where a version of the label lies, and the commitment if it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionKey {
    /// Its place, shown by a VRF proof.
    pub vrf_output: HashValue,
    /// To its value.
    pub commitment: Option<HashValue>,
}

pub(crate) type VersionKeys = BTreeMap<u32, VersionKey>;

pub(crate) struct Consumer<'a> {
    keys: &'a VersionKeys,
    retained: Option<&'a TreeView>,
    size: u64,
    timestamps: std::slice::Iter<'a, u64>,
    prefix_proofs: std::slice::Iter<'a, PrefixProof>,
    prefix_roots: &'a [HashValue],
    elements: &'a [HashValue],
    known: BTreeMap<u64, u64>,
    given: BTreeSet<u64>,
    /// Roots retained, or computed from a proof.
    roots: BTreeMap<u64, HashValue>,
    /// Versions shown included somewhere.
    included: BTreeSet<u32>,
}

/// A proof taken in as a whole.
pub(crate) struct Consumed {
    pub(crate) view: TreeView,
    /// Every balanced subtree of the log that became known.
    pub(crate) heads: Heads,
    pub(crate) timestamps: BTreeMap<u64, u64>,
    /// Versions shown included somewhere: their places and commitments hold.
    pub(crate) included: BTreeSet<u32>,
}

impl<'a> Consumer<'a> {
    pub(crate) fn new(
        proof: &'a CombinedTreeProof,
        keys: &'a VersionKeys,
        retained: Option<&'a TreeView>,
        size: u64,
    ) -> Self {
        let entries = || retained.into_iter().flat_map(TreeView::frontier);
        Self {
            keys,
            retained,
            size,
            timestamps: proof.timestamps.iter(),
            prefix_proofs: proof.prefix_proofs.iter(),
            prefix_roots: &proof.prefix_roots,
            elements: &proof.inclusion.elements,
            known: entries().map(|(at, entry)| (at, entry.timestamp)).collect(),
            given: BTreeSet::new(),
            roots: entries()
                .map(|(at, entry)| (at, entry.prefix_root))
                .collect(),
            included: BTreeSet::new(),
        }
    }

    fn lookup(&self, version: u32) -> Result<Lookup, VerifyError> {
        let key = self.keys.get(&version).ok_or(VerifyError::State)?;
        Ok(Lookup {
            key: key.vrf_output,
            commitment: key.commitment,
        })
    }

    fn set_root(&mut self, position: u64, root: HashValue) -> Result<(), VerifyError> {
        let retained = |position| {
            let view = self.retained?;
            view.frontier().find(|(at, _)| *at == position)
        };
        match self.roots.get(&position) {
            Some(known) if *known == root => Ok(()),
            Some(_) if retained(position).is_some() => Err(VerifyError::Fork),
            Some(_) => Err(VerifyError::TwoRoots { position }),
            None => {
                self.roots.insert(position, root);
                Ok(())
            }
        }
    }

    /// Nothing may be left over; what was given must lead to one root of the log.
    pub(crate) fn finish(mut self) -> Result<Consumed, VerifyError> {
        if self.timestamps.next().is_some() {
            return Err(VerifyError::Count("timestamps"));
        }
        if self.prefix_proofs.next().is_some() {
            return Err(VerifyError::Count("prefix proofs"));
        }
        self.take_prefix_roots()?;
        let mut entries = BTreeMap::new();
        for position in &self.given {
            let entry = self.entry(*position)?;
            entries.insert(*position, log_leaf(entry.timestamp, &entry.prefix_root));
        }
        let retained = self.retained.map(TreeView::log_nodes).unwrap_or_default();
        let proof = LogProof {
            entries: &entries,
            last: self.retained.map_or(0, TreeView::size),
            retained: &retained,
            elements: self.elements,
        };
        let heads = proof.evaluate(self.size).map_err(|error| match error {
            LogProofError::Length => VerifyError::Count("inclusion proof"),
            LogProofError::Retained => VerifyError::Fork,
        })?;
        let full = full_heads(&heads, self.size).ok_or(VerifyError::Count("inclusion proof"))?;
        let known: Result<Vec<KnownEntry>, VerifyError> = frontier(self.size)
            .into_iter()
            .map(|at| self.entry(at))
            .collect();
        let full = full.into_iter().map(|node| node.value).collect();
        Ok(Consumed {
            view: TreeView::new(self.size, full, known?),
            heads,
            timestamps: self.known,
            included: self.included,
        })
    }

    fn take_prefix_roots(&mut self) -> Result<(), VerifyError> {
        let mut roots = self.prefix_roots.iter();
        for position in &self.given {
            if !self.roots.contains_key(position) {
                let root = roots.next().ok_or(VerifyError::Count("prefix roots"))?;
                self.roots.insert(*position, *root);
            }
        }
        match roots.next() {
            None => Ok(()),
            Some(_) => Err(VerifyError::Count("prefix roots")),
        }
    }

    fn entry(&self, position: u64) -> Result<KnownEntry, VerifyError> {
        let timestamp = self.known.get(&position);
        let root = self.roots.get(&position);
        match (timestamp, root) {
            (Some(timestamp), Some(root)) => Ok(KnownEntry {
                timestamp: *timestamp,
                prefix_root: *root,
            }),
            _ => Err(VerifyError::Count("timestamps")),
        }
    }
}

impl Source for Consumer<'_> {
    type Error = VerifyError;

    fn timestamp(&mut self, position: u64) -> Result<u64, VerifyError> {
        if let Some(timestamp) = self.known.get(&position) {
            return Ok(*timestamp);
        }
        let timestamp = *self
            .timestamps
            .next()
            .ok_or(VerifyError::Count("timestamps"))?;
        let before = self.known.range(..position).next_back();
        let after = self.known.range(position..).next();
        if before.is_some_and(|(_, before)| timestamp < *before) {
            return Err(VerifyError::TimeRegression { position });
        }
        if let Some((later, after)) = after
            && *after < timestamp
        {
            return Err(VerifyError::TimeRegression { position: *later });
        }
        self.known.insert(position, timestamp);
        self.given.insert(position);
        Ok(timestamp)
    }

    fn lookups(
        &mut self,
        position: u64,
        versions: &[u32],
        ends: &mut dyn FnMut(u32, bool) -> bool,
    ) -> Result<(), VerifyError> {
        self.timestamp(position)?;
        let proof = self
            .prefix_proofs
            .next()
            .ok_or(VerifyError::Count("prefix proofs"))?;
        // The ladder must end exactly where the results do.
        let mut results = proof.results.iter();
        let mut lookups = Vec::with_capacity(proof.results.len());
        for version in versions {
            let result = results.next().ok_or(VerifyError::Count("search results"))?;
            lookups.push(self.lookup(*version)?);
            if result.is_inclusion() {
                self.included.insert(*version);
            }
            if ends(*version, result.is_inclusion()) {
                break;
            }
        }
        if results.next().is_some() {
            return Err(VerifyError::Count("search results"));
        }
        let wrong = |reason| VerifyError::PrefixProof { position, reason };
        let root = evaluate(proof, &lookups).map_err(wrong)?.hash();
        self.set_root(position, root)
    }

    fn continues(&mut self, _position: u64) -> bool {
        !self.prefix_proofs.as_slice().is_empty()
    }
}
