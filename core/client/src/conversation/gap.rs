//! Across entries that expired before this device read them: all commits by their own chain, then
//! the entries that are left.
//!
//! ```text
//! entries   … c │ c+1   expired   F−1 │ F  retained  S
//! commits        ●──────●─────●──────────●───────●        one chain to the certified commit head
//!           cursor                    └ the certified head before F is where reading goes on
//! ```
//! While a [`Gap`] is open the cursor's entry stays at `c`; epoch and commit head move with each
//! commit that is taken. Commits in front of F come from their chain, those from F on stand among
//! the entries, and both chains must end in the same commit head.

use paigham_group::Group;
use paigham_store::{Order, Table, WriteSet};
use paigham_wire::ids::{CanisterId, QueueId};
use paigham_wire::keys::ReadToken;
use paigham_wire::leaf::QueueLeaf;
use paigham_wire::relay::{Entry, FetchItem, FetchRefusal, FetchWhat, FetchedItem};
use serde::{Deserialize, Serialize};

use super::history::StoredBody;
use super::receive::{Ahead, Stretch, current_leaf, entries_from};
use super::{Asked, Conversation, MessageRow, StoredStanding};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::verify::{CommitWalk, Cursor, Link, Seen};
use crate::view::{SyncReport, Verified};

/// Entries that expired before this device read them, while they are being crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// The newest commit that was looked at, or the entry before the gap.
    pub reached: u32,
    /// First entry behind the cursor that is not known to be a commit.
    pub first_lost: u32,
    /// Commits that were taken.
    pub commits: u32,
}

impl Gap {
    /// Right behind an entry.
    pub const fn behind(seq: u32) -> Self {
        Self {
            reached: seq,
            first_lost: seq.saturating_add(1),
            commits: 0,
        }
    }

    /// A commit of it is taken.
    pub const fn take(&mut self, seq: u32) {
        if seq == self.first_lost {
            self.first_lost = seq.saturating_add(1);
        }
        self.commits = self.commits.saturating_add(1);
        self.reached = seq;
    }

    /// How many entries behind `cursor` and in front of `end` are lost: they were no commits.
    const fn lost(&self, cursor: &Cursor, end: u32) -> u32 {
        end.saturating_sub(1)
            .saturating_sub(cursor.seq)
            .saturating_sub(self.commits)
    }
}

/// What a gap says in the history: something was there that can be read no more.
///
/// `end` is the first entry behind it and `before_ns` a time by which all of it was accepted. There
/// is no line where nothing but commits expired.
pub(super) fn tell_lost(
    set: &WriteSet,
    one: &Conversation,
    (end, before_ns): (u32, u64),
    certified: (u64, u64),
) -> Result<(), ClientError> {
    let Some(gap) = &one.gap else {
        return Ok(());
    };
    let count = gap.lost(&one.cursor, end);
    if count == 0 {
        return Ok(());
    }
    // The newest line in front of it: whatever was lost is younger.
    let before: Vec<(u64, MessageRow)> = set.page(
        Table::Message,
        &one.queue,
        0..=u64::from(gap.first_lost.saturating_sub(1)),
        Order::Descending,
        1,
    )?;
    let after_ns = before
        .first()
        .map_or(0, |(_, row)| row.verified.accepted_at);
    // Commits right behind the cursor came before the first that is lost.
    let commits_before = gap
        .first_lost
        .saturating_sub(one.cursor.seq.saturating_add(1));
    let epoch = one.cursor.epoch.saturating_add(commits_before);
    let row = MessageRow {
        from: None,
        body: StoredBody::Expired {
            count,
            after_ns,
            before_ns,
        },
        verified: Verified {
            seq: gap.first_lost,
            epoch: epoch.saturating_sub(gap.commits),
            accepted_at: after_ns,
            certificate_time: certified.0,
            certificate_age_ms: certified.1,
        },
    };
    row.save(set, one.queue())
}

/// What one answer of commits comes to.
enum Commits {
    /// The next ones, verified up to the certified commit head.
    There(Stretch),
    /// The next one has expired, says this leaf.
    Expired(QueueLeaf, (u64, u64)),
}

impl Client {
    /// If entries behind the cursor have expired, opens the gap and says so.
    pub(super) fn opens_gap(
        &self,
        one: &Conversation,
        leaf: &QueueLeaf,
    ) -> Result<bool, ClientError> {
        let has_lost = one.has_lost(leaf);
        if has_lost {
            let set = self.store.begin();
            let mut one = Conversation::load(&set, one.queue())?;
            one.gap = Some(Gap::behind(one.cursor.seq));
            one.save(&set)?;
            self.commit(set)?;
        }
        Ok(has_lost)
    }

    /// Takes the commits of a gap, each in a step of its own, and verifies the entries behind it.
    /// `None` if the gap is still open or the conversation ended in it.
    ///
    /// # Errors
    /// [`ClientError`]; what was taken before is kept.
    pub(super) async fn cross_gap(
        &mut self,
        queue: QueueId,
        ahead: &mut Ahead,
        report: &mut SyncReport,
    ) -> Result<Option<Stretch>, ClientError> {
        let mut commits_ahead = Ahead::default();
        loop {
            let one = Conversation::load(&self.store.begin(), queue)?;
            let stretch = match self.commit_stretch(&one, &mut commits_ahead).await? {
                Commits::There(stretch) => stretch,
                Commits::Expired(leaf, certified) => {
                    self.lapse(queue, &leaf, certified)?;
                    return Ok(None);
                }
            };
            let end = stretch.leaf.first_seq;
            let passes = |link: &Link| link.entry.seq >= end;
            let is_through = stretch.complete || stretch.links.iter().any(passes);
            let links = stretch.links.into_iter().filter(|link| !passes(link));
            let in_front = Stretch {
                links: links.collect(),
                leaf: stretch.leaf,
                certified: stretch.certified,
                complete: false,
            };
            if self.take(queue, in_front, report)? {
                return Ok(None);
            }
            if is_through {
                return self.go_on_from(queue, end, ahead).await;
            }
        }
    }

    /// Commits behind the own epoch, verified up to the certified commit head.
    async fn commit_stretch(
        &self,
        one: &Conversation,
        ahead: &mut Ahead,
    ) -> Result<Commits, ClientError> {
        let (queue, shard, token) = (one.queue(), one.shard()?, self.fetch_token(one)?);
        let item = commits_from(queue, token.clone(), one.cursor.epoch);
        let (mut answers, certified) = self.fetch(&shard, vec![item]).await?;
        let mut leaf = current_leaf(&certified, &queue, &one.seen)?;
        let mut certified = (certified.time_ns, certified.age_ms);
        if leaf.first_epoch > one.cursor.epoch.saturating_add(1) {
            return Ok(Commits::Expired(leaf, certified));
        }
        let reached = one.gap.map_or(one.cursor.seq, |gap| gap.reached);
        let mut walk = CommitWalk::new(queue, &one.cursor, reached);
        let answer = answers.pop().ok_or(NotVerified::Malformed("fetch"))?;
        let links = commits_of(answer)?
            .into_iter()
            .map(|commit| walk.entry(commit))
            .collect::<Result<Vec<_>, _>>()?;
        let complete = walk.closes(&leaf)?;
        let is_known = ahead.confirms(walk.epoch(), &walk.commit_head());
        if !complete && links.is_empty() {
            return Err(NotVerified::Malformed("fetch").into());
        }
        if !complete && !is_known {
            (leaf, certified) = self
                .follow_commit_digests((&shard, &token), &one.seen, &mut walk, ahead)
                .await?;
        }
        Ok(Commits::There(Stretch {
            links,
            leaf,
            certified,
            complete,
        }))
    }

    /// Follows digests of commits from where a walk stands to a certified commit head.
    pub(super) async fn follow_commit_digests(
        &self,
        (shard, token): (&CanisterId, &ReadToken),
        seen: &Seen,
        walk: &mut CommitWalk,
        ahead: &mut Ahead,
    ) -> Result<(QueueLeaf, (u64, u64)), ClientError> {
        *ahead = Ahead::from(walk.epoch(), walk.commit_head());
        loop {
            let item = FetchItem {
                what: FetchWhat::CommitDigests,
                ..commits_from(walk.queue(), token.clone(), walk.epoch())
            };
            let (mut answers, certified) = self.fetch(shard, vec![item]).await?;
            let leaf = current_leaf(&certified, &walk.queue(), seen)?;
            let Some(FetchedItem::CommitDigests(digests)) = answers.pop() else {
                return Err(NotVerified::Malformed("fetch").into());
            };
            for digest in &digests {
                walk.digest(digest)?;
                ahead.push(walk.commit_head());
            }
            if walk.closes(&leaf)? {
                return Ok((leaf, (certified.time_ns, certified.age_ms)));
            }
            if digests.is_empty() {
                return Err(NotVerified::Malformed("fetch").into());
            }
        }
    }

    /// All commits in front of entry `end` are taken: verifies what is retained from there on, and
    /// only then closes the gap. `None` if more has expired meanwhile.
    async fn go_on_from(
        &mut self,
        queue: QueueId,
        end: u32,
        ahead: &mut Ahead,
    ) -> Result<Option<Stretch>, ClientError> {
        let mut one = Conversation::load(&self.store.begin(), queue)?;
        let before_end = Cursor {
            seq: end.saturating_sub(1),
            ..one.cursor
        };
        let item = entries_from(queue, self.fetch_token(&one)?, &before_end);
        let (mut answers, certified) = self.fetch(&one.shard()?, vec![item]).await?;
        let leaf = current_leaf(&certified, &queue, &one.seen)?;
        if leaf.first_seq != end {
            return Ok(None);
        }
        one.cursor = Cursor {
            head: leaf.head_before,
            ..before_end
        };
        if one.seen.seq == one.cursor.seq && one.seen.head != one.cursor.head {
            return Err(NotVerified::Fork(one.seen.seq).into());
        }
        let answer = answers.pop().ok_or(NotVerified::Malformed("fetch"))?;
        let stretch = self.stretch(&one, answer, &certified, ahead).await?;
        self.close_gap(one.cursor, &stretch, queue)?;
        Ok(Some(stretch))
    }

    fn close_gap(
        &self,
        cursor: Cursor,
        stretch: &Stretch,
        queue: QueueId,
    ) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        let first = stretch.links.first();
        let before_ns = first.map_or(stretch.certified.0, |link| link.entry.accepted_at);
        let end = cursor.seq.saturating_add(1);
        tell_lost(&set, &one, (end, before_ns), stretch.certified)?;
        one.gap = None;
        // Its keys are as old as its absence.
        one.renew_at = stretch.certified.0;
        one.cursor = cursor;
        one.seen = Seen::from(&stretch.leaf);
        one.save(&set)?;
        self.commit(set)
    }

    /// The commits have expired as well: this device cannot follow the group any more. Everything
    /// that it has stays; a Welcome may bring it back.
    fn lapse(
        &self,
        queue: QueueId,
        leaf: &QueueLeaf,
        certified: (u64, u64),
    ) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        let mut gap = one.gap.unwrap_or_else(|| Gap::behind(one.cursor.seq));
        let row = MessageRow {
            from: None,
            body: StoredBody::Lapsed,
            verified: Verified {
                seq: gap.first_lost,
                epoch: one.cursor.epoch,
                accepted_at: certified.0,
                certificate_time: certified.0,
                certificate_age_ms: certified.1,
            },
        };
        row.save(&set, queue)?;
        gap.reached = gap.reached.max(gap.first_lost);
        one.gap = Some(gap);
        one.seen = Seen::from(leaf);
        one.standing = StoredStanding::Lapsed;
        one.asked = Some(Asked::default());
        one.save(&set)?;
        self.commit(set)
    }

    /// A Welcome brings back a device that could not follow: the group that it had makes place, in
    /// the write-set of the join.
    pub(super) fn clear_lapsed(&self, set: &WriteSet, queue: QueueId) -> Result<(), ClientError> {
        match Conversation::load(set, queue) {
            Ok(one) if one.standing == StoredStanding::Lapsed || one.waits_for_re_add() => {
                let provider = self.crypto.with(set.mls());
                Ok(Group::load(&provider, one.group)?.delete(&provider)?)
            }
            Ok(_) | Err(ClientError::NoSuchName(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }
}

/// Commits behind the one that started `epoch`.
pub(super) fn commits_from(queue: QueueId, token: ReadToken, epoch: u32) -> FetchItem {
    FetchItem {
        queue,
        token,
        from: epoch.saturating_add(1),
        what: FetchWhat::Commits,
    }
}

/// The commits of an answer; as with entries a refusal gives none, and the leaf says whether that
/// is right.
pub(super) fn commits_of(answer: FetchedItem) -> Result<Vec<Entry>, ClientError> {
    match answer {
        FetchedItem::Commits(commits) => Ok(commits),
        FetchedItem::Refused(FetchRefusal::UnknownToken | FetchRefusal::GenerationOver) => {
            Ok(Vec::new())
        }
        FetchedItem::Refused(FetchRefusal::NoSuchQueue) => {
            Err(NotVerified::Differs("a queue that is certified is denied").into())
        }
        FetchedItem::Entries(_) | FetchedItem::Digests(_) | FetchedItem::CommitDigests(_) => {
            Err(NotVerified::Malformed("fetch").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the entries behind a cursor are lost: compared with counting them one by one.
    #[test]
    fn what_is_lost_is_counted() {
        let cursor = Cursor {
            seq: 10,
            head: [0; 32],
            commit_head: [0; 32],
            epoch: 3,
        };
        for end in 11..=17_u32 {
            for commits in 0..1_u32 << (end - 11) {
                let is_commit = |seq: &u32| commits >> (seq - 11) & 1 == 1;
                let mut gap = Gap::behind(cursor.seq);
                (11..end).filter(is_commit).for_each(|seq| gap.take(seq));
                let lost: Vec<_> = (11..end).filter(|seq| !is_commit(seq)).collect();
                assert_eq!(gap.lost(&cursor, end) as usize, lost.len());
                let first = lost.first().copied().unwrap_or(end);
                assert_eq!(gap.first_lost, first, "{end} {commits:b}");
            }
        }
    }

    /// Nothing overflows at the ends of the number range.
    #[test]
    fn the_last_number_is_counted() {
        let mut gap = Gap::behind(u32::MAX);
        gap.take(u32::MAX);
        let cursor = Cursor {
            seq: u32::MAX,
            head: [0; 32],
            commit_head: [0; 32],
            epoch: u32::MAX,
        };
        assert_eq!(gap.lost(&cursor, u32::MAX), 0);
        assert_eq!(gap.lost(&cursor, 0), 0);
    }

    /// An answer of another kind is none.
    #[test]
    fn commits_are_commits() {
        for other in [
            FetchedItem::Entries(Vec::new()),
            FetchedItem::Digests(Vec::new()),
            FetchedItem::CommitDigests(Vec::new()),
            FetchedItem::Refused(FetchRefusal::NoSuchQueue),
        ] {
            assert!(commits_of(other).is_err());
        }
        for none in [
            FetchedItem::Commits(Vec::new()),
            FetchedItem::Refused(FetchRefusal::UnknownToken),
            FetchedItem::Refused(FetchRefusal::GenerationOver),
        ] {
            assert!(commits_of(none).unwrap().is_empty());
        }
    }
}
