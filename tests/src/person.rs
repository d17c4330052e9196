//! People: each has one device, a disk that outlives its deaths, and a name for everybody else.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use ic_agent::agent::HttpService;
use paigham_client::{
    AccountId, Answer, Body, Client, ClientError, DeviceId, Environment, KdfCost, MessageView,
    NewAccount, OpenRelays, ProblemKind, QueueId, Reauthenticated, RecoverTarget, Recovery,
    RecoveryKit, Store, SyncReport,
};
use paigham_group::crypto::Crypto;
use paigham_group::pointer::InboxKeyPair;
use paigham_store::Table;
use paigham_store::testkit::FaultBackend;
use paigham_subnet::{Clock, ManualClock};
use paigham_wire::codec::{decode, encode};
use paigham_wire::hash::sha256;
use paigham_wire::identity::{DeviceEntry, IdentityRecord};
use paigham_wire::ids::InboxId;
use paigham_wire::network::VerifiedNetwork;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tempfile::TempDir;

use crate::flaky::FlakyTransport;
use crate::node::MaliciousNode;
use crate::world::World;

/// Key of the stores in memory, which no passphrase wraps.
pub const STORE_KEY: [u8; 32] = [0x42; 32];
/// Syncs after which people who only listen have nothing more to hear.
const ROUNDS: usize = 4;

/// What a person's home lies on.
#[derive(Debug)]
pub enum Disk {
    /// Memory whose machine can die at any point of any batch.
    Memory(FaultBackend),
    /// A real folder under a passphrase.
    Folder(TempDir, String),
}

/// How a person reaches the world's node.
#[derive(Debug, Clone)]
pub enum Way {
    /// In process, through a transport that can die around any request.
    InProcess(FlakyTransport),
    /// Over HTTP on loopback, to the address in the network file.
    Http,
}

/// One person with one device. While the device is on, a person is used as its [`Client`].
#[derive(Debug)]
pub struct Person {
    /// What everybody calls them.
    pub name: String,
    account: AccountId,
    disk: Disk,
    way: Way,
    clock: PersonsClock,
    client: Option<Client>,
}

impl Person {
    /// With a home in memory and a transport that can die, registered.
    pub async fn registered(world: &World, name: &str) -> Self {
        let mut person = Self::in_memory(world, name);
        person.hears().await;
        assert!(person.me().registered, "{name} is not registered");
        person
    }

    /// As [`Person::registered`], with the recovery kit that was shown.
    pub async fn with_kit(world: &World, name: &str) -> (Self, RecoveryKit) {
        let way = Way::InProcess(FlakyTransport::new(world.in_process()));
        let disk = Disk::Memory(FaultBackend::default());
        let (mut person, kit) = Self::made(world, name, disk, way);
        person.hears().await;
        assert!(person.me().registered, "{name} is not registered");
        (person, kit)
    }

    /// Who has lost every device gets the account back by its kit, in a new home in memory that has
    /// published nothing yet.
    ///
    /// # Errors
    /// As [`Recovery::prepare`].
    pub async fn recovers(
        world: &World,
        name: &str,
        target: &RecoverTarget<'_>,
    ) -> Result<Self, ClientError> {
        let way = Way::InProcess(FlakyTransport::new(world.in_process()));
        let backend = FaultBackend::default();
        let clock = PersonsClock::of(world);
        let environment = environment(&way, &clock);
        let recovery = Recovery::prepare(world.file(), target, &environment).await?;
        let client = recovery.create_on(store_on(&backend), environment)?;
        Ok(Self {
            name: name.to_owned(),
            account: target.account,
            disk: Disk::Memory(backend),
            way,
            clock,
            client: Some(client),
        })
    }

    /// A second device of this person's account: what linking will make. Its home holds the identity
    /// key that this device's disk holds, and keys of its own; with its first sync it adds itself.
    ///
    /// Whoever holds the open phone in hand can do the same.
    ///
    /// # Panics
    /// If this home has no account.
    #[must_use]
    pub fn second_device(&self, world: &World, name: &str) -> Self {
        let mut account: HomeAccount = store_on(self.disk())
            .begin()
            .get(Table::Account, b"self")
            .unwrap()
            .unwrap();
        let network: ByteBuf = store_on(self.disk())
            .begin()
            .get(Table::Network, b"pinned")
            .unwrap()
            .unwrap();
        let made: Vec<[u8; 32]> = store_on(self.disk())
            .begin()
            .get(Table::Log, b"made")
            .unwrap()
            .unwrap();
        account.becomes_another_device();
        let backend = FaultBackend::default();
        let set = store_on(&backend).begin();
        set.put(Table::Account, b"self", &account).unwrap();
        set.put(Table::Network, b"pinned", &network).unwrap();
        set.put(Table::Log, b"made", &made).unwrap();
        set.commit().unwrap();
        let mut person = Self {
            name: name.to_owned(),
            account: self.account,
            disk: Disk::Memory(backend),
            way: Way::InProcess(FlakyTransport::new(world.in_process())),
            clock: self.clock.clone(),
            client: None,
        };
        person.reopens(&world.file());
        person
    }

    /// Listens, is alarmed over what this device did not do with the own account, and says that it
    /// was the owner, on another device. Returns how many alarms there were.
    ///
    /// # Panics
    /// If anything else is wrong.
    pub async fn owns_up(&mut self, world: &World) -> usize {
        // The own label is watched at each start.
        self.reopens(&world.file());
        let name = self.name.clone();
        let report = self.sync().await;
        report.unwrap_or_else(|error| panic!("{name} cannot sync: {error}"));
        let open = self.problems().unwrap().into_iter();
        let open: Vec<_> = open.filter(|problem| problem.answer.is_none()).collect();
        for problem in &open {
            assert!(
                matches!(problem.kind, ProblemKind::UnknownVersion { .. }),
                "{name}: {problem:?}"
            );
            self.answer_problem(problem.number, Answer::ItWasMe)
                .unwrap();
        }
        self.take_notices();
        open.len()
    }

    /// The owner is asked again, and is there.
    ///
    /// # Panics
    /// If the home does not know its owner.
    #[must_use]
    pub fn confirms(&self) -> Reauthenticated {
        match &self.disk {
            Disk::Memory(_) => self.reauthenticate_by_key(&STORE_KEY).unwrap(),
            Disk::Folder(_, passphrase) => self.reauthenticate(passphrase).unwrap(),
        }
    }

    /// With a home in a real folder, over HTTP, registered.
    pub async fn at_home(world: &World, name: &str, passphrase: &str) -> (Self, RecoveryKit) {
        let disk = Disk::Folder(tempfile::tempdir().unwrap(), passphrase.to_owned());
        let (mut person, kit) = Self::made(world, name, disk, Way::Http);
        person.hears().await;
        assert!(person.me().registered, "{name} is not registered");
        (person, kit)
    }

    /// With a home in memory, over HTTP, registered.
    pub async fn over_http(world: &World, name: &str) -> Self {
        let disk = Disk::Memory(FaultBackend::default());
        let (mut person, _) = Self::made(world, name, disk, Way::Http);
        person.hears().await;
        person
    }

    /// With a home in memory and a transport that can die; not registered yet.
    #[must_use]
    pub fn in_memory(world: &World, name: &str) -> Self {
        let way = Way::InProcess(FlakyTransport::new(world.in_process()));
        Self::made(world, name, Disk::Memory(FaultBackend::default()), way).0
    }

    /// With a home in memory, over HTTP, on a machine whose clock is so many seconds ahead; not
    /// registered yet.
    #[must_use]
    pub fn with_wrong_clock(world: &World, name: &str, ahead_seconds: i64) -> Self {
        let disk = Disk::Memory(FaultBackend::default());
        let clock = PersonsClock::Wrong(ahead_seconds);
        Self::made_by(world, name, disk, Way::Http, clock).0
    }

    /// The machine's clock is set wrong: so many seconds ahead; the device notices with its next
    /// start.
    pub fn sets_clock_wrong(&mut self, ahead_seconds: i64) {
        self.clock = PersonsClock::Wrong(ahead_seconds);
    }

    /// The machine's clock is set right; the device notices with its next start.
    pub fn sets_clock_right(&mut self) {
        self.clock = PersonsClock::System;
    }

    fn made(world: &World, name: &str, disk: Disk, way: Way) -> (Self, RecoveryKit) {
        let clock = PersonsClock::of(world);
        Self::made_by(world, name, disk, way, clock)
    }

    fn made_by(
        world: &World,
        name: &str,
        disk: Disk,
        way: Way,
        clock: PersonsClock,
    ) -> (Self, RecoveryKit) {
        let environment = environment(&way, &clock);
        let open = OpenRelays::of_file(&world.file());
        let (new, kit) = NewAccount::prepare(world.file(), &open, name, &environment).unwrap();
        let account = new.account();
        let client = match &disk {
            Disk::Memory(backend) => new.create_on(store_on(backend), environment),
            Disk::Folder(folder, passphrase) => {
                new.create(&home_in(folder), passphrase, environment)
            }
        };
        let person = Self {
            name: name.to_owned(),
            account,
            disk,
            way,
            clock,
            client: Some(client.unwrap()),
        };
        (person, kit)
    }

    /// Their account.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The disk of a person with a home in memory.
    ///
    /// # Panics
    /// For a home in a folder.
    #[must_use]
    pub fn disk(&self) -> &FaultBackend {
        match &self.disk {
            Disk::Memory(backend) => backend,
            Disk::Folder(..) => panic!("this home is a folder"),
        }
    }

    /// The home of a person with a home in a folder.
    ///
    /// # Panics
    /// For a home in memory.
    #[must_use]
    pub fn home(&self) -> &Path {
        match &self.disk {
            Disk::Folder(folder, _) => folder.path(),
            Disk::Memory(_) => panic!("this home is in memory"),
        }
    }

    /// The transport of a person who is in process.
    ///
    /// # Panics
    /// For one over HTTP.
    #[must_use]
    pub fn transport(&self) -> &FlakyTransport {
        match &self.way {
            Way::InProcess(transport) => transport,
            Way::Http => panic!("this person is over HTTP"),
        }
    }

    /// Meets another node from the next start on.
    pub fn meets(&mut self, node: &MaliciousNode) {
        self.way = Way::InProcess(FlakyTransport::new(node.in_process()));
    }

    /// The device is switched off, or was; its memory is gone.
    pub fn closes(&mut self) {
        self.client = None;
    }

    /// The device is switched on again, on what its disk kept.
    ///
    /// # Panics
    /// If the home does not open.
    pub fn reopens(&mut self, network: &VerifiedNetwork) {
        self.closes();
        let environment = environment(&self.way, &self.clock);
        let network = Some(network.clone());
        let client = match &self.disk {
            Disk::Memory(backend) => {
                backend.restart();
                Client::open_on(store_on(backend), network, environment)
            }
            Disk::Folder(folder, passphrase) => {
                Client::open(&home_in(folder), passphrase, network, environment)
            }
        };
        self.client = Some(client.unwrap());
        if let Way::InProcess(transport) = &self.way {
            transport.restart();
        }
    }

    /// Syncs, and nothing is wrong.
    ///
    /// # Panics
    /// If anything is.
    pub async fn hears(&mut self) -> SyncReport {
        let name = self.name.clone();
        let report = self.sync().await;
        let report = report.unwrap_or_else(|error| panic!("{name} cannot sync: {error}"));
        assert!(report.notices.is_empty(), "{name}: {:?}", report.notices);
        report
    }

    /// All texts of a conversation that are delivered, with who wrote them.
    #[must_use]
    pub fn said(&self, queue: QueueId) -> Vec<(AccountId, String)> {
        let lines = self.lines(queue).into_iter();
        let delivered = lines.filter(|line| line.verified.is_some());
        delivered
            .filter_map(|line| Some((line.from?, text_of(&line)?)))
            .collect()
    }

    /// As [`Person::said`], the words alone.
    #[must_use]
    pub fn texts(&self, queue: QueueId) -> Vec<String> {
        self.said(queue).into_iter().map(|(_, text)| text).collect()
    }

    /// All lines of a conversation, own texts that wait included.
    #[must_use]
    pub fn lines(&self, queue: QueueId) -> Vec<MessageView> {
        self.history(queue, usize::MAX).unwrap()
    }

    /// Whether a text was taken at all: delivered, or kept to be delivered.
    #[must_use]
    pub fn has_text(&self, queue: QueueId, text: &str) -> bool {
        let lines = self.lines(queue);
        lines
            .iter()
            .any(|line| text_of(line).as_deref() == Some(text))
    }

    /// Sends a text that must be delivered at once.
    ///
    /// # Panics
    /// If it is not.
    pub async fn says(&mut self, queue: QueueId, text: &str) {
        let line = self.send(queue, text).await;
        let line = line.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(line.verified.is_some(), "{text} waits");
    }

    /// Sends a text unless that was done before a death, and delivers what waits.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn says_once(&mut self, queue: QueueId, text: &str) -> Result<(), ClientError> {
        if self.has_text(queue, text) {
            self.sync().await?;
        } else {
            self.send(queue, text).await?;
        }
        Ok(())
    }
}

impl Deref for Person {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client.as_ref().expect("the device is off")
    }
}

impl DerefMut for Person {
    fn deref_mut(&mut self) -> &mut Client {
        self.client.as_mut().expect("the device is off")
    }
}

/// Everybody becomes everybody's contact.
///
/// # Panics
/// If the directory does not know one of them.
pub async fn meet(people: &mut [&mut Person]) {
    let all: Vec<_> = people
        .iter()
        .map(|person| (person.name.clone(), person.account()))
        .collect();
    for person in people {
        for (name, account) in &all {
            if *account != person.account() {
                person.add_contact(name, *account).await.unwrap();
            }
        }
    }
}

/// Everybody listens until there is nothing more to hear, and nothing is wrong.
///
/// # Panics
/// If something still waits.
pub async fn all_hear(people: &mut [&mut Person]) {
    for round in 0..ROUNDS {
        let mut waiting = 0;
        for person in people.iter_mut() {
            waiting += person.hears().await.waiting;
        }
        // Once for the news, once for what the news made others do.
        if waiting == 0 && round > 0 {
            return;
        }
    }
    panic!("something still waits");
}

/// Everybody is at the same place of the same group.
///
/// # Panics
/// If somebody is not.
pub fn assert_agree(queue: QueueId, people: &[&Person]) {
    let stands = |person: &Person| {
        let view = person.conversation(queue).unwrap();
        (view.epoch, view.seq, view.members, view.authenticator)
    };
    let first = stands(people[0]);
    for person in people {
        assert_eq!(stands(person), first, "{}", person.name);
    }
}

/// The text of a line that is one.
#[must_use]
pub fn text_of(line: &MessageView) -> Option<String> {
    match &line.body {
        Body::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// What tells a person the time.
#[derive(Debug, Clone)]
enum PersonsClock {
    /// This machine.
    System,
    /// The world's clock, which a test moves.
    Manual(ManualClock),
    /// This machine, so many seconds ahead.
    Wrong(i64),
}

impl PersonsClock {
    fn of(world: &World) -> Self {
        match world.manual_clock() {
            Some(clock) => Self::Manual(clock.clone()),
            None => Self::System,
        }
    }
}

/// The account as a home keeps it (`core/client`), read by whoever can open the home.
#[derive(Debug, Serialize, Deserialize)]
struct HomeAccount {
    account: [u8; 16],
    device: [u8; 16],
    name: String,
    identity: [u8; 32],
    leaf: [u8; 32],
    inbox: [u8; 32],
    xwing: [u8; 32],
    #[serde(with = "serde_bytes")]
    record: Vec<u8>,
    registered: bool,
    #[serde(with = "serde_bytes")]
    entry: Vec<u8>,
    recovered: Option<HomeRecovered>,
}

#[derive(Debug, Serialize, Deserialize)]
struct HomeRecovered {
    version: u32,
    hash: [u8; 32],
}

impl HomeAccount {
    /// Everything but account and identity key becomes fresh. The home has yet to add its device, as
    /// one that recovered the account has.
    fn becomes_another_device(&mut self) {
        let before: DeviceEntry = match self.entry.as_slice() {
            [] => IdentityRecord::decode(&self.record)
                .unwrap()
                .content
                .devices
                .remove(0),
            entry => decode(entry).unwrap(),
        };
        // Any record will do to say that this home is where its account is.
        let known = match &self.recovered {
            Some(known) => (known.version, known.hash),
            None => (0, IdentityRecord::decode(&self.record).unwrap().hash()),
        };
        for key in [&mut self.leaf, &mut self.inbox, &mut self.xwing] {
            *key = random();
        }
        self.device = random();
        let public = |seed: &[u8; 32]| SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let xwing = InboxKeyPair::derive(&Crypto::new().unwrap(), &self.xwing).unwrap();
        let entry = DeviceEntry {
            device: DeviceId(self.device),
            leaf_key: public(&self.leaf),
            shard: before.shard,
            inbox: InboxId::derive(&public(&self.inbox)),
            xwing_key_hash: sha256(&xwing.public),
            added_at: before.added_at,
        };
        self.record.clear();
        self.entry = encode(&entry);
        self.registered = false;
        self.recovered = Some(HomeRecovered {
            version: known.0,
            hash: known.1,
        });
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn environment(way: &Way, clock: &PersonsClock) -> Environment {
    let transport: Option<Arc<dyn HttpService>> = match way {
        Way::InProcess(transport) => Some(Arc::new(transport.clone())),
        Way::Http => None,
    };
    let clock: Arc<dyn paigham_client::Clock> = match clock {
        PersonsClock::Manual(clock) => Arc::new(SharedClock(clock.clone())),
        PersonsClock::System => Arc::new(paigham_client::SystemClock::default()),
        PersonsClock::Wrong(ahead) => Arc::new(WrongClock {
            right: paigham_client::SystemClock::default(),
            ahead_ns: ahead * 1_000_000_000,
        }),
    };
    Environment {
        transport,
        clock,
        kdf: KdfCost::WEAK_FOR_TESTS,
    }
}

fn store_on(backend: &FaultBackend) -> Store {
    Store::on_backend(Box::new(backend.clone()), &STORE_KEY).unwrap()
}

fn home_in(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("home")
}

/// The subnet's manual clock on a client's wall.
#[derive(Debug)]
struct SharedClock(ManualClock);

impl paigham_client::Clock for SharedClock {
    fn wall_ns(&self) -> u64 {
        self.0.now_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.now_ns()
    }
}

/// A clock whose wall is wrong; its monotonic hand, as always, only counts.
#[derive(Debug)]
struct WrongClock {
    right: paigham_client::SystemClock,
    ahead_ns: i64,
}

impl paigham_client::Clock for WrongClock {
    fn wall_ns(&self) -> u64 {
        self.right.wall_ns().saturating_add_signed(self.ahead_ns)
    }

    fn monotonic_ns(&self) -> u64 {
        self.right.monotonic_ns()
    }
}
