//! People in one group over a model of the relay: one order of entries, compare-and-swap on epochs,
//! a clock of its own. Each step of a person is one write-set of a real store, dropped on an error.

mod attacks;
mod joins;
mod log_proofs;
mod resets;
mod schedules;
mod stories;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ed25519_dalek::SigningKey;
use openmls::group::Initial;
use openmls::prelude::{CommitBuilder, Lifetime};
use openmls_traits::OpenMlsProvider;
use paigham_store::{Backend, Change as Stored, MemoryBackend, MlsStorage, Order, Record};
use paigham_store::{Store, StoreError};
use paigham_wire::chain::{commit_start, queue_start};
use paigham_wire::codec::encode;
use paigham_wire::envelope::{
    AuthenticatedData, Credential, EnvelopePlaintext, Extension, Gossip, GroupForm, GroupPolicy,
    LogProof, LogRoot, PROOF_LOG, Proof, VERSION, WelcomePointer, proofs_hash,
};
use paigham_wire::frame::{NOT_AFTER_MAX_AHEAD_SECONDS, PostRef, post_hash};
use paigham_wire::hash::Hash;
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, QueueId, WelcomeLocator};
use paigham_wire::log::FoundLabel;
use paigham_wire::relay::{Entry, SubmitCommit};

use crate::commit::{Base, Change, StagedCommitPost};
use crate::content;
use crate::crypto::{Crypto, Provider};
use crate::device::{CheckedKeyPackage, DeviceKeys};
use crate::error::GroupError;
use crate::group::{Group, GroupState};
use crate::join::{join, open_wrapper};
use crate::message::Saying;
use crate::proof::{LeafClaim, ProofError, ProofJudge, ShownAccount};
use crate::receive::{ReceiveError, Received, Stopped};
use crate::verdict::{NS_PER_SECOND, Violation};

const QUEUE: QueueId = QueueId([9; 32]);
const MINUTE: u64 = 60 * NS_PER_SECOND;

type Storage<'a> = Provider<'a, MlsStorage<'a>>;

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

/// Accounts and their leaf keys.
type Logged = BTreeSet<(AccountId, [u8; 32])>;

/// What everybody shares: the devices that are in the directory's log, and the subnet's clock.
#[derive(Clone)]
struct Net {
    logged: Rc<RefCell<Logged>>,
    clock: Rc<Cell<u64>>,
}

impl Net {
    fn new() -> Self {
        // OpenMLS compares lifetimes with the real clock, so the story plays now.
        let now = Lifetime::new(0).not_after() * NS_PER_SECOND;
        Self {
            logged: Rc::default(),
            clock: Rc::new(Cell::new(now)),
        }
    }

    fn now(&self) -> u64 {
        self.clock.get()
    }

    fn seconds(&self) -> u64 {
        self.now() / NS_PER_SECOND
    }

    fn pass(&self, time: u64) {
        self.clock.set(self.now() + time);
    }

    /// A `not_after` as clients choose it.
    fn soon(&self) -> u32 {
        u32::try_from(self.seconds()).unwrap() + 300
    }
}

impl ProofJudge for Net {
    fn authorises(
        &self,
        claims: &[LeafClaim],
        _: &Proof,
        _: u64,
    ) -> Result<Option<ShownAccount>, ProofError> {
        let known = self.logged.borrow();
        let is_logged = |claim: &LeafClaim| known.contains(&(claim.account, claim.leaf_key));
        let logged = claims.iter().all(is_logged);
        logged.then_some(None).ok_or(ProofError::Device)
    }
}

/// A proof that names an account; whether it holds is the judge's.
fn proof_of(account: AccountId) -> Proof {
    let proof = LogProof {
        account,
        answer: FoundLabel {
            search: Vec::new().into(),
            earlier: Vec::new(),
            times: Vec::new(),
        },
    };
    Proof {
        proof_type: PROOF_LOG,
        data: encode(&proof).into(),
    }
}

/// The relay's log of one queue.
struct Relay {
    net: Net,
    entries: Vec<Entry>,
    epoch: u32,
    welcomes: BTreeMap<WelcomeLocator, (Vec<u8>, Vec<u8>)>,
}

impl Relay {
    fn new(net: &Net) -> Self {
        Self {
            net: net.clone(),
            entries: Vec::new(),
            epoch: 0,
            welcomes: BTreeMap::new(),
        }
    }

    /// Takes a post, or one that it has already; `false` if it is stale or expired.
    fn append(&mut self, post: &[u8]) -> bool {
        let post = PostRef::decode(post).unwrap();
        self.knows(&post.hash()) || (self.admits(&post) && self.store(&post, None))
    }

    fn submit(&mut self, submit: &SubmitCommit) -> bool {
        let post = PostRef::decode(submit.post.as_slice()).unwrap();
        if self.knows(&post.hash()) {
            return true;
        }
        if !self.admits(&post) {
            return false;
        }
        self.epoch += 1;
        for locator in &submit.bundle.locators {
            let wrapper = submit.bundle.wrapper.as_slice().to_vec();
            let tree = submit.bundle.tree.as_slice().to_vec();
            self.welcomes.insert(*locator, (wrapper, tree));
        }
        self.store(&post, Some(submit.next_keys.hash()))
    }

    fn knows(&self, hash: &Hash) -> bool {
        self.entries.iter().any(|entry| hash_of(entry) == *hash)
    }

    fn admits(&self, post: &PostRef<'_>) -> bool {
        let (now, until) = (self.net.seconds(), u64::from(post.header.not_after));
        assert!(until <= now + u64::from(NOT_AFTER_MAX_AHEAD_SECONDS));
        post.header.epoch == self.epoch && now <= until
    }

    fn store(&mut self, post: &PostRef<'_>, keys_hash: Option<Hash>) -> bool {
        self.net.pass(1_000);
        self.entries.push(Entry {
            seq: u32::try_from(self.entries.len()).unwrap() + 1,
            accepted_at: self.net.now(),
            header: *post.header_bytes,
            keys_hash,
            envelope: post.envelope.to_vec().into(),
        });
        true
    }

    fn last(&self) -> Entry {
        self.entries.last().unwrap().clone()
    }
}

fn hash_of(entry: &Entry) -> Hash {
    post_hash(&entry.header, entry.envelope.as_slice())
}

/// A disk whose reads fail while the switch is on.
#[derive(Debug, Default)]
struct Disk {
    records: MemoryBackend,
    unreadable: Arc<AtomicBool>,
}

impl Backend for Disk {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.unreadable.load(Ordering::Relaxed) {
            return Err(StoreError::Database("unreadable".into()));
        }
        self.records.get(name)
    }

    fn scan(
        &self,
        range: std::ops::RangeInclusive<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.records.scan(range, order, limit)
    }

    fn apply(&self, changes: &[Stored]) -> Result<(), StoreError> {
        self.records.apply(changes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.records.sync()
    }
}

struct Person {
    crypto: Crypto,
    store: Store,
    unreadable: Arc<AtomicBool>,
    device: DeviceKeys,
    group: Option<Group>,
    saved: Option<GroupState>,
    cursor: usize,
    net: Net,
    own_posts: Vec<Hash>,
}

impl Person {
    fn new(number: u8, net: &Net) -> Self {
        Self::with_device(number, number, net)
    }

    /// Another device of an account.
    fn with_device(account: u8, device: u8, net: &Net) -> Self {
        let person = Self::unlogged(account, device, net);
        let key = SigningKey::from_bytes(&[device; 32]).verifying_key();
        let entry = (person.account(), key.to_bytes());
        net.logged.borrow_mut().insert(entry);
        person
    }

    /// A device that is in no record.
    fn unlogged(account: u8, device: u8, net: &Net) -> Self {
        Self::of_account(AccountId([account; 16]), device, net)
    }

    /// A device of any account, with leaf key 32 times its number.
    fn of_account(account: AccountId, device: u8, net: &Net) -> Self {
        let disk = Disk::default();
        let unreadable = Arc::clone(&disk.unreadable);
        let credential = Credential::new(account, DeviceId([device; 16]), 0);
        Self {
            crypto: Crypto::new().unwrap(),
            store: Store::on_backend(Box::new(disk), &[7; 32]).unwrap(),
            unreadable,
            device: DeviceKeys::new(credential, &[device; 32]),
            group: None,
            saved: None,
            cursor: 0,
            net: net.clone(),
            own_posts: Vec::new(),
        }
    }

    fn account(&self) -> AccountId {
        self.device.credential().account
    }

    fn group(&self) -> &Group {
        self.group.as_ref().unwrap()
    }

    /// One step: what it changes is persisted if it succeeds, else nothing happened.
    fn step<T, E>(
        &mut self,
        act: impl FnOnce(&mut Group, &Crypto, &Storage<'_>, &DeviceKeys) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut group = self.group.take().unwrap();
        let set = self.store.begin();
        let result = act(
            &mut group,
            &self.crypto,
            &self.crypto.with(set.mls()),
            &self.device,
        );
        if result.is_ok() {
            set.commit().unwrap();
            self.saved = Some(group.state().clone());
            self.group = Some(group);
        } else {
            drop(set);
            self.unreadable.store(false, Ordering::Relaxed);
            self.restart();
        }
        result
    }

    /// The process ends and starts again.
    fn restart(&mut self) {
        self.group = self.saved.clone().map(|state| {
            let set = self.store.begin();
            Group::load(&self.crypto.with(set.mls()), state).unwrap()
        });
    }

    fn policy(&self, form: GroupForm, admins: &[AccountId]) -> GroupPolicy {
        let name = match form {
            GroupForm::Direct => Vec::new(),
            GroupForm::Group => b"story".to_vec(),
        };
        GroupPolicy {
            version: 1,
            name: name.into(),
            form,
            admins: admins.to_vec(),
            network_sequence: 1,
        }
    }

    fn create(&mut self, form: GroupForm, admins: &[AccountId]) {
        let control = SigningKey::from_bytes(&[42; 32]);
        let set = self.store.begin();
        let policy = self.policy(form, admins);
        let provider = self.crypto.with(set.mls());
        let group = Group::create(&provider, &self.device, QUEUE, &policy, &control).unwrap();
        set.commit().unwrap();
        self.saved = Some(group.state().clone());
        self.group = Some(group);
    }

    fn key_package(&self) -> CheckedKeyPackage {
        let set = self.store.begin();
        let provider = self.crypto.with(set.mls());
        let now = self.net.seconds();
        let made = self.device.key_package(&provider, false, now).unwrap();
        set.commit().unwrap();
        CheckedKeyPackage::check(&self.crypto, &made.bytes, now).unwrap()
    }

    fn base(&self, proofs: Vec<Proof>) -> Base {
        Base {
            canister: CanisterId::new(&[1]).unwrap(),
            seq: u32::try_from(self.cursor).unwrap(),
            head: queue_start(&QUEUE),
            commit_head: commit_start(&QUEUE),
            not_after: self.net.soon(),
            proofs,
            reset: None,
        }
    }

    fn commit(&mut self, change: &Change) -> Result<StagedCommitPost, GroupError> {
        let accounts: BTreeSet<_> = change.add.iter().map(|a| a.credential.account).collect();
        let base = self.base(accounts.into_iter().map(proof_of).collect());
        self.step(|group, crypto, storage, device| {
            group.commit(crypto, storage, device, change, base)
        })
    }

    /// A commit as a changed client may make it: any proposals, proofs and extensions.
    fn forge(
        &mut self,
        proofs: Vec<Proof>,
        extensions: Vec<Extension>,
        build: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
    ) -> SubmitCommit {
        let base = self.base(proofs.clone());
        let forged = self.step(|group, crypto, storage, device| {
            let data = AuthenticatedData {
                queue: QUEUE,
                not_after: base.not_after,
                proofs_hash: proofs_hash(&proofs, &extensions),
            };
            group.mls.set_aad(encode(&data));
            let builder = group.mls.commit_builder().force_self_update(true);
            let bundle = build(builder)
                .load_psks(storage.storage())
                .unwrap()
                .build(storage.rand(), storage.crypto(), device.signer(), |_| true)
                .unwrap()
                .stage_commit(storage)
                .unwrap();
            let plaintext = EnvelopePlaintext {
                version: VERSION,
                mls_message: bundle.commit().to_bytes().unwrap().into(),
                proofs,
                extensions,
            };
            group.finish(crypto, &Change::default(), &base, &plaintext, None, None)
        });
        forged.unwrap().submit
    }

    fn add(&mut self, relay: &mut Relay, joiner: &mut Self) {
        let change = Change {
            add: vec![joiner.key_package()],
            ..Change::default()
        };
        let staged = self.commit(&change).unwrap();
        assert!(relay.submit(&staged.submit));
        joiner.join(relay, &staged.pointers[0].pointer).unwrap();
        self.sync(relay);
    }

    /// Joins, and goes on from the commit that the Welcome belongs to.
    fn join(&mut self, relay: &Relay, pointer: &WelcomePointer) -> Result<(), GroupError> {
        let (wrapper, tree) = &relay.welcomes[&pointer.welcome_id.locator()];
        let wrapper = open_wrapper(pointer, wrapper)?;
        let set = self.store.begin();
        let provider = self.crypto.with(set.mls());
        let joined = join(&provider, &self.device, pointer, &wrapper, tree)?;
        let ours = |entry: &Entry| {
            entry.keys_hash.is_some_and(|hash| {
                let current = joined.group.is_current_commit(&self.crypto, &hash);
                current.unwrap()
            })
        };
        let found = relay.entries.iter().position(ours);
        self.cursor = found.expect("the commit is in the log") + 1;
        set.commit().unwrap();
        self.saved = Some(joined.group.state().clone());
        self.group = Some(joined.group);
        Ok(())
    }

    fn encrypt(&mut self, text: &str) -> Result<Vec<u8>, GroupError> {
        self.encrypt_with(text, None)
    }

    fn encrypt_with(&mut self, text: &str, gossip: Option<Gossip>) -> Result<Vec<u8>, GroupError> {
        let content = content::text(&self.crypto, text)?;
        let saying = Saying {
            content: &content,
            gossip,
            capability: None,
            after_seq: 0,
            not_after: self.net.soon(),
        };
        let post = self.step(|group, crypto, storage, device| {
            group.encrypt(crypto, storage, device, &saying)
        })?;
        self.own_posts.push(PostRef::decode(&post).unwrap().hash());
        Ok(post)
    }

    fn say(&mut self, relay: &mut Relay, text: &str) {
        let post = self.encrypt(text).unwrap();
        assert!(relay.append(&post));
    }

    fn propose_leave(&mut self) -> Result<Vec<u8>, GroupError> {
        let until = self.net.soon();
        self.step(|group, crypto, storage, device| {
            group.propose_leave(crypto, storage, device, 0, until)
        })
    }

    fn leave(&mut self, relay: &mut Relay) {
        let post = self.propose_leave().unwrap();
        assert!(relay.append(&post));
    }

    fn take(&mut self, entry: &Entry) -> Result<Received, ReceiveError> {
        let net = self.net.clone();
        self.take_under(&net, entry)
    }

    fn take_under(
        &mut self,
        judge: &impl ProofJudge,
        entry: &Entry,
    ) -> Result<Received, ReceiveError> {
        self.step(|group, crypto, storage, _| group.receive(crypto, storage, entry, judge))
    }

    /// The verdict of somebody at whom the group stops; nothing has changed for it.
    fn stop(&mut self, entry: &Entry) -> Stopped {
        match self.take(entry) {
            Err(ReceiveError::Stopped(stopped)) => stopped,
            other => panic!("{other:?}"),
        }
    }

    /// Reads the next entry; a text if it is one.
    fn read_next(&mut self, relay: &Relay) -> Option<String> {
        let entry = relay.entries[self.cursor].clone();
        self.cursor += 1;
        if self.own_posts.contains(&hash_of(&entry)) {
            return None;
        }
        match self.take(&entry).unwrap() {
            Received::Message { content, .. } => match content::read(&content).unwrap() {
                content::Content::Text(text) => Some(text),
                other => panic!("{other:?}"),
            },
            _ => None,
        }
    }

    /// Reads everything new; returns the texts.
    fn sync(&mut self, relay: &Relay) -> Vec<String> {
        let mut texts = Vec::new();
        while self.cursor < relay.entries.len() && self.group().is_active() {
            texts.extend(self.read_next(relay));
        }
        texts
    }

    fn leaf_of(&self, other: &Self) -> u32 {
        let device = other.device.credential().device;
        self.group()
            .members()
            .find(|member| member.device() == device)
            .unwrap()
            .leaf
    }

    fn keys_hash(&self) -> Hash {
        self.group().epoch_keys(&self.crypto).unwrap().hash()
    }
}

fn adding(people: &[&Person]) -> Change {
    Change {
        add: people.iter().map(|person| person.key_package()).collect(),
        ..Change::default()
    }
}

fn removing(leaf: u32) -> Change {
    Change {
        remove: vec![leaf],
        ..Change::default()
    }
}

/// Amina, the admin, Bilal and Chand, in one group.
fn three() -> (Relay, Person, Person, Person) {
    let net = Net::new();
    let mut relay = Relay::new(&net);
    let (mut amina, mut bilal, mut chand) = (
        Person::new(1, &net),
        Person::new(2, &net),
        Person::new(3, &net),
    );
    amina.create(GroupForm::Group, &[amina.account()]);
    amina.add(&mut relay, &mut bilal);
    amina.add(&mut relay, &mut chand);
    bilal.sync(&relay);
    (relay, amina, bilal, chand)
}

/// Amina and Bilal in a direct chat.
fn two() -> (Relay, Person, Person) {
    let net = Net::new();
    let mut relay = Relay::new(&net);
    let (mut amina, mut bilal) = (Person::new(1, &net), Person::new(2, &net));
    amina.create(GroupForm::Direct, &[amina.account(), bilal.account()]);
    amina.add(&mut relay, &mut bilal);
    (relay, amina, bilal)
}

fn agree(people: &[&Person]) {
    for person in people {
        let first = people[0];
        assert_eq!(
            person.group().authenticator_hash(),
            first.group().authenticator_hash()
        );
        assert_eq!(person.keys_hash(), first.keys_hash());
    }
}

/// All stop with the same violation, of the same member.
fn all_see(violation: Violation, entry: &Entry, people: &mut [&mut Person]) {
    let mut offender = None;
    for person in people {
        match person.stop(entry) {
            Stopped::Violating { rule, by } => {
                assert_eq!(rule, violation);
                assert_eq!(*offender.get_or_insert(by), by, "another offender");
                assert_eq!(by.is_none(), violation == Violation::Outsider);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn is_unusable(stopped: &Stopped) -> bool {
    matches!(stopped, Stopped::Unusable(_))
}
