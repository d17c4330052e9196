//! An owner's checks of its own label (draft, §13.3 to §13.5).

use crate::algorithm::{
    MapEntry, OwnerMonitor, Update, Verdict, contact_monitor, owner_init, owner_init_list, update,
};
use crate::codec::Codec;
use crate::hash::{Label, Opening, commitment};
use crate::ladder::{ladder_union, next_version, update_ladder};
use crate::structs::{
    OwnerInitRequest, OwnerInitResponse, OwnerMonitorRequest, OwnerMonitorResponse, UpdateRequest,
    UpdateResponse,
};
use crate::verifier::consumer::VersionKeys;
use crate::verifier::search::check_last;
use crate::verifier::{OwnerState, TreeView, Verified, Verifier, VerifyError};

/// How far owner monitoring came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorProgress {
    /// To the newest distinguished entry: no version unknown to the owner lies in one.
    Complete,
    /// The log stopped before. If asking again leads no further, it must show by an update what
    /// version it stopped at; if it cannot, it hides one.
    Stopped,
}

/// Versions that one entry brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersions {
    /// The entry.
    pub position: u64,
    /// The first of them; the others follow.
    pub first: u32,
    /// Their values and openings.
    pub values: Vec<(Vec<u8>, Opening)>,
    /// They are those of the request. If not, somebody else made them.
    pub requested: bool,
    /// The owner's state after them.
    pub state: OwnerState,
}

impl Verifier<'_> {
    /// Checks the answer that begins an owner's watch.
    ///
    /// # Errors
    /// [`Verdict::NotDistinguished`] for a start that is not; others of [`VerifyError`].
    pub fn owner_init(
        &self,
        view: Option<&TreeView>,
        request: &OwnerInitRequest,
        response: &[u8],
        now: u64,
    ) -> Result<Verified<OwnerState>, VerifyError> {
        check_last(view, request.last)?;
        let response = OwnerInitResponse::decode(response)?;
        let head = &response.full_tree_head;
        let size = Self::size(view, head)?;
        let greatest = &response.greatest_versions;
        if request.start >= size {
            return Err(VerifyError::State);
        }
        if greatest.len() > owner_init_list(request.start, size).len() {
            return Err(VerifyError::Count("greatest versions"));
        }
        if !greatest.is_sorted_by(|a, b| a >= b) {
            return Err(VerifyError::OwnerVersions);
        }
        let versions = ladder_union(greatest).ok_or(Verdict::VersionOutOfRange)?;
        let versions = versions.into_iter().collect::<Vec<_>>().into_iter();
        let keys = self.version_keys(&request.label, versions, &response.binary_ladder)?;
        let base = greatest.first().copied();
        let exists = |version: u32| base.is_some_and(|base| version <= base);
        if keys
            .iter()
            .any(|(version, key)| key.commitment.is_some() != exists(*version))
        {
            return Err(VerifyError::Commitment);
        }
        let (mut consumer, tree) = self.open(view, head, &response.init, &keys)?;
        owner_init(&mut consumer, &tree, request.start, greatest)?;
        let view = self.close(consumer, head, now)?.view;
        let mut state = OwnerState {
            start: request.start,
            base,
            history: Vec::new(),
            map: Vec::new(),
            keys,
        };
        state.forget_unneeded_keys();
        Ok(Verified {
            view,
            outcome: state,
        })
    }

    /// Checks the distinguished entries since the last time.
    ///
    /// # Errors
    /// [`Verdict::GreaterVersion`] where a distinguished entry holds a version that the owner does
    /// not know, [`Verdict::MissingVersion`] where one is gone; others of [`VerifyError`].
    pub fn owner_monitor(
        &self,
        view: &TreeView,
        state: &OwnerState,
        request: &OwnerMonitorRequest,
        response: &[u8],
        now: u64,
    ) -> Result<Verified<(OwnerState, MonitorProgress)>, VerifyError> {
        check_last(Some(view), request.last)?;
        if *request != state.monitor_request(request.label.clone(), view) {
            return Err(VerifyError::State);
        }
        let response = OwnerMonitorResponse::decode(response)?;
        let head = &response.full_tree_head;
        let (mut consumer, tree) = self.open(Some(view), head, &response.monitor, &state.keys)?;
        let map = contact_monitor(&mut consumer, &tree, &state.map, Some(state.start))?;
        let mut run = OwnerMonitor {
            expected: &|position| state.expected_at(position),
            verified: state.start,
            stopped: false,
        };
        run.run(&mut consumer, &tree)?;
        let (verified, stopped) = (run.verified, run.stopped);
        let view = self.close(consumer, head, now)?.view;
        let mut next = OwnerState {
            map,
            ..state.clone()
        };
        next.advance(verified);
        let progress = match stopped {
            false => MonitorProgress::Complete,
            true => MonitorProgress::Stopped,
        };
        Ok(Verified {
            view,
            outcome: (next, progress),
        })
    }

    /// Checks how new versions were inserted.
    ///
    /// # Errors
    /// [`VerifyError::OwnerVersions`] for versions that do not follow the known ones;
    /// [`Verdict::GreaterVersion`] where a version was in the log before it is shown to the owner;
    /// others of [`VerifyError`].
    pub fn update(
        &self,
        view: &TreeView,
        state: &OwnerState,
        request: &UpdateRequest,
        response: &[u8],
        now: u64,
    ) -> Result<Verified<NewVersions>, VerifyError> {
        check_last(Some(view), request.last)?;
        let known = state.greatest_version();
        if request.greatest_version != known {
            return Err(VerifyError::State);
        }
        let response = UpdateResponse::decode(response)?;
        let head = &response.full_tree_head;
        let requested = response.values.is_empty();
        let values = match requested {
            true => &request.values,
            false => &response.values,
        };
        let first = next_version(known).ok_or(Verdict::VersionOutOfRange)?;
        let new = NewValues::pair(first, values, &response)?;
        let greatest = new.greatest;
        let follows = response.position > state.newest_position();
        if !follows || response.position >= Self::size(Some(view), head)? {
            return Err(VerifyError::OwnerVersions);
        }
        let keys = self.update_keys(state, &request.label, &new, &response)?;
        let change = Update {
            position: response.position,
            previous: known.map(|known| (known, state.newest_position())),
            greatest,
            expected: &|position| state.expected_at(position),
        };
        let (mut consumer, tree) = self.open(Some(view), head, &response.update, &keys)?;
        let distinguished = update(&mut consumer, &tree, &change)?;
        let view = self.close(consumer, head, now)?.view;
        let mut next = OwnerState {
            keys,
            ..state.clone()
        };
        next.history.push((response.position, greatest));
        if !distinguished {
            next.map.push(MapEntry {
                position: response.position,
                version: greatest,
            });
        }
        next.forget_unneeded_keys();
        Ok(Verified {
            view,
            outcome: NewVersions {
                position: response.position,
                first,
                values: new.values,
                requested,
                state: next,
            },
        })
    }

    /// The places known before, those of the answer, and the commitments of the new versions.
    fn update_keys(
        &self,
        state: &OwnerState,
        label: &Label,
        new: &NewValues,
        response: &UpdateResponse,
    ) -> Result<VersionKeys, VerifyError> {
        let known = state.greatest_version();
        let versions = update_ladder(known, new.greatest).ok_or(Verdict::VersionOutOfRange)?;
        let versions = versions.into_iter().collect::<Vec<_>>().into_iter();
        let given = self.version_keys(label, versions, &response.binary_ladder)?;
        let may_exist = |version: u32| known.is_some_and(|known| version <= known);
        if given
            .iter()
            .any(|(version, key)| key.commitment.is_some() != may_exist(*version))
        {
            return Err(VerifyError::Commitment);
        }
        let mut keys = state.keys.clone();
        keys.extend(given);
        for (version, (value, opening)) in (new.first..).zip(&new.values) {
            let key = keys.get_mut(&version).ok_or(VerifyError::State)?;
            key.commitment = commitment(opening, label, version, value);
        }
        Ok(keys)
    }
}

/// Values with their openings, and the versions that they make.
struct NewValues {
    first: u32,
    greatest: u32,
    values: Vec<(Vec<u8>, Opening)>,
}

impl NewValues {
    fn pair(
        first: u32,
        values: &[Vec<u8>],
        response: &UpdateResponse,
    ) -> Result<Self, VerifyError> {
        if values.len() != response.info.len() || values.is_empty() {
            return Err(VerifyError::Count("update information"));
        }
        let more = u32::try_from(values.len() - 1).ok();
        let greatest = more.and_then(|more| first.checked_add(more));
        let pair =
            |(value, info): (&Vec<u8>, &crate::structs::UpdateInfo)| (value.clone(), info.opening);
        Ok(Self {
            first,
            greatest: greatest.ok_or(Verdict::VersionOutOfRange)?,
            values: values.iter().zip(&response.info).map(pair).collect(),
        })
    }
}
