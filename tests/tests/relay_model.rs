//! The relay's canister through an agent against a model of its specification: whatever sequence
//! of calls, restarts, upgrades and waits, both say the same.
//!
//! `PAIGHAM_MODEL_OPERATIONS` sets how many operations are played (default: a few thousand);
//! `PAIGHAM_MODEL_SEED` where they start, so that a long run can be gone on with.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use paigham_tests::bare::BareAgent;
use paigham_tests::model::Model;
use paigham_tests::story::{number, story};
use paigham_tests::world::World;
use paigham_wire::certificate::VerifiedCertificate;
use paigham_wire::codec::{decode, decode_result, encode};
use paigham_wire::frame::{PostHeader, PostKind, encode_post, post_hash};
use paigham_wire::hash::Hash;
use paigham_wire::ids::{CanisterId, InboxId, QueueId, WelcomeId};
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken};
use paigham_wire::leaf::Leaf;
use paigham_wire::map::{Found, Witness};
use paigham_wire::relay::{
    BatchReply, Capability, Claim, Claimed, CommitAccepted, CommitBundle, CreateInbox, CreateQueue,
    Credential, Deposit, Drain, FetchItem, FetchReply, FetchRequest, FetchWhat, FetchedItem,
    InboxOperation, InboxReply, InboxState, PoolReply, PoolRequest, Position, PostOutcome,
    QueueCreated, ReadInbox, Refill, RelayError, SubmitCommit, WelcomeReply, WelcomeRequest,
    XWING_KEY_BYTES, credential,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tls_codec::DeserializeBytes;

/// A relay as it was built once, of the same layout of stable memory. It answers some flawed calls
/// otherwise than the one of now; what it stores must outlive an upgrade from it and a way back to
/// it. Kept as it is until a release takes its place.
const OLDER_RELAY: &[u8] = include_bytes!("../modules/relay-layout-2.wasm");
/// Operations of one network.
const OPERATIONS_A_WORLD: usize = 500;
/// Operations of the run that belongs to all tests.
const OPERATIONS: usize = 1_500;
/// How often it is learned what has expired, in seconds of the relay.
const LEARN_EVERY_SECONDS: u32 = 1;

/// One step, in terms of small numbers: which queue, which of its keys, how far behind.
#[derive(Debug, Clone)]
enum Step {
    CreateQueue {
        queue: u8,
    },
    Append {
        posts: Vec<Post>,
    },
    Commit {
        queue: u8,
        base: Base,
        joiners: u8,
        generation: bool,
        flaw: CommitFlaw,
    },
    Fetch {
        items: Vec<(u8, u8, u8, FetchWhat)>,
    },
    Welcome {
        id: u8,
    },
    AckWelcome {
        id: u8,
    },
    CreateInbox {
        inbox: u8,
        other_key: bool,
    },
    Deposit {
        inbox: u8,
        text: u8,
        genuine: bool,
    },
    ReadInbox {
        inbox: u8,
        from: u8,
        signed: bool,
    },
    Drain {
        inbox: u8,
        up_to: u8,
        counter: Count,
        signed: bool,
    },
    Refill {
        inbox: u8,
        packages: u8,
        last: bool,
        counter: Count,
    },
    Claim {
        inbox: u8,
        id: u8,
        genuine: bool,
    },
    Pool {
        inbox: u8,
    },
    Wait {
        hours: u16,
    },
    Restart,
    Upgrade,
}

#[derive(Debug, Clone)]
struct Post {
    queue: u8,
    text: u8,
    behind: u8,
    flaw: PostFlaw,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum PostFlaw {
    None,
    Mac,
    Kind,
    StaleEpoch,
    FutureEpoch,
    Expired,
    TooFar,
    Ahead,
    /// Not a new one at all: the same bytes as one sent before.
    Resent,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum CommitFlaw {
    None,
    Signature,
    Generation,
    OldToken,
    Expired,
}

#[derive(Debug, Clone, Copy)]
enum Base {
    Current,
    Before,
    After,
}

#[derive(Debug, Clone, Copy)]
enum Count {
    Next,
    Same,
    Old,
    /// Further than a counter may rise at once.
    Leap,
}

fn step() -> impl Strategy<Value = Step> {
    let flaw = prop_oneof![
        12 => Just(PostFlaw::None),
        1 => prop::sample::select(vec![
            PostFlaw::Mac, PostFlaw::Kind, PostFlaw::StaleEpoch, PostFlaw::FutureEpoch,
            PostFlaw::Expired, PostFlaw::TooFar, PostFlaw::Ahead, PostFlaw::Resent, PostFlaw::Resent,
        ]),
    ];
    let post = (0_u8..5, 0_u8..40, 0_u8..4, flaw).prop_map(|(queue, text, behind, flaw)| Post {
        queue,
        text,
        behind,
        flaw,
    });
    let commit_flaw = prop_oneof![
        6 => Just(CommitFlaw::None),
        1 => prop::sample::select(vec![
            CommitFlaw::Signature, CommitFlaw::Generation, CommitFlaw::OldToken, CommitFlaw::Expired,
        ]),
    ];
    let base =
        prop_oneof![8 => Just(Base::Current), 1 => Just(Base::Before), 1 => Just(Base::After)];
    let what = prop::sample::select(vec![
        FetchWhat::Entries,
        FetchWhat::Digests,
        FetchWhat::Commits,
        FetchWhat::CommitDigests,
    ]);
    let count = || {
        let others = vec![Count::Same, Count::Old, Count::Leap];
        prop_oneof![6 => Just(Count::Next), 3 => prop::sample::select(others)]
    };
    let mostly = || prop::bool::weighted(0.9);
    prop_oneof![
        4 => (0_u8..6).prop_map(|queue| Step::CreateQueue { queue }),
        12 => prop::collection::vec(post, 1..8).prop_map(|posts| Step::Append { posts }),
        6 => (0_u8..5, base, 0_u8..3, any::<bool>(), commit_flaw).prop_map(
            |(queue, base, joiners, generation, flaw)| Step::Commit {
                queue, base, joiners, generation, flaw,
            }),
        6 => prop::collection::vec((0_u8..6, 0_u8..4, 0_u8..60, what), 1..5)
            .prop_map(|items| Step::Fetch { items }),
        2 => (0_u8..30).prop_map(|id| Step::Welcome { id }),
        2 => (0_u8..30).prop_map(|id| Step::AckWelcome { id }),
        1 => (0_u8..4, prop::bool::weighted(0.1))
            .prop_map(|(inbox, other_key)| Step::CreateInbox { inbox, other_key }),
        4 => (0_u8..4, 0_u8..30, mostly())
            .prop_map(|(inbox, text, genuine)| Step::Deposit { inbox, text, genuine }),
        2 => (0_u8..4, 0_u8..30, mostly())
            .prop_map(|(inbox, from, signed)| Step::ReadInbox { inbox, from, signed }),
        1 => (0_u8..4, 0_u8..30, count(), mostly()).prop_map(
            |(inbox, up_to, counter, signed)| Step::Drain { inbox, up_to, counter, signed }),
        2 => (0_u8..4, 0_u8..6, any::<bool>(), count()).prop_map(
            |(inbox, packages, last, counter)| Step::Refill { inbox, packages, last, counter }),
        3 => (0_u8..4, 0_u8..90, mostly())
            .prop_map(|(inbox, id, genuine)| Step::Claim { inbox, id, genuine }),
        1 => (0_u8..4).prop_map(|inbox| Step::Pool { inbox }),
        // Compiling the canister anew takes a thousand times as long as a call.
        2 => prop_oneof![
            10 => (1_u16..400).prop_map(|hours| Step::Wait { hours }),
            1 => Just(Step::Restart),
            1 => Just(Step::Upgrade),
        ],
    ]
}

/// How often each kind of answer came.
type Told = Arc<Mutex<BTreeMap<String, usize>>>;

/// The network, the model, and the keys of everybody.
struct Play {
    world: World,
    agent: BareAgent,
    relay: CanisterId,
    model: Model,
    queues: Vec<QueueKeys>,
    inboxes: Vec<InboxKeys>,
    /// How often each kind of answer came.
    told: Told,
    /// Refills so far, so that no two key packages are alike.
    refills: u64,
    joiners: u8,
    /// Second of the relay's time at which it was learned what has expired; 0 after a wait.
    learned_at: u32,
    /// Posts without a flaw, in the order they were sent.
    sent: Vec<Vec<u8>>,
}

/// What the members of a queue's group know.
struct QueueKeys {
    id: QueueId,
    create: CreateQueue,
    seq: u32,
    epochs: Vec<EpochKeys>,
    generation: u32,
}

struct InboxKeys {
    key: SigningKey,
    id: InboxId,
    counter: u64,
    drained: Option<(u64, Vec<u8>)>,
}

fn control(queue: u8, epoch: u32) -> SigningKey {
    let mut seed = [queue; 32];
    seed[..4].copy_from_slice(&epoch.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

fn token(queue: u8, generation: u32) -> ReadToken {
    let mut bytes = [queue ^ 0xff; 32];
    bytes[..4].copy_from_slice(&generation.to_be_bytes());
    ReadToken::new(bytes)
}

fn mac(queue: u8, epoch: u32) -> MacKey {
    let mut bytes = [queue ^ 0x55; 32];
    bytes[..4].copy_from_slice(&epoch.to_be_bytes());
    MacKey::new(bytes)
}

fn welcome_id(id: u8) -> WelcomeId {
    WelcomeId([id; 32])
}

impl Play {
    async fn begin(told: Told) -> Self {
        let world = World::with_manual_clock().await;
        let agent = BareAgent::in_process(&world);
        let relay = world.file().relay().unwrap();
        let queues = (0..6)
            .map(|n| {
                let (id, create) = CreateQueue::sign(&control(n, 0), &relay, [n; 32]);
                QueueKeys {
                    id,
                    create,
                    seq: 0,
                    epochs: Vec::new(),
                    generation: 0,
                }
            })
            .collect();
        let inboxes = (0..4)
            .map(|n| {
                let key = SigningKey::from_bytes(&[n + 100; 32]);
                let id = InboxId::derive(&key.verifying_key().to_bytes());
                InboxKeys {
                    key,
                    id,
                    counter: 0,
                    drained: None,
                }
            })
            .collect();
        Self {
            world,
            agent,
            relay,
            model: Model::default(),
            queues,
            inboxes,
            told,
            refills: 0,
            joiners: 0,
            learned_at: 0,
            sent: Vec::new(),
        }
    }

    fn tell(&self, what: &str, answer: &impl std::fmt::Debug) {
        // The name of a variant without what it holds.
        let answer = format!("{answer:?}");
        let kind = match answer.split(['{', '[', ' ']).next() {
            Some(kind) => kind.trim_end_matches("(Position").to_owned(),
            None => answer,
        };
        *self
            .told
            .lock()
            .unwrap()
            .entry(format!("{what}: {kind}"))
            .or_default() += 1;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.agent.now().as_nanos()).unwrap()
    }

    fn seconds(&self) -> u32 {
        u32::try_from(self.now() / 1_000_000_000).unwrap()
    }

    async fn update<T: DeserializeBytes>(
        &self,
        method: &str,
        blob: &[u8],
    ) -> Result<T, RelayError> {
        let answer = self.agent.update(&self.relay, method, blob).await.unwrap();
        decode_result(&answer).unwrap()
    }

    async fn query<T: DeserializeBytes>(&self, method: &str, blob: &[u8]) -> Result<T, RelayError> {
        let answer = self.agent.query(&self.relay, method, blob).await.unwrap();
        decode_result(&answer).unwrap()
    }

    /// The witness of a reply, if certificate and root hold.
    fn verified(&self, certificate: &[u8], witness: &[u8]) -> Witness {
        let root_key = self.world.file().file().root_key.to_vec();
        let certificate = VerifiedCertificate::verify(certificate, &root_key, &self.relay).unwrap();
        let witness = Witness::decode(witness).unwrap();
        assert_eq!(
            witness.root(),
            certificate.certified_data(&self.relay).unwrap()
        );
        witness
    }

    /// What a reply certifies of a key must be what the model has.
    fn check_leaf(&mut self, witness: &Witness, key: &Hash) {
        let certified = match witness.get(key).unwrap() {
            Found::Present(leaf) => Some(decode::<Leaf>(leaf).unwrap()),
            Found::Absent => None,
        };
        if let Some(Leaf::Queue(leaf)) = &certified {
            let now = self.now();
            self.model.expire(leaf, &QueueId(*key), now);
        }
        assert_eq!(certified, self.model.leaf(key));
    }

    /// Learns what has expired before answers are compared; only time makes things expire.
    async fn learn_expiry(&mut self) {
        // The relay looks for what is due once a minute; a slow machine makes minutes pass, too.
        if self.seconds() < self.learned_at + LEARN_EVERY_SECONDS {
            return;
        }
        self.learned_at = self.seconds();
        let queues: Vec<_> = self.queues.iter().map(|keys| keys.id).collect();
        let items = queues.iter().map(|queue| FetchItem {
            queue: *queue,
            token: ReadToken::new([0; 32]),
            from: 1,
            what: FetchWhat::Digests,
        });
        let request = FetchRequest {
            items: items.collect(),
        };
        let reply: FetchReply = self.query("fetch", &encode(&request)).await.unwrap();
        let witness = self.verified(reply.certificate.as_slice(), reply.witness.as_slice());
        for queue in &queues {
            self.check_leaf(&witness, &queue.0);
        }
    }

    async fn play(&mut self, step: Step) {
        match step {
            Step::CreateQueue { queue } => {
                let keys = &self.queues[usize::from(queue)];
                let (id, create) = (keys.id, keys.create.clone());
                let request = self.agent.paid(&self.relay, create).await;
                let made: Result<QueueCreated, _> = self.update("create_queue", &request).await;
                assert_eq!(made, Ok(QueueCreated { queue: id }));
                self.model.create_queue(id);
            }
            Step::Append { posts } => self.append(posts).await,
            Step::Commit {
                queue,
                base,
                joiners,
                generation,
                flaw,
            } => self.commit(queue, base, joiners, generation, flaw).await,
            Step::Fetch { items } => self.fetch(items).await,
            Step::Welcome { id } => {
                let welcome_id = welcome_id(id);
                let request = encode(&WelcomeRequest { welcome_id });
                let reply: WelcomeReply = self.query("welcome", &request).await.unwrap();
                let locator = welcome_id.locator();
                // Its commit may have expired, and it with it.
                self.learn_expiry().await;
                let (wrapper, tree) = self.model.welcome(locator).unwrap_or_default();
                assert_eq!(reply.wrapper.as_slice(), wrapper);
                assert_eq!(reply.tree.as_slice(), tree);
                self.tell("welcome", &!tree.is_empty());
                let witness = self.verified(reply.certificate.as_slice(), reply.witness.as_slice());
                self.check_leaf(&witness, &locator.map_key());
            }
            Step::AckWelcome { id } => {
                let welcome_id = welcome_id(id);
                let request = encode(&WelcomeRequest { welcome_id });
                let done: Result<(), RelayError> = self.update("ack_welcome", &request).await;
                done.unwrap();
                self.model.ack_welcome(welcome_id.locator());
            }
            Step::Wait { hours } => {
                let time = Duration::from_secs(u64::from(hours) * 3_600);
                self.world.pass(time).await;
                // Each round takes a step of what is due.
                for _ in 0..4 {
                    self.agent.ping().await;
                }
                self.learned_at = 0;
            }
            Step::Restart => {
                self.world.kill();
                self.world.start().await;
            }
            Step::Upgrade => self.install(paigham_modules::RELAY).await,
            inbox => self.play_inbox(inbox).await,
        }
    }

    async fn append(&mut self, posts: Vec<Post>) {
        self.learn_expiry().await;
        let mut batch = Vec::new();
        let mut planned = Vec::new();
        for post in posts {
            let keys = &self.queues[usize::from(post.queue)];
            let current = u32::try_from(keys.epochs.len()).unwrap();
            let flaw = post.flaw;
            let (epoch, not_after) = match flaw {
                PostFlaw::StaleEpoch => (current.saturating_sub(1), 300),
                PostFlaw::FutureEpoch => (current + 1, 300),
                PostFlaw::Expired => (current, -300),
                PostFlaw::TooFar => (current, 900),
                _ => (current, 300),
            };
            let after_seq = match flaw {
                PostFlaw::Ahead => keys.seq + 10,
                _ => keys.seq.saturating_sub(u32::from(post.behind)),
            };
            let text = vec![post.text; usize::from(post.text) * 20 + 1];
            let header = PostHeader {
                queue: keys.id,
                epoch,
                // The same minute gives the same bytes, so that repeats happen.
                not_after: (self.seconds() / 60 * 60 + 60).saturating_add_signed(not_after),
                kind: match flaw {
                    PostFlaw::Kind => PostKind::Commit,
                    _ if post.text == 7 => PostKind::Proposal,
                    _ => PostKind::Application,
                },
                after_seq,
                length: u32::try_from(text.len()).unwrap(),
            };
            let genuine = flaw != PostFlaw::Mac;
            let key = match flaw {
                PostFlaw::Kind => None,
                PostFlaw::Mac => Some(mac(99, 99)),
                _ => Some(mac(post.queue, epoch)),
            };
            let mut bytes = encode_post(&header, key.as_ref(), &text);
            match (flaw, self.sent.len()) {
                (PostFlaw::Resent, 1..) => {
                    let at = self.sent.len().saturating_sub(1 + usize::from(post.text));
                    bytes.clone_from(&self.sent[at]);
                }
                (PostFlaw::None, _) => self.sent.push(bytes.clone()),
                _ => {}
            }
            batch.extend_from_slice(&bytes);
            planned.push((bytes, genuine));
        }
        let before = self.now();
        let reply: BatchReply = self.update("append_batch", &batch).await.unwrap();
        assert_eq!(reply.outcomes.len(), planned.len());
        for ((bytes, genuine), outcome) in planned.into_iter().zip(reply.outcomes) {
            let at = match outcome {
                PostOutcome::Accepted(position) => position.accepted_at,
                _ => 0,
            };
            let expected = self.model.append(&bytes, genuine, before, at);
            assert_eq!(outcome, expected);
            self.tell("post", &outcome);
        }
        for n in 0..self.queues.len() {
            let id = self.queues[n].id;
            if let Some(Leaf::Queue(leaf)) = self.model.leaf(&id.0) {
                self.queues[n].seq = leaf.seq;
            }
        }
    }

    async fn commit(
        &mut self,
        queue: u8,
        base: Base,
        joiners: u8,
        generation: bool,
        flaw: CommitFlaw,
    ) {
        self.learn_expiry().await;
        let keys = &self.queues[usize::from(queue)];
        let current = u32::try_from(keys.epochs.len()).unwrap();
        let epoch = match base {
            Base::Current => current,
            Base::Before => current.saturating_sub(1),
            Base::After => current + 1,
        };
        let renewed = generation || keys.generation == 0;
        let next_generation = keys.generation + u32::from(renewed);
        let next = EpochKeys {
            control_key: control(queue, epoch + 1).verifying_key().to_bytes(),
            mac_key: mac(queue, epoch + 1),
            read_token_hash: match flaw {
                CommitFlaw::OldToken if renewed => token(queue, keys.generation.max(1)).hash(),
                _ => token(queue, next_generation).hash(),
            },
            generation: next_generation + u32::from(flaw == CommitFlaw::Generation) * 2,
        };
        let mut locators: Vec<_> = (0..joiners)
            .map(|n| welcome_id((self.joiners + n) % 30).locator())
            .collect();
        locators.sort_unstable();
        let bundle = if locators.is_empty() {
            CommitBundle::empty()
        } else {
            CommitBundle {
                wrapper: vec![self.joiners; 50].into(),
                tree: vec![queue; 70].into(),
                locators,
            }
        };
        self.joiners = (self.joiners + joiners) % 30;
        let envelope = [queue, joiners, u8::from(generation), 4];
        let late = if flaw == CommitFlaw::Expired {
            -300
        } else {
            300
        };
        let header = PostHeader {
            queue: keys.id,
            epoch,
            not_after: self.seconds().saturating_add_signed(late),
            kind: PostKind::Commit,
            after_seq: keys.seq,
            length: 4,
        };
        let hash = post_hash(&header.to_bytes(), &envelope);
        let signer = match flaw {
            CommitFlaw::Signature => control(98, 98),
            _ => control(queue, epoch),
        };
        let signature =
            SubmitCommit::signature(&signer, &self.relay, &keys.id, epoch, &hash, &next, &bundle);
        let post = encode_post(&header, None, &envelope);
        let request = SubmitCommit {
            post: post.clone().into(),
            next_keys: next.clone(),
            bundle: bundle.clone(),
            signature,
        };
        let before = self.now();
        let answer: Result<CommitAccepted, _> =
            self.update("submit_commit", &encode(&request)).await;
        let at = answer.as_ref().map_or(0, |done| done.position.accepted_at);
        let signed = flaw != CommitFlaw::Signature;
        let expected = self
            .model
            .submit_commit(&post, &next, &bundle, signed, before, at);
        assert_eq!(answer, expected);
        self.tell("commit", &answer);
        if let Ok(done) = answer {
            let keys = &mut self.queues[usize::from(queue)];
            keys.seq = done.position.seq;
            keys.generation = next.generation;
            keys.epochs.push(next);
            // A lost answer is asked for again, however late.
            let again: Result<CommitAccepted, _> =
                self.update("submit_commit", &encode(&request)).await;
            assert_eq!(again, Ok(done));
        }
    }

    async fn fetch(&mut self, items: Vec<(u8, u8, u8, FetchWhat)>) {
        let items: Vec<_> = items
            .into_iter()
            .map(|(queue, back, from, what)| {
                let keys = &self.queues[usize::from(queue)];
                FetchItem {
                    queue: keys.id,
                    token: token(queue, keys.generation.saturating_sub(u32::from(back))),
                    from: from.into(),
                    what,
                }
            })
            .collect();
        let request = FetchRequest {
            items: items.clone(),
        };
        let reply: FetchReply = self.query("fetch", &encode(&request)).await.unwrap();
        let witness = self.verified(reply.certificate.as_slice(), reply.witness.as_slice());
        for item in &items {
            self.check_leaf(&witness, &item.queue.0);
        }
        let expected: Vec<FetchedItem> = items.iter().map(|item| self.model.fetch(item)).collect();
        assert_eq!(reply.items, expected);
        for item in &reply.items {
            self.tell("fetch", item);
        }
    }

    fn credential(&self, inbox: &InboxKeys, genuine: bool) -> Credential {
        let not_after = self.seconds() + 1_000;
        let key = if genuine {
            &inbox.key
        } else {
            &control(97, 97)
        };
        let signature = InboxOperation::Capability { not_after }.sign(key, &self.relay, &inbox.id);
        let capability = Capability {
            not_after,
            signature,
        };
        Credential {
            credential_type: credential::CAPABILITY,
            data: encode(&capability).into(),
        }
    }

    fn count(&mut self, inbox: u8, count: Count) -> u64 {
        let keys = &mut self.inboxes[usize::from(inbox)];
        match count {
            Count::Next => {
                keys.counter += 1;
                keys.counter
            }
            Count::Same => keys.counter,
            Count::Old => keys.counter.saturating_sub(1),
            Count::Leap => keys.counter + (1 << 32) + 1,
        }
    }

    async fn play_inbox(&mut self, step: Step) {
        match step {
            Step::CreateInbox { inbox, other_key } => {
                let keys = &self.inboxes[usize::from(inbox)];
                let xwing_key = vec![inbox + u8::from(other_key) * 50; XWING_KEY_BYTES];
                let operation = InboxOperation::Create {
                    xwing_key: &xwing_key,
                };
                let request = CreateInbox {
                    inbox_key: keys.key.verifying_key().to_bytes(),
                    xwing_key: xwing_key.clone().into(),
                    signature: operation.sign(&keys.key, &self.relay, &keys.id),
                    credential: Credential::none(),
                };
                let request = self.agent.paid(&self.relay, request).await;
                let answer: Result<InboxState, _> = self.update("create_inbox", &request).await;
                let id = self.inboxes[usize::from(inbox)].id;
                assert_eq!(answer, self.model.create_inbox(id, &xwing_key));
            }
            Step::Deposit {
                inbox,
                text,
                genuine,
            } => {
                let keys = &self.inboxes[usize::from(inbox)];
                let (id, sealed) = (keys.id, vec![text; 40]);
                let request = Deposit {
                    inbox: id,
                    credential: self.credential(keys, genuine),
                    sealed: sealed.clone().into(),
                };
                let answer: Result<Position, _> = self.update("deposit", &encode(&request)).await;
                let at = answer.as_ref().map_or(0, |position| position.accepted_at);
                self.tell("deposit", &answer);
                assert_eq!(answer, self.model.deposit(id, &sealed, genuine, at));
            }
            Step::ReadInbox {
                inbox,
                from,
                signed,
            } => self.read_inbox(inbox, from, signed).await,
            Step::Drain {
                inbox,
                up_to,
                counter,
                signed,
            } => {
                let counter = self.count(inbox, counter);
                let up_to = u32::from(up_to);
                let keys = &self.inboxes[usize::from(inbox)];
                let key = if signed { &keys.key } else { &control(96, 96) };
                let operation = InboxOperation::Drain { counter, up_to };
                let signature = operation.sign(key, &self.relay, &keys.id);
                let request = Drain {
                    inbox: keys.id,
                    counter,
                    up_to,
                    signature,
                };
                let id = keys.id;
                let answer: Result<InboxState, _> = self.update("drain", &encode(&request)).await;
                let expected = self.model.drain(id, counter, up_to, &signature, signed);
                assert_eq!(answer, expected);
                self.tell("drain", &answer);
                self.inboxes[usize::from(inbox)].drained = Some((counter, encode(&request)));
            }
            Step::Refill {
                inbox,
                packages,
                last,
                counter,
            } => self.refill(inbox, packages, last, counter).await,
            Step::Claim { inbox, id, genuine } => {
                let keys = &self.inboxes[usize::from(inbox)];
                let request = Claim {
                    inbox: keys.id,
                    claim_id: [id; 32],
                    credential: self.credential(keys, genuine),
                };
                let of = keys.id;
                let answer: Result<Claimed, _> = self.update("claim", &encode(&request)).await;
                let answer =
                    answer.map(|claimed| claimed.key_package.map(|p| p.as_slice().to_vec()));
                self.tell("claim", &answer);
                assert_eq!(answer, self.model.claim(of, [id; 32], genuine));
            }
            Step::Pool { inbox } => {
                let id = self.inboxes[usize::from(inbox)].id;
                let request = encode(&PoolRequest { inbox: id });
                let answer: Result<PoolReply, _> = self.query("pool", &request).await;
                if let Ok(reply) = &answer {
                    let witness =
                        self.verified(reply.certificate.as_slice(), reply.witness.as_slice());
                    self.check_leaf(&witness, &id.0);
                }
                let shown = answer.map(|reply| {
                    let (key, last) = (reply.xwing_key, reply.last_resort);
                    (key.as_slice().to_vec(), last.as_slice().to_vec())
                });
                assert_eq!(shown, self.model.pool(id));
            }
            other => panic!("{other:?}"),
        }
    }

    async fn read_inbox(&mut self, inbox: u8, from: u8, signed: bool) {
        let keys = &self.inboxes[usize::from(inbox)];
        let (from_seq, not_after) = (u32::from(from), self.seconds() + 300);
        let key = if signed { &keys.key } else { &control(95, 95) };
        let operation = InboxOperation::Read {
            from_seq,
            not_after,
        };
        let request = ReadInbox {
            inbox: keys.id,
            from_seq,
            not_after,
            signature: operation.sign(key, &self.relay, &keys.id),
        };
        let id = keys.id;
        let answer: Result<InboxReply, _> = self.query("read_inbox", &encode(&request)).await;
        if let Ok(reply) = &answer {
            let witness = self.verified(reply.certificate.as_slice(), reply.witness.as_slice());
            self.check_leaf(&witness, &id.0);
        }
        let shown = answer.map(|reply| {
            let entries = reply.deposits.iter();
            entries
                .map(|d| (d.seq, d.accepted_at, d.sealed.as_slice().to_vec()))
                .collect::<Vec<_>>()
        });
        self.tell("read", &shown.as_ref().map(Vec::len));
        assert_eq!(shown, self.model.read_inbox(id, from_seq, signed));
    }

    async fn refill(&mut self, inbox: u8, packages: u8, last: bool, counter: Count) {
        let counter = self.count(inbox, counter);
        self.refills += 1;
        let mark = self.refills.to_be_bytes();
        let packages: Vec<_> = (0..packages)
            .map(|n| [&mark[..], &[n; 20]].concat())
            .collect();
        let last = last.then(|| [&mark[..], b"last resort"].concat());
        let key_packages = packages.iter().map(|p| p.clone().into()).collect();
        let last_resort = last.clone().map(Into::into);
        let keys = &self.inboxes[usize::from(inbox)];
        let operation = InboxOperation::Refill {
            counter,
            key_packages: &key_packages,
            last_resort: &last_resort,
        };
        let signature = operation.sign(&keys.key, &self.relay, &keys.id);
        let id = keys.id;
        let request = Refill {
            inbox: id,
            counter,
            key_packages,
            last_resort,
            signature,
        };
        let answer: Result<InboxState, _> = self.update("refill", &encode(&request)).await;
        let filled = (&packages[..], last.as_deref());
        let expected = self.model.refill(id, counter, filled, &signature, true);
        assert_eq!(answer, expected);
        self.tell("refill", &answer);
    }

    /// Code is installed over the data.
    async fn install(&self, module: &[u8]) {
        let subnet = self.world.network().subnet();
        let id = candid::Principal::try_from_slice(self.relay.as_slice()).unwrap();
        subnet.upgrade(id, module, Vec::new()).await.unwrap();
    }

    /// Everything that can be read is as the model has it.
    async fn read_all(&mut self) {
        for queue in 0..6 {
            let what = [
                FetchWhat::Entries,
                FetchWhat::Digests,
                FetchWhat::Commits,
                FetchWhat::CommitDigests,
            ];
            self.fetch(what.map(|what| (queue, 0, 0, what)).to_vec())
                .await;
        }
        for inbox in 0..4 {
            self.read_inbox(inbox, 0, true).await;
            self.play(Step::Pool { inbox }).await;
        }
        for id in 0..30 {
            self.play(Step::Welcome { id }).await;
        }
    }

    /// People write, change groups, join and deposit, as is right.
    async fn live(&mut self, round: u8) {
        for queue in 0..4 {
            for text in 0..3 {
                let posts = vec![Post {
                    queue,
                    text: round * 10 + text,
                    behind: 0,
                    flaw: PostFlaw::None,
                }];
                self.play(Step::Append { posts }).await;
            }
            self.commit(queue, Base::Current, 1, round % 2 == 1, CommitFlaw::None)
                .await;
        }
        for inbox in 0..3 {
            self.refill(inbox, 4, true, Count::Next).await;
            self.play(Step::Claim {
                inbox,
                id: round,
                genuine: true,
            })
            .await;
            self.play(Step::Deposit {
                inbox,
                text: round,
                genuine: true,
            })
            .await;
        }
    }
}

/// A network ran an older relay. The code of now takes its data over as it is, and gives it back:
/// people write on under each, and everything reads the same. A restart in between changes nothing.
#[test]
fn data_outlives_an_upgrade_and_the_way_back() {
    story(async move || {
        let mut play = Play::begin(Told::default()).await;
        play.install(OLDER_RELAY).await;
        for queue in 0..4 {
            play.play(Step::CreateQueue { queue }).await;
            play.commit(queue, Base::Current, 1, true, CommitFlaw::None)
                .await;
        }
        for inbox in 0..3 {
            play.play(Step::CreateInbox {
                inbox,
                other_key: false,
            })
            .await;
        }
        let modules = [paigham_modules::RELAY, OLDER_RELAY, paigham_modules::RELAY];
        for (round, module) in (0..).zip(modules) {
            play.live(round).await;
            play.read_all().await;
            play.install(module).await;
            play.read_all().await;
        }
        play.play(Step::Restart).await;
        play.read_all().await;
        play.live(3).await;
        play.read_all().await;
        let told = play.told.lock().unwrap().clone();
        assert_eq!(told["post: Accepted"], 48, "{told:?}");
        assert_eq!(told["commit: Ok(CommitAccepted"], 20, "{told:?}");
    });
}

/// Plays operations until there are enough, in worlds of their own. A sequence that fails is made
/// shorter and shown.
#[test]
fn the_relay_is_what_its_specification_says() {
    let operations = number("PAIGHAM_MODEL_OPERATIONS", OPERATIONS);
    let seed = number("PAIGHAM_MODEL_SEED", 1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let config = Config {
        cases: u32::try_from(operations.div_ceil(OPERATIONS_A_WORLD)).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let steps = prop::collection::vec(step(), OPERATIONS_A_WORLD);
    let told = Told::default();
    let played = runner.run(&steps, |steps| {
        let told = told.clone();
        story(async move || {
            let mut play = Play::begin(told).await;
            for step in steps {
                play.play(step).await;
            }
        });
        Ok(())
    });
    if let Err(failure) = played {
        panic!("seed {seed}: {failure}");
    }
    for (kind, count) in &*told.lock().unwrap() {
        println!("{count:6} {kind}");
    }
}
