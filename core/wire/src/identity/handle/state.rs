//! Whose a handle is, and which record may come next.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::name::{Handle, Skeleton};
use super::record::{HandleKind, HandleRecord};
use crate::hash::Hash;
use crate::identity::AccountState;
use crate::ids::AccountId;

const HOUR_NS: u64 = 3_600 * 1_000_000_000;
/// How long after it was accepted a release counts.
pub const RELEASE_DELAY_NS: u64 = 72 * HOUR_NS;
/// How long a released handle rests: nobody but its releaser may claim it.
pub const REST_NS: u64 = 180 * 24 * HOUR_NS;

/// Why a record does not follow: the rules of `spec/handles.md` §4, in the order of the checks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes, thiserror::Error,
)]
#[repr(u8)]
pub enum HandleRejected {
    /// HND-05: another format version, or a handle of another label.
    #[error("the record is not well formed, or is of another handle")]
    Malformed = 1,
    /// HND-06: it is older than the record before it.
    #[error("the record's time lies before that of the record before it")]
    TimeGoesBack = 2,
    /// HND-07: version or previous hash are not those that follow, or a release comes first.
    #[error("the record does not follow the newest one")]
    DoesNotFollow = 3,
    /// HND-08: the account has been deleted, or is not known.
    #[error("the account is deleted or unknown")]
    NoAccount = 4,
    /// HND-08: the account is frozen.
    #[error("the account is frozen")]
    AccountFrozen = 5,
    /// HND-08: a recover of the account is pending.
    #[error("a recover of the account is pending")]
    RecoverPending = 6,
    /// HND-09: somebody else holds this handle, or one that looks like it.
    #[error("the handle, or one that looks like it, is taken")]
    Taken = 7,
    /// HND-09: the handle rests, for another account.
    #[error("the handle was given up and still rests")]
    Resting = 8,
    /// HND-10: a release by somebody else than the holder, or of another spelling.
    #[error("the account does not hold the handle")]
    NotHolder = 9,
    /// HND-10: a release is pending already, or counts.
    #[error("the handle is released already")]
    ReleasedAlready = 10,
    /// HND-11: not signed by the identity key that counts.
    #[error("the record is not signed by the account's identity key")]
    NotAuthorised = 11,
    /// HND-14: the account holds another handle. Only the directory can say so.
    #[error("the account holds another handle")]
    HoldsAnother = 12,
}

/// Where the accounts come from that a handle's records name.
pub trait Accounts {
    /// The account as its records up to a time made it; `None` if it had none.
    fn at(&self, account: &AccountId, time: u64) -> Option<AccountState>;
}

/// Which identity keys may have signed (`spec/handles.md` §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRule {
    /// Only the one that counts when the record is accepted: for the directory, which knows every
    /// record's time.
    Counting,
    /// Also one that counted before: for clients, who have proofs of the times of those records
    /// only whose delays matter.
    EverCounted,
}

/// Who may use a handle at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// An account holds it.
    Held {
        /// Which.
        by: AccountId,
        /// When a pending release counts, in nanoseconds since 1970, if there is one.
        ends_at: Option<u64>,
    },
    /// Nobody holds it, and only the account that did may claim it.
    Resting {
        /// Which.
        after: AccountId,
        /// Until when, in nanoseconds since 1970.
        until: u64,
    },
    /// Anybody may claim it.
    Free,
}

/// What follows from a handle's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandleState {
    /// Version, hash and time of the newest record.
    newest: (u32, Hash, u64),
    handle: Handle,
    holder: AccountId,
    /// When the holder's release counts, or counted.
    release_counts_at: Option<u64>,
}

impl HandleState {
    /// The state after the newest record of a label, accepted at `accepted_at` nanoseconds.
    ///
    /// # Security
    /// For records that this party has judged before, each as the next of the one before it.
    #[must_use]
    pub fn of_newest(record: &HandleRecord, accepted_at: u64) -> Self {
        let content = &record.content;
        Self {
            newest: (content.record_version, record.hash(), accepted_at),
            handle: content.handle.clone(),
            holder: content.account,
            release_counts_at: (content.kind == HandleKind::Release)
                .then(|| accepted_at.saturating_add(RELEASE_DELAY_NS)),
        }
    }

    /// The state that a label's records make, oldest first, each with the time at which it was
    /// accepted.
    ///
    /// # Errors
    /// [`HandleRejected`] of the first record that does not follow.
    pub fn from_records(
        skeleton: &Skeleton,
        records: &[(u64, HandleRecord)],
        accounts: &impl Accounts,
        keys: KeyRule,
    ) -> Result<Option<Self>, HandleRejected> {
        records.iter().try_fold(None, |state, (time, record)| {
            Self::next(state.as_ref(), skeleton, record, *time, accounts, keys).map(Some)
        })
    }

    /// The state after one more record of a label, accepted at `accepted_at` nanoseconds; `before`
    /// is `None` for the first.
    ///
    /// # Errors
    /// [`HandleRejected`].
    pub fn next(
        before: Option<&Self>,
        skeleton: &Skeleton,
        record: &HandleRecord,
        accepted_at: u64,
        accounts: &impl Accounts,
        keys: KeyRule,
    ) -> Result<Self, HandleRejected> {
        let content = &record.content;
        if content.version != 1 || content.handle.skeleton() != *skeleton {
            return Err(HandleRejected::Malformed);
        }
        check_place(before, record, accepted_at)?;
        let signer = accounts
            .at(&content.account, accepted_at)
            .ok_or(HandleRejected::NoAccount)?;
        check_open(&signer, accepted_at)?;
        let holding = before.map_or(Holding::Free, |state| state.at(accepted_at, accounts));
        match content.kind {
            HandleKind::Claim => check_claim(&holding, &content.account)?,
            HandleKind::Release => check_release(before, &holding, record)?,
        }
        check_signature(record, &signer, accepted_at, keys)?;
        Ok(Self::of_newest(record, accepted_at))
    }

    /// Whose the handle is at a time. `accounts` is asked for the account that held it last: its
    /// deletion is a release too.
    #[must_use]
    pub fn at(&self, now: u64, accounts: &impl Accounts) -> Holding {
        let deleted_since = accounts
            .at(&self.holder, now)
            .and_then(|holder| holder.deleted_since(now));
        let ended = earlier(
            self.release_counts_at.filter(|at| *at <= now),
            deleted_since,
        );
        let Some(ended) = ended else {
            return Holding::Held {
                by: self.holder,
                ends_at: self.release_counts_at,
            };
        };
        let until = ended.saturating_add(REST_NS);
        if now < until {
            Holding::Resting {
                after: self.holder,
                until,
            }
        } else {
            Holding::Free
        }
    }

    /// As it is shown.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The account of the newest record, whether or not it still holds the handle.
    #[must_use]
    pub const fn last_holder(&self) -> AccountId {
        self.holder
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
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    [a, b].into_iter().flatten().min()
}

/// Whether a record is the next of its label.
fn check_place(
    before: Option<&HandleState>,
    record: &HandleRecord,
    accepted_at: u64,
) -> Result<(), HandleRejected> {
    let content = &record.content;
    let (version, previous) = match before {
        None => (Some(0), [0; 32]),
        Some(state) => {
            if accepted_at < state.newest.2 {
                return Err(HandleRejected::TimeGoesBack);
            }
            (state.newest.0.checked_add(1), state.newest.1)
        }
    };
    let release_first = before.is_none() && content.kind == HandleKind::Release;
    if Some(content.record_version) == version && content.previous == previous && !release_first {
        Ok(())
    } else {
        Err(HandleRejected::DoesNotFollow)
    }
}

/// What can be done with the identity key alone waits while the account is frozen or comes back.
fn check_open(signer: &AccountState, now: u64) -> Result<(), HandleRejected> {
    if signer.is_deleted(now) {
        Err(HandleRejected::NoAccount)
    } else if signer.is_recovering(now) {
        Err(HandleRejected::RecoverPending)
    } else if signer.is_frozen(now) {
        Err(HandleRejected::AccountFrozen)
    } else {
        Ok(())
    }
}

fn check_claim(holding: &Holding, account: &AccountId) -> Result<(), HandleRejected> {
    match holding {
        Holding::Held { by, .. } if by != account => Err(HandleRejected::Taken),
        Holding::Resting { after, .. } if after != account => Err(HandleRejected::Resting),
        Holding::Held { .. } | Holding::Resting { .. } | Holding::Free => Ok(()),
    }
}

fn check_release(
    before: Option<&HandleState>,
    holding: &Holding,
    record: &HandleRecord,
) -> Result<(), HandleRejected> {
    let content = &record.content;
    let is_last = before
        .is_some_and(|state| state.holder == content.account && state.handle == content.handle);
    match holding {
        _ if !is_last => Err(HandleRejected::NotHolder),
        Holding::Held { ends_at: None, .. } => Ok(()),
        Holding::Held { .. } | Holding::Resting { .. } | Holding::Free => {
            Err(HandleRejected::ReleasedAlready)
        }
    }
}

fn check_signature(
    record: &HandleRecord,
    signer: &AccountState,
    now: u64,
    keys: KeyRule,
) -> Result<(), HandleRejected> {
    let content = &record.content;
    let named = (content.key_change_version, content.key_change_hash);
    let allowed = match keys {
        KeyRule::Counting => signer.at(now).key_change == named,
        KeyRule::EverCounted => true,
    };
    let key = signer
        .key_of_change(named, now)
        .filter(|_| allowed && signer.account() == content.account);
    match key {
        Some(key) if record.is_signed_by(&key) => Ok(()),
        Some(_) | None => Err(HandleRejected::NotAuthorised),
    }
}
