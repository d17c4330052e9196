//! VRF proofs that are kept, so that an answer costs a hundredth of one that makes them.
//!
//! A search for version v shows the versions of its ladder: those up to v, whose proofs lie beside
//! their leaves, and some above, which do not exist. The proofs of these hang on the record of the
//! newest version, ascending. The next version is always the first of them; once it comes to be,
//! its proof moves to its leaf and the list goes on behind it, since every other version that the
//! old ladder showed absent is in the new ladder too, and what the new one adds lies before them.

use ic_stable_structures::Memory;
use paigham_transparency::ladder::base_ladder;
use paigham_transparency::vrf::{VrfError, VrfSecretKey};

use super::{AheadRecord, LogStore, NO_PROOF, VersionRecord};

impl<M: Memory> LogStore<M> {
    /// The proofs ahead of a newest version, ascending.
    pub(super) fn ahead_of(
        &self,
        newest: &VersionRecord,
    ) -> impl Iterator<Item = AheadRecord> + use<'_, M> {
        let first = self.ahead_record(newest.ahead);
        std::iter::successors(first, |made| self.ahead_record(made.next))
    }

    /// The record behind a link; `None` at the end.
    fn ahead_record(&self, link: u64) -> Option<AheadRecord> {
        let bytes = self.ahead.get(link.checked_sub(1)?)?;
        Some(AheadRecord::read(&bytes))
    }

    /// What is left of the proofs ahead when the next version comes to be; its own goes to its leaf.
    pub(super) fn take_ahead(&mut self, newest: &VersionRecord, leaf: u64) -> u64 {
        match self.ahead_record(newest.ahead) {
            Some(first) if first.version == newest.version.saturating_add(1) => {
                self.proofs.set(leaf, first.proof);
                first.next
            }
            _ => newest.ahead,
        }
    }

    /// Makes at most `most` proofs that searches need and that are not kept yet, in the order of
    /// the versions from number `from` on. Returns the number to go on from.
    ///
    /// # Errors
    /// [`VrfError`]; what was made before is kept.
    pub(crate) fn prove_some(
        &mut self,
        vrf: &VrfSecretKey,
        mut from: u64,
        most: usize,
    ) -> Result<u64, VrfError> {
        let mut made = 0;
        while made < most && from < self.versions.len() {
            match self.prove_one(vrf, from)? {
                true => made += 1,
                false => from += 1,
            }
        }
        self.flush();
        Ok(from)
    }

    /// How many versions there are, of all labels.
    pub(crate) fn version_records(&self) -> u64 {
        self.versions.len()
    }

    /// Makes one proof for a version's record; `false` if none is missing.
    fn prove_one(&mut self, vrf: &VrfSecretKey, index: u64) -> Result<bool, VrfError> {
        let Some(record) = self.record(index) else {
            return Ok(false);
        };
        let Some(label) = self.label_of(&record) else {
            return Ok(false);
        };
        if self.proofs.get(record.leaf) == Some(NO_PROOF) {
            let (_, proof) = vrf.prove(&label.vrf_input(record.version))?;
            self.proofs.set(record.leaf, proof);
            return Ok(true);
        }
        if self.newest_record(&label) != Some(index) {
            return Ok(false);
        }
        let Some(version) = self.missing_ahead(&record) else {
            return Ok(false);
        };
        let (output, proof) = vrf.prove(&label.vrf_input(version))?;
        let made = self.ahead.push(
            AheadRecord {
                version,
                output,
                proof,
                next: record.ahead,
            }
            .write(),
        );
        let record = VersionRecord {
            ahead: made + 1,
            ..record
        };
        self.versions.set(index, record.write());
        Ok(true)
    }

    /// The greatest version ahead whose proof is missing: the list grows at its beginning, so those
    /// behind are made first.
    fn missing_ahead(&self, newest: &VersionRecord) -> Option<u32> {
        let first = self.ahead_record(newest.ahead).map(|made| made.version);
        base_ladder(newest.version)?
            .into_iter()
            .filter(|version| *version > newest.version)
            .filter(|version| first.is_none_or(|first| *version < first))
            .max()
    }
}
