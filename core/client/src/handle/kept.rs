//! What the home keeps of handles.

use paigham_lookup::LookupError;
use paigham_lookup::handle::JudgedHandle;
use paigham_store::{Table, WriteSet};
use paigham_transparency::codec::Codec;
use paigham_transparency::verifier::{ContactMap, MonitoredVersion};
use paigham_wire::codec::encode;
use paigham_wire::hash::Hash;
use paigham_wire::identity::handle::{HandleRecord, Skeleton};
use paigham_wire::ids::AccountId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::error::ClientError;
use crate::log::{damaged, encoded};
use crate::people::next_number;

const OWN: &[u8] = b"own handle";
const ALL: &[u8] = b"all handles";
const HANDLE_OF: &[u8] = b"handle of ";
/// Own records that are remembered at most; a client makes few.
const MADE_MAX: usize = 256;

/// What was seen of a handle.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct HandleRow {
    version: u32,
    hash: [u8; 32],
    #[serde(with = "serde_bytes")]
    watch: Vec<u8>,
    watched_at: u64,
    /// Who held it when it was looked up last, and as they spelled it.
    holder: Option<([u8; 16], String)>,
}

/// As it is worked with.
#[derive(Debug, Clone)]
pub(crate) struct HandleWatch {
    /// Newest version that was seen.
    pub version: u32,
    /// Hash of its record.
    pub hash: Hash,
    /// Versions that no owner can have seen yet when they were shown.
    pub watch: ContactMap,
    /// The network's time when `watch` was last held against the log, milliseconds.
    pub watched_at: u64,
    /// Who held it when it was looked up last, and as they spelled it.
    pub holder: Option<(AccountId, String)>,
}

impl HandleWatch {
    /// What is kept of a handle.
    pub fn load(set: &WriteSet, skeleton: &Skeleton) -> Result<Option<Self>, ClientError> {
        let row: Option<HandleRow> = set.get(Table::Log, &skeleton.label())?;
        row.map(|row| {
            Ok(Self {
                version: row.version,
                hash: row.hash,
                watch: ContactMap::decode(&row.watch).map_err(|_| damaged())?,
                watched_at: row.watched_at,
                holder: row
                    .holder
                    .map(|(account, shown)| (AccountId(account), shown)),
            })
        })
        .transpose()
    }

    /// Keeps it, and enters the handle into the list at the first time.
    pub fn save(&self, set: &WriteSet, skeleton: &Skeleton) -> Result<(), ClientError> {
        let label = skeleton.label();
        if set.get::<HandleRow>(Table::Log, &label)?.is_none() {
            let number = next_number(set, Table::Log, ALL)?;
            set.put_at(Table::Log, ALL, number, &ByteBuf::from(label.clone()))?;
        }
        let row = HandleRow {
            version: self.version,
            hash: self.hash,
            watch: encoded(&self.watch)?,
            watched_at: self.watched_at,
            holder: self
                .holder
                .clone()
                .map(|(account, shown)| (account.0, shown)),
        };
        Ok(set.put(Table::Log, &label, &row)?)
    }

    /// Keeps who holds the handle, for showing it beside the account.
    pub fn note_holder(
        set: &WriteSet,
        skeleton: &Skeleton,
        judged: &JudgedHandle,
    ) -> Result<(), ClientError> {
        let Some(mut kept) = Self::load(set, skeleton)? else {
            return Ok(());
        };
        let shown = judged.handle().to_string();
        kept.holder = judged.holder().map(|account| (account, shown));
        if let Some((account, _)) = &kept.holder {
            let label = ByteBuf::from(skeleton.label());
            set.put(Table::Log, &handle_of(*account), &label)?;
        }
        kept.save(set, skeleton)
    }

    /// Takes a version under watch that an answer showed.
    pub fn watch_too(&mut self, version: Option<MonitoredVersion>) -> Result<(), ClientError> {
        match version {
            None => Ok(()),
            Some(version) => Ok(self.watch.add(version).map_err(LookupError::from)?),
        }
    }
}

/// Where the handle of an account is noted.
fn handle_of(account: AccountId) -> Vec<u8> {
    [HANDLE_OF, &account.0].concat()
}

/// The handle that an account held when that was looked up last.
pub(crate) fn shown_handle(
    set: &WriteSet,
    account: AccountId,
) -> Result<Option<String>, ClientError> {
    let label: Option<ByteBuf> = set.get(Table::Log, &handle_of(account))?;
    let Some(label) = label else {
        return Ok(None);
    };
    let skeleton = Skeleton::of_label(&label).ok_or_else(damaged)?;
    let kept = HandleWatch::load(set, &skeleton)?;
    Ok(kept
        .and_then(|kept| kept.holder)
        .filter(|(holder, _)| *holder == account)
        .map(|(_, shown)| shown))
}

/// All handles that were ever looked up and had a record.
pub(crate) fn all_handles(set: &WriteSet) -> Result<Vec<Skeleton>, ClientError> {
    let listed: Vec<(u64, ByteBuf)> = set.scan(Table::Log, ALL, 0, u64::MAX)?;
    listed
        .into_iter()
        .map(|(_, label)| Skeleton::of_label(&label).ok_or_else(damaged))
        .collect()
}

/// The own handle: what is on its way, and what this device made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct OwnHandle {
    /// As this device claimed it last; `None` before a claim, and after a release that counts.
    pub shown: Option<String>,
    /// The record that is not in the log yet.
    waiting: Option<ByteBuf>,
    /// Hashes of the records that this device made.
    made: Vec<[u8; 32]>,
}

impl OwnHandle {
    pub(super) fn load(set: &WriteSet) -> Result<Self, ClientError> {
        Ok(set.get(Table::Log, OWN)?.unwrap_or_default())
    }

    pub(super) fn save(&self, set: &WriteSet) -> Result<(), ClientError> {
        Ok(set.put(Table::Log, OWN, self)?)
    }

    /// The record that is to be published.
    pub(super) fn waiting(&self) -> Result<Option<HandleRecord>, ClientError> {
        let waiting = self.waiting.as_ref();
        waiting
            .map(|bytes| HandleRecord::decode(bytes).map_err(|_| damaged()))
            .transpose()
    }

    /// A record that is to be published; it is this device's from now on.
    pub(super) fn wait_for(&mut self, record: &HandleRecord) {
        self.note_made(record.hash());
        self.waiting = Some(encode(record).into());
    }

    /// A record that this device or its owner made.
    pub(super) fn note_made(&mut self, hash: Hash) {
        if self.made.len() >= MADE_MAX {
            self.made.remove(0);
        }
        self.made.push(hash);
    }

    /// What waited is in the log, or never will be.
    pub(super) fn settle(&mut self) {
        self.waiting = None;
    }

    /// Whether this device made the newest record of a handle.
    pub(super) fn has_made(&self, judged: &JudgedHandle) -> bool {
        self.made.contains(judged.state.newest_hash())
    }
}
