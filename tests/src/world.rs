//! A development network and the node that stands before it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use candid::Principal;
use ed25519_dalek::SigningKey;
use paigham_modules::{DIRECTORY, RELAY};
use paigham_network::{Contents, Network, auditors};
use paigham_subnet::testkit::{FaultJournal, Traps};
use paigham_subnet::{
    CanisterRange, Clock, Config, InProcess, ManualClock, RootKey, Subnet, SystemClock, Topology,
};
use paigham_wire::ids::CanisterId;
use paigham_wire::network::{CanisterRole, KeySet, NetworkFile, VerifiedNetwork};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::bare::BareAgent;
use crate::controller::directory_of;
use crate::node::MaliciousNode;
use crate::story::number;

/// Keys of a network in memory, the same at every run.
const SEED: [u8; 32] = [0x5A; 32];
/// Seed of the root key of a network of several subnets.
const ROOT_SEED: [u8; 32] = [0x5B; 32];
/// Subnets of a network of several shards, and relays on each.
const SHARDED: (u8, u16) = (2, 2);
/// Set to 1, every world in memory is one of several shards: the same stories, told over them.
const SHARDS_VARIABLE: &str = "PAIGHAM_SHARDS";

/// A running network. Clients reach it through [`World::node`] only, over loopback or in process,
/// and go on doing so after the network died and came back.
#[derive(Debug)]
pub struct World {
    network: Option<Network>,
    file: Vec<u8>,
    ground: Ground,
    /// Journals of further subnets, below a root key that is none of theirs.
    others: Vec<FaultJournal>,
    /// Relays on each subnet; one if `None`.
    relays: Option<u16>,
    /// Auditors of the log, from the next start.
    auditors: Option<KeySet>,
    clock: Option<ManualClock>,
    node: MaliciousNode,
    address: SocketAddr,
    config: Config,
    /// A replica that stays behind, under a clock that stands.
    behind: Option<Subnet>,
    /// The other truth, and the node that shows it.
    fork: Option<(Subnet, MaliciousNode)>,
}

/// What outlives a death of the network.
#[derive(Debug)]
enum Ground {
    Memory(FaultJournal),
    Folder(TempDir),
}

impl World {
    /// A network in memory, under this machine's clock: of one subnet, or of several if the
    /// environment has `PAIGHAM_SHARDS` at 1.
    pub async fn in_memory() -> Self {
        Self::made(None).await
    }

    /// Two subnets in memory to which a root key delegates, with two relays on each; the directory
    /// is on the first.
    pub async fn of_shards() -> Self {
        Self::sharded(None).await
    }

    async fn sharded(clock: Option<ManualClock>) -> Self {
        let (subnets, relays) = SHARDED;
        let ground = Ground::Memory(FaultJournal::default());
        let others = (1..subnets).map(|_| FaultJournal::default()).collect();
        Self::laid_out(ground, clock, others, Some(relays)).await
    }

    /// A network in memory, under a clock that [`World::pass`] moves.
    pub async fn with_manual_clock() -> Self {
        Self::long_ago(Duration::ZERO).await
    }

    /// As [`World::with_manual_clock`], beginning so long ago. A long story must end before this
    /// machine's present: OpenMLS takes no key package that is made after it.
    pub async fn long_ago(ago: Duration) -> Self {
        let ago = u64::try_from(ago.as_nanos()).unwrap();
        let clock = ManualClock::at(SystemClock.now_ns() - ago);
        Self::made(Some(clock)).await
    }

    /// A clock that stands would hold up whatever the canisters do after a while, such as the entries
    /// of the log: so time passes as it does outside, and [`World::pass`] makes it pass faster.
    fn runs(clock: &ManualClock) {
        const TICK: Duration = Duration::from_millis(20);
        let clock = clock.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                clock.advance(TICK);
            }
        });
    }

    /// A network in a folder, as `paigham network up` makes it.
    pub async fn in_folder() -> Self {
        let ground = Ground::Folder(tempfile::tempdir().unwrap());
        Self::laid_out(ground, None, Vec::new(), None).await
    }

    async fn made(clock: Option<ManualClock>) -> Self {
        if number(SHARDS_VARIABLE, 0) == 1 {
            return Self::sharded(clock).await;
        }
        let ground = Ground::Memory(FaultJournal::default());
        Self::laid_out(ground, clock, Vec::new(), None).await
    }

    async fn laid_out(
        ground: Ground,
        clock: Option<ManualClock>,
        others: Vec<FaultJournal>,
        relays: Option<u16>,
    ) -> Self {
        clock.iter().for_each(Self::runs);
        let node = MaliciousNode::unconnected();
        let address = node.serve().await;
        let mut world = Self {
            network: None,
            file: Vec::new(),
            ground,
            others,
            relays,
            auditors: None,
            clock,
            node,
            address,
            config: Config::default(),
            behind: None,
            fork: None,
        };
        world.start().await;
        world
    }

    /// Starts the network again after [`World::stop`], [`World::kill`] or a death of its journal.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(&mut self) {
        if let Ground::Memory(journal) = &self.ground {
            journal.restart();
        }
        self.others.iter().for_each(FaultJournal::restart);
        self.try_start().await.unwrap();
    }

    /// As [`World::start`], with the death that is set on the journal; it may come while starting.
    ///
    /// # Errors
    /// Why the network does not start.
    pub async fn try_start(&mut self) -> Result<(), paigham_network::NetworkUpError> {
        self.network = None;
        let network = match &self.ground {
            Ground::Memory(journal) => {
                let clock: Arc<dyn Clock> = match &self.clock {
                    Some(clock) => Arc::new(clock.clone()),
                    None => Arc::new(SystemClock),
                };
                let mut subnets = Vec::new();
                for (index, journal) in (0..).zip(std::iter::once(journal).chain(&self.others)) {
                    let mut seed = SEED;
                    seed[0] ^= index;
                    subnets.push(Subnet::open_with_as(
                        Box::new(journal.clone()),
                        clock.clone(),
                        seed,
                        &self.config_of(index),
                    )?);
                }
                let contents = Contents {
                    urls: vec![self.url()],
                    relays: self.relays,
                    auditors: self.auditors.clone(),
                };
                let file = (!self.file.is_empty()).then_some(&self.file[..]);
                Network::on_all(subnets, &contents, SEED, file).await?
            }
            Ground::Folder(folder) => Network::up(folder.path(), self.address).await?,
        };
        self.file = network.file_bytes().to_vec();
        self.node.connect(network.subnet(), network.router());
        self.network = Some(network);
        Ok(())
    }

    /// How the subnet with this index is run.
    fn config_of(&self, index: u8) -> Config {
        if self.others.is_empty() {
            return self.config.clone();
        }
        self.config.clone().topology(Topology::Delegated {
            root: RootKey::from_seed(&ROOT_SEED),
            range: CanisterRange::of_subnet(index.into()),
        })
    }

    /// The relays, in the order of the network file.
    ///
    /// # Panics
    /// If the file names what is no canister.
    #[must_use]
    pub fn relays(&self) -> Vec<CanisterId> {
        let file = self.file();
        let entries = file.file().canisters.iter();
        entries
            .filter(|entry| entry.role == CanisterRole::Relay)
            .map(|entry| CanisterId::new(&entry.id).unwrap())
            .collect()
    }

    /// From its next start the network names auditors, and asks for so many of them.
    ///
    /// # Panics
    /// For none, or for more than there are.
    pub fn names_auditors(&mut self, keys: Vec<[u8; 32]>, required: u32) {
        self.auditors = Some(auditors(keys, required).unwrap());
    }

    /// From its next start, some messages trap at a system call that the seed chooses.
    pub fn traps(&mut self, traps: Traps) {
        self.config = self.config.clone().traps(traps);
    }

    /// From now on there is a replica that has fallen behind: it knows what is on the disk now, its
    /// time stands, and its answers are genuine.
    ///
    /// # Panics
    /// In a folder, and with several subnets.
    pub fn falls_behind(&mut self) {
        assert!(self.others.is_empty(), "which of the subnets?");
        let snapshot = Box::new(self.journal().snapshot());
        let now = match &self.clock {
            Some(clock) => clock.now_ns(),
            None => SystemClock.now_ns(),
        };
        let clock = Arc::new(ManualClock::at(now));
        let behind = Subnet::open_with_as(snapshot, clock, SEED, &self.config).unwrap();
        self.node.has_behind(Some(behind.router()));
        self.behind = Some(behind);
    }

    /// More than a third of the nodes collude: from here on there is a second subnet under the same
    /// keys, which goes its own way. The node that this gives shows its directory in place of the
    /// world's, and the world's relay.
    ///
    /// # Panics
    /// In a folder, and with several subnets.
    pub fn forks(&mut self) -> MaliciousNode {
        assert!(self.others.is_empty(), "which of the subnets?");
        let snapshot = Box::new(self.journal().snapshot());
        let clock: Arc<dyn Clock> = match &self.clock {
            Some(clock) => Arc::new(clock.clone()),
            None => Arc::new(SystemClock),
        };
        let fork = Subnet::open_with_as(snapshot, clock, SEED, &self.config).unwrap();
        let directory = directory_of(self).to_text();
        let (truth, other) = (self.network().router(), fork.router());
        let either = move |request: axum::extract::Request| {
            let of_directory = request.uri().path().contains(&directory);
            let router = if of_directory { &other } else { &truth };
            router.clone().oneshot(request)
        };
        let node = MaliciousNode::unconnected();
        node.connect(&fork, Router::new().fallback(either));
        self.fork = Some((fork, node.clone()));
        node
    }

    /// The subnet that goes its own way.
    ///
    /// # Panics
    /// Before [`World::forks`].
    #[must_use]
    pub fn fork(&self) -> &Subnet {
        &self.fork.as_ref().expect("there is one truth").0
    }

    /// Stops the network in good order.
    pub fn stop(&mut self) {
        self.node.disconnect();
        if let Some(network) = self.network.take() {
            network.shutdown();
        }
    }

    /// The network dies: nothing is written any more, what was not synced is lost. In a folder it
    /// is stopped instead, real processes are killed elsewhere.
    pub fn kill(&mut self) {
        if let Ground::Memory(journal) = &self.ground {
            journal.crash_at(0);
        }
        self.others.iter().for_each(|journal| journal.crash_at(0));
        self.stop();
    }

    /// The journal of a network in memory: sets deaths, and counts operations.
    ///
    /// # Panics
    /// In a folder.
    #[must_use]
    pub fn journal(&self) -> &FaultJournal {
        match &self.ground {
            Ground::Memory(journal) => journal,
            Ground::Folder(_) => panic!("a network in a folder has a real journal"),
        }
    }

    /// Whether the network has stopped by itself: a death that was set on the journal came.
    pub async fn is_dead(&self) -> bool {
        self.network().subnet().status().await.is_err()
    }

    /// The folder of a network in a folder.
    ///
    /// # Panics
    /// In memory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match &self.ground {
            Ground::Folder(folder) => folder.path(),
            Ground::Memory(_) => panic!("this network is in memory"),
        }
    }

    /// The node that all clients talk to.
    #[must_use]
    pub const fn node(&self) -> &MaliciousNode {
        &self.node
    }

    /// The node as a transport in the same process.
    #[must_use]
    pub fn in_process(&self) -> Arc<InProcess> {
        self.node.in_process()
    }

    /// Where the node listens on loopback.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The network file.
    ///
    /// # Panics
    /// If the file does not verify.
    #[must_use]
    pub fn file(&self) -> VerifiedNetwork {
        VerifiedNetwork::pinned(&self.file).unwrap()
    }

    /// The operator publishes a signed successor of the network file.
    ///
    /// # Panics
    /// If it does not verify, and for a network in a folder, whose release key is its own.
    pub fn announces(&mut self, change: impl FnOnce(&mut NetworkFile)) {
        self.file = self.signs(change).bytes().to_vec();
    }

    /// The release key signs a successor of the network file, and only whoever is given it knows.
    ///
    /// # Panics
    /// As [`World::announces`].
    #[must_use]
    pub fn signs(&self, change: impl FnOnce(&mut NetworkFile)) -> VerifiedNetwork {
        assert!(matches!(self.ground, Ground::Memory(_)));
        let old = self.file();
        let mut next = old.file().clone();
        next.sequence += 1;
        change(&mut next);
        let bytes = next.sign(&[&SigningKey::from_bytes(&SEED)]).unwrap();
        old.successor(&bytes, next.issued_at).unwrap()
    }

    /// The running network.
    ///
    /// # Panics
    /// While it is down.
    #[must_use]
    pub const fn network(&self) -> &Network {
        self.network.as_ref().expect("the network is down")
    }

    /// The clock of a world with a manual clock.
    #[must_use]
    pub const fn manual_clock(&self) -> Option<&ManualClock> {
        self.clock.as_ref()
    }

    /// Lets time pass, and every subnet certify that it did.
    ///
    /// # Panics
    /// Under this machine's clock.
    pub async fn pass(&self, time: Duration) {
        self.clock.as_ref().unwrap().advance(time);
        BareAgent::in_process(self).ping().await;
        for subnet in self.network().subnets() {
            // Who is asked looks at the clock first, and does what is due.
            subnet.status().await.unwrap();
        }
        BareAgent::in_process(self).log_is_new().await;
        if let Some((fork, node)) = &self.fork {
            fork.status().await.unwrap();
            let agent = BareAgent::new(self, Some(node.in_process()));
            agent.log_is_new().await;
        }
    }

    /// As [`World::pass`], over months. The canisters look after themselves every minute, and make up
    /// for each that has passed; an upgrade to what they run sets their timers anew.
    ///
    /// # Panics
    /// Under this machine's clock.
    pub async fn pass_at_once(&self, time: Duration) {
        self.clock.as_ref().unwrap().advance(time);
        for subnet in self.network().subnets() {
            for canister in subnet.status().await.unwrap().canisters {
                let id = Principal::from_text(&canister.id).unwrap();
                let module = match id == directory_of(self) {
                    true => DIRECTORY,
                    false => RELAY,
                };
                subnet.upgrade(id, module, Vec::new()).await.unwrap();
            }
        }
        self.pass(Duration::ZERO).await;
    }

    /// As [`World::pass`], where the log may stand still.
    ///
    /// # Panics
    /// Under this machine's clock.
    pub async fn pass_whatever_the_log_does(&self, time: Duration) {
        self.clock.as_ref().unwrap().advance(time);
        BareAgent::in_process(self).ping().await;
        for subnet in self.network().subnets() {
            subnet.status().await.unwrap();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}
