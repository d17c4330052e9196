//! Stories of the relay's operations: that each holds, and that each violation is refused.
#![expect(
    clippy::cast_possible_truncation,
    reason = "tests count to small numbers"
)]

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use ic_stable_structures::{Memory, VectorMemory};
use paigham_wire::admin::InitArgument;
use paigham_wire::chain::{EntryDigest, commit_next, commit_start, queue_next, queue_start};
use paigham_wire::codec::{decode, encode};
use paigham_wire::frame::{PostHeader, PostKind, encode_post, post_hash};
use paigham_wire::hash::Hash;
use paigham_wire::ids::{CanisterId, InboxId, QueueId, WelcomeId};
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken};
use paigham_wire::leaf::{Leaf, QueueLeaf};
use paigham_wire::map::{Found, Witness};
use paigham_wire::relay::*;
use paigham_wire::ticket::{Beacon, Difficulties, Paid, TicketRefusal};
use proptest::prelude::*;

use crate::Relay;

mod administration;
mod append;
mod blobs;
mod expiry;
mod inboxes;
mod log;
mod map;
mod tail;
mod tickets;

const NOW: u64 = 1_700_000_000 * 1_000_000_000;
const BEACON: Beacon = Beacon {
    issued_at: NOW,
    value: [1; 32],
};
const SOON: u32 = 1_700_000_000 + 300;

fn canister() -> CanisterId {
    CanisterId::new(&[1, 2, 3]).unwrap()
}

/// Bits of work that tests do.
const BITS: u8 = 4;

/// A relay with its first beacon.
fn relay() -> Relay<VectorMemory> {
    opened(VectorMemory::default())
}

fn opened<M: Memory>(memory: M) -> Relay<M> {
    let mut relay = Relay::open(memory, canister(), 1).unwrap();
    let argument = InitArgument {
        admins: None,
        difficulties: Some(Difficulties::all(BITS)),
    };
    relay.install(&argument).unwrap();
    relay.issue_beacon([1; 32], NOW);
    relay
}

/// A request with its ticket.
fn paid<R: Paid>(mut request: R) -> Vec<u8> {
    request.pay(&canister(), BEACON, BITS).unwrap();
    encode(&request)
}

/// What an adversary does to a header.
type Change = fn(&mut PostHeader);

/// What the members of a group know.
#[derive(Clone)]
struct Group {
    queue: QueueId,
    epoch: u32,
    seq: u32,
    control: SigningKey,
    keys: Option<EpochKeys>,
    token: ReadToken,
}

fn token(generation: u32) -> ReadToken {
    ReadToken::new([generation as u8 + 100; 32])
}

fn keys(epoch: u32, generation: u32) -> EpochKeys {
    EpochKeys {
        control_key: control(epoch).verifying_key().to_bytes(),
        mac_key: MacKey::new([epoch as u8; 32]),
        read_token_hash: token(generation).hash(),
        generation,
    }
}

fn control(epoch: u32) -> SigningKey {
    SigningKey::from_bytes(&[epoch as u8 + 1; 32])
}

impl Group {
    fn create(relay: &mut Relay<VectorMemory>) -> Self {
        Self::with_nonce(relay, [5; 32])
    }

    fn with_nonce(relay: &mut Relay<VectorMemory>, nonce: Hash) -> Self {
        let (queue, request) = CreateQueue::sign(&control(0), &canister(), nonce);
        assert_eq!(
            relay.create_queue(&paid(request), NOW),
            Ok(QueueCreated { queue })
        );
        let control = control(0);
        Self {
            queue,
            epoch: 0,
            seq: 0,
            control,
            keys: None,
            token: token(1),
        }
    }

    fn header(&self, kind: PostKind, envelope: &[u8]) -> PostHeader {
        PostHeader {
            queue: self.queue,
            epoch: self.epoch,
            not_after: SOON,
            kind,
            after_seq: self.seq,
            length: envelope.len() as u32,
        }
    }

    fn post(&self, envelope: &[u8]) -> Vec<u8> {
        let key = self.keys.as_ref().map(|keys| &keys.mac_key);
        encode_post(&self.header(PostKind::Application, envelope), key, envelope)
    }

    fn commit(&self, envelope: &[u8], next: EpochKeys, bundle: CommitBundle) -> SubmitCommit {
        let header = self.header(PostKind::Commit, envelope);
        let hash = post_hash(&header.to_bytes(), envelope);
        let signature = SubmitCommit::signature(
            &self.control,
            &canister(),
            &self.queue,
            self.epoch,
            &hash,
            &next,
            &bundle,
        );
        let post = encode_post(&header, None, envelope).into();
        SubmitCommit {
            post,
            next_keys: next,
            bundle,
            signature,
        }
    }

    fn advance(&mut self, relay: &mut Relay<VectorMemory>, new_generation: bool) {
        let generation = self.keys.as_ref().map_or(0, |keys| keys.generation);
        let next = keys(
            self.epoch + 1,
            generation + u32::from(new_generation || generation == 0),
        );
        let commit = self.commit(b"commit", next.clone(), CommitBundle::empty());
        let accepted = relay.submit_commit(&encode(&commit), NOW).unwrap();
        self.epoch += 1;
        self.seq = accepted.position.seq;
        self.control = control(self.epoch);
        self.token = token(next.generation);
        self.keys = Some(next);
        assert_eq!(accepted.epoch, self.epoch);
    }
}

fn append(relay: &mut Relay<VectorMemory>, posts: &[u8]) -> Vec<PostOutcome> {
    relay.append_batch(posts, NOW).unwrap().outcomes
}

fn refused(relay: &mut Relay<VectorMemory>, post: &[u8]) -> PostRefusal {
    match append(relay, post)[..] {
        [PostOutcome::Refused(refusal)] => refusal,
        ref other => panic!("{other:?}"),
    }
}

fn position(seq: u32) -> Position {
    Position {
        seq,
        accepted_at: NOW,
    }
}

fn leaf(relay: &mut Relay<VectorMemory>, queue: &QueueId) -> QueueLeaf {
    let root = relay.seal();
    let witness = Witness::decode(&relay.witness(&[queue.0])).unwrap();
    assert_eq!(witness.root(), root);
    match witness.get(&queue.0).unwrap() {
        Found::Present(value) => match decode(value).unwrap() {
            Leaf::Queue(leaf) => leaf,
            other => panic!("{other:?}"),
        },
        Found::Absent => panic!("absent"),
    }
}

fn fetch(
    relay: &Relay<VectorMemory>,
    queue: QueueId,
    token: &ReadToken,
    from_seq: u32,
    what: FetchWhat,
) -> FetchedItem {
    let item = FetchItem {
        queue,
        token: token.clone(),
        from: from_seq,
        what,
    };
    let mut reply = relay
        .fetch(&encode(&FetchRequest { items: vec![item] }), vec![1])
        .unwrap();
    reply.items.remove(0)
}

fn seqs(item: FetchedItem) -> Vec<u32> {
    match item {
        FetchedItem::Entries(entries) => entries.iter().map(|entry| entry.seq).collect(),
        other => panic!("{other:?}"),
    }
}

/// Nobody makes a queue under another's id; making one twice changes nothing.
#[test]
fn a_queue_belongs_to_its_first_control_key() {
    let mut relay = relay();
    let group = Group::create(&mut relay);
    let root = relay.seal();
    Group::create(&mut relay);
    assert_eq!(relay.seal(), root);
    let (_, mut forged) = CreateQueue::sign(&control(9), &canister(), [5; 32]);
    forged.control_key = control(0).verifying_key().to_bytes();
    assert_eq!(
        relay.create_queue(&encode(&forged), NOW),
        Err(RelayError::WrongSignature)
    );
    let elsewhere = CanisterId::new(&[9]).unwrap();
    let (_, foreign) = CreateQueue::sign(&control(0), &elsewhere, [5; 32]);
    assert_eq!(
        relay.create_queue(&encode(&foreign), NOW),
        Err(RelayError::WrongSignature)
    );
    assert_eq!(
        leaf(&mut relay, &group.queue).head,
        queue_start(&group.queue)
    );
}

/// Posts are numbered, chained and certified; the certified leaf is what anybody computes.
#[test]
fn posts_are_chained() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    let posts = [group.post(b"one"), group.post(b"two")].concat();
    let outcomes = append(&mut relay, &posts);
    assert_eq!(
        outcomes,
        vec![
            PostOutcome::Accepted(position(2)),
            PostOutcome::Accepted(position(3))
        ]
    );
    let leaf = leaf(&mut relay, &group.queue);
    let FetchedItem::Entries(entries) =
        fetch(&relay, group.queue, &group.token, 1, FetchWhat::Entries)
    else {
        panic!("no entries");
    };
    let mut head = queue_start(&group.queue);
    let mut commit_head = commit_start(&group.queue);
    for entry in &entries {
        let post_hash = post_hash(&entry.header, entry.envelope.as_slice());
        let digest = EntryDigest {
            accepted_at: entry.accepted_at,
            post_hash,
        };
        head = queue_next(&head, entry.seq, &digest);
        if let Some(keys_hash) = entry.keys_hash {
            commit_head = commit_next(&commit_head, 1, entry.seq, &digest, &keys_hash);
        }
    }
    assert_eq!(
        (leaf.seq, leaf.head, leaf.commit_head),
        (3, head, commit_head)
    );
    assert_eq!(leaf.keys_hash, keys(1, 1).hash());
    let FetchedItem::Digests(digests) =
        fetch(&relay, group.queue, &group.token, 2, FetchWhat::Digests)
    else {
        panic!("no digests");
    };
    assert_eq!(digests.len(), 2);
}

/// A post sent again keeps its place, in a later call, in the same batch and after its epoch.
#[test]
fn a_repeat_is_harmless() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    let post = group.post(b"once");
    let twice = [post.clone(), post.clone()].concat();
    assert_eq!(
        append(&mut relay, &twice),
        vec![
            PostOutcome::Accepted(position(2)),
            PostOutcome::Repeat(position(2))
        ]
    );
    let old = group.clone();
    group.seq = 2;
    group.advance(&mut relay, false);
    assert_eq!(
        append(&mut relay, &post),
        vec![PostOutcome::Repeat(position(2))]
    );
    assert_eq!(
        refused(&mut relay, &old.post(b"other")),
        PostRefusal::StaleEpoch
    );
    assert_eq!(leaf(&mut relay, &group.queue).seq, 3);
}

/// Each way in which a post can be wrong has its own answer, and none changes the root.
#[test]
fn wrong_posts_are_refused() {
    let mut relay = relay();
    let fresh = Group::create(&mut relay);
    assert_eq!(
        refused(&mut relay, &fresh.post(b"epoch 0")),
        PostRefusal::WrongMac
    );
    let mut group = fresh;
    group.advance(&mut relay, false);
    let root = relay.seal();
    let change = |change: Change| {
        let mut header = group.header(PostKind::Application, b"x");
        change(&mut header);
        encode_post(&header, group.keys.as_ref().map(|keys| &keys.mac_key), b"x")
    };
    let cases: [(Change, PostRefusal); 8] = [
        (
            |header| header.queue = QueueId([9; 32]),
            PostRefusal::NoSuchQueue,
        ),
        (|header| header.after_seq = 2, PostRefusal::AfterSeqAhead),
        (
            |header| header.not_after = 1_699_999_999,
            PostRefusal::Expired,
        ),
        (
            |header| header.not_after = 1_700_000_601,
            PostRefusal::NotAfterTooFar,
        ),
        (|header| header.epoch = 0, PostRefusal::StaleEpoch),
        (|header| header.epoch = 2, PostRefusal::FutureEpoch),
        (|header| header.length = 2, PostRefusal::Malformed),
        (|header| header.length = 0, PostRefusal::Malformed),
    ];
    for (case, refusal) in cases {
        assert_eq!(refused(&mut relay, &change(case)), refusal);
    }
    let mut forged = group.post(b"x");
    forged[50] ^= 1;
    assert_eq!(refused(&mut relay, &forged), PostRefusal::WrongMac);
    let header = group.header(PostKind::Commit, b"x");
    let commit = encode_post(&header, None, b"x");
    assert_eq!(refused(&mut relay, &commit), PostRefusal::WrongKind);
    assert_eq!(relay.seal(), root);
    let good = group.post(b"good");
    let torn = [&good[..], &good[..60]].concat();
    let outcomes = append(&mut relay, &torn);
    assert_eq!(outcomes[0], PostOutcome::Accepted(position(2)));
}

/// A sender that is more than 256 entries behind must read first: the relay can't tell a repeat.
#[test]
fn who_is_far_behind_catches_up_first() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    let posts: Vec<u8> = (0..257u32)
        .flat_map(|i| group.post(&i.to_be_bytes()))
        .collect();
    let outcomes = append(&mut relay, &posts);
    assert_eq!(outcomes[256], PostOutcome::Accepted(position(258)));
    assert_eq!(
        refused(&mut relay, &group.post(b"late")),
        PostRefusal::CatchUpFirst
    );
    group.seq = 2;
    assert_eq!(
        append(&mut relay, &group.post(b"late")),
        vec![PostOutcome::Accepted(position(259))]
    );
}

/// Of two commits on one epoch one wins; the other is told, and sending the winner again gets its
/// first answer.
#[test]
fn commits_compare_and_swap() {
    let mut relay = relay();
    let group = Group::create(&mut relay);
    let winner = encode(&group.commit(b"a", keys(1, 1), CommitBundle::empty()));
    let loser = encode(&group.commit(b"b", keys(1, 1), CommitBundle::empty()));
    let accepted = CommitAccepted {
        epoch: 1,
        position: position(1),
    };
    assert_eq!(relay.submit_commit(&winner, NOW), Ok(accepted));
    assert_eq!(
        relay.submit_commit(&loser, NOW),
        Err(PostRefusal::StaleEpoch.into())
    );
    assert_eq!(
        relay.submit_commit(&winner, NOW + 1_000_000_000_000),
        Ok(accepted)
    );
}

/// A commit needs the control key of its epoch, over everything stored with it, and a generation
/// that follows.
#[test]
fn wrong_commits_are_refused() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    let submit = |relay: &mut Relay<VectorMemory>, commit: &SubmitCommit| {
        relay.submit_commit(&encode(commit), NOW).unwrap_err()
    };
    let mut stolen = group.commit(b"a", keys(1, 1), CommitBundle::empty());
    stolen.next_keys.mac_key = MacKey::new([9; 32]);
    assert_eq!(
        submit(&mut relay, &stolen),
        PostRefusal::WrongSignature.into()
    );
    let mut bundled = group.commit(b"a", keys(1, 1), CommitBundle::empty());
    bundled.bundle.locators.push(WelcomeId([1; 32]).locator());
    assert_eq!(
        submit(&mut relay, &bundled),
        PostRefusal::WrongSignature.into()
    );
    let no_generation = group.commit(b"a", keys(1, 0), CommitBundle::empty());
    assert_eq!(
        submit(&mut relay, &no_generation),
        PostRefusal::WrongGeneration.into()
    );
    group.advance(&mut relay, false);
    let skips = group.commit(b"a", keys(2, 3), CommitBundle::empty());
    assert_eq!(
        submit(&mut relay, &skips),
        PostRefusal::WrongGeneration.into()
    );
    let mut same = keys(2, 1);
    same.read_token_hash = [1; 32];
    let changes_token = group.commit(b"a", same, CommitBundle::empty());
    assert_eq!(
        submit(&mut relay, &changes_token),
        PostRefusal::WrongGeneration.into()
    );
    let mut post = group.commit(b"a", keys(2, 1), CommitBundle::empty());
    post.post = group.post(b"a").into();
    assert_eq!(submit(&mut relay, &post), PostRefusal::WrongKind.into());
}

/// A removed member's token reads up to the commit that removed it, and only digests beyond; a
/// stranger's token reads nothing.
#[test]
fn a_token_reads_its_generation() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    append(&mut relay, &group.post(b"before"));
    let removed = group.token.clone();
    group.seq = 2;
    group.advance(&mut relay, true);
    append(&mut relay, &group.post(b"after"));
    let queue = group.queue;
    assert_eq!(
        seqs(fetch(&relay, queue, &removed, 1, FetchWhat::Entries)),
        vec![1, 2, 3]
    );
    assert_eq!(
        fetch(&relay, queue, &removed, 4, FetchWhat::Entries),
        FetchedItem::Refused(FetchRefusal::GenerationOver)
    );
    let FetchedItem::Digests(digests) = fetch(&relay, queue, &removed, 4, FetchWhat::Digests)
    else {
        panic!("no digests");
    };
    assert_eq!(digests.len(), 1);
    assert_eq!(
        seqs(fetch(&relay, queue, &group.token, 1, FetchWhat::Entries)),
        vec![1, 2, 3, 4]
    );
    let stranger = ReadToken::new([0; 32]);
    for what in [FetchWhat::Entries, FetchWhat::Digests] {
        assert_eq!(
            fetch(&relay, queue, &stranger, 1, what),
            FetchedItem::Refused(FetchRefusal::UnknownToken)
        );
    }
    assert_eq!(
        fetch(&relay, QueueId([8; 32]), &stranger, 1, FetchWhat::Entries),
        FetchedItem::Refused(FetchRefusal::NoSuchQueue)
    );
}

/// Welcome and tree come with their commit or not at all, are certified, and stay until every
/// joiner has acknowledged; nobody can take a locator that is in use.
#[test]
fn welcomes_wait_for_their_joiners() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    let ids = [WelcomeId([1; 32]), WelcomeId([2; 32])];
    let mut locators: Vec<_> = ids.iter().map(WelcomeId::locator).collect();
    locators.sort();
    let bundle = CommitBundle {
        wrapper: b"wrapper".to_vec().into(),
        tree: b"tree".to_vec().into(),
        locators: locators.clone(),
    };
    let commit = group.commit(b"add", keys(1, 1), bundle.clone());
    relay.submit_commit(&encode(&commit), NOW).unwrap();
    relay.seal();
    let read = |relay: &Relay<VectorMemory>, id: WelcomeId| {
        relay
            .welcome(&encode(&WelcomeRequest { welcome_id: id }), vec![1])
            .unwrap()
    };
    for id in ids {
        let reply = read(&relay, id);
        assert_eq!(reply.wrapper.as_slice(), b"wrapper");
        let witness = Witness::decode(reply.witness.as_slice()).unwrap();
        assert!(matches!(
            witness.get(&id.locator().map_key()),
            Ok(Found::Present(_))
        ));
    }
    group.epoch = 1;
    group.seq = 1;
    group.control = control(1);
    let thief = group.commit(b"add", keys(2, 1), bundle);
    assert_eq!(
        relay.submit_commit(&encode(&thief), NOW),
        Err(RelayError::Exists)
    );
    let ack = |relay: &mut Relay<VectorMemory>, id: WelcomeId| {
        relay
            .ack_welcome(&encode(&WelcomeRequest { welcome_id: id }))
            .unwrap();
        relay.seal();
    };
    ack(&mut relay, ids[0]);
    assert!(read(&relay, ids[0]).wrapper.as_slice().is_empty());
    assert_eq!(read(&relay, ids[1]).tree.as_slice(), b"tree");
    ack(&mut relay, ids[0]);
    ack(&mut relay, ids[1]);
    let reply = read(&relay, ids[1]);
    let witness = Witness::decode(reply.witness.as_slice()).unwrap();
    assert_eq!(witness.get(&ids[1].locator().map_key()), Ok(Found::Absent));
    assert_eq!(witness.root(), relay.seal());
}

/// The owner of an inbox.
struct Owner {
    key: SigningKey,
    inbox: InboxId,
}

impl Owner {
    fn create<M: Memory>(relay: &mut Relay<M>) -> Self {
        let key = SigningKey::from_bytes(&[77; 32]);
        let inbox_key = key.verifying_key().to_bytes();
        let inbox = InboxId::derive(&inbox_key);
        let xwing_key = vec![3; XWING_KEY_BYTES];
        let signature = InboxOperation::Create {
            xwing_key: &xwing_key,
        }
        .sign(&key, &canister(), &inbox);
        let request = CreateInbox {
            inbox_key,
            xwing_key: xwing_key.into(),
            signature,
            credential: Credential::none(),
        };
        relay.create_inbox(&paid(request), NOW).unwrap();
        Self { key, inbox }
    }

    fn sign(&self, operation: InboxOperation<'_>) -> SignatureBytes {
        operation.sign(&self.key, &canister(), &self.inbox)
    }

    fn read(&self, relay: &Relay<VectorMemory>, from_seq: u32) -> Result<InboxReply, RelayError> {
        let signature = self.sign(InboxOperation::Read {
            from_seq,
            not_after: SOON,
        });
        let request = ReadInbox {
            inbox: self.inbox,
            from_seq,
            not_after: SOON,
            signature,
        };
        relay.read_inbox(&encode(&request), vec![1], NOW)
    }

    fn drain(&self, counter: u64, up_to: u32) -> Vec<u8> {
        let signature = self.sign(InboxOperation::Drain { counter, up_to });
        encode(&Drain {
            inbox: self.inbox,
            counter,
            up_to,
            signature,
        })
    }

    fn refill(&self, counter: u64, packages: &[&[u8]], last_resort: Option<&[u8]>) -> Vec<u8> {
        let key_packages = packages
            .iter()
            .map(|package| package.to_vec().into())
            .collect();
        let last_resort = last_resort.map(|package| package.to_vec().into());
        let operation = InboxOperation::Refill {
            counter,
            key_packages: &key_packages,
            last_resort: &last_resort,
        };
        let signature = self.sign(operation);
        encode(&Refill {
            inbox: self.inbox,
            counter,
            key_packages,
            last_resort,
            signature,
        })
    }
}

fn deposit<M: Memory>(
    relay: &mut Relay<M>,
    inbox: InboxId,
    sealed: &[u8],
) -> Result<u32, RelayError> {
    let request = Deposit {
        inbox,
        credential: Credential::none(),
        sealed: sealed.to_vec().into(),
    };
    relay
        .deposit(&paid(request), NOW)
        .map(|position| position.seq)
}

/// Deposits wait in order until the owner drains them; only the owner reads and drains, and an old
/// drain can't be played again.
#[test]
fn an_inbox_belongs_to_its_key() {
    let mut relay = relay();
    let owner = Owner::create(&mut relay);
    assert_eq!(deposit(&mut relay, owner.inbox, b"a"), Ok(1));
    assert_eq!(deposit(&mut relay, owner.inbox, b"b"), Ok(2));
    assert_eq!(deposit(&mut relay, owner.inbox, b"a"), Ok(1));
    assert_eq!(
        deposit(&mut relay, InboxId([0; 32]), b"a"),
        Err(RelayError::NoSuchInbox)
    );
    let read = owner.read(&relay, 1).unwrap();
    let sealed: Vec<_> = read
        .deposits
        .iter()
        .map(|entry| entry.sealed.as_slice())
        .collect();
    assert_eq!(sealed, [b"a", b"b"]);
    let thief = Owner {
        key: SigningKey::from_bytes(&[1; 32]),
        inbox: owner.inbox,
    };
    assert_eq!(thief.read(&relay, 1), Err(RelayError::WrongSignature));
    assert_eq!(
        relay.drain(&thief.drain(1, 2)),
        Err(RelayError::WrongSignature)
    );
    let drain = owner.drain(1, 1);
    let state = InboxState {
        one_time_left: 0,
        first_seq: 2,
    };
    assert_eq!(relay.drain(&drain), Ok(state));
    assert_eq!(relay.drain(&drain), Ok(state));
    assert_eq!(
        relay.drain(&owner.drain(1, 2)),
        Err(RelayError::StaleCounter(1))
    );
    assert_eq!(
        relay.drain(&owner.drain(2, 99)),
        Ok(InboxState {
            one_time_left: 0,
            first_seq: 3
        })
    );
    assert_eq!(relay.drain(&drain), Err(RelayError::StaleCounter(2)));
    assert!(owner.read(&relay, 1).unwrap().deposits.is_empty());
}

/// Key packages are given out one each, oldest first; a repeated claim gets the same one, an empty
/// pool none, and the last resort stays.
#[test]
fn key_packages_are_claimed_once() {
    let mut relay = relay();
    let owner = Owner::create(&mut relay);
    let refill = owner.refill(1, &[b"one", b"two"], Some(b"last"));
    let full = InboxState {
        one_time_left: 2,
        first_seq: 1,
    };
    assert_eq!(relay.refill(&refill), Ok(full));
    assert_eq!(relay.refill(&refill), Ok(full));
    let claim = |relay: &mut Relay<VectorMemory>, id: u8| {
        let request = Claim {
            inbox: owner.inbox,
            claim_id: [id; 32],
            credential: Credential::none(),
        };
        let claimed = relay.claim(&paid(request), NOW).unwrap();
        claimed
            .key_package
            .map(|package| package.as_slice().to_vec())
    };
    assert_eq!(claim(&mut relay, 1).unwrap(), b"one");
    assert_eq!(claim(&mut relay, 1).unwrap(), b"one");
    assert_eq!(claim(&mut relay, 2).unwrap(), b"two");
    assert_eq!(claim(&mut relay, 3), None);
    let pool = relay
        .pool(&encode(&PoolRequest { inbox: owner.inbox }), vec![1])
        .unwrap();
    assert_eq!(pool.last_resort.as_slice(), b"last");
    let many: Vec<&[u8]> = vec![b"x"; POOL_MAX_KEY_PACKAGES + 1];
    assert_eq!(
        relay.refill(&owner.refill(2, &many, None)),
        Err(RelayError::Full)
    );
    let huge = vec![0; KEY_PACKAGE_MAX_BYTES + 1];
    assert_eq!(
        relay.refill(&owner.refill(2, &[&huge], None)),
        Err(RelayError::TooLarge)
    );
}

/// A contact's capability opens the inbox until it expires; a forged one or an unknown kind does
/// not.
#[test]
fn credentials_are_checked() {
    let mut relay = relay();
    let owner = Owner::create(&mut relay);
    let offer = |relay: &mut Relay<VectorMemory>, credential| {
        let sealed = b"hello".to_vec().into();
        let request = Deposit {
            inbox: owner.inbox,
            credential,
            sealed,
        };
        relay.deposit(&encode(&request), NOW).map(|_| ())
    };
    let capability = |not_after: u32, key: &SigningKey| {
        let operation = InboxOperation::Capability { not_after };
        let signature = operation.sign(key, &canister(), &owner.inbox);
        let data = encode(&Capability {
            not_after,
            signature,
        })
        .into();
        Credential {
            credential_type: credential::CAPABILITY,
            data,
        }
    };
    assert_eq!(offer(&mut relay, capability(SOON, &owner.key)), Ok(()));
    let past = capability(1_699_999_999, &owner.key);
    assert_eq!(offer(&mut relay, past), Err(RelayError::Credential));
    let forged = capability(SOON, &SigningKey::from_bytes(&[1; 32]));
    assert_eq!(offer(&mut relay, forged), Err(RelayError::Credential));
    let ticket = Credential {
        credential_type: credential::TICKET,
        data: vec![1].into(),
    };
    assert_eq!(offer(&mut relay, ticket), Err(RelayError::Credential));
}

/// Bytes from anywhere get an answer from every method and change nothing.
#[test]
fn garbage_changes_nothing() {
    let mut relay = relay();
    Group::create(&mut relay);
    Owner::create(&mut relay);
    let root = relay.seal();
    let mut bytes = [0u8; 200];
    for seed in 0..500u32 {
        let hash = paigham_wire::hash::blake3(&seed.to_be_bytes());
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = hash[at % 32].wrapping_add(at as u8);
        }
        let garbage = &bytes[..(seed as usize * 7) % 200];
        assert!(relay.create_queue(garbage, NOW).is_err());
        assert!(relay.submit_commit(garbage, NOW).is_err());
        assert!(relay.create_inbox(garbage, NOW).is_err());
        assert!(relay.deposit(garbage, NOW).is_err());
        assert!(relay.drain(garbage).is_err());
        assert!(relay.refill(garbage).is_err());
        assert!(relay.claim(garbage, NOW).is_err());
        let outcomes = relay.append_batch(garbage, NOW).unwrap().outcomes;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, PostOutcome::Refused(_)))
        );
    }
    assert_eq!(relay.seal(), root);
}

/// An upgrade finds everything where it was.
#[test]
fn a_relay_outlives_its_code() {
    let memory = VectorMemory::default();
    let mut relay = opened(memory.clone());
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    append(&mut relay, &group.post(b"stays"));
    let root = relay.seal();
    drop(relay);
    let mut relay = Relay::open(memory, canister(), 1).unwrap();
    assert_eq!(relay.seal(), root);
    assert_eq!(
        seqs(fetch(
            &relay,
            group.queue,
            &group.token,
            1,
            FetchWhat::Entries
        )),
        vec![1, 2]
    );
}

/// The interface that others build against is the one in spec/.
#[test]
fn the_candid_interface_is_the_written_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/relay.did");
    let generated = crate::candid_interface();
    if std::env::var_os("PAIGHAM_WRITE_VECTORS").is_some() {
        std::fs::write(path, &generated).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), generated);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Members of some queues post, repeat and commit in any order: every queue's entries are
    /// those of a plain list, and its certified leaf follows from them.
    #[test]
    fn queues_behave_like_lists(steps in prop::collection::vec((0usize..3, 0u8..4, any::<u8>()), 1..60)) {
        let mut relay = relay();
        let mut groups: Vec<_> =
            (0..3u8).map(|i| Group::with_nonce(&mut relay, [i; 32])).collect();
        let mut lists: BTreeMap<usize, Vec<Hash>> = BTreeMap::new();
        for group in &mut groups {
            group.advance(&mut relay, false);
        }
        for (at, what, byte) in steps {
            let group = &mut groups[at];
            let list = lists.entry(at).or_default();
            if what == 3 {
                group.seq = 1 + list.len() as u32;
                let header = group.header(PostKind::Commit, b"commit");
                list.push(post_hash(&header.to_bytes(), b"commit"));
                group.advance(&mut relay, byte % 2 == 0);
                continue;
            }
            let envelope = [byte % 8];
            let header = group.header(PostKind::Application, &envelope);
            let hash = post_hash(&header.to_bytes(), &envelope);
            let outcome = append(&mut relay, &group.post(&envelope))[0];
            let after = group.seq as usize - 1;
            match list[after..].iter().position(|known| *known == hash) {
                Some(found) => {
                    let seq = (after + found) as u32 + 2;
                    prop_assert_eq!(outcome, PostOutcome::Repeat(position(seq)));
                }
                None => {
                    list.push(hash);
                    let seq = list.len() as u32 + 1;
                    prop_assert_eq!(outcome, PostOutcome::Accepted(position(seq)));
                }
            }
        }
        for (at, group) in groups.iter().enumerate() {
            let expected = lists.get(&at).map_or(0, Vec::len) as u32 + 1;
            let leaf = leaf(&mut relay, &group.queue);
            prop_assert_eq!(leaf.seq, expected);
            prop_assert_eq!(leaf.epoch, group.epoch);
            let FetchedItem::Digests(digests) =
                fetch(&relay, group.queue, &group.token, 1, FetchWhat::Digests) else { panic!() };
            let head = (1..).zip(&digests).fold(queue_start(&group.queue), |head, (seq, digest)| {
                queue_next(&head, seq, digest)
            });
            prop_assert_eq!(leaf.head, head);
        }
    }
}

/// A reader asks for entries and digests in one request. Together they stay within what a query
/// may answer: where large entries took the room the digests wait for the next request.
#[test]
fn entries_and_digests_share_a_reply() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    let reply = relay
        .append_batch(group.post(&vec![7; FETCH_MAX_BYTES]), NOW)
        .unwrap();
    assert!(matches!(reply.outcomes[0], PostOutcome::Accepted(_)));
    let item = |from_seq, what| FetchItem {
        queue: group.queue,
        token: group.token.clone(),
        from: from_seq,
        what,
    };
    let ask = |items| {
        let request = encode(&FetchRequest { items });
        relay.fetch(&request, Vec::new()).unwrap().items
    };
    let both = ask(vec![
        item(2, FetchWhat::Entries),
        item(1, FetchWhat::Digests),
    ]);
    assert_eq!(seqs(both[0].clone()), [2]);
    assert_eq!(both[1], FetchedItem::Digests(Vec::new()));
    let FetchedItem::Digests(alone) = &ask(vec![item(1, FetchWhat::Digests)])[0] else {
        panic!("no digests");
    };
    assert_eq!(alone.len(), 2);
}

/// One post too many: the request is refused as a whole, and nothing of it is stored.
#[test]
fn a_batch_beyond_the_limit_stores_nothing() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    let root = relay.seal();
    let posts: Vec<u8> = (0..=BATCH_MAX_POSTS as u32)
        .flat_map(|number| group.post(&number.to_be_bytes()))
        .collect();
    assert_eq!(relay.append_batch(&posts, NOW), Err(RelayError::TooLarge));
    assert_eq!(relay.seal(), root);
    let within = &posts[..posts.len() - group.post(&[0; 4]).len()];
    assert_eq!(append(&mut relay, within).len(), BATCH_MAX_POSTS);
}

/// Posts for two queues in turn, with repeats: each queue has its own in order.
#[test]
fn a_batch_may_hold_several_queues() {
    let mut relay = relay();
    let mut groups = [[1; 32], [2; 32]].map(|nonce| Group::with_nonce(&mut relay, nonce));
    groups
        .iter_mut()
        .for_each(|group| group.advance(&mut relay, false));
    let [a, b] = &groups;
    let batch = [
        a.post(b"one"),
        b.post(b"one"),
        a.post(b"one"),
        b.post(b"two"),
        a.post(b"two"),
    ];
    assert_eq!(
        append(&mut relay, &batch.concat()),
        vec![
            PostOutcome::Accepted(position(2)),
            PostOutcome::Accepted(position(2)),
            PostOutcome::Repeat(position(2)),
            PostOutcome::Accepted(position(3)),
            PostOutcome::Accepted(position(3)),
        ]
    );
    for group in &groups {
        assert_eq!(leaf(&mut relay, &group.queue).seq, 3);
    }
}

/// A removed member's token is never that of a later generation again: it would read on.
#[test]
fn a_token_that_ended_does_not_return() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    let removed = group.token.clone();
    group.advance(&mut relay, true);
    let mut next = keys(3, 3);
    next.read_token_hash = removed.hash();
    let commit = group.commit(b"a", next, CommitBundle::empty());
    assert_eq!(
        relay.submit_commit(&encode(&commit), NOW),
        Err(PostRefusal::WrongGeneration.into())
    );
    group.advance(&mut relay, true);
    assert_eq!(
        fetch(&relay, group.queue, &removed, 3, FetchWhat::Entries),
        FetchedItem::Refused(FetchRefusal::GenerationOver)
    );
}

/// Somebody floods a queue to its end. Posts are refused then, but the commit that removes the
/// flooder is not.
#[test]
fn a_flooded_queue_still_takes_commits() {
    let mut relay = relay();
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    let mut record = relay.queue(&group.queue).unwrap();
    record.leaf.seq = crate::limits::QUEUE_MAX_ENTRIES - crate::limits::ENTRIES_KEPT_FOR_COMMITS;
    group.seq = record.leaf.seq;
    relay.put_queue(&group.queue, &record);
    assert_eq!(refused(&mut relay, &group.post(b"x")), PostRefusal::Full);
    group.advance(&mut relay, true);
    record = relay.queue(&group.queue).unwrap();
    record.leaf.seq = crate::limits::QUEUE_MAX_ENTRIES;
    group.seq = record.leaf.seq;
    relay.put_queue(&group.queue, &record);
    let commit = group.commit(b"a", keys(3, 2), CommitBundle::empty());
    assert_eq!(
        relay.submit_commit(&encode(&commit), NOW),
        Err(PostRefusal::Full.into())
    );
}

/// Even the last number of a deposit can be drained: the first retained one is then one behind it.
#[test]
fn deposit_numbers_do_not_overflow() {
    let mut relay = relay();
    let owner = Owner::create(&mut relay);
    let mut record = relay.inbox(&owner.inbox).unwrap();
    record.leaf.seq = u32::MAX - 2;
    record.leaf.first_seq = u32::MAX - 1;
    relay.put_inbox(&owner.inbox, &record);
    assert_eq!(deposit(&mut relay, owner.inbox, b"last"), Ok(u32::MAX - 1));
    let state = relay.drain(&owner.drain(1, u32::MAX)).unwrap();
    assert_eq!(state.first_seq, u32::MAX);
    assert_eq!(
        deposit(&mut relay, owner.inbox, b"more"),
        Err(RelayError::Full)
    );
    assert!(owner.read(&relay, 1).unwrap().deposits.is_empty());
}
