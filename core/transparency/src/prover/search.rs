//! Answers to searches.

use crate::algorithm::{Verdict, fixed_search, greatest_search, label_absent, place};
use crate::hash::{HashValue, Label};
use crate::ladder::base_ladder;
use crate::prover::{ProveError, Prover};
use crate::store::Store;
use crate::structs::{
    AbsentResponse, BinaryLadderStep, PlaceResponse, SearchRequest, SearchResponse,
};
use crate::vrf::VrfProof;

impl<S: Store> Prover<'_, S> {
    /// The label's greatest version, or the one asked for.
    ///
    /// # Errors
    /// [`ProveError::LabelAbsent`], to be answered with [`Prover::absent`];
    /// [`Verdict::VersionAbsent`] for a version that does not exist; others of [`ProveError`].
    pub fn search(&self, request: &SearchRequest) -> Result<SearchResponse, ProveError> {
        let label = &request.label;
        let count = self.store.version_count(label);
        let greatest = count.checked_sub(1).ok_or(ProveError::LabelAbsent)?;
        let target = request.version.unwrap_or(greatest);
        if target > greatest {
            return Err(Verdict::VersionAbsent.into());
        }
        let (mut recorder, view) = self.begin(Some(label), request.last)?;
        match request.version {
            None => greatest_search(&mut recorder, &view, target)?,
            Some(version) => fixed_search(&mut recorder, &view, version)?,
        };
        let (full_tree_head, search) = self.finish(recorder)?;
        let stored = self.store.version(label, target).ok_or(ProveError::Store)?;
        let mut binary_ladder = Vec::new();
        for version in base_ladder(target).ok_or(Verdict::VersionOutOfRange)? {
            let shows = version < count && version != target;
            binary_ladder.push(self.ladder_step(label, version, shows)?);
        }
        Ok(SearchResponse {
            full_tree_head,
            version: request.version.is_none().then_some(target),
            opening: stored.opening,
            value: stored.value,
            binary_ladder,
            search,
        })
    }

    /// Shows that a label has no version.
    ///
    /// # Errors
    /// [`Verdict::LabelPresent`] if it has; others of [`ProveError`].
    pub fn absent(&self, request: &SearchRequest) -> Result<AbsentResponse, ProveError> {
        let (mut recorder, view) = self.begin(Some(&request.label), request.last)?;
        label_absent(&mut recorder, &view)?;
        let (full_tree_head, search) = self.finish(recorder)?;
        Ok(AbsentResponse {
            full_tree_head,
            proof: self.vrf_proof(&request.label, 0)?,
            search,
        })
    }

    /// Shows which entry brought the version that the request names.
    ///
    /// # Errors
    /// [`Verdict::VersionAbsent`] for a version that does not exist; [`ProveError::Request`] if the
    /// request names none; others of [`ProveError`].
    pub fn place(&self, request: &SearchRequest) -> Result<PlaceResponse, ProveError> {
        let label = &request.label;
        let version = request
            .version
            .ok_or(ProveError::Request("a place is that of one version"))?;
        let stored = self.store.version(label, version);
        let stored = stored.ok_or(Verdict::VersionAbsent)?;
        let position = stored.place.position;
        let (mut recorder, view) = self.begin(Some(label), request.last)?;
        place(&mut recorder, &view, position, version)?;
        let (full_tree_head, place) = self.finish(recorder)?;
        Ok(PlaceResponse {
            full_tree_head,
            position,
            opening: stored.opening,
            proof: self.vrf_proof(label, version)?,
            place,
        })
    }

    pub(super) fn ladder_step(
        &self,
        label: &Label,
        version: u32,
        with_commitment: bool,
    ) -> Result<BinaryLadderStep, ProveError> {
        let commitment = match with_commitment {
            true => Some(self.commitment(label, version)?),
            false => None,
        };
        Ok(BinaryLadderStep {
            proof: self.vrf_proof(label, version)?,
            commitment,
        })
    }

    fn vrf_proof(&self, label: &Label, version: u32) -> Result<VrfProof, ProveError> {
        Ok(match self.store.vrf(label, version) {
            Some((_, proof)) => proof,
            None => self.vrf.prove(&label.vrf_input(version))?.1,
        })
    }

    fn commitment(&self, label: &Label, version: u32) -> Result<HashValue, ProveError> {
        let place = self.store.version_place(label, version);
        let leaf = place.and_then(|place| self.store.leaf(place.leaf));
        Ok(leaf.ok_or(ProveError::Store)?.commitment)
    }
}
