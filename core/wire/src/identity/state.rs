//! What counts of an account's records, and which record may come next.

use super::record::{
    DeviceEntry, IdentityRecord, MAX_DEVICES, RecordKind, Role, Signatures, recovery_key_hash,
};
use crate::hash::Hash;
use crate::ids::{AccountId, DeviceId};

const HOUR_NS: u64 = 3_600 * 1_000_000_000;
/// How long after it was accepted a Recover counts.
pub const RECOVER_DELAY_NS: u64 = 72 * HOUR_NS;
/// How long after it was accepted a Delete counts.
pub const DELETE_DELAY_NS: u64 = 72 * HOUR_NS;
/// How long a Freeze lasts.
pub const FREEZE_NS: u64 = 7 * 24 * HOUR_NS;

/// Why a record does not follow: the rules of `spec/identity.md` §6, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// IDN-01: another format version, devices that are too many or not ascending, roles likewise.
    #[error("the record is not well formed")]
    Malformed,
    /// IDN-02: the account id is not that of the first keys, or the first record is no create.
    #[error("the record does not make this account")]
    NotACreate,
    /// IDN-05: account, version, previous hash or key change are not those that follow.
    #[error("the record does not follow the newest one")]
    DoesNotFollow,
    /// IDN-03: it is older than the record before it.
    #[error("the record's time lies before that of the record before it")]
    TimeGoesBack,
    /// IDN-09: a signature that the kind needs is missing, wrong, or by another key, or there is
    /// one too many.
    #[error("the record lacks a signature that its kind needs")]
    NotAuthorised,
    /// IDN-07, IDN-08: it changes what its kind may not change, not what it must, or to a key that
    /// counted before.
    #[error("the record changes something else than its kind says")]
    WrongChange,
    /// IDN-06: a freeze is on.
    #[error("the account is frozen")]
    Frozen,
    /// IDN-06: a recover is pending.
    #[error("a recover is pending")]
    RecoverPending,
    /// IDN-04: the account has been deleted.
    #[error("the account is deleted")]
    Deleted,
}

/// Keys and devices that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Identity key.
    pub identity_key: Hash,
    /// Hash of the recovery key.
    pub recovery_key_hash: Hash,
    /// Devices, ascending by id.
    pub devices: Vec<DeviceEntry>,
    /// Version and hash of the record that last changed identity or recovery key.
    pub key_change: (u32, Hash),
}

/// A Recover that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    counts_at: u64,
    standing: Standing,
}

/// An identity key that counted before another record did.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FormerKey {
    /// The record that made it count.
    key_change: (u32, Hash),
    key: Hash,
}

/// What follows from an account's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    account: AccountId,
    /// Version, hash and time of the newest record.
    newest: (u32, Hash, u64),
    standing: Standing,
    /// What counted once: removed devices and thieves may hold these identity keys, so none of
    /// them counts again.
    former: Vec<FormerKey>,
    pending: Option<Pending>,
    frozen_until: u64,
    deleted_at: Option<u64>,
}

impl AccountState {
    /// The account that a first record makes.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn create(record: &IdentityRecord, accepted_at: u64) -> Result<Self, Rejected> {
        Self::create_with(record, accepted_at, Signatures::Unverified)
    }

    /// As [`AccountState::create`], with a say in whether signatures are checked.
    ///
    /// # Errors
    /// [`Rejected`].
    ///
    /// # Security
    /// [`Signatures::Verified`] is for records that this party has verified before.
    pub fn create_with(
        record: &IdentityRecord,
        accepted_at: u64,
        signatures: Signatures,
    ) -> Result<Self, Rejected> {
        let content = &record.content;
        check_form(record)?;
        let RecordKind::Create { nonce } = &content.kind else {
            return Err(Rejected::NotACreate);
        };
        let id = AccountId::derive(&content.identity_key, &content.recovery_key_hash, nonce);
        if id != content.account
            || content.record_version != 0
            || content.previous != [0; 32]
            || (content.key_change_version, content.key_change_hash) != (0, [0; 32])
            || content.devices.is_empty()
        {
            return Err(Rejected::NotACreate);
        }
        signed_by(
            record,
            &[Role::NewIdentity, Role::Recovery],
            (None, &content.recovery_key_hash),
            signatures,
        )?;
        let hash = record.hash();
        Ok(Self {
            account: content.account,
            newest: (0, hash, accepted_at),
            standing: standing_of(record, (0, hash)),
            former: Vec::new(),
            pending: None,
            frozen_until: 0,
            deleted_at: None,
        })
    }

    /// The account that a chain of records makes, oldest first.
    ///
    /// # Errors
    /// [`Rejected`] of the first record that does not follow.
    pub fn from_records(records: &[(u64, IdentityRecord)]) -> Result<Self, Rejected> {
        let ((first_time, first), rest) = records.split_first().ok_or(Rejected::NotACreate)?;
        rest.iter().try_fold(
            Self::create(first, *first_time)?,
            |state, (time, record)| state.apply(record, *time),
        )
    }

    /// The state after one more record, accepted at `accepted_at` nanoseconds.
    ///
    /// # Errors
    /// [`Rejected`]; the state is as before then.
    pub fn apply(&self, record: &IdentityRecord, accepted_at: u64) -> Result<Self, Rejected> {
        self.apply_with(record, accepted_at, Signatures::Unverified)
    }

    /// As [`AccountState::apply`], with a say in whether signatures are checked.
    ///
    /// # Errors
    /// [`Rejected`]; the state is as before then.
    ///
    /// # Security
    /// [`Signatures::Verified`] is for records that this party has verified before.
    pub fn apply_with(
        &self,
        record: &IdentityRecord,
        accepted_at: u64,
        signatures: Signatures,
    ) -> Result<Self, Rejected> {
        check_form(record)?;
        let content = &record.content;
        if accepted_at < self.newest.2 {
            return Err(Rejected::TimeGoesBack);
        }
        let mut state = self.settled(accepted_at);
        if state.deleted_at.is_some_and(|at| at <= accepted_at) {
            return Err(Rejected::Deleted);
        }
        if content.account != state.account
            || content.record_version.checked_sub(1) != Some(state.newest.0)
            || content.previous != state.newest.1
            || (content.key_change_version, content.key_change_hash) != state.standing.key_change
        {
            return Err(Rejected::DoesNotFollow);
        }
        state.check_open(&content.kind, accepted_at)?;
        state.check_change(record, signatures)?;
        let hash = record.hash();
        let next = standing_of(record, (content.record_version, hash));
        state.deleted_at = None;
        match content.kind {
            RecordKind::Create { .. } => return Err(Rejected::DoesNotFollow),
            RecordKind::DeviceAdd | RecordKind::DeviceRekey => {
                state.standing.devices = next.devices;
            }
            RecordKind::DeviceRemove | RecordKind::Rotate => state.change_keys(next),
            RecordKind::RecoveryChange => {
                state.change_keys(next);
                state.pending = None;
                state.frozen_until = 0;
            }
            RecordKind::Recover => {
                let counts_at = accepted_at.saturating_add(RECOVER_DELAY_NS);
                state.pending = Some(Pending {
                    counts_at,
                    standing: next,
                });
            }
            RecordKind::Freeze => state.frozen_until = accepted_at.saturating_add(FREEZE_NS),
            RecordKind::Delete => {
                state.deleted_at = Some(accepted_at.saturating_add(DELETE_DELAY_NS));
            }
        }
        state.newest = (content.record_version, hash, accepted_at);
        Ok(state)
    }

    /// What counts at a time; of a deleted account, what counted last.
    #[must_use]
    pub fn at(&self, now: u64) -> Standing {
        self.settled(now).standing
    }

    /// The device of an id that counts at a time; a deleted account has none.
    #[must_use]
    pub fn device_at(&self, device: &DeviceId, now: u64) -> Option<DeviceEntry> {
        if self.is_deleted(now) {
            return None;
        }
        self.at(now)
            .devices
            .into_iter()
            .find(|entry| entry.device == *device)
    }

    /// Whose it is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Version of the newest record.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.newest.0
    }

    /// Hash of the newest record.
    #[must_use]
    pub const fn newest_hash(&self) -> &Hash {
        &self.newest.1
    }

    /// Whether the account has ended at a time.
    #[must_use]
    pub fn is_deleted(&self, now: u64) -> bool {
        self.deleted_at.is_some_and(|at| at <= now)
    }

    /// When the account ended, if it has at a time.
    #[must_use]
    pub fn deleted_since(&self, now: u64) -> Option<u64> {
        self.deleted_at.filter(|at| *at <= now)
    }

    /// The identity key that a record made count, at a time or earlier: of a key change that counts
    /// then, or counted before.
    #[must_use]
    pub fn key_of_change(&self, key_change: (u32, Hash), now: u64) -> Option<Hash> {
        let state = self.settled(now);
        if state.standing.key_change == key_change {
            return Some(state.standing.identity_key);
        }
        let mut former = state.former.iter();
        former
            .find(|before| before.key_change == key_change)
            .map(|before| before.key)
    }

    /// Whether a Recover waits at a time.
    #[must_use]
    pub fn is_recovering(&self, now: u64) -> bool {
        self.settled(now).pending.is_some()
    }

    /// Whether a freeze is on at a time.
    #[must_use]
    pub fn is_frozen(&self, now: u64) -> bool {
        self.settled(now).frozen_until > now
    }

    /// When a freeze that is on at a time ends, nanoseconds since 1970; a Recover that counts earlier
    /// ends it then.
    #[must_use]
    pub fn frozen_until(&self, now: u64) -> Option<u64> {
        let until = self.settled(now).frozen_until;
        (until > now).then_some(until)
    }

    /// When a Recover that waits at a time counts, nanoseconds since 1970, and what it makes count.
    #[must_use]
    pub fn recover_at(&self, now: u64) -> Option<(u64, Standing)> {
        let pending = self.settled(now).pending;
        pending.map(|pending| (pending.counts_at, pending.standing))
    }

    /// When the account ends or ended unless a record is accepted before, nanoseconds since 1970.
    #[must_use]
    pub const fn deleted_at(&self) -> Option<u64> {
        self.deleted_at
    }

    /// A Recover whose time has come counts, and ends a freeze.
    fn settled(&self, now: u64) -> Self {
        let mut state = self.clone();
        if let Some(pending) = state.pending.take_if(|pending| pending.counts_at <= now) {
            state.change_keys(pending.standing);
            state.frozen_until = 0;
        }
        state
    }

    fn change_keys(&mut self, next: Standing) {
        let before = std::mem::replace(&mut self.standing, next);
        self.former.push(FormerKey {
            key_change: before.key_change,
            key: before.identity_key,
        });
    }

    fn has_counted(&self, key: &Hash) -> bool {
        self.former.iter().any(|before| before.key == *key)
    }

    /// Whether freeze and pending recover let a kind pass.
    fn check_open(&self, kind: &RecordKind, now: u64) -> Result<(), Rejected> {
        if *kind == RecordKind::RecoveryChange {
            return Ok(());
        }
        let frozen = self.frozen_until > now;
        match (&self.pending, kind) {
            (Some(_), RecordKind::Freeze) if !frozen => Ok(()),
            (Some(_), _) => Err(Rejected::RecoverPending),
            (None, RecordKind::Recover) => Ok(()),
            (None, _) if frozen => Err(Rejected::Frozen),
            (None, _) => Ok(()),
        }
    }

    /// Whether the record changes what its kind says, signed by whom its kind needs.
    fn check_change(
        &self,
        record: &IdentityRecord,
        signatures: Signatures,
    ) -> Result<(), Rejected> {
        let content = &record.content;
        let now = &self.standing;
        let same_identity = content.identity_key == now.identity_key;
        let fresh_identity = !same_identity && !self.has_counted(&content.identity_key);
        let same_recovery = content.recovery_key_hash == now.recovery_key_hash;
        let same_devices = content.devices == now.devices;
        let (changed_well, roles): (bool, &[Role]) = match content.kind {
            RecordKind::Create { .. } => (false, &[]),
            RecordKind::DeviceAdd => (
                same_identity && same_recovery && self.adds_one(content),
                &[Role::Identity],
            ),
            RecordKind::DeviceRekey => (
                same_identity && same_recovery && self.rekeys_one(content),
                &[Role::Identity],
            ),
            RecordKind::DeviceRemove => (
                fresh_identity && same_recovery && !same_devices && self.keeps_some(content),
                &[Role::Identity, Role::NewIdentity],
            ),
            RecordKind::Rotate => (
                fresh_identity && same_recovery && same_devices,
                &[Role::Identity, Role::NewIdentity],
            ),
            RecordKind::RecoveryChange => (
                same_identity && !same_recovery && same_devices,
                &[Role::Identity, Role::Recovery],
            ),
            RecordKind::Recover => (
                fresh_identity && same_recovery && self.keeps_some(content),
                &[Role::Recovery],
            ),
            RecordKind::Freeze => {
                let unchanged = same_identity && same_recovery && same_devices;
                let by_recovery = record
                    .authorisation
                    .iter()
                    .any(|a| a.role == Role::Recovery);
                (
                    unchanged,
                    if by_recovery {
                        &[Role::Recovery]
                    } else {
                        &[Role::Identity]
                    },
                )
            }
            RecordKind::Delete => (
                same_identity && same_recovery && same_devices,
                &[Role::Identity],
            ),
        };
        if !changed_well {
            return Err(Rejected::WrongChange);
        }
        signed_by(
            record,
            roles,
            (Some(&now.identity_key), &now.recovery_key_hash),
            signatures,
        )
    }

    fn adds_one(&self, content: &super::RecordContent) -> bool {
        let kept = content
            .devices
            .iter()
            .filter(|entry| self.standing.devices.contains(entry));
        content.devices.len() == self.standing.devices.len() + 1
            && kept.count() == self.standing.devices.len()
    }

    fn rekeys_one(&self, content: &super::RecordContent) -> bool {
        let before = &self.standing.devices;
        let same_devices = content.devices.len() == before.len()
            && content
                .devices
                .iter()
                .zip(before)
                .all(|(new, old)| new.device == old.device && new.added_at == old.added_at);
        let changed = content
            .devices
            .iter()
            .zip(before)
            .filter(|(new, old)| new != old);
        same_devices && changed.count() == 1
    }

    fn keeps_some(&self, content: &super::RecordContent) -> bool {
        content
            .devices
            .iter()
            .all(|entry| self.standing.devices.contains(entry))
    }
}

fn standing_of(record: &IdentityRecord, key_change: (u32, Hash)) -> Standing {
    Standing {
        identity_key: record.content.identity_key,
        recovery_key_hash: record.content.recovery_key_hash,
        devices: record.content.devices.clone(),
        key_change,
    }
}

fn check_form(record: &IdentityRecord) -> Result<(), Rejected> {
    let content = &record.content;
    let ascending = content
        .devices
        .windows(2)
        .all(|pair| pair[0].device < pair[1].device);
    let well_formed = content.version == 1
        && ascending
        && content.devices.len() <= MAX_DEVICES
        && record.roles_ascend();
    if well_formed {
        Ok(())
    } else {
        Err(Rejected::Malformed)
    }
}

/// Exactly the roles needed, each by the key that counts.
fn signed_by(
    record: &IdentityRecord,
    roles: &[Role],
    (identity_key, recovery_hash): (Option<&Hash>, &Hash),
    signatures: Signatures,
) -> Result<(), Rejected> {
    if record.authorisation.len() != roles.len() {
        return Err(Rejected::NotAuthorised);
    }
    for role in roles {
        let key = record
            .signer(*role, signatures)
            .ok_or(Rejected::NotAuthorised)?;
        let right = match role {
            Role::Identity => Some(key) == identity_key,
            Role::NewIdentity => *key == record.content.identity_key,
            Role::Recovery => recovery_key_hash(key) == *recovery_hash,
        };
        if !right {
            return Err(Rejected::NotAuthorised);
        }
    }
    Ok(())
}
