//! Stories of a group over a model of the relay: one order of entries, compare-and-swap on epochs.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use ed25519_dalek::SigningKey;
use openmls_memory_storage::MemoryStorage;
use paigham_wire::chain::{commit_start, queue_start};
use paigham_wire::envelope::{Credential, GroupForm, GroupPolicy, Proof};
use paigham_wire::frame::PostRef;
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, QueueId};
use paigham_wire::relay::{Entry, SubmitCommit};

use crate::commit::{Base, Change, JoinerPointer, StagedCommitPost};
use crate::content;
use crate::crypto::{Crypto, Provider};
use crate::device::{CheckedKeyPackage, DeviceKeys};
use crate::error::GroupError;
use crate::group::Group;
use crate::join::{join, open_wrapper};
use crate::proof::{LeafClaim, ProofError, ProofJudge};
use crate::receive::{ReceiveError, Received, Stopped};
use crate::verdict::Violation;

const T0: u64 = 1_700_000_000 * 1_000_000_000;
const SOON: u32 = 1_700_000_300;
const NOW: u64 = 1_700_000_000;

/// Debug builds of OpenMLS need more stack than a test thread has.
fn story(body: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(16 * 1024 * 1024)
        .spawn(body)
        .unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Knows the devices that are in the log.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<BTreeSet<(AccountId, [u8; 32])>>>);

impl ProofJudge for Log {
    fn authorises(&self, claim: &LeafClaim, _: &[Proof], _: u64) -> Result<(), ProofError> {
        let logged = self.0.borrow().contains(&(claim.account, claim.leaf_key));
        if logged {
            Ok(())
        } else {
            Err(ProofError::Device)
        }
    }
}

/// The relay's log of one queue.
#[derive(Default)]
struct Relay {
    entries: Vec<Entry>,
    epoch: u32,
    welcome: Option<(Vec<u8>, Vec<u8>)>,
}

impl Relay {
    fn append(&mut self, post: &[u8]) -> bool {
        let post = PostRef::decode(post).unwrap();
        if post.header.epoch != self.epoch {
            return false;
        }
        self.store(&post, None);
        true
    }

    fn submit(&mut self, submit: &SubmitCommit) -> bool {
        let post = PostRef::decode(submit.post.as_slice()).unwrap();
        if post.header.epoch != self.epoch {
            return false;
        }
        self.epoch += 1;
        self.store(&post, Some(submit.next_keys.hash()));
        let bundle = &submit.bundle;
        if !bundle.locators.is_empty() {
            let parts = (
                bundle.wrapper.as_slice().to_vec(),
                bundle.tree.as_slice().to_vec(),
            );
            self.welcome = Some(parts);
        }
        true
    }

    fn store(&mut self, post: &PostRef<'_>, keys_hash: Option<[u8; 32]>) {
        let seq = self.entries.len() as u32 + 1;
        self.entries.push(Entry {
            seq,
            accepted_at: T0 + u64::from(seq),
            header: *post.header_bytes,
            keys_hash,
            envelope: post.envelope.to_vec().into(),
        });
    }
}

struct Person {
    crypto: Crypto,
    storage: Provider<'static, MemoryStorage>,
    device: DeviceKeys,
    group: Option<Group>,
    cursor: usize,
    log: Log,
    own_posts: Vec<[u8; 32]>,
}

impl Person {
    fn new(number: u8, log: &Log) -> Self {
        // The provider borrows its crypto for as long as the story lasts.
        let crypto: &'static Crypto = Box::leak(Box::new(Crypto::new().unwrap()));
        let account = AccountId([number; 16]);
        let credential = Credential::new(account, DeviceId([number; 16]), 0);
        let key = SigningKey::from_bytes(&[number; 32])
            .verifying_key()
            .to_bytes();
        log.0.borrow_mut().insert((account, key));
        Self {
            crypto: Crypto::new().unwrap(),
            storage: crypto.with(MemoryStorage::default()),
            device: DeviceKeys::new(credential, &[number; 32]),
            group: None,
            cursor: 0,
            log: log.clone(),
            own_posts: Vec::new(),
        }
    }

    fn account(&self) -> AccountId {
        self.device.credential().account
    }

    fn group(&mut self) -> &mut Group {
        self.group.as_mut().unwrap()
    }

    fn create(&mut self, admins: &[AccountId]) {
        let policy = GroupPolicy {
            version: 1,
            name: b"story".to_vec().into(),
            form: GroupForm::Group,
            admins: admins.to_vec(),
            network_sequence: 1,
        };
        let control = SigningKey::from_bytes(&[42; 32]);
        let queue = QueueId([9; 32]);
        let group = Group::create(&self.storage, &self.device, queue, &policy, &control);
        self.group = Some(group.unwrap());
    }

    fn key_package(&self) -> CheckedKeyPackage {
        let bytes = self.device.key_package(&self.storage, false).unwrap();
        CheckedKeyPackage::check(&self.crypto, &bytes, NOW).unwrap()
    }

    fn commit(&mut self, change: &Change) -> Result<StagedCommitPost, GroupError> {
        let base = Base {
            canister: CanisterId::new(&[1]).unwrap(),
            seq: self.cursor as u32,
            head: queue_start(&QueueId([9; 32])),
            commit_head: commit_start(&QueueId([9; 32])),
            not_after: SOON,
            proofs: Vec::new(),
        };
        let group = self.group.as_mut().unwrap();
        group.commit(&self.crypto, &self.storage, &self.device, change, base)
    }

    fn add(&mut self, relay: &mut Relay, joiner: &mut Self) {
        let change = Change {
            add: vec![joiner.key_package()],
            ..Change::default()
        };
        let staged = self.commit(&change).unwrap();
        assert!(relay.submit(&staged.submit));
        joiner.join(relay, &staged.pointers[0]);
        joiner.cursor = relay.entries.len();
        self.sync(relay);
    }

    fn join(&mut self, relay: &Relay, pointer: &JoinerPointer) {
        let (wrapper, tree) = relay.welcome.as_ref().unwrap();
        let wrapper = open_wrapper(&pointer.pointer, wrapper).unwrap();
        let joined = join(
            &self.storage,
            &self.device,
            &pointer.pointer,
            &wrapper,
            tree,
        )
        .unwrap();
        self.group = Some(joined.group);
    }

    fn say(&mut self, relay: &mut Relay, text: &str) {
        let content = content::text(&self.crypto, text).unwrap();
        let group = self.group.as_mut().unwrap();
        let post = group
            .encrypt(&self.crypto, &self.storage, &self.device, &content, 0, SOON)
            .unwrap();
        self.own_posts.push(PostRef::decode(&post).unwrap().hash());
        assert!(relay.append(&post));
    }

    fn take(&mut self, entry: &Entry) -> Result<Received, ReceiveError> {
        let log = self.log.clone();
        let group = self.group.as_mut().unwrap();
        group.receive(&self.crypto, &self.storage, entry, &log)
    }

    /// Reads everything new; returns the texts.
    fn sync(&mut self, relay: &Relay) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(entry) = relay.entries.get(self.cursor) {
            let hash = paigham_wire::frame::post_hash(&entry.header, entry.envelope.as_slice());
            if !self.own_posts.contains(&hash) {
                if let Received::Message { content, .. } = self.take(entry).unwrap() {
                    match content::read(&content).unwrap() {
                        content::Content::Text(text) => texts.push(text),
                        other => panic!("{other:?}"),
                    }
                }
            } else if entry.header[40] == 3 {
                let entry = entry.clone();
                let crypto = Crypto::new().unwrap();
                self.group().receive_own_leave(&crypto, &entry).unwrap();
            }
            self.cursor += 1;
            if !self.group().is_active() {
                break;
            }
        }
        texts
    }

    fn leaf_of(&mut self, other: AccountId) -> u32 {
        self.group()
            .members()
            .find(|member| member.account() == other)
            .unwrap()
            .leaf
    }
}

fn three() -> (Relay, Person, Person, Person) {
    let log = Log::default();
    let mut relay = Relay::default();
    let (mut amina, mut bilal, mut chand) = (
        Person::new(1, &log),
        Person::new(2, &log),
        Person::new(3, &log),
    );
    amina.create(&[amina.account()]);
    amina.add(&mut relay, &mut bilal);
    amina.add(&mut relay, &mut chand);
    bilal.sync(&relay);
    (relay, amina, bilal, chand)
}

fn agree(people: &mut [&mut Person]) {
    let first = people[0].group().authenticator_hash();
    let keys = people[0]
        .group
        .as_ref()
        .unwrap()
        .epoch_keys(&people[0].crypto)
        .unwrap()
        .hash();
    for person in people {
        assert_eq!(person.group().authenticator_hash(), first);
        let group = person.group.as_ref().unwrap();
        assert_eq!(group.epoch_keys(&person.crypto).unwrap().hash(), keys);
    }
}

/// Three people join one another, write in two languages, and agree on every key.
#[test]
fn three_people_talk() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        agree(&mut [&mut amina, &mut bilal, &mut chand]);
        amina.say(&mut relay, "السلام علیکم");
        bilal.say(&mut relay, "hello");
        assert_eq!(chand.sync(&relay), ["السلام علیکم", "hello"]);
        assert_eq!(amina.sync(&relay), ["hello"]);
        assert_eq!(bilal.sync(&relay), ["السلام علیکم"]);
    });
}

/// A removed member opens nothing new, and the read token changes with it.
#[test]
fn a_removed_member_reads_nothing_new() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let before = amina.group().read_token().unwrap();
        let leaf = amina.leaf_of(chand.account());
        let staged = amina
            .commit(&Change {
                remove: vec![leaf],
                ..Change::default()
            })
            .unwrap();
        assert!(relay.submit(&staged.submit));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
        }
        assert!(!chand.group().is_active());
        assert_ne!(amina.group().read_token().unwrap(), before);
        amina.say(&mut relay, "without Chand");
        assert_eq!(bilal.sync(&relay), ["without Chand"]);
        let entry = relay.entries.last().unwrap().clone();
        assert!(!matches!(chand.take(&entry), Ok(Received::Message { .. })));
        agree(&mut [&mut amina, &mut bilal]);
    });
}

/// A member leaves by itself: its SelfRemove is committed by another, for all alike.
#[test]
fn a_member_leaves() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let group = chand.group.as_mut().unwrap();
        let post = group
            .propose_leave(&chand.crypto, &chand.storage, &chand.device, 0, SOON)
            .unwrap();
        chand.own_posts.push(PostRef::decode(&post).unwrap().hash());
        assert!(relay.append(&post));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
        }
        assert_eq!(bilal.group().leaving().len(), 1);
        // Bilal is no admin; committing to somebody's SelfRemove needs no role.
        let staged = bilal.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
        }
        assert!(!chand.group().is_active());
        assert_eq!(amina.group().members().count(), 2);
        agree(&mut [&mut amina, &mut bilal]);
    });
}

/// Two commit at once: one wins, the other reads it, and can commit again.
#[test]
fn of_two_commits_one_wins() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        for round in 0..6 {
            let first = amina.commit(&Change::default()).unwrap();
            let second = bilal.commit(&Change::default()).unwrap();
            let (winner, loser) = if round % 2 == 0 {
                (first, second)
            } else {
                (second, first)
            };
            assert!(relay.submit(&winner.submit));
            assert!(!relay.submit(&loser.submit));
            for person in [&mut amina, &mut bilal, &mut chand] {
                person.sync(&relay);
                assert!(person.group().state().pending.is_none());
            }
            agree(&mut [&mut amina, &mut bilal, &mut chand]);
        }
        amina.say(&mut relay, "still here");
        assert_eq!(chand.sync(&relay), ["still here"]);
    });
}

/// Who is no admin is refused at once; who commits too often stops the group for all alike.
#[test]
fn roles_and_rates_hold() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let leaf = bilal.leaf_of(chand.account());
        let change = Change {
            remove: vec![leaf],
            ..Change::default()
        };
        assert!(matches!(bilal.commit(&change), Err(GroupError::NotAllowed)));
        for _ in 0..crate::verdict::RATE_MAX_COMMITS {
            let staged = bilal.commit(&Change::default()).unwrap();
            assert!(relay.submit(&staged.submit));
            for person in [&mut amina, &mut bilal, &mut chand] {
                person.sync(&relay);
            }
        }
        let staged = bilal.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        let entry = relay.entries.last().unwrap().clone();
        for person in [&mut amina, &mut chand] {
            let stopped = person.take(&entry).unwrap_err();
            assert!(matches!(
                stopped,
                ReceiveError::Stopped(Stopped::Violating(Violation::Rate))
            ));
        }
    });
}

/// An admin adds a device that is in no log: all others stop with the same verdict.
#[test]
fn a_ghost_device_is_a_violation() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let ghost = Person::new(66, &Log::default());
        let change = Change {
            add: vec![ghost.key_package()],
            ..Change::default()
        };
        let staged = amina.commit(&change).unwrap();
        assert!(relay.submit(&staged.submit));
        let entry = relay.entries.last().unwrap().clone();
        for person in [&mut bilal, &mut chand] {
            let stopped = person.take(&entry).unwrap_err();
            assert!(matches!(
                stopped,
                ReceiveError::Stopped(Stopped::Violating(Violation::Proof))
            ));
        }
    });
}

/// A commit whose envelope, proofs or registered keys were changed is unusable, never blamed on
/// its sender; junk posts are passed over.
#[test]
fn tampering_is_nobodys_violation() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        let staged = amina.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        let good = relay.entries.last().unwrap().clone();
        let mut keys = good.clone();
        keys.keys_hash = Some([7; 32]);
        let mut body = good.clone();
        let mut envelope = body.envelope.as_slice().to_vec();
        envelope[40] ^= 1;
        body.envelope = envelope.into();
        let mut time = good.clone();
        time.header[39] ^= 1;
        for entry in [keys, body, time] {
            // A copy of Bilal's group stands in for the write-set that is dropped.
            let state = bilal.group().state().clone();
            let stopped = bilal.take(&entry).unwrap_err();
            assert!(
                matches!(stopped, ReceiveError::Stopped(Stopped::Unusable(_))),
                "{stopped}"
            );
            bilal.group = Some(Group::load(&bilal.storage, state).unwrap());
        }
        bilal.sync(&relay);
        amina.sync(&relay);
        agree(&mut [&mut amina, &mut bilal]);
        amina.say(&mut relay, "after");
        let mut junk = relay.entries.last().unwrap().clone();
        let mut envelope = junk.envelope.as_slice().to_vec();
        envelope[30] ^= 1;
        junk.envelope = envelope.into();
        assert_eq!(bilal.take(&junk).unwrap(), Received::Junk);
        assert_eq!(bilal.sync(&relay), ["after"]);
        // The same entry again gives nothing a second time.
        let again = relay.entries.last().unwrap().clone();
        assert_eq!(bilal.take(&again).unwrap(), Received::Junk);
    });
}

/// A device that restarts between any two entries goes on where it was.
#[test]
fn a_group_outlives_its_process() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        for text in ["one", "two"] {
            amina.say(&mut relay, text);
            let state = bilal.group().state().clone();
            bilal.group = Some(Group::load(&bilal.storage, state).unwrap());
            assert_eq!(bilal.sync(&relay), [text]);
            let state = amina.group().state().clone();
            amina.group = Some(Group::load(&amina.storage, state).unwrap());
            amina.sync(&relay);
        }
    });
}
