//! What became of requests: statuses until they expire, and answers as long as there is room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use candid::Principal;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::calls::CallResult;

/// Bytes of answers that are kept for who asks again. Beyond, the oldest are dropped; that they were
/// given, and so the protection against replays, stays until the request expires.
pub(super) const ANSWERS_MAX_BYTES: usize = 256 * 1024 * 1024;
/// How long an answer that took several rounds is kept at least.
const ANSWER_KEPT_NS: u64 = 300 * 1_000_000_000;

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Processing,
    Given(CallResult),
    /// The answer was dropped for room.
    Dropped,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    /// Canister of the address that it was sent to.
    pub effective: Principal,
    pub sender: Principal,
    pub expiry: u64,
    pub answer: Answer,
}

impl Status {
    fn answer_bytes(&self) -> usize {
        match &self.answer {
            Answer::Given(Ok(reply)) => reply.len(),
            Answer::Given(Err(reject)) => reject.message.len(),
            Answer::Processing | Answer::Dropped => 0,
        }
    }
}

/// All requests that are known.
#[derive(Debug, Default)]
pub(super) struct Requests {
    statuses: BTreeMap<Vec<u8>, Status>,
    expiries: BTreeSet<(u64, Vec<u8>)>,
    /// Requests whose answers are kept, oldest first, and the bytes of all answers.
    pub answered: VecDeque<Vec<u8>>,
    pub answers_bytes: usize,
    /// Since the last seal.
    changed: Vec<Vec<u8>>,
}

impl Requests {
    pub fn get(&self, id: &[u8]) -> Option<&Status> {
        self.statuses.get(id)
    }

    pub fn stored(&self) -> BTreeMap<ByteBuf, Status> {
        let statuses = self.statuses.iter();
        statuses
            .map(|(id, status)| (id.clone().into(), status.clone()))
            .collect()
    }

    pub fn set(&mut self, id: Vec<u8>, status: Status) {
        self.expiries.insert((status.expiry, id.clone()));
        if matches!(status.answer, Answer::Given(_)) {
            self.answers_bytes += status.answer_bytes();
            self.answered.push_back(id.clone());
        }
        self.statuses.insert(id.clone(), status);
        self.changed.push(id);
    }

    /// Answers a request. One that took longer than its own expiry is known for a while more.
    pub fn answer(&mut self, id: &[u8], result: CallResult, now: u64) {
        let Some(mut status) = self.statuses.get(id).cloned() else {
            return;
        };
        if status.answer != Answer::Processing {
            return;
        }
        self.expiries.remove(&(status.expiry, id.to_vec()));
        if status.expiry <= now {
            status.expiry = now.saturating_add(ANSWER_KEPT_NS);
        }
        status.answer = Answer::Given(result);
        self.set(id.to_vec(), status);
    }

    /// Drops the oldest answers beyond `most` bytes, but none of the `newest`: those are
    /// about to be certified to who waits.
    pub fn drop_answers(&mut self, newest: usize, most: usize) {
        while self.answers_bytes > most && self.answered.len() > newest {
            let Some(id) = self.answered.pop_front() else {
                return;
            };
            // Expired ones were taken out of the count when they were pruned.
            if let Some(status) = self.statuses.get_mut(&id) {
                self.answers_bytes -= status.answer_bytes();
                status.answer = Answer::Dropped;
                self.changed.push(id);
            }
        }
    }

    /// Forgets what expired, but for what is still being processed; tells which statuses changed
    /// since it was asked last.
    pub fn prune(&mut self, now: u64) -> Vec<Vec<u8>> {
        let mut changed = std::mem::take(&mut self.changed);
        while let Some((expiry, id)) = self.expiries.first().cloned() {
            if expiry >= now {
                break;
            }
            self.expiries.pop_first();
            let Some(status) = self.statuses.get(&id) else {
                continue;
            };
            if status.answer == Answer::Processing {
                continue;
            }
            self.answers_bytes -= status.answer_bytes();
            self.statuses.remove(&id);
            changed.push(id);
        }
        // Now and then, so that the work stays in proportion.
        if self.answered.len() / 2 > self.statuses.len() {
            self.answered.retain(|id| self.statuses.contains_key(id));
        }
        changed
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty()
    }
}
