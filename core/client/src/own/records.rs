//! The own account as the directory certifies it, and what is sent there: all that this module's
//! neighbours know of how records travel.

use paigham_wire::codec::encode;
use paigham_wire::directory::{DirectoryError, SubmitReply, SubmitRequest};
use paigham_wire::hash::Hash;
use paigham_wire::identity::AccountState;
use paigham_wire::ids::AccountId;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::people::LookedUp;

/// The records of an own account, verified.
pub(super) struct OwnRecords {
    pub state: AccountState,
    /// Certified time, nanoseconds since 1970.
    pub now_ns: u64,
    hashes: Vec<Hash>,
}

impl OwnRecords {
    /// The hash of one of the records.
    pub fn hash_of(&self, version: u32) -> Option<&Hash> {
        self.hashes.get(usize::try_from(version).ok()?)
    }
}

impl Connection {
    pub(super) async fn own_records(&self, account: AccountId) -> Result<OwnRecords, ClientError> {
        let seen = self.look_up(&[account]).await?.pop();
        let LookedUp {
            state,
            hashes,
            time_ns,
            ..
        } = seen.ok_or(ClientError::Bug("a look-up without answer"))?;
        Ok(OwnRecords {
            state,
            now_ns: time_ns,
            hashes,
        })
    }

    /// Sends a record; the same one again is the same. Also gives the time of the certificate over
    /// the answer.
    pub(super) async fn submit_record(
        &self,
        record: &[u8],
    ) -> Result<(Result<(), ClientError>, u64), ClientError> {
        let request = SubmitRequest {
            record: record.into(),
        };
        let directory = self.directory().clone();
        let (answer, time_ns) = self
            .update_at::<SubmitReply, DirectoryError>(&directory, "submit", &encode(&request))
            .await?;
        Ok((answer.map(|_| ()), time_ns))
    }
}
