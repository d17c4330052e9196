//! Appending posts: each has its own outcome.

use ic_stable_structures::Memory;
use paigham_wire::chain::EntryDigest;
use paigham_wire::frame::{FRAME_BYTES, PostKind, PostRef, verify_post_tag};
use paigham_wire::hash::Hash;
use paigham_wire::ids::QueueId;
use paigham_wire::relay::{BatchReply, Position, PostOutcome, PostRefusal, RelayError};

use crate::entries::{Entries, Range};
use crate::pieces::{Bytes, Posts};
use crate::posts::{check_after_seq, check_epoch, check_room, check_time};
use crate::records::QueueRecord;
use crate::relay::Relay;

impl<M: Memory> Relay<M> {
    /// Takes posts one by one.
    pub(crate) fn append_batch(
        &mut self,
        posts: impl Bytes,
        now: u64,
    ) -> Result<BatchReply, RelayError> {
        let mut posts = Posts::new(posts)?;
        let mut open = None;
        let mut outcomes = Vec::new();
        while let Some(post) = posts.next() {
            let outcome = match post {
                Ok(post) => self.append(&mut open, &post, now),
                Err(_) => Err(PostRefusal::Malformed),
            };
            outcomes.push(outcome.unwrap_or_else(PostOutcome::Refused));
        }
        self.close(open.as_ref());
        Ok(BatchReply { outcomes })
    }

    fn append(
        &mut self,
        slot: &mut Option<OpenQueue>,
        post: &PostRef<'_>,
        now: u64,
    ) -> Result<PostOutcome, PostRefusal> {
        let header = &post.header;
        if header.kind == PostKind::Commit {
            return Err(PostRefusal::WrongKind);
        }
        let open = self.open_queue(slot, &header.queue)?;
        check_after_seq(header, &open.record.leaf)?;
        let hash = post.hash();
        open.recent
            .reach_back(&self.posts, &open.record.entries(), header.after_seq + 1);
        if let Some(position) = open.recent.find(header.after_seq + 1, &hash) {
            return Ok(PostOutcome::Repeat(position));
        }
        check_time(header.not_after, now)?;
        check_epoch(header.epoch, open.record.leaf.epoch)?;
        let keys = open.record.keys.as_ref().ok_or(PostRefusal::WrongMac)?;
        if !verify_post_tag(&keys.mac_key, &hash, post.tag) {
            return Err(PostRefusal::WrongMac);
        }
        check_room(&open.record, header.kind)?;
        let quotas = &self.administration.settings().quotas;
        let bytes = FRAME_BYTES + post.envelope.len();
        open.record.quota.admit_post(now, bytes, quotas)?;
        let position = self.store_entry(&mut open.record, post, hash, &[post.envelope], now)?;
        open.changed = true;
        open.recent.push(EntryDigest {
            accepted_at: now,
            post_hash: hash,
        });
        Ok(PostOutcome::Accepted(position))
    }

    /// The queue of the next post. Posts of one queue in a row cost one look-up and one store.
    fn open_queue<'a>(
        &mut self,
        slot: &'a mut Option<OpenQueue>,
        queue: &QueueId,
    ) -> Result<&'a mut OpenQueue, PostRefusal> {
        if slot.as_ref().is_none_or(|open| open.queue != *queue) {
            self.close(slot.as_ref());
            *slot = None;
            let record = self.load_queue(queue).ok_or(PostRefusal::NoSuchQueue)?;
            *slot = Some(OpenQueue {
                queue: *queue,
                recent: Recent::behind(record.leaf.seq),
                record,
                changed: false,
            });
        }
        slot.as_mut().ok_or(PostRefusal::NoSuchQueue)
    }

    fn close(&mut self, open: Option<&OpenQueue>) {
        if let Some(open) = open.filter(|open| open.changed) {
            self.put_queue(&open.queue, &open.record);
        }
    }
}

/// The queue that a batch is at.
struct OpenQueue {
    queue: QueueId,
    record: QueueRecord,
    changed: bool,
    recent: Recent,
}

/// Digests of the newest entries of a queue, up to its end.
struct Recent {
    first_seq: u32,
    entries: Vec<EntryDigest>,
}

impl Recent {
    /// None yet of a queue whose newest entry is `seq`.
    const fn behind(seq: u32) -> Self {
        Self {
            first_seq: seq + 1,
            entries: Vec::new(),
        }
    }

    /// Reads what is missing from `from` on.
    fn reach_back<M: Memory>(&mut self, posts: &Entries<M>, range: &Range, from: u32) {
        let from = from.max(range.first);
        if from < self.first_seq {
            let older = posts.between(range, from, self.first_seq - 1);
            self.entries
                .splice(..0, older.into_iter().map(|link| link.digest));
            self.first_seq = from;
        }
    }

    /// The newest entry, just stored.
    fn push(&mut self, digest: EntryDigest) {
        self.entries.push(digest);
    }

    /// Where among the entries from `from` on this post is.
    fn find(&self, from: u32, hash: &Hash) -> Option<Position> {
        let known = from.saturating_sub(self.first_seq);
        let entries = self.entries.get(known as usize..)?;
        (self.first_seq + known..)
            .zip(entries)
            .find(|(_, entry)| entry.post_hash == *hash)
            .map(|(seq, entry)| Position {
                seq,
                accepted_at: entry.accepted_at,
            })
    }
}
