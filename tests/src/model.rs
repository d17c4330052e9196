//! A relay as its specification says it, and nothing else: plain lists and maps, every head counted
//! anew from the beginning. What the canister answers is compared with it.
//!
//! Signatures, MACs and tickets are not modelled: whoever builds a request says whether it is
//! [`Authentic`].

use std::collections::BTreeMap;

use paigham_wire::chain::{
    EntryDigest, commit_next, commit_start, inbox_next, inbox_start, queue_next, queue_start,
};
use paigham_wire::frame::{PostKind, PostRef, REPEAT_WINDOW};
use paigham_wire::hash::{Hash, blake3, sha256};
use paigham_wire::ids::{InboxId, QueueId, WelcomeLocator};
use paigham_wire::keys::{EPOCH_ZERO_KEYS_HASH, EpochKeys};
use paigham_wire::leaf::{InboxLeaf, Leaf, QueueLeaf, WelcomeLeaf};
use paigham_wire::relay::{
    CLAIMS_REMEMBERED, CommitAccepted, CommitBundle, CommitDigest, Entry, FetchItem, FetchRefusal,
    FetchWhat, FetchedItem, InboxState, POOL_MAX_KEY_PACKAGES, Position, PostOutcome, PostRefusal,
    RelayError,
};

const DAY_NS: u64 = 24 * 3_600 * 1_000_000_000;
/// How long the relay keeps posts and commits at most, and how much less it may be: they go in
/// buckets.
const POSTS_KEPT_NS: (u64, u64) = (30 * DAY_NS, DAY_NS / 4);
const COMMITS_KEPT_NS: (u64, u64) = (90 * DAY_NS, DAY_NS);

/// Whether the credential of a request holds.
pub type Authentic = bool;

/// All that a relay holds.
#[derive(Debug, Default)]
pub struct Model {
    queues: BTreeMap<QueueId, Queue>,
    bundles: BTreeMap<(QueueId, u32), (CommitBundle, Vec<WelcomeLocator>)>,
    welcomes: BTreeMap<WelcomeLocator, (QueueId, u32)>,
    inboxes: BTreeMap<InboxId, Inbox>,
}

#[derive(Debug)]
struct Queue {
    id: QueueId,
    keys: Option<EpochKeys>,
    entries: Vec<Entry>,
    /// Index of each commit among the entries: that which started epoch n lies at n − 1.
    commits: Vec<usize>,
    /// Hash of a read token → its generation, and the entry that ended it.
    tokens: BTreeMap<Hash, (u32, Option<u32>)>,
    first_seq: u32,
    first_epoch: u32,
}

#[derive(Debug)]
struct Inbox {
    id: InboxId,
    xwing_key: Vec<u8>,
    deposits: Vec<(u64, Vec<u8>)>,
    first_seq: u32,
    counter: u64,
    signature: Vec<u8>,
    packages: Vec<Vec<u8>>,
    claimed: u32,
    last_resort: Vec<u8>,
    claims: Vec<(Hash, Vec<u8>)>,
}

fn digest(entry: &Entry) -> EntryDigest {
    EntryDigest {
        accepted_at: entry.accepted_at,
        post_hash: paigham_wire::frame::post_hash(&entry.header, entry.envelope.as_slice()),
    }
}

impl Queue {
    fn epoch(&self) -> u32 {
        number(self.commits.len())
    }

    fn seq(&self) -> u32 {
        number(self.entries.len())
    }

    /// Head after an entry.
    fn head(&self, seq: u32) -> Hash {
        let start = queue_start(&self.id);
        let entries = self.entries.iter().take(seq as usize);
        entries.fold(start, |head, entry| {
            queue_next(&head, entry.seq, &digest(entry))
        })
    }

    /// Commit head after an epoch's commit.
    fn commit_head(&self, epoch: u32) -> Hash {
        let start = commit_start(&self.id);
        let commits = (1..).zip(&self.commits).take(epoch as usize);
        commits.fold(start, |head, (epoch, at)| {
            let entry = &self.entries[*at];
            let keys_hash = entry.keys_hash.unwrap();
            commit_next(&head, epoch, entry.seq, &digest(entry), &keys_hash)
        })
    }

    fn leaf(&self) -> QueueLeaf {
        QueueLeaf {
            epoch: self.epoch(),
            seq: self.seq(),
            head: self.head(self.seq()),
            first_seq: self.first_seq,
            head_before: self.head(self.first_seq - 1),
            commit_head: self.commit_head(self.epoch()),
            first_epoch: self.first_epoch,
            commit_head_before: self.commit_head(self.first_epoch - 1),
            keys_hash: self
                .keys
                .as_ref()
                .map_or(EPOCH_ZERO_KEYS_HASH, EpochKeys::hash),
            generation: self.keys.as_ref().map_or(0, |keys| keys.generation),
        }
    }

    /// Checks of a post in their order: position, MAC where its key is known (a commit has none),
    /// repeat, time, epoch.
    fn admits(
        &self,
        post: &PostRef<'_>,
        mac: Authentic,
        now: u64,
    ) -> Result<Option<Position>, PostRefusal> {
        let header = &post.header;
        if header.after_seq > self.seq() {
            return Err(PostRefusal::AfterSeqAhead);
        }
        let behind = self.seq() - header.after_seq;
        if behind > REPEAT_WINDOW && header.kind != PostKind::Commit {
            return Err(PostRefusal::CatchUpFirst);
        }
        let known = header.epoch == self.epoch() && header.kind != PostKind::Commit;
        if known && (!mac || self.keys.is_none()) {
            return Err(PostRefusal::WrongMac);
        }
        let retained = header.after_seq.max(self.first_seq - 1) as usize;
        let same = |entry: &&Entry| digest(entry).post_hash == post.hash();
        if header.kind != PostKind::Commit
            && let Some(entry) = self.entries[retained..].iter().find(same)
        {
            return Ok(Some(Position {
                seq: entry.seq,
                accepted_at: entry.accepted_at,
            }));
        }
        let now = now / 1_000_000_000;
        if u64::from(header.not_after) < now {
            return Err(PostRefusal::Expired);
        }
        if u64::from(header.not_after) > now + 600 {
            return Err(PostRefusal::NotAfterTooFar);
        }
        match header.epoch.cmp(&self.epoch()) {
            std::cmp::Ordering::Less => Err(PostRefusal::StaleEpoch),
            std::cmp::Ordering::Greater => Err(PostRefusal::FutureEpoch),
            std::cmp::Ordering::Equal => Ok(None),
        }
    }

    fn store(&mut self, post: &PostRef<'_>, keys_hash: Option<Hash>, at: u64) -> Position {
        let seq = self.seq() + 1;
        self.entries.push(Entry {
            seq,
            accepted_at: at,
            header: *post.header_bytes,
            keys_hash,
            envelope: post.envelope.to_vec().into(),
        });
        Position {
            seq,
            accepted_at: at,
        }
    }

    fn fetch(&self, item: &FetchItem) -> Result<FetchedItem, FetchRefusal> {
        let (_, end) = self
            .tokens
            .get(&item.token.hash())
            .ok_or(FetchRefusal::UnknownToken)?;
        let from = item.from.max(self.first_seq);
        let covered = |entry: &&Entry| end.is_none_or(|end| entry.seq <= end);
        let retained = self.entries.iter().skip(from as usize - 1);
        let from_epoch = item.from.max(self.first_epoch);
        let commits = self.commits.iter().skip(from_epoch as usize - 1);
        let commits = commits.map(|at| &self.entries[*at]);
        Ok(match item.what {
            FetchWhat::Entries => {
                if end.is_some_and(|end| from > end) {
                    return Err(FetchRefusal::GenerationOver);
                }
                FetchedItem::Entries(retained.filter(covered).cloned().collect())
            }
            FetchWhat::Digests => FetchedItem::Digests(retained.map(digest).collect()),
            FetchWhat::Commits => FetchedItem::Commits(commits.filter(covered).cloned().collect()),
            FetchWhat::CommitDigests => {
                let commit = |entry: &Entry| CommitDigest {
                    seq: entry.seq,
                    digest: digest(entry),
                    keys_hash: entry.keys_hash.unwrap(),
                };
                FetchedItem::CommitDigests(commits.map(commit).collect())
            }
        })
    }
}

impl Inbox {
    fn seq(&self) -> u32 {
        number(self.deposits.len())
    }

    fn head(&self, seq: u32) -> Hash {
        let start = inbox_start(&self.id);
        let deposits = (1..).zip(&self.deposits).take(seq as usize);
        deposits.fold(start, |head, (seq, (at, sealed))| {
            inbox_next(&head, seq, *at, &blake3(sealed))
        })
    }

    fn leaf(&self) -> InboxLeaf {
        InboxLeaf {
            seq: self.seq(),
            head: self.head(self.seq()),
            first_seq: self.first_seq,
            head_before: self.head(self.first_seq - 1),
            counter: self.counter,
            xwing_key_hash: sha256(&self.xwing_key),
            one_time_left: number(self.packages.len()),
            claimed: self.claimed,
            last_resort_hash: match &self.last_resort[..] {
                [] => [0; 32],
                package => blake3(package),
            },
        }
    }

    fn state(&self) -> InboxState {
        InboxState {
            one_time_left: number(self.packages.len()),
            first_seq: self.first_seq,
        }
    }

    /// Ok(true) for a new operation, Ok(false) for the repeat of the newest.
    fn counts(
        &self,
        counter: u64,
        signature: &[u8],
        signed: Authentic,
    ) -> Result<bool, RelayError> {
        if !signed {
            return Err(RelayError::WrongSignature);
        }
        if counter == self.counter && signature == self.signature {
            return Ok(false);
        }
        if counter <= self.counter || counter - self.counter > 1 << 32 {
            return Err(RelayError::StaleCounter(self.counter));
        }
        Ok(true)
    }
}

impl Model {
    /// `create_queue`, rightly signed.
    pub fn create_queue(&mut self, id: QueueId) {
        self.queues.entry(id).or_insert(Queue {
            id,
            keys: None,
            entries: Vec::new(),
            commits: Vec::new(),
            tokens: BTreeMap::new(),
            first_seq: 1,
            first_epoch: 1,
        });
    }

    /// One post of `append_batch`, stored `at` if it is.
    ///
    /// # Panics
    /// On what is no frame.
    pub fn append(&mut self, post: &[u8], mac: Authentic, now: u64, at: u64) -> PostOutcome {
        let post = PostRef::decode(post).unwrap();
        self.try_append(&post, mac, now, at)
            .unwrap_or_else(PostOutcome::Refused)
    }

    fn try_append(
        &mut self,
        post: &PostRef<'_>,
        mac: Authentic,
        now: u64,
        at: u64,
    ) -> Result<PostOutcome, PostRefusal> {
        if post.header.kind == PostKind::Commit {
            return Err(PostRefusal::WrongKind);
        }
        let queue = self
            .queues
            .get_mut(&post.header.queue)
            .ok_or(PostRefusal::NoSuchQueue)?;
        if let Some(position) = queue.admits(post, mac, now)? {
            return Ok(PostOutcome::Repeat(position));
        }
        Ok(PostOutcome::Accepted(queue.store(post, None, at)))
    }

    /// `submit_commit`, stored `at` if it is.
    ///
    /// # Errors
    /// As the relay says.
    ///
    /// # Panics
    /// On what is no frame.
    pub fn submit_commit(
        &mut self,
        post: &[u8],
        next: &EpochKeys,
        bundle: &CommitBundle,
        signed: Authentic,
        now: u64,
        at: u64,
    ) -> Result<CommitAccepted, RelayError> {
        let post = PostRef::decode(post).unwrap();
        let id = post.header.queue;
        let taken = |locator| self.welcomes.contains_key(locator);
        let taken = bundle.locators.iter().any(taken);
        let queue = self
            .queues
            .get_mut(&id)
            .ok_or(RelayError::Post(PostRefusal::NoSuchQueue))?;
        let started = post.header.epoch + 1;
        if let Some(at) = queue.commits.get(post.header.epoch as usize) {
            let entry = &queue.entries[*at];
            if started >= queue.first_epoch && digest(entry).post_hash == post.hash() {
                return Ok(CommitAccepted {
                    epoch: started,
                    position: Position {
                        seq: entry.seq,
                        accepted_at: entry.accepted_at,
                    },
                });
            }
        }
        queue.admits(&post, signed, now).map_err(RelayError::Post)?;
        if !signed {
            return Err(PostRefusal::WrongSignature.into());
        }
        let follows = match &queue.keys {
            None => next.generation == 1,
            Some(keys) if keys.generation == next.generation => {
                keys.read_token_hash == next.read_token_hash
            }
            Some(keys) => {
                keys.generation + 1 == next.generation
                    && !queue.tokens.contains_key(&next.read_token_hash)
            }
        };
        if !follows {
            return Err(PostRefusal::WrongGeneration.into());
        }
        if taken {
            return Err(RelayError::Exists);
        }
        let position = queue.store(&post, Some(next.hash()), at);
        queue.commits.push(position.seq as usize - 1);
        if let Some(keys) = &queue.keys
            && keys.generation != next.generation
        {
            let ended = (keys.generation, Some(position.seq));
            queue.tokens.insert(keys.read_token_hash, ended);
        }
        queue
            .tokens
            .insert(next.read_token_hash, (next.generation, None));
        queue.keys = Some(next.clone());
        if !bundle.locators.is_empty() {
            let waiting = (bundle.clone(), bundle.locators.clone());
            self.bundles.insert((id, started), waiting);
            for locator in &bundle.locators {
                self.welcomes.insert(*locator, (id, started));
            }
        }
        Ok(CommitAccepted {
            epoch: started,
            position,
        })
    }

    /// One item of `fetch`; small enough to be whole.
    #[must_use]
    pub fn fetch(&self, item: &FetchItem) -> FetchedItem {
        match self.queues.get(&item.queue) {
            Some(queue) => queue.fetch(item).unwrap_or_else(FetchedItem::Refused),
            None => FetchedItem::Refused(FetchRefusal::NoSuchQueue),
        }
    }

    /// Wrapper and tree of a Welcome.
    #[must_use]
    pub fn welcome(&self, locator: WelcomeLocator) -> Option<(Vec<u8>, Vec<u8>)> {
        let (bundle, _) = &self.bundles[self.welcomes.get(&locator)?];
        Some((
            bundle.wrapper.as_slice().to_vec(),
            bundle.tree.as_slice().to_vec(),
        ))
    }

    /// `ack_welcome`.
    pub fn ack_welcome(&mut self, locator: WelcomeLocator) {
        let Some(key) = self.welcomes.remove(&locator) else {
            return;
        };
        if let Some((_, waiting)) = self.bundles.get_mut(&key) {
            waiting.retain(|other| *other != locator);
            if waiting.is_empty() {
                self.bundles.remove(&key);
            }
        }
    }

    /// `create_inbox`, rightly signed.
    ///
    /// # Errors
    /// As the relay says.
    pub fn create_inbox(&mut self, id: InboxId, xwing: &[u8]) -> Result<InboxState, RelayError> {
        let inbox = self.inboxes.entry(id).or_insert_with(|| Inbox {
            id,
            xwing_key: xwing.to_vec(),
            deposits: Vec::new(),
            first_seq: 1,
            counter: 0,
            signature: vec![0; 64],
            packages: Vec::new(),
            claimed: 0,
            last_resort: Vec::new(),
            claims: Vec::new(),
        });
        if inbox.xwing_key == xwing {
            Ok(inbox.state())
        } else {
            Err(RelayError::Exists)
        }
    }

    /// `deposit`, stored `at` if it is.
    ///
    /// # Errors
    /// As the relay says.
    pub fn deposit(
        &mut self,
        id: InboxId,
        sealed: &[u8],
        credential: Authentic,
        at: u64,
    ) -> Result<Position, RelayError> {
        let inbox = self.inboxes.get_mut(&id).ok_or(RelayError::NoSuchInbox)?;
        if !credential {
            return Err(RelayError::Credential);
        }
        let retained = inbox.first_seq as usize - 1;
        for (seq, (at, other)) in (inbox.first_seq..).zip(&inbox.deposits[retained..]) {
            if other == sealed {
                return Ok(Position {
                    seq,
                    accepted_at: *at,
                });
            }
        }
        inbox.deposits.push((at, sealed.to_vec()));
        Ok(Position {
            seq: inbox.seq(),
            accepted_at: at,
        })
    }

    /// `read_inbox`: number, time and bytes of the deposits.
    ///
    /// # Errors
    /// As the relay says.
    pub fn read_inbox(
        &self,
        id: InboxId,
        from: u32,
        signed: Authentic,
    ) -> Result<Vec<(u32, u64, Vec<u8>)>, RelayError> {
        let inbox = self.inboxes.get(&id).ok_or(RelayError::NoSuchInbox)?;
        if !signed {
            return Err(RelayError::WrongSignature);
        }
        let from = from.max(inbox.first_seq);
        let deposits = (1..).zip(&inbox.deposits).skip(from as usize - 1);
        Ok(deposits
            .map(|(seq, (at, sealed))| (seq, *at, sealed.clone()))
            .collect())
    }

    /// `drain`.
    ///
    /// # Errors
    /// As the relay says.
    pub fn drain(
        &mut self,
        id: InboxId,
        counter: u64,
        up_to: u32,
        signature: &[u8],
        signed: Authentic,
    ) -> Result<InboxState, RelayError> {
        let inbox = self.inboxes.get_mut(&id).ok_or(RelayError::NoSuchInbox)?;
        if inbox.counts(counter, signature, signed)? {
            inbox.first_seq = inbox.first_seq.max(up_to.min(inbox.seq()) + 1);
            inbox.counter = counter;
            inbox.signature = signature.to_vec();
        }
        Ok(inbox.state())
    }

    /// `refill`.
    ///
    /// # Errors
    /// As the relay says.
    pub fn refill(
        &mut self,
        id: InboxId,
        counter: u64,
        (packages, last): (&[Vec<u8>], Option<&[u8]>),
        signature: &[u8],
        signed: Authentic,
    ) -> Result<InboxState, RelayError> {
        let inbox = self.inboxes.get_mut(&id).ok_or(RelayError::NoSuchInbox)?;
        if inbox.counts(counter, signature, signed)? {
            if inbox.packages.len() + packages.len() > POOL_MAX_KEY_PACKAGES {
                return Err(RelayError::Full);
            }
            inbox.packages.extend_from_slice(packages);
            if let Some(last) = last {
                inbox.last_resort = last.to_vec();
            }
            inbox.counter = counter;
            inbox.signature = signature.to_vec();
        }
        Ok(inbox.state())
    }

    /// `claim`.
    ///
    /// # Errors
    /// As the relay says.
    pub fn claim(
        &mut self,
        id: InboxId,
        claim: Hash,
        credential: Authentic,
    ) -> Result<Option<Vec<u8>>, RelayError> {
        let inbox = self.inboxes.get_mut(&id).ok_or(RelayError::NoSuchInbox)?;
        if !credential {
            return Err(RelayError::Credential);
        }
        if let Some((_, package)) = inbox.claims.iter().find(|(other, _)| *other == claim) {
            return Ok(Some(package.clone()));
        }
        if inbox.packages.is_empty() {
            return Ok(None);
        }
        let package = inbox.packages.remove(0);
        inbox.claimed += 1;
        inbox.claims.push((claim, package.clone()));
        if inbox.claims.len() > CLAIMS_REMEMBERED {
            inbox.claims.remove(0);
        }
        Ok(Some(package))
    }

    /// `pool`: X-Wing key and last resort.
    ///
    /// # Errors
    /// As the relay says.
    pub fn pool(&self, id: InboxId) -> Result<(Vec<u8>, Vec<u8>), RelayError> {
        let inbox = self.inboxes.get(&id).ok_or(RelayError::NoSuchInbox)?;
        Ok((inbox.xwing_key.clone(), inbox.last_resort.clone()))
    }

    /// The certified leaf of a key; `None` where there is none.
    #[must_use]
    pub fn leaf(&self, key: &Hash) -> Option<Leaf> {
        if let Some(queue) = self.queues.get(&QueueId(*key)) {
            return Some(Leaf::Queue(queue.leaf()));
        }
        if let Some(inbox) = self.inboxes.get(&InboxId(*key)) {
            return Some(Leaf::Inbox(inbox.leaf()));
        }
        let locator = self.welcomes.keys().find(|one| one.map_key() == *key)?;
        let (wrapper, tree) = self.welcome(*locator)?;
        Some(Leaf::Welcome(WelcomeLeaf {
            wrapper_hash: blake3(&wrapper),
            tree_hash: blake3(&tree),
        }))
    }

    /// What the relay has let expire, by its certified leaf; it must have been due.
    ///
    /// # Panics
    /// If it was not due, or came back.
    pub fn expire(&mut self, leaf: &QueueLeaf, id: &QueueId, now: u64) {
        let queue = self.queues.get_mut(id).unwrap();
        assert!(leaf.first_seq >= queue.first_seq && leaf.first_epoch >= queue.first_epoch);
        let due =
            |entry: &Entry, (kept, bucket): (u64, u64)| entry.accepted_at + kept - bucket <= now;
        let gone = &queue.entries[queue.first_seq as usize - 1..leaf.first_seq as usize - 1];
        assert!(
            gone.iter().all(|entry| due(entry, POSTS_KEPT_NS)),
            "a post went too early"
        );
        let gone = &queue.commits[queue.first_epoch as usize - 1..leaf.first_epoch as usize - 1];
        let early = |at: &usize| !due(&queue.entries[*at], COMMITS_KEPT_NS);
        assert!(!gone.iter().any(early), "a commit went too early");
        for epoch in queue.first_epoch..leaf.first_epoch {
            if let Some((_, waiting)) = self.bundles.remove(&(*id, epoch)) {
                for locator in waiting {
                    self.welcomes.remove(&locator);
                }
            }
        }
        if leaf.first_epoch > queue.first_epoch {
            // A token goes with the commit that ended its generation.
            let last = queue.commits[leaf.first_epoch as usize - 2];
            let seq = queue.entries[last].seq;
            queue
                .tokens
                .retain(|_, (_, end)| end.is_none_or(|end| end > seq));
        }
        queue.first_seq = leaf.first_seq;
        queue.first_epoch = leaf.first_epoch;
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}
