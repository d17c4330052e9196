//! Entries: fetched, verified up to the certified head, and taken one by one, each in one step with
//! the cursor.

use paigham_group::content::{self, Content};
use paigham_group::receive::{Committed, ReceiveError, Received};
use paigham_group::{Group, Member};
use paigham_store::{Table, WriteSet};
use paigham_wire::envelope::GroupPolicy;
use paigham_wire::frame::PostKind;
use paigham_wire::hash::Hash;
use paigham_wire::ids::{CanisterId, QueueId};
use paigham_wire::keys::ReadToken;
use paigham_wire::leaf::QueueLeaf;
use paigham_wire::relay::{
    Entry, FETCH_MAX_QUEUES, FetchItem, FetchRefusal, FetchReply, FetchRequest, FetchWhat,
    FetchedItem, RelayError,
};

use super::history::StoredBody;
use super::leave::end;
use super::{Conversation, LAGGING_TRIES, LAGGING_WAIT, MessageRow, StoredStanding};
use crate::client::Client;
use crate::connection::Certified;
use crate::error::{ClientError, NotVerified};
use crate::verify::{Cursor, Link, Seen, Walk, check_not_older, queue_leaf};
use crate::view::{Arrived, SyncReport, Verified};

/// Heads that a chain of digests has shown to lead to a certified one: what is fetched later is
/// compared with them.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Entry of the first head.
    first: u32,
    heads: Vec<Hash>,
}

impl Ahead {
    fn confirms(&self, cursor: &Cursor) -> bool {
        let at = cursor.seq.checked_sub(self.first);
        let head = at.and_then(|at| self.heads.get(at as usize));
        head == Some(&cursor.head)
    }
}

/// A stretch of a queue that leads to a certified head.
pub(super) struct Stretch {
    /// Whole entries, the first ones behind the cursor.
    pub links: Vec<Link>,
    /// The newest certified leaf.
    pub leaf: QueueLeaf,
    /// Certified time, and age on arrival in milliseconds.
    pub certified: (u64, u64),
    /// Whether nothing is left behind the entries.
    pub complete: bool,
}

impl Client {
    /// Reads the queues of all conversations that are read, many under one certificate.
    pub(crate) async fn catch_up_all(
        &mut self,
        report: &mut SyncReport,
    ) -> Result<(), ClientError> {
        let mut reading: Vec<_> = self.all_conversations()?;
        reading.retain(Conversation::is_read);
        reading.sort_by(|a, b| a.shard.cmp(&b.shard));
        for same_shard in reading.chunk_by(|a, b| a.shard == b.shard) {
            for some in same_shard.chunks(FETCH_MAX_QUEUES) {
                self.catch_up_some(some, report).await?;
            }
        }
        Ok(())
    }

    async fn catch_up_some(
        &mut self,
        some: &[Conversation],
        report: &mut SyncReport,
    ) -> Result<(), ClientError> {
        let mut items = Vec::with_capacity(some.len());
        for one in some {
            items.push(entries_from(
                one.queue(),
                self.fetch_token(one)?,
                &one.cursor,
            ));
        }
        let shard = some
            .first()
            .ok_or(ClientError::Bug("nothing to read"))?
            .shard()?;
        let (answers, certified) = self.fetch(&shard, items).await?;
        for (one, answer) in some.iter().zip(answers) {
            let outcome = self.take_first(one, answer, &certified, report).await;
            self.one_failed(one, outcome)?;
        }
        Ok(())
    }

    /// What came with others; the rest of a long absence is fetched alone.
    async fn take_first(
        &mut self,
        one: &Conversation,
        answer: FetchedItem,
        certified: &Certified,
        report: &mut SyncReport,
    ) -> Result<(), ClientError> {
        let mut ahead = Ahead::default();
        let leaf = queue_leaf(&certified.witness, &one.queue())?;
        let is_behind = leaf.is_none_or(|leaf| leaf.seq != one.cursor.seq);
        if is_behind && matches!(&answer, FetchedItem::Entries(entries) if entries.is_empty()) {
            // The others filled the answer.
            self.catch_up(one.queue(), report).await?;
            return Ok(());
        }
        let stretch = self.stretch(one, answer, certified, &mut ahead).await?;
        if !self.take(one.queue(), stretch, report)? {
            self.catch_up_from(one.queue(), ahead, report).await?;
        }
        Ok(())
    }

    /// Reads a queue to its certified head; returns the time of that certificate. A node that is a
    /// little behind is asked again.
    ///
    /// # Errors
    /// [`ClientError`]; what was taken before is kept.
    pub(crate) async fn catch_up(
        &mut self,
        queue: QueueId,
        report: &mut SyncReport,
    ) -> Result<u64, ClientError> {
        for _ in 0..LAGGING_TRIES {
            let ahead = Ahead::default();
            match self.catch_up_from(queue, ahead, report).await {
                Err(ClientError::NotVerified(NotVerified::Older { .. })) => {
                    tokio::time::sleep(LAGGING_WAIT).await;
                }
                outcome => return outcome,
            }
        }
        self.catch_up_from(queue, Ahead::default(), report).await
    }

    /// As [`Client::catch_up`], to a head that was certified not before the answer to an update:
    /// only what such a head does not show was not stored.
    pub(super) async fn catch_up_since(
        &mut self,
        queue: QueueId,
        since_ns: u64,
        report: &mut SyncReport,
    ) -> Result<u64, ClientError> {
        for _ in 0..LAGGING_TRIES {
            let time_ns = self.catch_up(queue, report).await?;
            let one = Conversation::load(&self.store.begin(), queue)?;
            if time_ns >= since_ns || !one.is_read() {
                return Ok(time_ns);
            }
            tokio::time::sleep(LAGGING_WAIT).await;
        }
        Err(ClientError::Unfinished("the node that answers is behind"))
    }

    async fn catch_up_from(
        &mut self,
        queue: QueueId,
        mut ahead: Ahead,
        report: &mut SyncReport,
    ) -> Result<u64, ClientError> {
        let mut time_ns = 0;
        loop {
            let one = Conversation::load(&self.store.begin(), queue)?;
            if !one.is_read() {
                return Ok(time_ns);
            }
            let item = entries_from(queue, self.fetch_token(&one)?, &one.cursor);
            let (mut answers, certified) = self.fetch(&one.shard()?, vec![item]).await?;
            let answer = answers.pop().ok_or(NotVerified::Malformed("fetch"))?;
            let stretch = self.stretch(&one, answer, &certified, &mut ahead).await?;
            time_ns = stretch.certified.0;
            if self.take(queue, stretch, report)? {
                return Ok(time_ns);
            }
        }
    }

    fn fetch_token(&self, one: &Conversation) -> Result<ReadToken, ClientError> {
        let set = self.store.begin();
        let group = Group::load(&self.crypto.with(set.mls()), one.group.clone())?;
        Ok(group.fetch_token(&self.crypto)?)
    }

    pub(super) async fn fetch(
        &self,
        shard: &CanisterId,
        items: Vec<FetchItem>,
    ) -> Result<(Vec<FetchedItem>, Certified), ClientError> {
        let count = items.len();
        let (reply, certified) = self
            .connection
            .read::<FetchReply, RelayError>(shard, "fetch", &FetchRequest { items })
            .await?;
        if reply.items.len() != count {
            return Err(NotVerified::Malformed("fetch").into());
        }
        Ok((reply.items, certified))
    }

    /// Verifies what was answered of a queue: not older than what was seen, and every entry on the
    /// chain to the certified head, by digests where the answer ends before it.
    async fn stretch(
        &self,
        one: &Conversation,
        answer: FetchedItem,
        certified: &Certified,
        ahead: &mut Ahead,
    ) -> Result<Stretch, ClientError> {
        let queue = one.queue();
        let mut leaf = current_leaf(certified, &queue, &one.seen)?;
        let mut certified = (certified.time_ns, certified.age_ms);
        if leaf.first_seq > one.cursor.seq.saturating_add(1) {
            return Err(NotVerified::Gap {
                after: one.cursor.seq,
                first: leaf.first_seq,
            }
            .into());
        }
        let mut walk = Walk::new(queue, &one.cursor, one.seen);
        let links = entries_of(answer)?
            .into_iter()
            .map(|entry| walk.entry(entry))
            .collect::<Result<Vec<_>, _>>()?;
        let complete = walk.closes(&leaf)?;
        let last = links.last().map(|link| link.after);
        if !complete && !last.is_some_and(|last| ahead.confirms(&last)) {
            if links.is_empty() {
                return Err(NotVerified::Malformed("fetch").into());
            }
            let (shard, token) = (one.shard()?, self.fetch_token(one)?);
            (leaf, certified) = self
                .follow_digests((&shard, &token), &one.seen, &mut walk, ahead)
                .await?;
        }
        Ok(Stretch {
            links,
            leaf,
            certified,
            complete,
        })
    }

    /// Follows digests from where a walk stands to a certified head.
    pub(super) async fn follow_digests(
        &self,
        (shard, token): (&CanisterId, &ReadToken),
        seen: &Seen,
        walk: &mut Walk,
        ahead: &mut Ahead,
    ) -> Result<(QueueLeaf, (u64, u64)), ClientError> {
        *ahead = Ahead {
            first: walk.seq(),
            heads: vec![walk.head()],
        };
        loop {
            let item = FetchItem {
                queue: walk.queue(),
                token: token.clone(),
                from: walk.seq().saturating_add(1),
                what: FetchWhat::Digests,
            };
            let (mut answers, certified) = self.fetch(shard, vec![item]).await?;
            let leaf = current_leaf(&certified, &walk.queue(), seen)?;
            let Some(FetchedItem::Digests(digests)) = answers.pop() else {
                return Err(NotVerified::Malformed("fetch").into());
            };
            for digest in &digests {
                walk.digest(digest)?;
                ahead.heads.push(walk.head());
            }
            if walk.closes(&leaf)? {
                return Ok((leaf, (certified.time_ns, certified.age_ms)));
            }
            if digests.is_empty() {
                return Err(NotVerified::Malformed("fetch").into());
            }
        }
    }

    /// Takes verified entries, each in one step with the cursor. Returns whether nothing is left.
    fn take(
        &mut self,
        queue: QueueId,
        stretch: Stretch,
        report: &mut SyncReport,
    ) -> Result<bool, ClientError> {
        let mut group = None;
        let seen = Seen::from(&stretch.leaf);
        for link in &stretch.links {
            let taken = self.take_entry(queue, link, stretch.certified, seen, &mut group)?;
            let ended = taken.ended;
            if let Some(row) = taken.row {
                let one = Conversation::load(&self.store.begin(), queue)?;
                report.arrived.push(Arrived {
                    queue,
                    conversation: self.conversation_name(&one),
                    message: self.line(row),
                });
            }
            if ended {
                return Ok(true);
            }
        }
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        if one.seen != seen {
            one.seen = seen;
            one.save(&set)?;
            self.commit(set)?;
        }
        Ok(stretch.complete)
    }

    /// Takes one entry. `group` is the group as the entry before left it.
    fn take_entry(
        &mut self,
        queue: QueueId,
        link: &Link,
        certified: (u64, u64),
        seen: Seen,
        group: &mut Option<Group>,
    ) -> Result<Taken, ClientError> {
        if link.header.kind == PostKind::Commit {
            self.connection.check_clock()?;
        }
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        one.seen = seen;
        let mut current = match group.take() {
            Some(current) => current,
            None => Group::load(&self.crypto.with(set.mls()), one.group.clone())?,
        };
        let verified = Verified {
            seq: link.entry.seq,
            epoch: link.header.epoch,
            accepted_at: link.entry.accepted_at,
            certificate_time: certified.0,
            certificate_age_ms: certified.1,
        };
        let outcome = match self.take_own(&set, &mut one, &mut current, link)? {
            Some(own) => Ok(Some(own)),
            None => self.take_received(&set, &mut one, &mut current, link),
        };
        let (from, body) = match outcome {
            Ok(Some(line)) => line,
            Ok(None) => {
                self.advance(set, &mut one, &current, link)?;
                *group = Some(current);
                return Ok(Taken::default());
            }
            Err(Failed::Stopped(why)) => {
                drop(set);
                return self.stop(queue, &why, verified);
            }
            Err(Failed::Error(error)) => return Err(error),
        };
        let row = MessageRow {
            from,
            body,
            verified,
        };
        row.save(&set, queue)?;
        if one.lost_its_peer(&current) {
            end(&mut one, StoredStanding::Out);
        }
        let ended = one.standing == StoredStanding::Out;
        if ended {
            // What the own state could still open was opened; nothing of it is needed any more.
            current.delete(&self.crypto.with(set.mls()))?;
            one.cursor = link.after;
            one.save(&set)?;
            self.commit(set)?;
        } else {
            self.advance(set, &mut one, &current, link)?;
            *group = Some(current);
        }
        Ok(Taken {
            row: Some(row),
            ended,
        })
    }

    fn advance(
        &self,
        set: WriteSet,
        one: &mut Conversation,
        group: &Group,
        link: &Link,
    ) -> Result<(), ClientError> {
        if link.header.kind == PostKind::Commit {
            one.reflect(group)?;
        } else {
            one.group = group.state().clone();
        }
        one.cursor = link.after;
        one.save(&set)?;
        self.commit(set)
    }

    /// The conversation stops before this entry; its state stays that of the last good epoch.
    fn stop(&self, queue: QueueId, why: &str, verified: Verified) -> Result<Taken, ClientError> {
        let set = self.store.begin();
        let mut one = Conversation::load(&set, queue)?;
        end(&mut one, StoredStanding::Stopped(why.to_owned()));
        one.save(&set)?;
        let row = MessageRow {
            from: None,
            body: StoredBody::Stopped(why.to_owned()),
            verified,
        };
        row.save(&set, queue)?;
        self.commit(set)?;
        Ok(Taken {
            row: Some(row),
            ended: true,
        })
    }

    /// Own posts cannot be opened by their sender: they are known by H(post).
    fn take_own(
        &self,
        set: &WriteSet,
        one: &mut Conversation,
        group: &mut Group,
        link: &Link,
    ) -> Result<Option<Line>, ClientError> {
        let own = Some(self.account.id().0);
        match link.header.kind {
            PostKind::Application => {
                for (number, outgoing) in self.outgoing(set, one.queue())? {
                    let is_this = outgoing
                        .sealed
                        .as_ref()
                        .is_some_and(|sealed| sealed.hash == link.post_hash);
                    if is_this {
                        set.delete_at(Table::Outbox, &one.queue, number);
                        return Ok(Some((own, StoredBody::Text(outgoing.text))));
                    }
                }
                Ok(None)
            }
            PostKind::Proposal => {
                if one
                    .leave
                    .as_ref()
                    .is_some_and(|leave| leave.hash == link.post_hash)
                {
                    group.receive_own_leave(&self.crypto, &link.entry)?;
                    one.leave = None;
                    return Ok(Some((own, StoredBody::Leaving)));
                }
                Ok(None)
            }
            PostKind::Commit => Ok(None),
        }
    }

    fn take_received(
        &self,
        set: &WriteSet,
        one: &mut Conversation,
        group: &mut Group,
        link: &Link,
    ) -> Result<Option<Line>, Failed> {
        let provider = self.crypto.with(set.mls());
        let before = match link.header.kind {
            PostKind::Commit => Some(Roster::of(group).map_err(Failed::Error)?),
            PostKind::Application | PostKind::Proposal => None,
        };
        let received = group
            .receive(&self.crypto, &provider, &link.entry, &self.judge)
            .map_err(|error| match error {
                ReceiveError::Stopped(stopped) => Failed::Stopped(stopped.to_string()),
                ReceiveError::Group(error) => Failed::Error(error.into()),
                ReceiveError::Epoch { .. } => Failed::Error(NotVerified::Epoch.into()),
            })?;
        match received {
            Received::Junk => Ok(None),
            Received::Message { from, content } => Ok(text_line(&from, &content)),
            Received::Leaving(member) => Ok(Some((Some(member.account), StoredBody::Leaving))),
            Received::OwnCommit => self.take_own_commit(set, one, link).map_err(Failed::Error),
            Received::Committed(committed) => {
                Ok(before.map(|before| take_commit(one, &before, &committed)))
            }
        }
    }

    fn take_own_commit(
        &self,
        set: &WriteSet,
        one: &mut Conversation,
        link: &Link,
    ) -> Result<Option<Line>, ClientError> {
        let submission = one.submission.take();
        let submission = submission.ok_or(ClientError::Bug("an own commit that none sent"))?;
        for deposit in &submission.deposits {
            deposit.queue(set)?;
        }
        if submission.for_intent {
            one.drop_intent();
        }
        if one.standing == StoredStanding::Starting {
            one.standing = StoredStanding::Open;
            one.created_at = link.entry.accepted_at;
            return Ok(Some((Some(self.account.id().0), StoredBody::Created)));
        }
        let body = change_body(
            submission.added,
            submission.removed,
            submission.policy_changed,
        );
        Ok(Some((Some(self.account.id().0), body)))
    }
}

/// Who was in a group, and under which rules, before an entry.
struct Roster {
    members: Vec<Member>,
    policy: GroupPolicy,
}

impl Roster {
    fn of(group: &Group) -> Result<Self, ClientError> {
        Ok(Self {
            members: group.members().collect(),
            policy: group.policy()?,
        })
    }

    fn accounts_at(&self, leaves: &[u32]) -> Vec<[u8; 16]> {
        let mut accounts: Vec<_> = self
            .members
            .iter()
            .filter(|member| leaves.contains(&member.leaf))
            .map(|member| member.account)
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }
}

/// Another's commit: the own one on its way has lost.
fn take_commit(one: &mut Conversation, before: &Roster, committed: &Committed) -> Line {
    one.submission = None;
    one.leave = None;
    let judged = &committed.judged;
    let by = Some(judged.by.account);
    if committed.removed_us {
        end(one, StoredStanding::Out);
        return (by, StoredBody::Out);
    }
    let mut added: Vec<_> = judged.added.iter().map(|claim| claim.account.0).collect();
    added.sort_unstable();
    added.dedup();
    let removed = before.accounts_at(&judged.removed);
    let policy_changed = judged.policy != before.policy;
    (by, change_body(added, removed, policy_changed))
}

/// Who, and what is shown.
type Line = (Option<[u8; 16]>, StoredBody);

enum Failed {
    Stopped(String),
    Error(ClientError),
}

#[derive(Debug, Default)]
struct Taken {
    row: Option<MessageRow>,
    ended: bool,
}

fn text_line(from: &Member, content: &[u8]) -> Option<Line> {
    let body = match content::read(content)? {
        Content::Text(text) => StoredBody::Text(text),
        Content::Unsupported(document) => StoredBody::Unsupported(document),
    };
    Some((Some(from.account), body))
}

fn change_body(added: Vec<[u8; 16]>, removed: Vec<[u8; 16]>, policy_changed: bool) -> StoredBody {
    match (added.is_empty() && removed.is_empty(), policy_changed) {
        (false, _) => StoredBody::Members { added, removed },
        (true, true) => StoredBody::PolicyChanged,
        (true, false) => StoredBody::KeysRenewed,
    }
}

pub(super) fn entries_from(queue: QueueId, token: ReadToken, cursor: &Cursor) -> FetchItem {
    FetchItem {
        queue,
        token,
        from: cursor.seq.saturating_add(1),
        what: FetchWhat::Entries,
    }
}

/// The leaf of a queue that must be there, not older than what was seen.
pub(super) fn current_leaf(
    certified: &Certified,
    queue: &QueueId,
    seen: &Seen,
) -> Result<QueueLeaf, ClientError> {
    let leaf = queue_leaf(&certified.witness, queue)?.ok_or(NotVerified::NoQueue)?;
    check_not_older(seen, &leaf)?;
    Ok(leaf)
}

/// The entries of an answer. A token that the relay does not know, or whose generation ended
/// before, gives none; whether that is right the certified leaf says.
pub(super) fn entries_of(answer: FetchedItem) -> Result<Vec<Entry>, ClientError> {
    match answer {
        FetchedItem::Entries(entries) => Ok(entries),
        FetchedItem::Refused(FetchRefusal::UnknownToken | FetchRefusal::GenerationOver) => {
            Ok(Vec::new())
        }
        FetchedItem::Refused(FetchRefusal::NoSuchQueue) => {
            Err(NotVerified::Differs("a queue that is certified is denied").into())
        }
        FetchedItem::Digests(_) | FetchedItem::Commits(_) | FetchedItem::CommitDigests(_) => {
            Err(NotVerified::Malformed("fetch").into())
        }
    }
}
