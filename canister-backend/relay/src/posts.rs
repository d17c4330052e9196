//! Queues: creating them, storing entries, submitting commits.

use ic_stable_structures::Memory;
use paigham_wire::chain::{EntryDigest, commit_next, queue_next};
use paigham_wire::codec::decode;
use paigham_wire::frame::{
    FrameError, NOT_AFTER_MAX_AHEAD_SECONDS, PostHeader, PostKind, PostRef, REPEAT_WINDOW,
};
use paigham_wire::hash::{Hash, blake3};
use paigham_wire::ids::QueueId;
use paigham_wire::leaf::QueueLeaf;
use paigham_wire::relay::{
    COMMIT_MAX_JOINERS, CommitAccepted, CommitBundle, CreateQueue, Position, PostRefusal,
    QueueCreated, RelayError, SubmitCommit,
};

use crate::limits::{
    BUNDLE_MAX_BYTES, COMMIT_MAX_BYTES, ENTRIES_KEPT_FOR_COMMITS, QUEUE_MAX_ENTRIES,
};
use crate::records::{CommitBody, QueueRecord, TokenRecord};
use crate::relay::{Relay, paired, put};

const NS_PER_SECOND: u64 = 1_000_000_000;

impl<M: Memory> Relay<M> {
    /// Makes a queue; a repeat gets the same reply.
    pub(crate) fn create_queue(
        &mut self,
        request: &[u8],
        now: u64,
    ) -> Result<QueueCreated, RelayError> {
        let request: CreateQueue = decode(request).map_err(|_| RelayError::Malformed)?;
        let queue = request
            .verify(&self.canister)
            .ok_or(RelayError::WrongSignature)?;
        if self.queue(&queue).is_none() {
            let receipt = self.check_new(&request, &request.credential, now)?;
            let record = QueueRecord::founded(&queue, request.control_key);
            self.add_queue(&queue, &record)?;
            self.spend_new(&receipt, now);
        }
        Ok(QueueCreated { queue })
    }

    /// Stores an entry and extends the chain; the caller stores the record. Of a commit the body
    /// says where it lies among the commits, of others it is the envelope.
    pub(crate) fn store_entry(
        &mut self,
        record: &mut QueueRecord,
        post: &PostRef<'_>,
        post_hash: Hash,
        body: &[&[u8]],
        now: u64,
    ) -> Result<Position, PostRefusal> {
        let digest = EntryDigest {
            accepted_at: now,
            post_hash,
        };
        let (owner, header) = (&post.header.queue.0, post.header_bytes);
        let range = record.entries();
        record.newest_entry = self
            .posts
            .append(owner, &range, &digest, header, body, now)
            .map_err(|_| PostRefusal::Full)?;
        let leaf = &mut record.leaf;
        leaf.seq += 1;
        leaf.head = queue_next(&leaf.head, leaf.seq, &digest);
        Ok(Position {
            seq: leaf.seq,
            accepted_at: now,
        })
    }

    /// Compare-and-swap on the epoch: commit, keys, Welcome and tree are stored together, or
    /// nothing is.
    pub(crate) fn submit_commit(
        &mut self,
        request: &[u8],
        now: u64,
    ) -> Result<CommitAccepted, RelayError> {
        let request: SubmitCommit = decode(request).map_err(|_| RelayError::Malformed)?;
        let post = PostRef::decode(request.post.as_slice()).map_err(malformed)?;
        let (header, hash) = (post.header, post.hash());
        let bundle = &request.bundle;
        let bundle_bytes = bundle.wrapper.as_slice().len() + bundle.tree.as_slice().len();
        if bundle_bytes > BUNDLE_MAX_BYTES
            || post.envelope.len() > COMMIT_MAX_BYTES
            || bundle.locators.len() > COMMIT_MAX_JOINERS
        {
            return Err(RelayError::TooLarge);
        }
        if header.kind != PostKind::Commit {
            return Err(PostRefusal::WrongKind.into());
        }
        let mut record = self
            .queue(&header.queue)
            .ok_or(RelayError::Post(PostRefusal::NoSuchQueue))?;
        let started = header.epoch.checked_add(1).ok_or(RelayError::Malformed)?;
        if let Some(accepted) = self.find_commit(&record, started, &hash) {
            return Ok(accepted);
        }
        // However far behind: a commit's repeat is known by its epoch, and who floods a queue must
        // not keep it from being told apart.
        if header.after_seq > record.leaf.seq {
            return Err(PostRefusal::AfterSeqAhead.into());
        }
        check_time(header.not_after, now).map_err(RelayError::Post)?;
        check_epoch(header.epoch, record.leaf.epoch).map_err(RelayError::Post)?;
        let signed = request.verify(
            &record.control_key,
            &self.canister,
            &header.queue,
            header.epoch,
            &hash,
        );
        if !signed {
            return Err(PostRefusal::WrongSignature.into());
        }
        check_generation(&record, &request)?;
        self.check_token(&record, &header.queue, &request)?;
        self.check_locators(&bundle.locators)?;
        check_room(&record, header.kind).map_err(RelayError::Post)?;
        let quotas = &self.administration.settings().quotas;
        let bytes = post.envelope.len() + bundle_bytes;
        record
            .quota
            .admit_commit(now, bytes, quotas)
            .map_err(RelayError::Post)?;
        self.announce_bundle(&header.queue, started, bundle)?;
        let accepted = self.store_commit(&mut record, &post, hash, &request, now);
        if accepted.is_err() {
            self.forget_locators(&header.queue, started, &bundle.locators);
        }
        accepted
    }

    /// Stores a commit, or nothing.
    ///
    /// # Panics
    /// If there is room for the commit and none for where it lies: half of the call is stored by
    /// then, and the trap undoes it.
    pub(crate) fn store_commit(
        &mut self,
        record: &mut QueueRecord,
        post: &PostRef<'_>,
        post_hash: Hash,
        request: &SubmitCommit,
        now: u64,
    ) -> Result<CommitAccepted, RelayError> {
        let queue = post.header.queue;
        let keys = &request.next_keys;
        let keys_hash = keys.hash();
        let digest = EntryDigest {
            accepted_at: now,
            post_hash,
        };
        let seq = record.leaf.seq + 1;
        let CommitBundle {
            wrapper,
            tree,
            locators,
        } = &request.bundle;
        let length = |bytes: usize| u32::try_from(bytes).map_err(|_| RelayError::TooLarge);
        let body = CommitBody {
            seq,
            keys_hash,
            joiners: length(locators.len())?,
            wrapper: length(wrapper.as_slice().len())?,
            tree: length(tree.as_slice().len())?,
        };
        let locators: Vec<_> = locators.iter().map(|locator| locator.0).collect();
        let range = record.commits();
        let header = post.header_bytes;
        let commit = self
            .commits
            .append(
                &queue.0,
                &range,
                &digest,
                header,
                &[
                    &body.to_bytes(),
                    locators.as_flattened(),
                    wrapper.as_slice(),
                    tree.as_slice(),
                    post.envelope,
                ],
                now,
            )
            .map_err(|_| RelayError::Full)?;
        record.newest_commit = commit;
        let stub = commit.to_le_bytes();
        let position = self
            .store_entry(record, post, post_hash, &[&stub], now)
            .expect("no stable memory left; the whole call is undone");
        let epoch = record.leaf.epoch + 1;
        if keys.generation != record.leaf.generation {
            if let Some(ended) = &record.keys {
                let token = TokenRecord {
                    generation: ended.generation,
                    end: seq,
                };
                put(
                    &mut self.tokens,
                    paired(&queue.0, &ended.read_token_hash),
                    &token,
                );
            }
            let token = TokenRecord {
                generation: keys.generation,
                end: 0,
            };
            put(
                &mut self.tokens,
                paired(&queue.0, &keys.read_token_hash),
                &token,
            );
        }
        let leaf = &mut record.leaf;
        leaf.commit_head = commit_next(&leaf.commit_head, epoch, seq, &digest, &keys_hash);
        leaf.epoch = epoch;
        leaf.keys_hash = keys_hash;
        leaf.generation = keys.generation;
        record.control_key = keys.control_key;
        record.keys = Some(keys.clone());
        self.put_queue(&queue, record);
        Ok(CommitAccepted { epoch, position })
    }

    /// A new generation has a token that no earlier one had: else its holders would read on, and
    /// where their generation ended would be forgotten.
    fn check_token(
        &self,
        record: &QueueRecord,
        queue: &QueueId,
        request: &SubmitCommit,
    ) -> Result<(), RelayError> {
        let next = &request.next_keys;
        let known = paired(&queue.0, &next.read_token_hash);
        if next.generation != record.leaf.generation && self.tokens.contains_key(&known) {
            return Err(PostRefusal::WrongGeneration.into());
        }
        Ok(())
    }

    /// The commit that started an epoch, if it is this one.
    fn find_commit(&self, record: &QueueRecord, epoch: u32, hash: &Hash) -> Option<CommitAccepted> {
        let commit = self.commits.find(&record.commits(), epoch)?;
        let body = CommitBody::from_bytes(&self.commits.read_body(&commit));
        let position = Position {
            seq: body.seq,
            accepted_at: commit.digest.accepted_at,
        };
        (commit.digest.post_hash == *hash).then_some(CommitAccepted { epoch, position })
    }
}

fn malformed(error: FrameError) -> RelayError {
    match error {
        FrameError::Length(_) => RelayError::TooLarge,
        FrameError::Truncated | FrameError::UnknownKind(_) | FrameError::TagOnCommit => {
            RelayError::Post(PostRefusal::Malformed)
        }
    }
}

/// How far behind the sender is: beyond the window a repeat could not be told.
pub(crate) fn check_after_seq(header: &PostHeader, leaf: &QueueLeaf) -> Result<(), PostRefusal> {
    let behind = leaf.seq.checked_sub(header.after_seq);
    match behind {
        None => Err(PostRefusal::AfterSeqAhead),
        Some(behind) if behind > REPEAT_WINDOW => Err(PostRefusal::CatchUpFirst),
        Some(_) => Ok(()),
    }
}

/// Whether the queue takes one more entry.
pub(crate) fn check_room(record: &QueueRecord, kind: PostKind) -> Result<(), PostRefusal> {
    let leaf = &record.leaf;
    let room = match kind {
        PostKind::Commit => QUEUE_MAX_ENTRIES,
        PostKind::Application | PostKind::Proposal => QUEUE_MAX_ENTRIES - ENTRIES_KEPT_FOR_COMMITS,
    };
    // The number after the newest must exist as well: it is the first retained one where all
    // others have expired.
    if leaf.seq + 1 - leaf.first_seq >= room || leaf.seq >= u32::MAX - 1 {
        return Err(PostRefusal::Full);
    }
    Ok(())
}

pub(crate) fn check_time(not_after: u32, now: u64) -> Result<(), PostRefusal> {
    let now = now / NS_PER_SECOND;
    let not_after = u64::from(not_after);
    if not_after < now {
        Err(PostRefusal::Expired)
    } else if not_after > now + u64::from(NOT_AFTER_MAX_AHEAD_SECONDS) {
        Err(PostRefusal::NotAfterTooFar)
    } else {
        Ok(())
    }
}

pub(crate) const fn check_epoch(sealed: u32, current: u32) -> Result<(), PostRefusal> {
    if sealed < current {
        Err(PostRefusal::StaleEpoch)
    } else if sealed > current {
        Err(PostRefusal::FutureEpoch)
    } else {
        Ok(())
    }
}

/// The same generation with the same token, or the next one with a new token; the first commit
/// starts the first generation.
fn check_generation(record: &QueueRecord, request: &SubmitCommit) -> Result<(), RelayError> {
    let next = &request.next_keys;
    let follows = match &record.keys {
        None => next.generation == 1,
        Some(now) if next.generation == now.generation => {
            next.read_token_hash == now.read_token_hash
        }
        Some(now) => {
            Some(next.generation) == now.generation.checked_add(1)
                && next.read_token_hash != now.read_token_hash
        }
    };
    if follows {
        Ok(())
    } else {
        Err(PostRefusal::WrongGeneration.into())
    }
}

/// What a joiner's leaf says of stored bytes.
pub(crate) fn stored_hash(bytes: &[u8]) -> Hash {
    blake3(bytes)
}
