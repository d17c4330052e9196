//! New entries of the log: what waits, or nothing for a heartbeat.

use ic_stable_structures::Memory;
use paigham_transparency::hash::Label;
use paigham_transparency::publish::{MAX_CHANGES, NewVersion, PublishError, publish};
use paigham_transparency::vrf::VrfError;
use paigham_wire::identity::handle::HandleRecord;
use paigham_wire::identity::{IdentityRecord, Signatures};
use paigham_wire::log::Submission;

use crate::directory::Directory;
use crate::handles::name_handle;
use crate::judge::{NS_PER_MS, name_record};
use crate::pending::{QueueKey, Waiting};

/// Milliseconds in a second: entries have those, network files count in these.
const MS_PER_SECOND: u64 = 1_000;

/// Between two entries of a log that has something to publish. An idle log publishes at once.
pub const ENTRY_INTERVAL_NS: u64 = 2 * 1_000_000_000;
/// After the newest entry an empty one follows, so that the log is never old.
pub const HEARTBEAT_NS: u64 = 10 * 60 * 1_000_000_000;

/// What the next entry is made of.
#[derive(Default)]
struct Batch {
    /// What of the queue is settled by it: what is published, and what does not follow any more.
    settled: Vec<QueueKey>,
    versions: Vec<NewVersion>,
    /// Records of handles among them.
    handles: Vec<HandleRecord>,
}

impl<M: Memory> Directory<M> {
    /// When the next entry is due, in nanoseconds since 1970; `None` while there is nothing to begin
    /// with.
    #[must_use]
    pub fn next_entry_ns(&self) -> Option<u64> {
        let Some(newest) = self.log.newest() else {
            return (!self.pending.is_empty()).then_some(0);
        };
        let wait = if self.pending.is_empty() {
            HEARTBEAT_NS
        } else {
            ENTRY_INTERVAL_NS
        };
        Some((newest.timestamp * NS_PER_MS).saturating_add(wait))
    }

    /// The timestamp of an entry made now: the canister's clock, or that of the newest entry if the
    /// clock has gone back.
    pub(crate) fn entry_time_ms(&self, now_ns: u64) -> u64 {
        let newest = self.log.newest().map_or(0, |entry| entry.timestamp);
        newest.max(now_ns / NS_PER_MS)
    }

    /// Adds an entry if one is due and returns its position. What no longer follows is dropped.
    ///
    /// # Errors
    /// [`PublishError`]; nothing is changed but for [`PublishError::Store`], after which the caller
    /// must trap.
    pub fn publish_due(&mut self, now_ns: u64) -> Result<Option<u64>, PublishError> {
        if self.next_entry_ns().is_none_or(|due| now_ns < due) {
            return Ok(None);
        }
        let timestamp = self.entry_time_ms(now_ns);
        let batch = self.next_batch(timestamp);
        let heartbeat = self.log.newest().is_some_and(|newest| {
            now_ns >= (newest.timestamp * NS_PER_MS).saturating_add(HEARTBEAT_NS)
        });
        let position = if batch.versions.is_empty() && !heartbeat {
            None
        } else {
            let Some(keys) = self.keys.keys() else {
                return Ok(None);
            };
            Some(publish(
                &mut self.log,
                &keys.vrf,
                timestamp,
                &batch.versions,
            )?)
        };
        for key in &batch.settled {
            self.pending.remove(key);
        }
        for record in &batch.handles {
            self.holders.note(record);
        }
        self.log.flush();
        Ok(position)
    }

    fn next_batch(&self, timestamp: u64) -> Batch {
        let mut batch = Batch::default();
        for (key, waiting) in self.pending.first(MAX_CHANGES) {
            let handle = waiting.as_ref().and_then(handle_record);
            if handle
                .as_ref()
                .is_some_and(|record| self.is_put_off(record, &batch))
            {
                continue;
            }
            let version = waiting.and_then(|waiting| self.new_version(&waiting, timestamp));
            if version.is_some() {
                batch.handles.extend(handle);
            }
            batch.versions.extend(version);
            batch.settled.push(key);
        }
        batch
    }

    /// Whether a handle's record has to wait for another entry: its account has a record that
    /// waits, or another handle's in this entry.
    fn is_put_off(&self, record: &HandleRecord, batch: &Batch) -> bool {
        let account = record.content.account;
        let mut handles = batch.handles.iter();
        self.account_waits(record) || handles.any(|other| other.content.account == account)
    }

    fn new_version(&self, waiting: &Waiting, timestamp: u64) -> Option<NewVersion> {
        let keys = self.keys.keys()?;
        let label = match &waiting.submission {
            Submission::Identity(bytes) => {
                let record = IdentityRecord::decode(bytes.as_slice()).ok()?;
                let named = name_record(&record).ok()?;
                let now_ns = timestamp * NS_PER_MS;
                self.judge_record(&named, &record, now_ns, Signatures::Verified)
                    .ok()?;
                named.label
            }
            Submission::Handle(bytes) => {
                let record = HandleRecord::decode(bytes.as_slice()).ok()?;
                let named = name_handle(&record).ok()?;
                self.judge_handle(&named, &record, timestamp * NS_PER_MS)
                    .ok()?;
                named.label
            }
            Submission::Network(bytes) => {
                if waiting.version > 0 {
                    self.judge_next_network(bytes.as_slice(), timestamp / MS_PER_SECOND)
                        .ok()?;
                }
                Label::new(waiting.label.as_slice()).ok()?
            }
        };
        Some(NewVersion {
            opening: keys.opening(&label, waiting.version),
            value: waiting.submission.value().as_slice().to_vec(),
            label,
        })
    }

    /// Makes at most `most` VRF proofs that searches will need; `false` if none is missing.
    ///
    /// # Errors
    /// [`VrfError`].
    pub fn prove_some(&mut self, most: usize) -> Result<bool, VrfError> {
        let from = *self.proved.get();
        let Some(keys) = self.keys.keys() else {
            return Ok(false);
        };
        let next = self.log.prove_some(&keys.vrf, from, most)?;
        self.proved.set(next);
        Ok(next < self.log.version_records())
    }
}

/// The handle's record that waits, if it is one.
fn handle_record(waiting: &Waiting) -> Option<HandleRecord> {
    match &waiting.submission {
        Submission::Handle(bytes) => HandleRecord::decode(bytes.as_slice()).ok(),
        Submission::Identity(_) | Submission::Network(_) => None,
    }
}
