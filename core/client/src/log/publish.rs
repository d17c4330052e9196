//! The own records on their way into the log (`spec/client.md` §9.3).

use std::time::Duration;

use paigham_store::{Table, WriteSet};
use paigham_wire::codec::encode;
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::Hash;
use paigham_wire::identity::IdentityRecord;
use paigham_wire::log::{Status, Submission, SubmitState, Submitted};
use paigham_wire::ticket::TicketRefusal;
use serde::{Deserialize, Serialize};

use super::KeptLabel;
use crate::client::Client;
use crate::error::ClientError;
use crate::view::Notice;

const PUBLISHING: &[u8] = b"publishing";
const MADE: &[u8] = b"made";
/// How often one call asks whether a record is in the log, and how long it waits between.
const POLLS: u32 = 100;
const POLL_WAIT: Duration = Duration::from_millis(200);
/// An owner whose record is not in the log after so long is told.
const TOLD_AFTER_NS: u64 = 5 * 60 * 1_000_000_000;

/// An own record that is not in the log yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Publishing {
    #[serde(with = "serde_bytes")]
    record: Vec<u8>,
    version: u32,
    hash: [u8; 32],
    /// The network's time when it was first sent, nanoseconds since 1970; 0 before.
    since: u64,
    /// Whether the owner was told that it takes long.
    told: bool,
}

impl Publishing {
    fn load(set: &WriteSet) -> Result<Option<Self>, ClientError> {
        Ok(set.get(Table::Log, PUBLISHING)?)
    }

    fn save(&self, set: &WriteSet) -> Result<(), ClientError> {
        Ok(set.put(Table::Log, PUBLISHING, self)?)
    }
}

/// Hashes of the records that this device made, and of those that its owner has owned up to. What
/// else appears under the own label is somebody else's.
pub(crate) fn made(set: &WriteSet) -> Result<Vec<Hash>, ClientError> {
    Ok(set.get(Table::Log, MADE)?.unwrap_or_default())
}

/// Enters a record among the own ones.
pub(crate) fn note_made(set: &WriteSet, hash: &Hash) -> Result<(), ClientError> {
    let mut known = made(set)?;
    if !known.contains(hash) {
        known.push(*hash);
    }
    Ok(set.put(Table::Log, MADE, &known)?)
}

/// Keeps an own record that is to be published. There is one at a time: another one is refused
/// while it waits.
///
/// # Errors
/// [`ClientError::RecordPending`].
pub(crate) fn keep_record(set: &WriteSet, record: &IdentityRecord) -> Result<(), ClientError> {
    if Publishing::load(set)?.is_some() {
        return Err(ClientError::RecordPending);
    }
    let hash = record.hash();
    note_made(set, &hash)?;
    let publishing = Publishing {
        record: encode(record),
        version: record.content.record_version,
        hash,
        since: 0,
        told: false,
    };
    publishing.save(set)
}

/// Whether an own record waits to come into the log.
pub(crate) fn is_publishing(set: &WriteSet) -> Result<bool, ClientError> {
    Ok(Publishing::load(set)?.is_some())
}

/// What became of the own record that was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// None was.
    Nothing,
    /// It is in the log, and a search has shown it.
    Done,
}

/// Whether the directory takes the same submission another time.
pub(crate) const fn is_for_later(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Directory(
            DirectoryError::NotReady | DirectoryError::Busy | DirectoryError::Ticket(_)
        )
    )
}

impl Client {
    /// Brings the own record that waits into the log: submits it, waits a while for the entry, and
    /// looks it up. Each step may be interrupted; the next call goes on.
    ///
    /// # Errors
    /// [`ClientError::Unfinished`] while it is not in the log. [`ClientError::RecordLost`] if it
    /// cannot come into the log any more, because another version has taken its place or it does
    /// not follow any more; it is forgotten then.
    pub(crate) async fn publish_record(&mut self) -> Result<Published, ClientError> {
        let Some(waiting) = Publishing::load(&self.store.begin())? else {
            return Ok(Published::Nothing);
        };
        let waiting = self.tell_slow(waiting)?;
        let submission = Submission::Identity(waiting.record.clone().into());
        let label = self.account.id().directory_label();
        match self.bring_in(&label, waiting.version, &submission).await {
            Ok(()) => {}
            Err(ClientError::Directory(DirectoryError::Rejected))
                if !self.is_logged(&waiting).await? =>
            {
                self.forget_record()?;
                return Err(ClientError::RecordLost);
            }
            Err(ClientError::Directory(DirectoryError::Rejected)) => {}
            Err(error) if is_for_later(&error) => {
                return Err(ClientError::Unfinished(
                    "the log does not take the record yet",
                ));
            }
            Err(other) => return Err(other),
        }
        if !self.is_logged(&waiting).await? {
            self.forget_record()?;
            return Err(ClientError::RecordLost);
        }
        self.finish_record()
    }

    /// Submits a version of a label unless it waits already, until it is published.
    pub(crate) async fn bring_in(
        &self,
        label: &[u8],
        version: u32,
        submission: &Submission,
    ) -> Result<(), ClientError> {
        let mut is_taken = false;
        for _ in 0..POLLS {
            let state = match self.version_status(label, version, submission).await {
                Err(ClientError::Directory(DirectoryError::NotWaiting)) if !is_taken => {
                    self.connection.submit(submission, version).await
                }
                answered => answered,
            };
            match state {
                Ok(SubmitState {
                    state: Submitted::Published { .. },
                    ..
                }) => return Ok(()),
                Ok(_) => is_taken = true,
                // Another version of the label waits: its entry decides about this one.
                Err(ClientError::Directory(DirectoryError::Pending)) => {}
                // It waited, and did not follow any more when its turn came.
                Err(ClientError::Directory(
                    DirectoryError::NotWaiting | DirectoryError::Ticket(TicketRefusal::Spent),
                )) => return Err(DirectoryError::Rejected.into()),
                Err(other) => return Err(other),
            }
            tokio::time::sleep(POLL_WAIT).await;
        }
        Err(ClientError::Unfinished("the record is not in the log yet"))
    }

    async fn version_status(
        &self,
        label: &[u8],
        version: u32,
        submission: &Submission,
    ) -> Result<SubmitState, ClientError> {
        let request = Status {
            label: label.into(),
            version,
            value_hash: submission.value_hash(),
        };
        let directory = self.connection.directory().clone();
        self.connection
            .query::<SubmitState, DirectoryError>(&directory, "status", &encode(&request))
            .await
    }

    /// Whether a search shows the record under the own label.
    async fn is_logged(&mut self, waiting: &Publishing) -> Result<bool, ClientError> {
        let own = self.account.id();
        match self.look_up(&[own]).await {
            Ok(_) => {}
            Err(ClientError::NoSuchAccount(_)) => return Ok(false),
            Err(other) => return Err(other),
        }
        let kept = KeptLabel::load(&self.store.begin(), own)?;
        Ok(kept.is_some_and(|kept| kept.history.hash(waiting.version) == Some(&waiting.hash)))
    }

    /// Says once that a record has been on its way for long.
    fn tell_slow(&mut self, mut waiting: Publishing) -> Result<Publishing, ClientError> {
        let now = self.connection.now_ns();
        let is_first = waiting.since == 0;
        let is_slow = !waiting.told && now.saturating_sub(waiting.since) > TOLD_AFTER_NS;
        if is_first {
            waiting.since = now;
        } else if is_slow {
            waiting.told = true;
            self.notices.push(Notice::NotPublished(waiting.version));
        } else {
            return Ok(waiting);
        }
        let set = self.store.begin();
        waiting.save(&set)?;
        self.commit(set)?;
        Ok(waiting)
    }

    fn finish_record(&mut self) -> Result<Published, ClientError> {
        let set = self.store.begin();
        set.delete(Table::Log, PUBLISHING);
        let mut account = self.account.clone();
        // A home that recovers its account is registered once its device is in the record.
        account.registered |= !account.is_recovery();
        account.save(&set)?;
        self.commit(set)?;
        self.account = account;
        Ok(Published::Done)
    }

    fn forget_record(&self) -> Result<(), ClientError> {
        let set = self.store.begin();
        set.delete(Table::Log, PUBLISHING);
        self.commit(set)
    }
}
