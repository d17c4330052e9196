//! Checking what a label maps to (draft, §13.1).

use crate::algorithm::{Verdict, fixed_search, greatest_search, label_absent, place};
use crate::codec::Codec;
use crate::hash::{Opening, commitment};
use crate::ladder::base_ladder;
use crate::structs::{
    AbsentResponse, BinaryLadderStep, PlaceResponse, SearchRequest, SearchResponse,
};
use crate::verifier::consumer::VersionKeys;
use crate::verifier::{MonitoredVersion, TreeView, Verified, Verifier, VerifyError};

/// A label's value, shown to be in the log.
///
/// # Security
/// That the version is in the log says nothing about who wanted it there: the record's own
/// authorisation is the application's to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The version.
    pub version: u32,
    /// The value.
    pub value: Vec<u8>,
    /// Of its commitment.
    pub opening: Opening,
    /// The leftmost entry inspected that holds the version.
    pub terminal: u64,
    /// Timestamp of that entry.
    pub terminal_timestamp: u64,
    /// What is to be monitored: no owner has had to see this version yet.
    pub monitor: Option<MonitoredVersion>,
}

/// The entry that brought a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The entry.
    pub position: u64,
    /// Its timestamp, milliseconds since 1970.
    pub timestamp: u64,
}

impl Verifier<'_> {
    /// Checks which entry brought a version that has this value.
    ///
    /// # Errors
    /// [`VerifyError::State`] if the request names another view or no version;
    /// [`Verdict::EarlierEntry`] if the version was there before; others of [`VerifyError`].
    ///
    /// # Security
    /// A log that takes a version out and puts it in again can show two places. The auditors
    /// refuse that; and the distinguished entry after the place shown, which the label's owner
    /// inspects, holds the version.
    pub fn place(
        &self,
        view: Option<&TreeView>,
        request: &SearchRequest,
        value: &[u8],
        response: &[u8],
        now: u64,
    ) -> Result<Verified<Place>, VerifyError> {
        check_last(view, request.last)?;
        let version = request.version.ok_or(VerifyError::State)?;
        let response = PlaceResponse::decode(response)?;
        let commitment = commitment(&response.opening, &request.label, version, value);
        let step = BinaryLadderStep {
            proof: response.proof,
            commitment: Some(commitment.ok_or(VerifyError::Commitment)?),
        };
        let keys = self.version_keys(&request.label, std::iter::once(version), &[step])?;
        let head = &response.full_tree_head;
        let position = response.position;
        if position >= Self::size(view, head)? {
            return Err(Verdict::VersionAbsent.into());
        }
        let (mut consumer, tree) = self.open(view, head, &response.place, &keys)?;
        let timestamp = place(&mut consumer, &tree, position, version)?;
        let view = self.close(consumer, head, now)?.view;
        Ok(Verified {
            view,
            outcome: Place {
                position,
                timestamp,
            },
        })
    }

    /// Checks the answer to a search.
    ///
    /// # Errors
    /// [`VerifyError::State`] if the request names another view; others of [`VerifyError`].
    pub fn search(
        &self,
        view: Option<&TreeView>,
        request: &SearchRequest,
        response: &[u8],
        now: u64,
    ) -> Result<Verified<Found>, VerifyError> {
        check_last(view, request.last)?;
        let response = SearchResponse::decode_for(request, response)?;
        let version = request.version.or(response.version);
        let version = version.ok_or(VerifyError::State)?;
        let keys = self.search_keys(request, version, &response)?;
        let head = &response.full_tree_head;
        let (mut consumer, tree) = self.open(view, head, &response.search, &keys)?;
        let terminal = match request.version {
            None => greatest_search(&mut consumer, &tree, version)?,
            Some(_) => fixed_search(&mut consumer, &tree, version)?,
        };
        let (distinguished, _) = tree.since_distinguished(&mut consumer)?;
        let consumed = self.close(consumer, head, now)?;
        let watch = distinguished.is_none_or(|distinguished| terminal > distinguished);
        let monitor = match watch {
            true => Some(MonitoredVersion::new(
                terminal,
                version,
                &keys,
                &consumed.included,
            )?),
            false => None,
        };
        Ok(Verified {
            outcome: Found {
                version,
                value: response.value,
                opening: response.opening,
                terminal,
                terminal_timestamp: consumed.timestamps.get(&terminal).copied().unwrap_or(0),
                monitor,
            },
            view: consumed.view,
        })
    }

    /// Checks the answer that a label has no version at all.
    ///
    /// # Errors
    /// [`Verdict::LabelPresent`] if an entry inspected holds it; others of [`VerifyError`].
    pub fn absent(
        &self,
        view: Option<&TreeView>,
        request: &SearchRequest,
        response: &[u8],
        now: u64,
    ) -> Result<Verified<()>, VerifyError> {
        check_last(view, request.last)?;
        let response = AbsentResponse::decode(response)?;
        let step = BinaryLadderStep {
            proof: response.proof,
            commitment: None,
        };
        let keys = self.version_keys(&request.label, std::iter::once(0), &[step])?;
        let head = &response.full_tree_head;
        let (mut consumer, tree) = self.open(view, head, &response.search, &keys)?;
        label_absent(&mut consumer, &tree)?;
        let view = self.close(consumer, head, now)?.view;
        Ok(Verified { view, outcome: () })
    }

    /// The keys of a search: the commitment of the version sought is computed, that of no other.
    fn search_keys(
        &self,
        request: &SearchRequest,
        version: u32,
        response: &SearchResponse,
    ) -> Result<VersionKeys, VerifyError> {
        let label = &request.label;
        let ladder = base_ladder(version).ok_or(Verdict::VersionOutOfRange)?;
        let ladder = ladder.into_iter();
        let mut keys = self.version_keys(label, ladder, &response.binary_ladder)?;
        let computed = commitment(&response.opening, label, version, &response.value);
        let own = keys.get_mut(&version).ok_or(VerifyError::Commitment)?;
        if own.commitment.is_some() || computed.is_none() {
            return Err(VerifyError::Commitment);
        }
        own.commitment = computed;
        if request.version.is_none() {
            // Of the greatest version's ladder exactly the steps up to it exist.
            let exact = |(step, key): (&u32, &super::VersionKey)| {
                key.commitment.is_some() == (*step <= version)
            };
            if !keys.iter().all(exact) {
                return Err(VerifyError::Commitment);
            }
        }
        Ok(keys)
    }
}

pub(super) fn check_last(view: Option<&TreeView>, last: Option<u64>) -> Result<(), VerifyError> {
    if view.map(TreeView::size) == last {
        Ok(())
    } else {
        Err(VerifyError::State)
    }
}
