//! What the home keeps of the log: one view of the tree, and of each label what was verified.
//!
//! View and labels change in one write-set: an answer continues from the view that its question
//! named, so that a view without its labels, or labels without their view, would be another log's.

use paigham_lookup::evidence::ShownHead;
use paigham_lookup::{AccountHistory, LookupError};
use paigham_store::{Table, WriteSet};
use paigham_transparency::codec::Codec;
use paigham_transparency::verifier::{ContactMap, MonitoredVersion, TreeView};
use paigham_wire::ids::AccountId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::error::ClientError;
use crate::people::next_number;

const VIEW: &[u8] = b"view";
const SIGNATURE: &[u8] = b"view signature";
const ALL: &[u8] = b"all";

/// What was verified of an account's label.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LabelRow {
    #[serde(with = "serde_bytes")]
    history: Vec<u8>,
    /// Versions that no owner can have seen yet when they were shown.
    #[serde(with = "serde_bytes")]
    watch: Vec<u8>,
    /// Timestamp of the newest entry when the greatest version was last looked up, milliseconds.
    looked_at: u64,
    /// The network's time when `watch` was last held against the log, milliseconds.
    watched_at: u64,
}

/// A label as it is worked with.
#[derive(Debug, Clone)]
pub(crate) struct KeptLabel {
    /// Its records, followed from the first.
    pub history: AccountHistory,
    /// Versions under watch.
    pub watch: ContactMap,
    /// Timestamp of the newest entry when the greatest version was last looked up, milliseconds.
    pub looked_at: u64,
    /// The network's time when `watch` was last held against the log, milliseconds.
    pub watched_at: u64,
}

impl KeptLabel {
    /// What is kept of an account.
    pub fn load(set: &WriteSet, account: AccountId) -> Result<Option<Self>, ClientError> {
        let row: Option<LabelRow> = set.get(Table::Log, &account.0)?;
        row.map(|row| {
            Ok(Self {
                history: AccountHistory::from_bytes(&row.history).map_err(|_| damaged())?,
                watch: ContactMap::decode(&row.watch).map_err(|_| damaged())?,
                looked_at: row.looked_at,
                watched_at: row.watched_at,
            })
        })
        .transpose()
    }

    /// Keeps it, and enters the account into the list at the first time.
    pub fn save(&self, set: &WriteSet, account: AccountId) -> Result<(), ClientError> {
        let is_new = set.get::<LabelRow>(Table::Log, &account.0)?.is_none();
        if is_new {
            let number = next_number(set, Table::Log, ALL)?;
            set.put_at(Table::Log, ALL, number, &account.0)?;
        }
        let row = LabelRow {
            history: self.history.to_bytes(),
            watch: encoded(&self.watch)?,
            looked_at: self.looked_at,
            watched_at: self.watched_at,
        };
        Ok(set.put(Table::Log, &account.0, &row)?)
    }

    /// As [`KeptLabel::looked_at`], nanoseconds since 1970.
    pub const fn seen_ns(&self) -> u64 {
        self.looked_at.saturating_mul(1_000_000)
    }

    /// Takes a version under watch that an answer showed.
    pub fn watch_too(&mut self, version: Option<MonitoredVersion>) -> Result<(), ClientError> {
        match version {
            None => Ok(()),
            Some(version) => Ok(self.watch.add(version).map_err(LookupError::from)?),
        }
    }
}

/// All accounts that were ever looked up.
pub(crate) fn all_labels(set: &WriteSet) -> Result<Vec<AccountId>, ClientError> {
    let listed: Vec<(u64, [u8; 16])> = set.scan(Table::Log, ALL, 0, u64::MAX)?;
    Ok(listed
        .into_iter()
        .map(|(_, account)| AccountId(account))
        .collect())
}

/// The newest head that was verified; `None` before the first answer.
pub(crate) fn kept_view(set: &WriteSet) -> Result<Option<TreeView>, ClientError> {
    let bytes: Option<ByteBuf> = set.get(Table::Log, VIEW)?;
    bytes
        .map(|bytes| TreeView::decode(&bytes).map_err(|_| damaged()))
        .transpose()
}

/// Keeps a head, with the signature over it, in place of the one before.
pub(crate) fn keep_view(
    set: &WriteSet,
    view: &TreeView,
    signature: &[u8],
) -> Result<(), ClientError> {
    set.put(Table::Log, SIGNATURE, &ByteBuf::from(signature))?;
    Ok(set.put(Table::Log, VIEW, &ByteBuf::from(encoded(view)?))?)
}

/// The newest head as it can be shown to others; `None` before the first answer.
pub(crate) fn shown_head(set: &WriteSet) -> Result<Option<ShownHead>, ClientError> {
    let view: Option<ByteBuf> = set.get(Table::Log, VIEW)?;
    let signature: Option<ByteBuf> = set.get(Table::Log, SIGNATURE)?;
    Ok(view.zip(signature).map(|(view, signature)| ShownHead {
        view: view.into_vec().into(),
        signature: signature.into_vec().into(),
    }))
}

/// Bytes of a value that was verified, so that it has an encoding.
pub(crate) fn encoded(value: &impl Codec) -> Result<Vec<u8>, ClientError> {
    value
        .encode()
        .map_err(|_| ClientError::Bug("what was verified does not encode"))
}

pub(crate) const fn damaged() -> ClientError {
    ClientError::Bug("what is kept of the log does not decode")
}
