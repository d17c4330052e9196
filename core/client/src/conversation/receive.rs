//! Entries: fetched, and verified up to the certified head.

use paigham_group::Group;
use paigham_wire::hash::Hash;
use paigham_wire::ids::{CanisterId, QueueId};
use paigham_wire::keys::ReadToken;
use paigham_wire::leaf::QueueLeaf;
use paigham_wire::relay::{
    Entry, FETCH_MAX_QUEUES, FetchItem, FetchRefusal, FetchReply, FetchRequest, FetchWhat,
    FetchedItem, RelayError,
};

use super::{Conversation, LAGGING_TRIES, LAGGING_WAIT};
use crate::client::Client;
use crate::connection::Certified;
use crate::error::{ClientError, NotVerified};
use crate::verify::{Cursor, Link, Seen, Walk, check_not_older, queue_leaf};
use crate::view::SyncReport;

/// Heads that a chain of digests has shown to lead to a certified one: what is fetched later is
/// compared with them.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Entry, or epoch, of the first head.
    first: u32,
    heads: Vec<Hash>,
}

impl Ahead {
    /// From the head of an entry, or of an epoch, on.
    pub fn from(first: u32, head: Hash) -> Self {
        Self {
            first,
            heads: vec![head],
        }
    }

    /// The next head.
    pub fn push(&mut self, head: Hash) {
        self.heads.push(head);
    }

    /// Whether the digests led through this head.
    pub fn confirms(&self, at: u32, head: &Hash) -> bool {
        let at = at.checked_sub(self.first);
        at.and_then(|at| self.heads.get(at as usize)) == Some(head)
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
        let (answers, certified) = match self.fetch(&shard, items).await {
            Ok(fetched) => fetched,
            Err(ClientError::RelayUnreachable { relay, why }) => {
                for one in some {
                    let (relay, why) = (relay.clone(), why.clone());
                    let failed = Err(ClientError::RelayUnreachable { relay, why });
                    self.one_failed(one, failed)?;
                }
                return Ok(());
            }
            Err(other) => return Err(other),
        };
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
        let crosses = one.gap.is_some();
        if crosses || leaf.as_ref().is_some_and(|leaf| one.has_lost(leaf)) {
            self.catch_up(one.queue(), report).await?;
            return Ok(());
        }
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
            let stretch = match one.gap {
                None => self.next_stretch(&one, &mut ahead).await?,
                Some(_) => self.cross_gap(queue, &mut ahead, report).await?,
            };
            let Some(stretch) = stretch else {
                continue;
            };
            time_ns = stretch.certified.0;
            if self.take(queue, stretch, report)? {
                return Ok(time_ns);
            }
        }
    }

    /// What lies behind the cursor; `None` if it has expired and the conversation says so now.
    async fn next_stretch(
        &self,
        one: &Conversation,
        ahead: &mut Ahead,
    ) -> Result<Option<Stretch>, ClientError> {
        let item = entries_from(one.queue(), self.fetch_token(one)?, &one.cursor);
        let (mut answers, certified) = self.fetch(&one.shard()?, vec![item]).await?;
        if self.opens_gap(one, &current_leaf(&certified, &one.queue(), &one.seen)?)? {
            return Ok(None);
        }
        let answer = answers.pop().ok_or(NotVerified::Malformed("fetch"))?;
        self.stretch(one, answer, &certified, ahead).await.map(Some)
    }

    /// As if the next entry were a commit that this device alone cannot apply.
    ///
    /// # Errors
    /// [`ClientError`], among others if there is none.
    #[cfg(feature = "testkit")]
    pub(crate) async fn stops_at_next(&mut self, queue: QueueId) -> Result<(), ClientError> {
        use paigham_group::receive::Stopped;
        let one = Conversation::load(&self.store.begin(), queue)?;
        let stretch = self.next_stretch(&one, &mut Ahead::default()).await?;
        let stretch = stretch.ok_or(ClientError::Bug("a gap"))?;
        let link = stretch
            .links
            .first()
            .ok_or(ClientError::Bug("nothing is new"))?;
        let verified = crate::view::Verified {
            seq: link.entry.seq,
            epoch: link.header.epoch,
            accepted_at: link.entry.accepted_at,
            certificate_time: stretch.certified.0,
            certificate_age_ms: stretch.certified.1,
        };
        let why = Stopped::Unusable("its path secret does not open".into());
        self.stop(queue, why, verified)?;
        Ok(())
    }

    pub(super) fn fetch_token(&self, one: &Conversation) -> Result<ReadToken, ClientError> {
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
    pub(super) async fn stretch(
        &self,
        one: &Conversation,
        answer: FetchedItem,
        certified: &Certified,
        ahead: &mut Ahead,
    ) -> Result<Stretch, ClientError> {
        let queue = one.queue();
        let mut leaf = current_leaf(certified, &queue, &one.seen)?;
        let mut certified = (certified.time_ns, certified.age_ms);
        let mut walk = Walk::new(queue, &one.cursor, one.seen);
        let links = entries_of(answer)?
            .into_iter()
            .map(|entry| walk.entry(entry))
            .collect::<Result<Vec<_>, _>>()?;
        let complete = walk.closes(&leaf)?;
        let last = links.last().map(|link| link.after);
        if !complete && !last.is_some_and(|last| ahead.confirms(last.seq, &last.head)) {
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
        *ahead = Ahead::from(walk.seq(), walk.head());
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
                ahead.push(walk.head());
            }
            if walk.closes(&leaf)? {
                return Ok((leaf, (certified.time_ns, certified.age_ms)));
            }
            if digests.is_empty() {
                return Err(NotVerified::Malformed("fetch").into());
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the heads that the digests led through, at their own places.
    #[test]
    fn only_known_heads_are_confirmed() {
        let mut ahead = Ahead::from(7, [7; 32]);
        ahead.push([8; 32]);
        for at in 0..12_u8 {
            for head in 0..12_u8 {
                let known = at == head && (7..=8).contains(&at);
                assert_eq!(ahead.confirms(at.into(), &[head; 32]), known, "{at} {head}");
            }
        }
        assert!(!Ahead::default().confirms(0, &[0; 32]));
    }
}
