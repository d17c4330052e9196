//! Texts: stored first, then sealed, then delivered, and ticked only when the certified chain shows
//! them.

use paigham_group::Group;
use paigham_group::content;
use paigham_group::message::Saying;
use paigham_store::{Table, WriteSet};
use paigham_wire::envelope::Gossip;
use paigham_wire::frame::PostRef;
use paigham_wire::ids::QueueId;
use paigham_wire::relay::{BatchReply, PostOutcome, PostRefusal, RelayError};
use serde::{Deserialize, Serialize};

use super::{Conversation, POST_SECONDS};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::log::{SAID_EVERY_NS, newest_roots};
use crate::people::next_number;
use crate::view::{MessageView, SyncReport};

/// Most posts of one call: fewer than the relay compares to find a repeat.
const BATCH_POSTS: usize = 200;
/// Most bytes of one call, so that any one post fits with its frame.
const BATCH_BYTES: usize = 1_900_000;
/// Most bytes that sealing adds to a document: message, envelope, frame.
const SEALING_MAX_BYTES: usize = 1_024;

/// A text that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OutgoingText {
    pub text: String,
    /// The padded document: the same in every envelope that it is sealed in.
    #[serde(with = "serde_bytes")]
    content: Vec<u8>,
    pub sealed: Option<SealedPost>,
}

/// A post whose bytes are repeated until its fate is certain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SealedPost {
    #[serde(with = "serde_bytes")]
    pub post: Vec<u8>,
    pub hash: [u8; 32],
    pub epoch: u32,
    pub not_after: u32,
    after_seq: u32,
}

impl SealedPost {
    pub fn new(post: Vec<u8>) -> Result<Self, ClientError> {
        let decoded = PostRef::decode(&post).map_err(|_| ClientError::Bug("a post of ours"))?;
        let (hash, header) = (decoded.hash(), decoded.header);
        Ok(Self {
            post,
            hash,
            epoch: header.epoch,
            not_after: header.not_after,
            after_seq: header.after_seq,
        })
    }

    /// Until when, and after which entry, the relay takes it.
    const fn lot(&self) -> (u32, u32) {
        (self.not_after, self.after_seq)
    }
}

impl Client {
    /// Sends a text. It is stored when this returns, whatever happens; it is delivered if the line
    /// says what was verified, otherwise the next [`Client::sync`] goes on.
    ///
    /// # Errors
    /// [`ClientError`] if it was not stored, or if what was answered does not verify.
    pub async fn send(&mut self, queue: QueueId, text: &str) -> Result<MessageView, ClientError> {
        let lines = self.send_all(queue, &[text.to_owned()]).await?;
        let line = lines.into_iter().next();
        line.ok_or(ClientError::Bug(
            "a text that is neither delivered nor waiting",
        ))
    }

    /// Sends several texts at once, in order.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_all(
        &mut self,
        queue: QueueId,
        texts: &[String],
    ) -> Result<Vec<MessageView>, ClientError> {
        let queue = self.current(queue)?;
        let set = self.store.begin();
        Conversation::load(&set, queue)?.check_open()?;
        let first = next_number(&set, Table::Outbox, &queue.0)?;
        for (number, text) in (first..).zip(texts) {
            let outgoing = OutgoingText {
                text: text.clone(),
                content: content::text(&self.crypto, text)?,
                sealed: None,
            };
            set.put_at(Table::Outbox, &queue.0, number, &outgoing)?;
        }
        self.commit(set)?;
        let mut report = SyncReport::default();
        let outcome = async {
            self.sync_account().await?;
            self.settle(queue, &mut report).await
        };
        match outcome.await {
            Ok(())
            | Err(
                ClientError::Unreachable(_)
                | ClientError::RelayUnreachable { .. }
                | ClientError::Unfinished(_),
            ) => {}
            Err(error) => return Err(error),
        }
        let mut lines: Vec<_> = report
            .arrived
            .into_iter()
            .filter(|arrived| arrived.queue == queue && arrived.message.mine)
            .map(|arrived| arrived.message)
            .filter(|line| matches!(line.body, crate::view::Body::Text(_)))
            .collect();
        lines.extend(self.waiting_lines(&self.store.begin(), queue)?);
        Ok(lines.split_off(lines.len().saturating_sub(texts.len())))
    }

    /// Texts of a conversation that wait, in order.
    pub(crate) fn outgoing(
        &self,
        set: &WriteSet,
        queue: QueueId,
    ) -> Result<Vec<(u64, OutgoingText)>, ClientError> {
        Ok(set.scan(Table::Outbox, &queue.0, 0, u64::MAX)?)
    }

    /// Seals what waits, sends it, and reads on to the certified head.
    pub(super) async fn deliver(
        &mut self,
        queue: QueueId,
        report: &mut SyncReport,
    ) -> Result<(), ClientError> {
        self.connection.ensure_time().await?;
        let batch = self.seal_waiting(queue)?;
        let shard = Conversation::load(&self.store.begin(), queue)?.shard()?;
        let posts: Vec<_> = batch.iter().map(|sealed| &sealed.post[..]).collect();
        let (reply, answered_ns) = self
            .connection
            .update_at::<BatchReply, RelayError>(&shard, "append_batch", &posts.concat())
            .await?;
        let reply = reply?;
        if reply.outcomes.len() != batch.len() {
            return Err(NotVerified::Malformed("append_batch").into());
        }
        let certified_ns = self.catch_up_since(queue, answered_ns, report).await?;
        let refused: Vec<_> = batch
            .iter()
            .zip(&reply.outcomes)
            .filter_map(|(sealed, outcome)| match outcome {
                PostOutcome::Refused(refusal) => Some((sealed.hash, *refusal)),
                PostOutcome::Accepted(_) | PostOutcome::Repeat(_) => None,
            })
            .collect();
        self.give_up_posts(queue, &refused, certified_ns)?;
        match refused.first() {
            None
            | Some((
                _,
                PostRefusal::StaleEpoch
                | PostRefusal::CatchUpFirst
                | PostRefusal::Expired
                // The same bytes again, in a while.
                | PostRefusal::Busy,
            )) => Ok(()),
            Some((_, other)) => Err(RelayError::Post(*other).into()),
        }
    }

    /// Seals the first texts that wait, in one step with the ratchet; what is sealed for this epoch
    /// stays as it is. A post of an older epoch that is not among the entries read was never
    /// stored, and cannot be any more.
    ///
    /// All posts of a batch share what the relay may refuse them for, so that none is refused before
    /// one that is taken.
    fn seal_waiting(&mut self, queue: QueueId) -> Result<Vec<SealedPost>, ClientError> {
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        let provider = self.crypto.with(set.mls());
        let mut group = Group::load(&provider, conversation.group.clone())?;
        let not_after = self.connection.now_seconds() + POST_SECONDS;
        let not_after = u32::try_from(not_after).unwrap_or(u32::MAX);
        let mut gossip = self.gossip_if_due(&set, &mut conversation, &group)?;
        let mut batch: Vec<SealedPost> = Vec::new();
        let mut bytes = 0;
        for (number, mut outgoing) in self.outgoing(&set, queue)? {
            let epoch = conversation.cursor.epoch;
            let kept = outgoing
                .sealed
                .take()
                .filter(|sealed| sealed.epoch == epoch);
            let lot = kept
                .as_ref()
                .map_or((not_after, conversation.cursor.seq), SealedPost::lot);
            bytes += outgoing.content.len() + SEALING_MAX_BYTES;
            let fits = bytes <= BATCH_BYTES && batch.len() < BATCH_POSTS;
            if batch
                .first()
                .is_some_and(|first| first.lot() != lot || !fits)
            {
                break;
            }
            let sealed = match kept {
                Some(kept) => kept,
                None => {
                    let saying = Saying {
                        content: &outgoing.content,
                        gossip: gossip.take(),
                        capability: self.capability_due(conversation.handed_until)?,
                        after_seq: conversation.cursor.seq,
                        not_after,
                    };
                    if let Some(given) = &saying.capability {
                        conversation.handed_until = given.capability.not_after.into();
                    }
                    SealedPost::new(group.encrypt(
                        &self.crypto,
                        &provider,
                        &self.device,
                        &saying,
                    )?)?
                }
            };
            outgoing.sealed = Some(sealed.clone());
            set.put_at(Table::Outbox, &queue.0, number, &outgoing)?;
            batch.push(sealed);
        }
        conversation.group = group.state().clone();
        conversation.save(&set)?;
        self.commit(set)?;
        Ok(batch)
    }

    /// What this device has seen of queue and log, once a day.
    fn gossip_if_due(
        &self,
        set: &WriteSet,
        conversation: &mut Conversation,
        group: &Group,
    ) -> Result<Option<Gossip>, ClientError> {
        let now = self.connection.now_ns();
        if conversation.said_at.saturating_add(SAID_EVERY_NS) > now {
            return Ok(None);
        }
        conversation.said_at = now;
        Ok(Some(Gossip {
            seq: conversation.cursor.seq,
            head: conversation.cursor.head,
            epoch_authenticator_hash: group.authenticator_hash(),
            roots: newest_roots(set)?,
        }))
    }

    /// Lets texts be sealed anew whose posts can never be stored: refused for good, or still not
    /// among the entries up to a head that was certified after their time.
    fn give_up_posts(
        &mut self,
        queue: QueueId,
        refused: &[([u8; 32], PostRefusal)],
        certified_ns: u64,
    ) -> Result<(), ClientError> {
        let for_good = |hash: &[u8; 32]| {
            refused.iter().any(|(refused, why)| {
                refused == hash && matches!(why, PostRefusal::CatchUpFirst | PostRefusal::Expired)
            })
        };
        let set = self.store.begin();
        let mut given_up = false;
        for (number, mut outgoing) in self.outgoing(&set, queue)? {
            let Some(sealed) = &outgoing.sealed else {
                continue;
            };
            let expired = certified_ns / 1_000_000_000 > u64::from(sealed.not_after);
            if expired || for_good(&sealed.hash) {
                outgoing.sealed = None;
                set.put_at(Table::Outbox, &queue.0, number, &outgoing)?;
                given_up = true;
            }
        }
        if given_up {
            // What was given up may have carried the capability.
            let mut one = Conversation::load(&set, queue)?;
            one.handed_until = 0;
            one.save(&set)?;
            self.commit(set)?;
        }
        Ok(())
    }
}
