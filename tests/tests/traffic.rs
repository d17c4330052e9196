//! A day of many people's traffic, stretched over so many days that posts and commits expire:
//! storage comes to rest, and who was away for long can follow.
//!
//! `PAIGHAM_TRAFFIC_USERS` sets how many people there are (default: a few); ten thousand take some
//! minutes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use ed25519_dalek::SigningKey;
use paigham_tests::bare::BareAgent;
use paigham_tests::story::{number, story};
use paigham_tests::world::World;
use paigham_wire::certificate::VerifiedCertificate;
use paigham_wire::chain::{EntryDigest, commit_next, commit_start, queue_next};
use paigham_wire::codec::{decode, decode_result, encode};
use paigham_wire::frame::{PostHeader, PostKind, encode_post, post_hash};
use paigham_wire::hash::Hash;
use paigham_wire::ids::{CanisterId, QueueId};
use paigham_wire::keys::{EpochKeys, MacKey, ReadToken};
use paigham_wire::leaf::{Leaf, QueueLeaf};
use paigham_wire::map::{Found, Witness};
use paigham_wire::relay::{
    BatchReply, CommitAccepted, CommitBundle, Entry, FetchItem, FetchReply, FetchRequest,
    FetchWhat, FetchedItem, PostOutcome, RelayError, SubmitCommit,
};

/// People of the run that belongs to all tests.
const USERS: usize = 60;
/// Messages that one person writes in a day.
const MESSAGES_A_USER: usize = 40;
/// People of a group, on average: most talk to one other.
const USERS_A_QUEUE: usize = 3;
/// Posts that a gateway hands over at once.
const BATCH: usize = 500;
/// Hours of the simulated day, each stretched over so many days: posts expire after six of them,
/// commits after eighteen.
const HOURS: u64 = 24;
const DAYS_AN_HOUR: u64 = 5;
/// An envelope of a short text, padded.
const ENVELOPE_BYTES: usize = 512;

struct Group {
    id: QueueId,
    number: u32,
    seq: u32,
    epoch: u32,
}

impl Group {
    fn control(number: u32, epoch: u32) -> SigningKey {
        let mut seed = [1; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        seed[4..8].copy_from_slice(&epoch.to_be_bytes());
        SigningKey::from_bytes(&seed)
    }

    fn mac(&self) -> MacKey {
        let mut bytes = [2; 32];
        bytes[..4].copy_from_slice(&self.number.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.epoch.to_be_bytes());
        MacKey::new(bytes)
    }

    fn token(&self) -> ReadToken {
        let mut bytes = [3; 32];
        bytes[..4].copy_from_slice(&self.number.to_be_bytes());
        ReadToken::new(bytes)
    }
}

struct Simulation {
    world: World,
    agent: BareAgent,
    relay: CanisterId,
    groups: Vec<Group>,
    /// What chance there is: as good as any, and the same at every run.
    chance: u64,
}

impl Simulation {
    async fn begin(users: usize) -> Self {
        let world = World::with_manual_clock().await;
        let agent = BareAgent::in_process(&world);
        let relay = world.file().relay().unwrap();
        let mut simulation = Self {
            world,
            agent,
            relay,
            groups: Vec::new(),
            chance: 1,
        };
        for number in 0..u32::try_from(users / USERS_A_QUEUE).unwrap() {
            let mut nonce = [9; 32];
            nonce[..4].copy_from_slice(&number.to_be_bytes());
            let first = Group::control(number, 0);
            let (agent, relay) = (&simulation.agent, &simulation.relay);
            let id = agent.create_queue(relay, &first, nonce).await;
            simulation.groups.push(Group {
                id,
                number,
                seq: 0,
                epoch: 0,
            });
        }
        for group in 0..simulation.groups.len() {
            simulation.commit(group).await;
        }
        simulation
    }

    fn draw(&mut self, below: usize) -> usize {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        usize::try_from(self.chance % below as u64).unwrap()
    }

    fn not_after(&self) -> u32 {
        u32::try_from(self.agent.now().as_secs()).unwrap() + 300
    }

    async fn commit(&mut self, group: usize) {
        let not_after = self.not_after();
        let group = &mut self.groups[group];
        let base = Group::control(group.number, group.epoch);
        let (epoch, after_seq) = (group.epoch, group.seq);
        group.epoch += 1;
        let next_keys = EpochKeys {
            control_key: Group::control(group.number, group.epoch)
                .verifying_key()
                .to_bytes(),
            mac_key: group.mac(),
            read_token_hash: group.token().hash(),
            generation: 1,
        };
        let envelope = [4; 2_000];
        let header = PostHeader {
            queue: group.id,
            epoch,
            not_after,
            kind: PostKind::Commit,
            after_seq,
            length: 2_000,
        };
        let bundle = CommitBundle::empty();
        let hash = post_hash(&header.to_bytes(), &envelope);
        let signature = SubmitCommit::signature(
            &base,
            &self.relay,
            &group.id,
            epoch,
            &hash,
            &next_keys,
            &bundle,
        );
        let request = SubmitCommit {
            post: encode_post(&header, None, &envelope).into(),
            next_keys,
            bundle,
            signature,
        };
        let request = encode(&request);
        let answer = self.agent.update(&self.relay, "submit_commit", &request);
        let done = decode_result::<CommitAccepted, RelayError>(&answer.await.unwrap());
        group.seq = done.unwrap().unwrap().position.seq;
    }

    /// One batch of a gateway.
    async fn write(&mut self, posts: usize) {
        let not_after = self.not_after();
        let mut batch = Vec::new();
        let mut written = Vec::new();
        for _ in 0..posts {
            let group = self.draw(self.groups.len());
            let fill = u8::try_from(self.draw(256)).unwrap();
            let group_ref = &mut self.groups[group];
            let envelope = [fill; ENVELOPE_BYTES];
            let header = PostHeader {
                queue: group_ref.id,
                epoch: group_ref.epoch,
                not_after,
                kind: PostKind::Application,
                after_seq: group_ref.seq,
                length: u32::try_from(ENVELOPE_BYTES).unwrap(),
            };
            group_ref.seq += 1;
            batch.extend(encode_post(&header, Some(&group_ref.mac()), &envelope));
            written.push(group);
        }
        let answer = self.agent.update(&self.relay, "append_batch", &batch);
        let reply = decode_result::<BatchReply, RelayError>(&answer.await.unwrap());
        let outcomes = reply.unwrap().unwrap().outcomes;
        assert_eq!(outcomes.len(), written.len());
        for (group, outcome) in written.into_iter().zip(outcomes) {
            let PostOutcome::Accepted(position) = outcome else {
                panic!("{outcome:?}");
            };
            assert!(position.seq <= self.groups[group].seq);
        }
    }

    /// One stretched hour.
    async fn hour(&mut self, users: usize) {
        let mut left = users * MESSAGES_A_USER / usize::try_from(HOURS).unwrap();
        let batches = left
            .div_ceil(BATCH)
            .max(usize::try_from(DAYS_AN_HOUR * 4).unwrap());
        let share = left.div_ceil(batches);
        let pause =
            Duration::from_secs(DAYS_AN_HOUR * 24 * 3_600) / u32::try_from(batches).unwrap();
        let commits = self.groups.len().div_ceil(batches);
        let mut next = 0;
        for _ in 0..batches {
            // Every group changes once an hour.
            for _ in 0..commits {
                if next < self.groups.len() {
                    self.commit(next).await;
                    next += 1;
                }
            }
            let now = share.min(left);
            if now > 0 {
                self.write(now).await;
                left -= now;
            }
            self.world.pass(pause).await;
            self.expire().await;
        }
    }

    /// Lets the relay's timer do what is due: each round does a part of it.
    async fn expire(&self) {
        for _ in 0..4 {
            self.agent.ping().await;
        }
    }

    async fn fetch(&self, group: &Group, from: u32, what: FetchWhat) -> (QueueLeaf, FetchedItem) {
        let request = FetchRequest {
            items: vec![FetchItem {
                queue: group.id,
                token: group.token(),
                from,
                what,
            }],
        };
        let request = encode(&request);
        let answer = self.agent.query(&self.relay, "fetch", &request);
        let reply = decode_result::<FetchReply, RelayError>(&answer.await.unwrap());
        let mut reply = reply.unwrap().unwrap();
        let root_key = self.world.file().file().root_key.to_vec();
        let certificate =
            VerifiedCertificate::verify(reply.certificate.as_slice(), &root_key, &self.relay);
        let certified = certificate.unwrap();
        let witness = Witness::decode(reply.witness.as_slice()).unwrap();
        assert_eq!(
            witness.root(),
            certified.certified_data(&self.relay).unwrap()
        );
        let Found::Present(leaf) = witness.get(&group.id.0).unwrap() else {
            panic!("the queue is gone");
        };
        let Leaf::Queue(leaf) = decode(leaf).unwrap() else {
            panic!("no queue");
        };
        (leaf, reply.items.remove(0))
    }

    /// A device that saw the commit of `epoch` and nothing since follows all commits to the
    /// certified head, and reads what is retained of the posts.
    async fn catch_up(&self, group: &Group, (epoch, head): (u32, Hash)) -> usize {
        let (mut epoch, mut head) = (epoch, head);
        loop {
            let (leaf, item) = self.fetch(group, epoch + 1, FetchWhat::Commits).await;
            let FetchedItem::Commits(commits) = item else {
                panic!("{item:?}");
            };
            assert!(
                leaf.first_epoch <= epoch + 1,
                "a commit that it needs is gone"
            );
            for commit in &commits {
                epoch += 1;
                let keys_hash = commit.keys_hash.unwrap();
                head = commit_next(&head, epoch, commit.seq, &digest(commit), &keys_hash);
            }
            if epoch == leaf.epoch {
                assert_eq!(head, leaf.commit_head, "a commit is missing");
                break;
            }
            assert!(!commits.is_empty());
        }
        let (mut seq, mut chain, mut read) = (None, [0; 32], 0);
        loop {
            let from = seq.map_or(1, |seq: u32| seq + 1);
            let (leaf, item) = self.fetch(group, from, FetchWhat::Entries).await;
            let FetchedItem::Entries(entries) = item else {
                panic!("{item:?}");
            };
            let mut at = seq.unwrap_or_else(|| {
                chain = leaf.head_before;
                leaf.first_seq - 1
            });
            for entry in &entries {
                at += 1;
                assert_eq!(entry.seq, at);
                chain = queue_next(&chain, at, &digest(entry));
                read += 1;
            }
            seq = Some(at);
            if at == leaf.seq {
                assert_eq!(chain, leaf.head, "a post is missing");
                return read;
            }
            assert!(!entries.is_empty());
        }
    }

    /// Bytes of the relay's stable memory.
    async fn stored(&self) -> u64 {
        let status = self.world.network().subnet().status().await.unwrap();
        let id = candid::Principal::try_from_slice(self.relay.as_slice()).unwrap();
        let canister = status.canisters.iter().find(|c| c.id == id.to_text());
        canister.unwrap().stable_bytes
    }
}

fn digest(entry: &Entry) -> EntryDigest {
    EntryDigest {
        accepted_at: entry.accepted_at,
        post_hash: post_hash(&entry.header, entry.envelope.as_slice()),
    }
}

/// Everybody writes for a day that lasts 120. From the hour on in which commits expire, storage
/// grows no more. A device that was away for 60 days then follows all commits with proof that none
/// is missing, and reads every post that is retained.
#[test]
fn a_day_of_traffic_comes_to_rest() {
    let users = number("PAIGHAM_TRAFFIC_USERS", USERS);
    story(async move || {
        let mut simulation = Simulation::begin(users).await;
        let mut stored = Vec::new();
        let mut left_at = None;
        for hour in 0..HOURS {
            simulation.hour(users).await;
            stored.push(simulation.stored().await);
            println!("hour {hour}: {} bytes stored", stored[stored.len() - 1]);
            if hour == HOURS / 2 - 1 {
                let group = &simulation.groups[0];
                let (leaf, _) = simulation.fetch(group, 1, FetchWhat::CommitDigests).await;
                left_at = Some((leaf.epoch, leaf.commit_head));
            }
        }
        let steady = &stored[20..];
        let most = *steady.iter().max().unwrap();
        assert!(most <= stored[19], "storage still grows: {stored:?}");
        let away = left_at.unwrap();
        let read = simulation.catch_up(&simulation.groups[0], away).await;
        assert!(read > 0);
        let first = &simulation.groups[0];
        let (leaf, _) = simulation.fetch(first, 1, FetchWhat::Digests).await;
        assert!(
            leaf.first_seq > 1 && leaf.first_epoch > 1,
            "nothing expired"
        );
        // Who was away since the beginning is told that it cannot follow.
        assert_ne!(leaf.commit_head_before, commit_start(&first.id));
        println!("{read} posts read after 60 days away");
    });
}
