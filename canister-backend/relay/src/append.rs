//! Appending posts: each has its own outcome.

use std::collections::VecDeque;

use ic_stable_structures::Memory;
use paigham_wire::chain::EntryDigest;
use paigham_wire::frame::{FRAME_BYTES, PostHeader, PostKind, PostRef, verify_post_tag};
use paigham_wire::hash::Hash;
use paigham_wire::ids::QueueId;
use paigham_wire::relay::{BatchReply, Position, PostOutcome, PostRefusal, RelayError};

use crate::entries::{Entries, Range};
use crate::limits::{PROVEN_MAX_LINKS, UNPROVEN_MAX_LINKS};
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
        let mut batch = Batch {
            open: None,
            proven_links: PROVEN_MAX_LINKS,
            unproven_links: UNPROVEN_MAX_LINKS,
        };
        let mut outcomes = Vec::new();
        while let Some(post) = posts.next() {
            let outcome = match post {
                Ok(post) => self.append(&mut batch, &post, now),
                Err(_) => Err(PostRefusal::Malformed),
            };
            outcomes.push(outcome.unwrap_or_else(PostOutcome::Refused));
        }
        self.close(batch.open.as_ref());
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
        let open = self.open_queue(&mut batch.open, &header.queue)?;
        check_after_seq(header, &open.record.leaf)?;
        let hash = post.hash();
        // Whoever has no key does not make the relay search at will. That of an epoch that is over
        // is gone, so its posts share what may be read for them.
        let links = if header.epoch == open.record.leaf.epoch {
            check_mac(&open.record, post, &hash)?;
            &mut batch.proven_links
        } else {
            &mut batch.unproven_links
        };
        open.recent.spend(header, links)?;
        let from = header.after_seq + 1;
        open.recent.reach_back(&self.posts, from);
        if let Some(position) = open.recent.find(from, &hash) {
            return Ok(PostOutcome::Repeat(position));
        }
        check_time(header.not_after, now)?;
        check_epoch(header.epoch, open.record.leaf.epoch)?;
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
                recent: Recent::behind(record.entries()),
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

fn check_mac(record: &QueueRecord, post: &PostRef<'_>, hash: &Hash) -> Result<(), PostRefusal> {
    match &record.keys {
        Some(keys) if verify_post_tag(&keys.mac_key, hash, post.tag) => Ok(()),
        _ => Err(PostRefusal::WrongMac),
    }
}

/// What a batch has reached.
struct Batch {
    open: Option<OpenQueue>,
    /// Links that may still be read for posts of the current epoch, whose MAC holds.
    proven_links: u32,
    /// Links that may still be read for posts that prove nothing.
    unproven_links: u32,
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
    /// The entries before them.
    unread: Range,
    entries: VecDeque<EntryDigest>,
}

impl Recent {
    /// None yet of a queue with these entries.
    const fn behind(entries: Range) -> Self {
        Self {
            unread: entries,
            entries: VecDeque::new(),
        }
    }

    /// Takes what [`Recent::reach_back`] will read for this post off what may be read.
    fn spend(&self, header: &PostHeader, links: &mut u32) -> Result<(), PostRefusal> {
        let before = header.after_seq.max(self.unread.first - 1);
        let needed = self.unread.last.saturating_sub(before);
        *links = links.checked_sub(needed).ok_or(PostRefusal::Busy)?;
        Ok(())
    }

    /// Reads what is missing from `from` on: one link an entry.
    fn reach_back<M: Memory>(&mut self, posts: &Entries<M>, from: u32) {
        while self.unread.last >= from {
            let Some(link) = posts.take_newest(&mut self.unread) else {
                return;
            };
            self.entries.push_front(link.digest);
        }
    }

    /// The newest entry, just stored.
    fn push(&mut self, digest: EntryDigest) {
        self.entries.push_back(digest);
    }

    /// Where among the entries from `from` on this post is.
    fn find(&self, from: u32, hash: &Hash) -> Option<Position> {
        let first = self.unread.last + 1;
        let known = from.saturating_sub(first);
        (first + known..)
            .zip(self.entries.iter().skip(known as usize))
            .find(|(_, entry)| entry.post_hash == *hash)
            .map(|(seq, entry)| Position {
                seq,
                accepted_at: entry.accepted_at,
            })
    }
}
