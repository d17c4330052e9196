//! An account's history and what follows from it.

use paigham_transparency::hash::Label;
use paigham_transparency::verifier::{MonitoredVersion, TreeView};
use paigham_wire::codec::{CodecError, decode, encode};
use paigham_wire::hash::Hash;
use paigham_wire::identity::{AccountState, IdentityRecord, RecordKind, Rejected};
use paigham_wire::ids::AccountId;
use paigham_wire::log::LabelAnswer;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::error::LookupError;
use crate::label::{LABEL_MAX_VERSIONS, LabelVersion, LabelVersions, TimeRule};
use crate::reading::{LookedUp, Reading};
use crate::trust::LogTrust;

/// Format of [`AccountHistory::to_bytes`].
const FORMAT: u8 = 1;

/// Records that count by time: recover, freeze and delete.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordTimes;

impl TimeRule for RecordTimes {
    fn counts_by_time(&self, value: &[u8]) -> bool {
        IdentityRecord::decode(value).is_ok_and(|record| {
            matches!(
                record.content.kind,
                RecordKind::Recover | RecordKind::Freeze | RecordKind::Delete
            )
        })
    }
}

/// A record as it is kept: its bytes and, where it decides something, when it was logged.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Kept {
    record: VLBytes,
    logged_at: Option<u64>,
}

#[derive(TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Encoded {
    format: u8,
    records: Vec<Kept>,
}

/// All records of an account that were verified, and what follows from them.
///
/// A client keeps one for each account that it deals with, in the same write-set as the view that
/// it was read under. It holds the records themselves, so that a later one that breaks the rules
/// can be shown to anybody together with those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountHistory {
    records: Vec<Kept>,
    hashes: Vec<Hash>,
    state: AccountState,
    /// The proved time of the nearest version that has one.
    lower_bound: u64,
}

impl AccountHistory {
    /// What follows from the records.
    #[must_use]
    pub const fn state(&self) -> &AccountState {
        &self.state
    }

    /// Whose it is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.state.account()
    }

    /// Number of versions, and the version that a look-up asks from.
    #[must_use]
    pub const fn next_version(&self) -> u32 {
        self.state.version().saturating_add(1)
    }

    /// The record of a version, encoded.
    #[must_use]
    pub fn record(&self, version: u32) -> Option<&[u8]> {
        let kept = self.records.get(usize::try_from(version).ok()?)?;
        Some(kept.record.as_slice())
    }

    /// Hash of the record of a version.
    #[must_use]
    pub fn hash(&self, version: u32) -> Option<&Hash> {
        self.hashes.get(usize::try_from(version).ok()?)
    }

    /// When a version was logged, in nanoseconds since 1970; only of versions for which it decides
    /// something.
    #[must_use]
    pub fn logged_at(&self, version: u32) -> Option<u64> {
        self.records.get(usize::try_from(version).ok()?)?.logged_at
    }

    /// The account as its records up to a time made it; `None` before the first. A record whose own
    /// time was not shown counts from the time of the nearest one before it.
    #[must_use]
    pub fn at(&self, time_ns: u64) -> Option<AccountState> {
        let mut before: Option<Self> = None;
        for kept in &self.records {
            let bound = before.as_ref().map_or(0, |history| history.lower_bound);
            if kept.logged_at.unwrap_or(bound) > time_ns {
                break;
            }
            // These records followed one another when they were read.
            before = Some(follow(before, kept.clone()).ok()?);
        }
        before.map(|history| history.state)
    }

    /// Whether `other` tells the same history, as far as both go.
    ///
    /// # Errors
    /// The first version in which they differ.
    pub fn agrees_with(&self, other: &Self) -> Result<(), u32> {
        let pairs = (0u32..).zip(self.hashes.iter().zip(&other.hashes));
        for (version, (own, others)) in pairs {
            if own != others {
                return Err(version);
            }
        }
        Ok(())
    }

    /// The encoding: a byte 1, then the records `<V>`, each its bytes `<V>` and `optional<uint64>`
    /// when it was logged.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&Encoded {
            format: FORMAT,
            records: self.records.clone(),
        })
    }

    /// Reads what [`AccountHistory::to_bytes`] wrote, and checks it again as it was checked then.
    ///
    /// # Errors
    /// [`CodecError::Malformed`], also for records that break the rules.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let encoded: Encoded = decode(bytes)?;
        if encoded.format != FORMAT || encoded.records.len() > LABEL_MAX_VERSIONS {
            return Err(CodecError::Malformed);
        }
        let mut history = None;
        for kept in encoded.records {
            history = Some(follow(history, kept).map_err(|_| CodecError::Malformed)?);
        }
        history.ok_or(CodecError::Malformed)
    }

    fn newest(&self) -> (u32, &[u8]) {
        let newest = self.records.last().map(|kept| kept.record.as_slice());
        (self.next_version(), newest.unwrap_or_default())
    }
}

/// The history after one more record.
fn follow(before: Option<AccountHistory>, kept: Kept) -> Result<AccountHistory, LookupError> {
    let version = before.as_ref().map_or(0, AccountHistory::next_version);
    let record = IdentityRecord::decode(kept.record.as_slice())
        .map_err(|_| LookupError::NoRecord { version })?;
    let hash = record.hash();
    let rule = |reason: Rejected| LookupError::Rule { version, reason };
    let known = before.as_ref().map_or(0, |history| history.lower_bound);
    let time = kept.logged_at.unwrap_or(known);
    match before {
        None => Ok(AccountHistory {
            state: AccountState::create(&record, time).map_err(rule)?,
            records: vec![kept],
            hashes: vec![hash],
            lower_bound: time,
        }),
        Some(mut history) => {
            history.state = history.state.apply(&record, time).map_err(rule)?;
            history.records.push(kept);
            history.hashes.push(hash);
            history.lower_bound = time;
            Ok(history)
        }
    }
}

impl Reading<'_> {
    /// Reads the answer about one account, asked for from [`AccountHistory::next_version`] on.
    /// `None`: there is no such account.
    ///
    /// # Errors
    /// [`LookupError`].
    pub fn account(
        &mut self,
        known: Option<&AccountHistory>,
        account: AccountId,
        answer: &LabelAnswer,
    ) -> Result<(Option<AccountHistory>, Option<MonitoredVersion>), LookupError> {
        let label = account_label(account)?;
        let newest = known.map(AccountHistory::newest);
        let Some(versions) = self.label(&label, newest, answer, &RecordTimes)? else {
            return Ok((None, None));
        };
        let watch = versions.watch.clone();
        let history = extend(known, account, versions)?;
        Ok((Some(history), watch))
    }
}

fn extend(
    known: Option<&AccountHistory>,
    account: AccountId,
    versions: LabelVersions,
) -> Result<AccountHistory, LookupError> {
    let mut history = known.cloned();
    let count = history.as_ref().map_or(0, |known| known.records.len());
    if count + versions.new.len() > LABEL_MAX_VERSIONS {
        return Err(LookupError::TooMany(LABEL_MAX_VERSIONS));
    }
    check_links(history.as_ref(), &versions.new)?;
    for version in versions.new {
        let logged_at = version.time_ns();
        let kept = Kept {
            record: version.value.into(),
            logged_at,
        };
        history = Some(follow(history, kept)?);
    }
    let history = history.ok_or(LookupError::Form("no version"))?;
    if history.account() == account {
        Ok(history)
    } else {
        Err(LookupError::OtherAccount)
    }
}

/// The log shows the greatest version and those whose places are proved; a version that one of them
/// names by its hash is shown by it, and so on back to the first. So what breaks a rule is the log's
/// own doing, never that of somebody who carried the answer.
fn check_links(
    known: Option<&AccountHistory>,
    versions: &[LabelVersion],
) -> Result<(), LookupError> {
    let first = known.map_or(0, AccountHistory::next_version);
    let mut after: Option<IdentityRecord> = None;
    let numbered: Vec<_> = (first..).zip(versions).collect();
    for (version, shown) in numbered.into_iter().rev() {
        let record = IdentityRecord::decode(&shown.value).ok();
        let is_named = |next: IdentityRecord| {
            let hash = record.as_ref().map(IdentityRecord::hash);
            hash == Some(next.content.previous)
        };
        if shown.place.is_none() && after.is_some_and(|next| !is_named(next)) {
            return Err(LookupError::Unlinked { version });
        }
        after = Some(record.ok_or(LookupError::NoRecord { version })?);
    }
    let newest_known = known.and_then(|known| known.hashes.last());
    match (newest_known, after) {
        (Some(newest), Some(next)) if *newest != next.content.previous => {
            Err(LookupError::Changed {
                version: first.saturating_sub(1),
            })
        }
        _ => Ok(()),
    }
}

/// The log's label of an account.
///
/// # Errors
/// None that can happen: the label has 18 bytes.
pub fn account_label(account: AccountId) -> Result<Label, LookupError> {
    Label::new(account.directory_label()).map_err(|_| LookupError::Form("label"))
}

/// Checks the reply to a look-up of one account. `view` and `known` are what the request named:
/// size of the newest head, and [`AccountHistory::next_version`].
///
/// # Errors
/// [`LookupError`].
///
/// # Security
/// The outcome is that of [`LookedUp::certificate_time_ns`]; whether that is the present is the
/// caller's to check. What counts of the account is judged at the view's newest timestamp
/// ([`now_ns`]), never by a clock.
pub fn verify_account(
    trust: &LogTrust,
    view: Option<&TreeView>,
    known: Option<&AccountHistory>,
    account: AccountId,
    answer: &LabelAnswer,
    head: &[u8],
) -> Result<LookedUp<Option<AccountHistory>>, LookupError> {
    let mut reading = Reading::open(trust, view, head)?;
    let (history, watch) = reading.account(known, account, answer)?;
    reading.finish(history, watch)
}

/// The time at which what was read under a view counts: that of its newest entry, in nanoseconds
/// since 1970. Everybody with that view says the same.
#[must_use]
pub fn now_ns(view: &TreeView) -> u64 {
    view.newest_timestamp()
        .saturating_mul(crate::reading::NS_PER_MS)
}
