//! Answers to those who watch a label.

use std::collections::BTreeSet;

use crate::algorithm::{
    MapEntry, OwnerMonitor, Update, Verdict, contact_monitor, owner_init, owner_init_list, update,
};
use crate::hash::Label;
use crate::implicit::path_from_root;
use crate::ladder::{ladder_union, next_version, update_ladder};
use crate::prover::recorder::OwnerLimit;
use crate::prover::{MAX_OWNER_LADDERS, ProveError, Prover};
use crate::store::Store;
use crate::structs::{
    ContactMonitorRequest, ContactMonitorResponse, MonitorMapEntry, OwnerInitRequest,
    OwnerInitResponse, OwnerMonitorRequest, OwnerMonitorResponse, UpdateInfo, UpdateRequest,
    UpdateResponse,
};

impl<S: Store> Prover<'_, S> {
    /// Shows that the versions which a contact was shown are still there.
    ///
    /// # Errors
    /// [`ProveError::Request`] for a map that no honest search has led to; others of
    /// [`ProveError`].
    pub fn contact_monitor(
        &self,
        request: &ContactMonitorRequest,
    ) -> Result<ContactMonitorResponse, ProveError> {
        let map = self.check_map(&request.label, &request.entries)?;
        let (mut recorder, view) = self.begin(Some(&request.label), request.last)?;
        contact_monitor(&mut recorder, &view, &map, None)?;
        let (full_tree_head, monitor) = self.finish(recorder)?;
        Ok(ContactMonitorResponse {
            full_tree_head,
            monitor,
        })
    }

    /// Shows what existed where an owner's watch begins.
    ///
    /// # Errors
    /// [`Verdict::NotDistinguished`] for a start that is not; others of [`ProveError`].
    pub fn owner_init(&self, request: &OwnerInitRequest) -> Result<OwnerInitResponse, ProveError> {
        let label = &request.label;
        let size = self.store.tree_size();
        if request.start >= size {
            return Err(ProveError::Request("no such start"));
        }
        let list = owner_init_list(request.start, size);
        let greatest_versions: Vec<u32> = list
            .iter()
            .map_while(|position| self.greatest_at(label, *position))
            .collect();
        let (mut recorder, view) = self.begin(Some(label), request.last)?;
        owner_init(&mut recorder, &view, request.start, &greatest_versions)?;
        let (full_tree_head, init) = self.finish(recorder)?;
        let existing = greatest_versions.first().map_or(0, |greatest| greatest + 1);
        let mut binary_ladder = Vec::new();
        for version in ladder_union(&greatest_versions).ok_or(Verdict::VersionOutOfRange)? {
            binary_ladder.push(self.ladder_step(label, version, version < existing)?);
        }
        Ok(OwnerInitResponse {
            full_tree_head,
            greatest_versions,
            binary_ladder,
            init,
        })
    }

    /// Shows an owner the distinguished entries since the last time, at most
    /// [`MAX_OWNER_LADDERS`].
    ///
    /// # Errors
    /// [`ProveError::Request`] for a state that no honest log has led to; others of
    /// [`ProveError`].
    pub fn owner_monitor(
        &self,
        request: &OwnerMonitorRequest,
    ) -> Result<OwnerMonitorResponse, ProveError> {
        let label = &request.label;
        let map = self.check_map(label, &request.entries)?;
        if request.start >= self.store.tree_size() {
            return Err(ProveError::Request("no such start"));
        }
        let known = request.greatest_version;
        let exists = self.greatest_at(label, u64::MAX);
        if known > exists || known < self.greatest_at(label, request.start) {
            return Err(ProveError::Request("not the greatest version"));
        }
        let (mut recorder, view) = self.begin(Some(label), request.last)?;
        contact_monitor(&mut recorder, &view, &map, Some(request.start))?;
        recorder.owner = Some(OwnerLimit {
            ladders: MAX_OWNER_LADDERS,
            greatest: known,
        });
        let mut run = OwnerMonitor {
            expected: &|position| self.greatest_at(label, position).min(known),
            verified: request.start,
            stopped: false,
        };
        run.run(&mut recorder, &view)?;
        let (full_tree_head, monitor) = self.finish(recorder)?;
        Ok(OwnerMonitorResponse {
            full_tree_head,
            monitor,
        })
    }

    /// Shows an owner how the first versions unknown to it were inserted, all that one entry
    /// brought. `None` if there are none yet. If they are those of the request, the values are not
    /// repeated.
    ///
    /// # Errors
    /// [`ProveError::Request`] for versions that do not exist, or such of the first entry, before
    /// which nobody can have become the owner; others of [`ProveError`].
    pub fn update(&self, request: &UpdateRequest) -> Result<Option<UpdateResponse>, ProveError> {
        let label = &request.label;
        let known = request.greatest_version;
        let count = self.store.version_count(label);
        let first = next_version(known).filter(|first| *first <= count);
        let first = first.ok_or(ProveError::Request("no such greatest version"))?;
        let Some(position) = self.position(label, first) else {
            return Ok(None);
        };
        if position == 0 {
            return Err(ProveError::Request(
                "nobody owns a label before the first entry",
            ));
        }
        let greatest = self.greatest_at(label, position).ok_or(ProveError::Store)?;
        let (mut recorder, view) = self.begin(Some(label), request.last)?;
        let before = match known {
            None => None,
            Some(version) => Some((
                version,
                self.position(label, version).ok_or(ProveError::Store)?,
            )),
        };
        let change = Update {
            position,
            previous: before,
            greatest,
            expected: &|position| self.greatest_at(label, position),
        };
        update(&mut recorder, &view, &change)?;
        let (full_tree_head, proof) = self.finish(recorder)?;
        let mut values = Vec::new();
        let mut info = Vec::new();
        for version in first..=greatest {
            let stored = self
                .store
                .version(label, version)
                .ok_or(ProveError::Store)?;
            values.push(stored.value);
            info.push(UpdateInfo {
                opening: stored.opening,
            });
        }
        if values == request.values {
            values.clear();
        }
        let mut binary_ladder = Vec::new();
        for version in update_ladder(known, greatest).ok_or(Verdict::VersionOutOfRange)? {
            let shows = known.is_some_and(|known| version <= known);
            binary_ladder.push(self.ladder_step(label, version, shows)?);
        }
        Ok(Some(UpdateResponse {
            full_tree_head,
            position,
            values,
            info,
            binary_ladder,
            update: proof,
        }))
    }

    fn position(&self, label: &Label, version: u32) -> Option<u64> {
        Some(self.store.version_place(label, version)?.position)
    }

    /// The greatest version of a label at an entry: versions lie in order, so a binary search.
    fn greatest_at(&self, label: &Label, position: u64) -> Option<u32> {
        let (mut low, mut high) = (0, self.store.version_count(label));
        while low < high {
            let middle = low + (high - low) / 2;
            let there = self.position(label, middle);
            if there.is_some_and(|inserted| inserted <= position) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    /// A map is ascending, names nothing twice, and each position lies on the direct path of the
    /// entry that brought the version.
    fn check_map(
        &self,
        label: &Label,
        entries: &[MonitorMapEntry],
    ) -> Result<Vec<MapEntry>, ProveError> {
        let size = self.store.tree_size();
        let mut versions = BTreeSet::new();
        let mut map: Vec<MapEntry> = Vec::new();
        for entry in entries {
            let in_order = map
                .last()
                .is_none_or(|before| before.position < entry.position);
            let inserted = self.position(label, entry.version);
            let on_path = inserted.is_some_and(|inserted| {
                inserted <= entry.position
                    && path_from_root(inserted, size).contains(&entry.position)
            });
            if !in_order || !on_path || !versions.insert(entry.version) {
                return Err(ProveError::Request("not a map that a search has led to"));
            }
            map.push(MapEntry {
                position: entry.position,
                version: entry.version,
            });
        }
        Ok(map)
    }
}
