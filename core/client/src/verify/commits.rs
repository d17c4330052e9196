//! The chain of commits: it is kept longer than posts, and whoever was away for longer than those
//! goes on from it.

use paigham_wire::chain::{EntryDigest, commit_next};
use paigham_wire::frame::PostKind;
use paigham_wire::hash::Hash;
use paigham_wire::ids::QueueId;
use paigham_wire::leaf::QueueLeaf;
use paigham_wire::relay::{CommitDigest, Entry};

use super::{Cursor, Link, read_entry};
use crate::error::NotVerified;

/// Walks the commits from a cursor's epoch; only a certified commit head makes the walk count.
///
/// The cursor's place among the entries stays where it is: what lies between commits is not seen.
#[derive(Debug)]
pub(crate) struct CommitWalk {
    queue: QueueId,
    started: u32,
    at: Cursor,
    /// Number, among all entries, of the newest commit walked.
    seq: u32,
    /// H(keys) that it registered.
    keys_hash: Option<Hash>,
}

impl CommitWalk {
    /// From what was verified before; the commits walked lie behind entry `reached`.
    pub const fn new(queue: QueueId, cursor: &Cursor, reached: u32) -> Self {
        Self {
            queue,
            started: cursor.epoch,
            at: *cursor,
            seq: reached,
            keys_hash: None,
        }
    }

    /// Whose commits they are.
    pub const fn queue(&self) -> QueueId {
        self.queue
    }

    /// The epoch that the newest commit walked has started.
    pub const fn epoch(&self) -> u32 {
        self.at.epoch
    }

    /// Commit head there.
    pub const fn commit_head(&self) -> Hash {
        self.at.commit_head
    }

    /// One whole commit.
    ///
    /// # Errors
    /// [`NotVerified`] for what is no commit of this queue, and for one that is not the next.
    pub fn entry(&mut self, entry: Entry) -> Result<Link, NotVerified> {
        let (header, digest) = read_entry(self.queue, &entry)?;
        let (PostKind::Commit, Some(registered)) = (header.kind, entry.keys_hash) else {
            return Err(NotVerified::Malformed("fetch"));
        };
        if header.epoch != self.at.epoch {
            return Err(NotVerified::CommitOrder {
                expected: self.at.epoch.saturating_add(1),
                found: header.epoch.saturating_add(1),
            });
        }
        self.step(entry.seq, &digest, &registered)?;
        Ok(Link {
            after: self.at,
            entry,
            header,
            post_hash: digest.post_hash,
        })
    }

    /// The digest of one commit: enough to follow the chain.
    ///
    /// # Errors
    /// [`NotVerified::Order`] if it does not lie behind the one before.
    pub fn digest(&mut self, commit: &CommitDigest) -> Result<(), NotVerified> {
        self.step(commit.seq, &commit.digest, &commit.keys_hash)
    }

    fn step(
        &mut self,
        seq: u32,
        digest: &EntryDigest,
        registered: &Hash,
    ) -> Result<(), NotVerified> {
        if seq <= self.seq {
            return Err(NotVerified::Order {
                expected: self.seq.saturating_add(1),
                found: seq,
            });
        }
        let epoch = self.at.epoch.checked_add(1).ok_or(NotVerified::Epoch)?;
        self.at.commit_head = commit_next(&self.at.commit_head, epoch, seq, digest, registered);
        self.at.epoch = epoch;
        self.seq = seq;
        self.keys_hash = Some(*registered);
        Ok(())
    }

    /// Whether the walk leads exactly to a certified leaf. `Ok(false)`: not yet, more is to come.
    ///
    /// # Errors
    /// [`NotVerified::CommitChain`] if it leads elsewhere, [`NotVerified::Epoch`] if the leaf has
    /// other keys than the newest commit registered.
    pub fn closes(&self, leaf: &QueueLeaf) -> Result<bool, NotVerified> {
        if self.at.epoch < leaf.epoch {
            return Ok(false);
        }
        if self.at.epoch > leaf.epoch || self.at.commit_head != leaf.commit_head {
            return Err(NotVerified::CommitChain {
                after: self.started,
            });
        }
        match self.keys_hash {
            Some(registered) if registered != leaf.keys_hash => Err(NotVerified::Epoch),
            _ => Ok(true),
        }
    }
}
