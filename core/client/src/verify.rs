//! From a certified leaf to entries that count (`spec/protocol.md` §6.3). Pure: what was answered
//! and what is known goes in, what is verified comes out.

use paigham_wire::chain::{EntryDigest, commit_next, inbox_next, queue_next};
use paigham_wire::codec::decode;
use paigham_wire::frame::{PostHeader, PostKind, post_hash};
use paigham_wire::hash::{Hash, blake3};
use paigham_wire::ids::{InboxId, QueueId};
use paigham_wire::leaf::{InboxLeaf, Leaf, QueueLeaf};
use paigham_wire::map::{Found, Witness};
use paigham_wire::relay::{DepositEntry, Entry};
use serde::{Deserialize, Serialize};

use crate::error::NotVerified;

mod commits;

pub(crate) use commits::CommitWalk;

/// Where a queue was read to: everything up to here was verified and taken.
///
/// While entries that expired are being crossed, epoch and commit head run ahead of the entry and
/// its head (`conversation::gap`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Newest entry taken.
    pub seq: u32,
    /// Head there.
    #[serde(with = "serde_bytes")]
    pub head: [u8; 32],
    /// Commit head there.
    #[serde(with = "serde_bytes")]
    pub commit_head: [u8; 32],
    /// Epoch after it.
    pub epoch: u32,
}

/// The newest certified state of a queue that was seen; it may lie ahead of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Newest entry.
    pub seq: u32,
    /// Head there.
    #[serde(with = "serde_bytes")]
    pub head: [u8; 32],
    /// Epoch.
    pub epoch: u32,
    /// Generation.
    pub generation: u32,
    /// First retained entry; 0 in a home that was written before it was kept.
    #[serde(default)]
    pub first_seq: u32,
}

impl From<&QueueLeaf> for Seen {
    fn from(leaf: &QueueLeaf) -> Self {
        Self {
            seq: leaf.seq,
            head: leaf.head,
            epoch: leaf.epoch,
            generation: leaf.generation,
            first_seq: leaf.first_seq,
        }
    }
}

/// The certified leaf of a queue; `None` where its absence is certified.
pub(crate) fn queue_leaf(
    witness: &Witness,
    queue: &QueueId,
) -> Result<Option<QueueLeaf>, NotVerified> {
    match witness.get(&queue.0)? {
        Found::Absent => Ok(None),
        Found::Present(value) => match decode(value) {
            Ok(Leaf::Queue(leaf)) => Ok(Some(leaf)),
            _ => Err(NotVerified::Differs("another leaf where a queue is due")),
        },
    }
}

/// The certified leaf of an inbox; `None` where its absence is certified.
pub(crate) fn inbox_leaf(
    witness: &Witness,
    inbox: &InboxId,
) -> Result<Option<InboxLeaf>, NotVerified> {
    match witness.get(&inbox.0)? {
        Found::Absent => Ok(None),
        Found::Present(value) => match decode(value) {
            Ok(Leaf::Inbox(leaf)) => Ok(Some(leaf)),
            _ => Err(NotVerified::Differs("another leaf where an inbox is due")),
        },
    }
}

/// Whether a certified leaf is not older than, and no fork of, what was seen.
pub(crate) fn check_not_older(seen: &Seen, leaf: &QueueLeaf) -> Result<(), NotVerified> {
    let older = |what, known: u32, found: u32| NotVerified::Older {
        what,
        known: known.into(),
        found: found.into(),
    };
    if leaf.seq < seen.seq {
        return Err(older("entry", seen.seq, leaf.seq));
    }
    if leaf.epoch < seen.epoch {
        return Err(older("epoch", seen.epoch, leaf.epoch));
    }
    if leaf.generation < seen.generation {
        return Err(older("generation", seen.generation, leaf.generation));
    }
    if leaf.first_seq < seen.first_seq {
        return Err(older(
            "first retained entry",
            seen.first_seq,
            leaf.first_seq,
        ));
    }
    if leaf.seq == seen.seq && leaf.head != seen.head {
        return Err(NotVerified::Fork(leaf.seq));
    }
    Ok(())
}

/// An entry whose place in the chain is computed, not yet certified.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// As it was answered.
    pub entry: Entry,
    /// Its header.
    pub header: PostHeader,
    /// H(post).
    pub post_hash: Hash,
    /// Where the queue stands after it.
    pub after: Cursor,
}

/// Walks a chain from a cursor; only a certified head makes the walk count.
#[derive(Debug)]
pub(crate) struct Walk {
    queue: QueueId,
    started: u32,
    seen: Seen,
    head: Hash,
    seq: u32,
    /// Epoch, commit head and H(keys) after the whole entries walked; digests tell nothing of them.
    state: Option<(u32, Hash, Option<Hash>)>,
}

impl Walk {
    /// From what was verified before.
    pub fn new(queue: QueueId, cursor: &Cursor, seen: Seen) -> Self {
        Self {
            queue,
            started: cursor.seq,
            seen,
            head: cursor.head,
            seq: cursor.seq,
            state: Some((cursor.epoch, cursor.commit_head, None)),
        }
    }

    /// Whose entries they are.
    pub const fn queue(&self) -> QueueId {
        self.queue
    }

    /// Newest entry walked.
    pub const fn seq(&self) -> u32 {
        self.seq
    }

    /// Head there.
    pub const fn head(&self) -> Hash {
        self.head
    }

    /// One whole entry.
    pub fn entry(&mut self, entry: Entry) -> Result<Link, NotVerified> {
        let malformed = || NotVerified::Malformed("fetch");
        let (header, digest) = read_entry(self.queue, &entry)?;
        let (mut epoch, mut commit_head, mut keys_hash) = self.state.ok_or_else(malformed)?;
        self.step(entry.seq, &digest)?;
        match (header.kind, entry.keys_hash) {
            (PostKind::Commit, Some(registered)) => {
                epoch = epoch.checked_add(1).ok_or(NotVerified::Epoch)?;
                commit_head = commit_next(&commit_head, epoch, entry.seq, &digest, &registered);
                keys_hash = Some(registered);
            }
            (PostKind::Application | PostKind::Proposal, None) => {}
            _ => return Err(malformed()),
        }
        self.state = Some((epoch, commit_head, keys_hash));
        Ok(Link {
            after: Cursor {
                seq: entry.seq,
                head: self.head,
                commit_head,
                epoch,
            },
            entry,
            header,
            post_hash: digest.post_hash,
        })
    }

    /// One digest: enough to follow the chain.
    pub fn digest(&mut self, digest: &EntryDigest) -> Result<(), NotVerified> {
        self.state = None;
        let next = self
            .seq
            .checked_add(1)
            .ok_or(NotVerified::Malformed("fetch"))?;
        self.step(next, digest)
    }

    fn step(&mut self, seq: u32, digest: &EntryDigest) -> Result<(), NotVerified> {
        let expected = self.seq.saturating_add(1);
        if seq != expected {
            return Err(NotVerified::Order {
                expected,
                found: seq,
            });
        }
        self.head = queue_next(&self.head, seq, digest);
        self.seq = seq;
        if seq == self.seen.seq && self.head != self.seen.head {
            return Err(NotVerified::Chain {
                after: self.started,
            });
        }
        Ok(())
    }

    /// Whether the walk leads exactly to a certified leaf. `Ok(false)`: not yet, more is to come.
    pub fn closes(&self, leaf: &QueueLeaf) -> Result<bool, NotVerified> {
        if self.seq < leaf.seq {
            return Ok(false);
        }
        if self.seq > leaf.seq || self.head != leaf.head {
            return Err(NotVerified::Chain {
                after: self.started,
            });
        }
        if let Some((epoch, commit_head, keys_hash)) = self.state {
            let keys_fit = keys_hash.is_none_or(|registered| registered == leaf.keys_hash);
            if epoch != leaf.epoch || commit_head != leaf.commit_head || !keys_fit {
                return Err(NotVerified::Epoch);
            }
        }
        Ok(true)
    }
}

/// Header and digest of an entry, if it is whole and of this queue.
fn read_entry(queue: QueueId, entry: &Entry) -> Result<(PostHeader, EntryDigest), NotVerified> {
    let malformed = || NotVerified::Malformed("fetch");
    let header = PostHeader::from_bytes(&entry.header).map_err(|_| malformed())?;
    if header.queue != queue {
        return Err(NotVerified::OtherQueue);
    }
    let envelope = entry.envelope.as_slice();
    if header.length as usize != envelope.len() {
        return Err(malformed());
    }
    let digest = EntryDigest {
        accepted_at: entry.accepted_at,
        post_hash: post_hash(&entry.header, envelope),
    };
    Ok((header, digest))
}

/// Checks that deposits and digests lead from what was read to the certified head; returns the head
/// after each deposit.
pub(crate) fn follow_inbox(
    (seq, head): (u32, Hash),
    deposits: &[DepositEntry],
    rest: &[EntryDigest],
    leaf: &InboxLeaf,
) -> Result<Vec<Hash>, NotVerified> {
    let mut at = (seq, head);
    let mut heads = Vec::with_capacity(deposits.len());
    for deposit in deposits {
        let expected = at.0.saturating_add(1);
        if deposit.seq != expected {
            return Err(NotVerified::Order {
                expected,
                found: deposit.seq,
            });
        }
        let hash = blake3(deposit.sealed.as_slice());
        at = (
            expected,
            inbox_next(&at.1, expected, deposit.accepted_at, &hash),
        );
        heads.push(at.1);
    }
    for digest in rest {
        let next = at.0.saturating_add(1);
        let head = inbox_next(&at.1, next, digest.accepted_at, &digest.post_hash);
        at = (next, head);
    }
    if at == (leaf.seq, leaf.head) {
        Ok(heads)
    } else {
        Err(NotVerified::Chain { after: seq })
    }
}

#[cfg(test)]
mod tests;
