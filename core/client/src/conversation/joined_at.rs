//! Where a joiner goes on from: the commit of its Welcome, on the chain to the certified head.

use paigham_group::{Group, GroupError};
use paigham_wire::envelope::WelcomePointer;
use paigham_wire::frame::{PostKind, REPEAT_WINDOW};
use paigham_wire::leaf::QueueLeaf;

use super::Gap;
use super::gap::{commits_from, commits_of};
use super::receive::{Ahead, current_leaf, entries_from, entries_of};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::verify::{CommitWalk, Cursor, Link, Seen, Walk};

/// How far behind the committer's base its commit may lie: the relay takes none further away.
const BASE_MAX_DISTANCE: u32 = REPEAT_WINDOW + 1;

/// Where a joiner goes on from, under a certificate.
pub(super) struct Start {
    pub commit: Link,
    /// If the commit itself and what followed have expired.
    pub gap: Option<Gap>,
    pub leaf: QueueLeaf,
    pub certified: (u64, u64),
}

impl Client {
    /// Finds the commit that started the group's epoch behind the committer's base, on the chain to
    /// the certified head.
    pub(super) async fn find_commit(
        &self,
        group: &Group,
        base: Cursor,
        pointer: &WelcomePointer,
    ) -> Result<Start, ClientError> {
        let queue = pointer.queue;
        let seen = seen_at(&base);
        let token = group.fetch_token(&self.crypto)?;
        let mut walk = Walk::new(queue, &base, seen);
        let mut found = None;
        loop {
            let at = Cursor {
                seq: walk.seq(),
                ..base
            };
            let item = entries_from(queue, token.clone(), &at);
            let (mut answers, certified) = self.fetch(&pointer.canister, vec![item]).await?;
            let mut leaf = current_leaf(&certified, &queue, &seen)?;
            let mut certified = (certified.time_ns, certified.age_ms);
            if leaf.first_seq > walk.seq().saturating_add(1) {
                let start = self.find_expired(group, base, pointer).await?;
                let end = start.leaf.first_seq;
                if start.commit.entry.seq < end {
                    return Ok(start);
                }
                // What lies in front of it has expired, itself it has not.
                let before_end = Cursor {
                    seq: end.saturating_sub(1),
                    head: start.leaf.head_before,
                    ..base
                };
                walk = Walk::new(queue, &before_end, seen);
                continue;
            }
            let answer = answers.pop().ok_or(NotVerified::Malformed("fetch"))?;
            let entries = entries_of(answer)?;
            let is_over = entries.is_empty();
            for entry in entries {
                let link = walk.entry(entry)?;
                if found.is_none() && self.starts(group, &link)? {
                    found = Some(link);
                }
            }
            if found.is_none() && walk.seq().saturating_sub(base.seq) > BASE_MAX_DISTANCE {
                return Err(GroupError::Welcome("its commit is not behind its base").into());
            }
            let mut closes = walk.closes(&leaf)?;
            if !closes && (is_over || found.is_some()) {
                // What lies behind is read once the group is there.
                let mut ahead = Ahead::default();
                (leaf, certified) = self
                    .follow_digests((&pointer.canister, &token), &seen, &mut walk, &mut ahead)
                    .await?;
                closes = true;
            }
            if closes {
                return Ok(Start {
                    commit: found.ok_or(NotVerified::Epoch)?,
                    gap: None,
                    leaf,
                    certified,
                });
            }
        }
    }

    /// As [`Client::find_commit`], where what lies behind the base has expired: by the chain of
    /// commits.
    async fn find_expired(
        &self,
        group: &Group,
        base: Cursor,
        pointer: &WelcomePointer,
    ) -> Result<Start, ClientError> {
        let (queue, seen) = (pointer.queue, seen_at(&base));
        let token = group.fetch_token(&self.crypto)?;
        let item = commits_from(queue, token.clone(), base.epoch);
        let (mut answers, certified) = self.fetch(&pointer.canister, vec![item]).await?;
        let mut leaf = current_leaf(&certified, &queue, &seen)?;
        let mut certified = (certified.time_ns, certified.age_ms);
        if leaf.first_epoch > group.epoch() {
            return Err(ClientError::Ended(
                "what an invitation leads to has expired".into(),
            ));
        }
        let mut walk = CommitWalk::new(queue, &base, base.seq);
        let answer = answers.pop().ok_or(NotVerified::Malformed("fetch"))?;
        let first = commits_of(answer)?.into_iter().next();
        let mut commit = walk.entry(first.ok_or(NotVerified::Malformed("fetch"))?)?;
        if !walk.closes(&leaf)? {
            let mut ahead = Ahead::default();
            (leaf, certified) = self
                .follow_commit_digests((&pointer.canister, &token), &seen, &mut walk, &mut ahead)
                .await?;
        }
        if !self.starts(group, &commit)? {
            return Err(NotVerified::Epoch.into());
        }
        commit.after.seq = commit.entry.seq;
        Ok(Start {
            gap: Some(Gap::behind(commit.entry.seq)),
            commit,
            leaf,
            certified,
        })
    }

    fn starts(&self, group: &Group, link: &Link) -> Result<bool, ClientError> {
        if link.header.kind != PostKind::Commit || link.after.epoch != group.epoch() {
            return Ok(false);
        }
        match link.entry.keys_hash {
            Some(registered) => Ok(group.is_current_commit(&self.crypto, &registered)?),
            None => Ok(false),
        }
    }
}

/// A joiner has seen of the queue what its Welcome names.
const fn seen_at(base: &Cursor) -> Seen {
    Seen {
        seq: base.seq,
        head: base.head,
        epoch: base.epoch,
        generation: 0,
        first_seq: 0,
    }
}
