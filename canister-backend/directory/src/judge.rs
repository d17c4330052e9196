//! Whether what was submitted may be the next version of its label.
//!
//! Asked twice: when it comes, by the canister's clock, and when it is published, by the time of
//! the entry, which is what everybody who reads it goes by.

use ic_stable_structures::Memory;
use paigham_transparency::hash::Label;
use paigham_transparency::store::Store;
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::{AccountState, IdentityRecord, RecordKind, Role, Signatures};
use paigham_wire::ids::AccountId;
use paigham_wire::log::ACCOUNT_PREFIX;

use crate::directory::{Directory, MAX_RECORDS, RECORDS_KEPT_FOR_KIT};
use crate::pending::Class;

/// Nanoseconds in a millisecond: entries have milliseconds, records are judged by nanoseconds.
pub(crate) const NS_PER_MS: u64 = 1_000_000;

/// What a submission is the next version of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub label: Label,
    pub version: u32,
    pub class: Class,
}

/// The label of an account.
pub(crate) fn account_label(account: &AccountId) -> Result<Label, DirectoryError> {
    Label::new([&ACCOUNT_PREFIX[..], &account.0].concat()).map_err(|_| DirectoryError::Malformed)
}

/// Label, version and class of a record, whether or not it may come next.
pub(crate) fn name_record(record: &IdentityRecord) -> Result<Named, DirectoryError> {
    let class = match record.content.kind {
        RecordKind::Freeze
        | RecordKind::DeviceRemove
        | RecordKind::Recover
        | RecordKind::RecoveryChange => Class::Urgent,
        RecordKind::Create { .. }
        | RecordKind::DeviceAdd
        | RecordKind::DeviceRekey
        | RecordKind::Rotate
        | RecordKind::Delete => Class::Usual,
    };
    Ok(Named {
        label: account_label(&record.content.account)?,
        version: record.content.record_version,
        class,
    })
}

/// How many records an account may have with this one. That a signature is there is enough to ask;
/// whether it holds is asked next.
fn room_for(record: &IdentityRecord) -> u32 {
    let mut signatures = record.authorisation.iter();
    if signatures.any(|signature| signature.role == Role::Recovery) {
        MAX_RECORDS
    } else {
        MAX_RECORDS - RECORDS_KEPT_FOR_KIT
    }
}

impl<M: Memory> Directory<M> {
    /// Whether a record follows those in the log at a time.
    ///
    /// # Errors
    /// [`DirectoryError`]: why not.
    pub(crate) fn judge_record(
        &self,
        named: &Named,
        record: &IdentityRecord,
        now_ns: u64,
        signatures: Signatures,
    ) -> Result<(), DirectoryError> {
        let rejected = |_| DirectoryError::Rejected;
        let Some(state) = self.account_state(&named.label)? else {
            if !matches!(record.content.kind, RecordKind::Create { .. }) {
                return Err(DirectoryError::NoSuchAccount);
            }
            AccountState::create_with(record, now_ns, signatures).map_err(rejected)?;
            return Ok(());
        };
        if state.version() >= room_for(record) - 1 {
            return Err(DirectoryError::Full);
        }
        state
            .apply_with(record, now_ns, signatures)
            .map_err(rejected)?;
        Ok(())
    }

    /// What the logged records of an account make; `None` if there are none. Their signatures were
    /// checked when they came.
    pub(crate) fn account_state(
        &self,
        label: &Label,
    ) -> Result<Option<AccountState>, DirectoryError> {
        let mut state: Option<AccountState> = None;
        for version in 0..self.log.version_count(label) {
            let stored = self.log.version(label, version);
            let stored = stored.ok_or(DirectoryError::Damaged)?;
            let entry = self.log.entry(stored.place.position);
            let at = entry.ok_or(DirectoryError::Damaged)?.timestamp * NS_PER_MS;
            let record =
                IdentityRecord::decode(&stored.value).map_err(|_| DirectoryError::Damaged)?;
            let next = match &state {
                None => AccountState::create_with(&record, at, Signatures::Verified),
                Some(state) => state.apply_with(&record, at, Signatures::Verified),
            };
            state = Some(next.map_err(|_| DirectoryError::Damaged)?);
        }
        Ok(state)
    }
}
