//! Appending posts: each has its own outcome, and a batch costs each queue one look-up and one store.

use std::collections::BTreeMap;

use ic_stable_structures::Memory;
use paigham_wire::chain::EntryDigest;
use paigham_wire::frame::{FrameError, PostKind, PostRef, verify_post_tag};
use paigham_wire::hash::Hash;
use paigham_wire::ids::QueueId;
use paigham_wire::leaf::QueueLeaf;
use paigham_wire::relay::{
    BATCH_MAX_POSTS, BatchReply, Position, PostOutcome, PostRefusal, RelayError,
};

use crate::posts::{check_after_seq, check_epoch, check_time};
use crate::records::QueueRecord;
use crate::relay::Relay;

impl<M: Memory> Relay<M> {
    /// Takes posts one by one. Their queues are stored at the end: whatever stops the call before
    /// undoes all of it.
    pub(crate) fn append_batch(
        &mut self,
        posts: &[u8],
        now: u64,
    ) -> Result<BatchReply, RelayError> {
        // Before anything is stored: a refused request leaves nothing behind.
        let posts = frames(posts)?;
        let mut batch = Batch::default();
        let outcomes = posts
            .iter()
            .map(|post| match post {
                Ok(post) => self
                    .append(&mut batch, post, now)
                    .unwrap_or_else(PostOutcome::Refused),
                Err(_) => PostOutcome::Refused(PostRefusal::Malformed),
            })
            .collect();
        for (queue, open) in batch.queues {
            if open.changed {
                self.put_queue(&queue, &open.record);
            }
        }
        Ok(BatchReply { outcomes })
    }

    fn append(
        &mut self,
        batch: &mut Batch,
        post: &PostRef<'_>,
        now: u64,
    ) -> Result<PostOutcome, PostRefusal> {
        let header = &post.header;
        if header.kind == PostKind::Commit {
            return Err(PostRefusal::WrongKind);
        }
        let (open, recent) = batch.open(self, &header.queue)?;
        let leaf = &open.record.leaf;
        check_after_seq(header, leaf)?;
        let hash = post.hash();
        recent.reach_back(self, &header.queue, leaf, header.after_seq + 1);
        if let Some(position) = recent.find(header.after_seq + 1, &hash) {
            return Ok(PostOutcome::Repeat(position));
        }
        check_time(header.not_after, now)?;
        check_epoch(header.epoch, leaf.epoch)?;
        let keys = open.record.keys.as_ref().ok_or(PostRefusal::WrongMac)?;
        if !verify_post_tag(&keys.mac_key, &hash, post.tag) {
            return Err(PostRefusal::WrongMac);
        }
        let position = self.store_entry(&mut open.record, post, hash, None, now)?;
        open.changed = true;
        recent.push(EntryDigest {
            accepted_at: now,
            post_hash: hash,
        });
        Ok(PostOutcome::Accepted(position))
    }
}

/// The posts of a batch. A malformed one is the last: where the next starts is unknown.
fn frames(mut rest: &[u8]) -> Result<Vec<Result<PostRef<'_>, FrameError>>, RelayError> {
    let mut posts = Vec::new();
    while !rest.is_empty() {
        if posts.len() == BATCH_MAX_POSTS {
            return Err(RelayError::TooLarge);
        }
        let post = PostRef::split_first(rest).map(|(post, behind)| {
            rest = behind;
            post
        });
        if post.is_err() {
            rest = &[];
        }
        posts.push(post);
    }
    Ok(posts)
}

/// The queues that a batch has come across.
#[derive(Default)]
struct Batch {
    queues: BTreeMap<QueueId, OpenQueue>,
    /// Of the queue of the last post only: strangers could fill the heap with all of them.
    recent: Option<(QueueId, Recent)>,
}

struct OpenQueue {
    record: QueueRecord,
    changed: bool,
}

impl Batch {
    fn open<M: Memory>(
        &mut self,
        relay: &Relay<M>,
        queue: &QueueId,
    ) -> Result<(&mut OpenQueue, &mut Recent), PostRefusal> {
        use std::collections::btree_map::Entry;
        let open = match self.queues.entry(*queue) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert(OpenQueue {
                record: relay.queue(queue).ok_or(PostRefusal::NoSuchQueue)?,
                changed: false,
            }),
        };
        if self.recent.as_ref().is_none_or(|(of, _)| of != queue) {
            self.recent = None;
        }
        let seq = open.record.leaf.seq;
        let recent = self
            .recent
            .get_or_insert_with(|| (*queue, Recent::behind(seq)));
        Ok((open, &mut recent.1))
    }
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
    fn reach_back<M: Memory>(
        &mut self,
        relay: &Relay<M>,
        queue: &QueueId,
        leaf: &QueueLeaf,
        from: u32,
    ) {
        let from = from.max(leaf.first_seq);
        let missing = self.first_seq.saturating_sub(from) as usize;
        if missing > 0 {
            let older = relay.digests_from(queue, leaf, from).take(missing);
            self.entries.splice(..0, older.map(|(_, digest)| digest));
            self.first_seq = from;
        }
    }

    /// The newest entry, just stored.
    fn push(&mut self, digest: EntryDigest) {
        self.entries.push(digest);
    }

    /// Where among the entries from `from` on this post is.
    fn find(&self, from: u32, hash: &Hash) -> Option<Position> {
        (self.first_seq..)
            .zip(&self.entries)
            .skip(from.saturating_sub(self.first_seq) as usize)
            .find(|(_, entry)| entry.post_hash == *hash)
            .map(|(seq, entry)| Position {
                seq,
                accepted_at: entry.accepted_at,
            })
    }
}
