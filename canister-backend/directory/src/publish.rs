//! New entries of the log: what waits, or nothing for a heartbeat.

use ic_stable_structures::Memory;
use paigham_transparency::publish::{MAX_CHANGES, NewVersion, PublishError, publish};
use paigham_transparency::vrf::VrfError;
use paigham_wire::identity::{IdentityRecord, Signatures};
use paigham_wire::log::Submission;

use crate::directory::Directory;
use crate::judge::{NS_PER_MS, name_record, value_of};
use crate::pending::{QueueKey, Waiting};

/// Between two entries of a log that has something to publish. An idle log publishes at once.
pub const ENTRY_INTERVAL_NS: u64 = 2 * 1_000_000_000;
/// After the newest entry an empty one follows, so that the log is never old.
pub const HEARTBEAT_NS: u64 = 10 * 60 * 1_000_000_000;

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
        let (keys, versions) = self.next_batch(timestamp);
        let heartbeat = self.log.newest().is_some_and(|newest| {
            now_ns >= (newest.timestamp * NS_PER_MS).saturating_add(HEARTBEAT_NS)
        });
        let position = if versions.is_empty() && !heartbeat {
            None
        } else {
            let Some(keys) = self.keys.keys() else {
                return Ok(None);
            };
            Some(publish(&mut self.log, &keys.vrf, timestamp, &versions)?)
        };
        for key in &keys {
            self.pending.remove(key);
        }
        self.log.flush();
        Ok(position)
    }

    /// The versions of the next entry, and what of the queue is settled by it: those, and what does
    /// not follow any more.
    fn next_batch(&self, timestamp: u64) -> (Vec<QueueKey>, Vec<NewVersion>) {
        let mut settled = Vec::new();
        let mut versions = Vec::new();
        for (key, waiting) in self.pending.first(MAX_CHANGES) {
            versions.extend(waiting.and_then(|waiting| self.new_version(&waiting, timestamp)));
            settled.push(key);
        }
        (settled, versions)
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
            // Nothing of it depends on the time, and its label is closed while it waits.
            Submission::Network(_) | Submission::Handle(_) => {
                paigham_transparency::hash::Label::new(waiting.label.as_slice()).ok()?
            }
        };
        Some(NewVersion {
            opening: keys.opening(&label, waiting.version),
            value: value_of(&waiting.submission).to_vec(),
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
