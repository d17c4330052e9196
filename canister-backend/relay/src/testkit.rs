//! Fills a relay natively, by the code that the canister runs but for signatures: figures need a
//! million queues, whose founders would sign for an hour. Never part of the canister.

use ic_stable_structures::Memory;
use paigham_wire::frame::PostRef;
use paigham_wire::hash::Hash;
use paigham_wire::ids::QueueId;
use paigham_wire::relay::{BatchReply, RelayError, SubmitCommit};

use crate::records::QueueRecord;
use crate::relay::Relay;

pub use crate::limits::BUCKET_PAGES;

impl<M: Memory> Relay<M> {
    /// Puts a queue as it is after its first commit. Neither the creator's nor the committer's
    /// signature is looked at.
    ///
    /// # Errors
    /// Those of `create_queue` and `submit_commit` but for signatures.
    pub fn seed_queue(
        &mut self,
        queue: &QueueId,
        control_key: Hash,
        commit: &SubmitCommit,
        now: u64,
    ) -> Result<(), RelayError> {
        let post = PostRef::decode(commit.post.as_slice()).map_err(|_| RelayError::Malformed)?;
        let mut record = QueueRecord::founded(queue, control_key);
        self.add_queue(queue, &record)?;
        self.store_commit(&mut record, &post, post.hash(), commit, now)?;
        Ok(())
    }

    /// Takes posts, as the method `append_batch` does.
    ///
    /// # Errors
    /// Those of the method.
    pub fn seed_posts(&mut self, posts: &[u8], now: u64) -> Result<BatchReply, RelayError> {
        self.append_batch(posts, now)
    }
}
