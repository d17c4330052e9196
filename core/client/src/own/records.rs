//! The own account as the log shows it: all that this module's neighbours know of how records are
//! read.

use paigham_lookup::AccountHistory;
use paigham_wire::hash::Hash;
use paigham_wire::identity::AccountState;

use crate::client::Client;
use crate::error::ClientError;
use crate::log::KeptLabel;

/// The records of an own account, verified.
pub(super) struct OwnRecords {
    pub state: AccountState,
    /// The time of the judgement: that of the log's newest entry, nanoseconds since 1970.
    pub now_ns: u64,
    history: AccountHistory,
}

impl OwnRecords {
    pub fn new(history: AccountHistory, now_ns: u64) -> Self {
        Self {
            state: history.state().clone(),
            now_ns,
            history,
        }
    }

    /// The hash of one of the records.
    pub fn hash_of(&self, version: u32) -> Option<&Hash> {
        self.history.hash(version)
    }

    /// The hashes of all records, oldest first.
    pub fn hashes(&self) -> impl Iterator<Item = &Hash> {
        (0..self.history.next_version()).filter_map(|version| self.hash_of(version))
    }
}

impl Client {
    /// Asks the log for the own records.
    pub(super) async fn own_records(&mut self) -> Result<OwnRecords, ClientError> {
        let account = self.account.id();
        let seen = self.look_up(&[account]).await?.pop();
        let seen = seen.ok_or(ClientError::Bug("a look-up without answer"))?;
        let kept = KeptLabel::load(&self.store.begin(), account)?;
        let kept = kept.ok_or(ClientError::Bug("a look-up without a label"))?;
        Ok(OwnRecords::new(kept.history, seen.now_ns))
    }
}
