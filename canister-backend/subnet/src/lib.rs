//! The embedded subnet: runs canisters' `.wasm`, orders calls in rounds, signs the state once a
//! round, keeps it on disk, and serves the IC interface to an unmodified agent (`spec/subnet.md`).
//!
//! ```text
//! http ── authenticated call ──▶ executor thread: journal, then execute, then sign, then answer
//!                                   │ state: canisters (wasmtime), request statuses, time
//!                                   └ tree: certificates and witnesses
//! ```
//! One thread owns everything that changes; the HTTP front talks to it through a bounded channel.

#![forbid(unsafe_code)]

mod auth;
mod calls;
mod canister;
mod clock;
mod code;
mod config;
mod engine;
mod execution;
mod executor;
mod http;
mod ic0;
mod in_process;
mod journal;
mod key_file;
mod keys;
#[cfg(feature = "testkit")]
mod lone;
mod management;
mod prep;
mod profile;
mod replicas;
mod stable;
mod state;
mod status;
#[cfg(feature = "testkit")]
pub mod testkit;
mod topology;
mod tree;

use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use candid::Principal;
use tokio::sync::{oneshot, watch};

pub use clock::{Clock, ManualClock, SystemClock};
pub use code::InstallError;
pub use config::{Config, REPLICAS_MAX};
pub use execution::{Execution, Outcome};
pub use executor::StopReason;
pub use in_process::InProcess;
pub use journal::{FileJournal, Journal, MemoryJournal, Stored};
pub use key_file::KeyFile;
#[cfg(feature = "testkit")]
pub use lone::LoneCanister;
pub use prep::ModuleError;
pub use replicas::Divergence;
pub use status::{CanisterStatus, MethodUse, SubnetStatus};
pub use topology::{CANISTERS_PER_SUBNET, CanisterRange, RootKey, Topology};

use executor::{Command, Executor, Queued, Spawned, spawn};
use http::{Front, Fronts, Identity};
use keys::{Keys, Seeds};
use replicas::Followers;
use state::{RestoreError, State};

/// How soon an administrator asks again while the queue is full.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// Why a subnet does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process runs a subnet on this folder.
    #[error("another process runs a subnet on this folder")]
    InUse,
    /// The disk.
    #[error("the subnet's data folder: {0}")]
    Disk(#[source] io::Error),
    /// What is stored was written by another version, which reads it.
    #[error("the subnet's data folder is of another version: {0}")]
    Layout(String),
    /// What is stored does not make a subnet.
    #[error("the subnet's stored state: {0}")]
    State(String),
    /// The engine does not start, or there is no randomness.
    #[error("the subnet does not start: {0}")]
    Start(String),
    /// No replica, or more than [`REPLICAS_MAX`].
    #[error("{0} replicas; it must be 1 to {REPLICAS_MAX}")]
    Replicas(u16),
    /// Replicas that replayed the same log are not in the same state.
    #[error(transparent)]
    Diverged(#[from] Divergence),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ResourceBusy => Self::InUse,
            io::ErrorKind::Unsupported => Self::Layout(error.to_string()),
            _ => Self::Disk(error),
        }
    }
}

impl From<RestoreError> for OpenError {
    fn from(error: RestoreError) -> Self {
        Self::State(error.to_string())
    }
}

/// The subnet has stopped: its journal failed, or it was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subnet has stopped")]
pub struct Stopped;

/// A running subnet.
#[derive(Debug)]
pub struct Subnet {
    executor: SyncSender<Queued>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    stopped: watch::Receiver<Option<StopReason>>,
    front: Front,
    node_seed: [u8; 32],
    node_id: Principal,
}

impl Subnet {
    /// Opens the subnet of a data folder, making one if there is none.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_as(folder, &Config::default())
    }

    /// As [`Subnet::open`], run otherwise than by default.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_as(folder: &Path, config: &Config) -> Result<Self, OpenError> {
        let journal = FileJournal::open(folder)?;
        let seeds = key_file::load_or_make(folder, journal.is_new()?)?;
        Self::start(Box::new(journal), Arc::new(SystemClock), &seeds, config)
    }

    /// A subnet on another journal or clock; `seed` makes its keys.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_with(
        journal: Box<dyn Journal>,
        clock: Arc<dyn Clock>,
        seed: [u8; 32],
    ) -> Result<Self, OpenError> {
        Self::open_with_as(journal, clock, seed, &Config::default())
    }

    /// As [`Subnet::open_with`], run otherwise than by default.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_with_as(
        journal: Box<dyn Journal>,
        clock: Arc<dyn Clock>,
        seed: [u8; 32],
        config: &Config,
    ) -> Result<Self, OpenError> {
        Self::start(journal, clock, &Seeds::of_test(&seed), config)
    }

    fn start(
        mut journal: Box<dyn Journal>,
        clock: Arc<dyn Clock>,
        seeds: &Seeds,
        config: &Config,
    ) -> Result<Self, OpenError> {
        if !(1..=REPLICAS_MAX).contains(&config.replicas) {
            return Err(OpenError::Replicas(config.replicas));
        }
        config.enter_thread();
        let stored = journal.load()?;
        let now = clock.now_ns();
        let mut states = (0..config.replicas)
            .map(|_| replica(&stored, seeds, config, now))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let state = states.next().ok_or(OpenError::Replicas(0))?;
        let followers = Followers::new(states.collect());
        followers.compare(&state)?;
        if !stored.records.is_empty() {
            journal.checkpoint(&state.checkpoint())?;
        }
        let keys = &state.keys;
        let identity = Identity {
            root_key: keys.root_der.clone(),
            subnet: keys.subnet,
            range: keys.range,
            delegator: keys.delegator.clone(),
        };
        let (node_seed, node_id) = (keys.node_seed(), keys.node_id);
        let spawned = spawn(state, followers, journal, Arc::clone(&clock), config)?;
        let Spawned {
            commands: executor,
            thread,
            stopped,
        } = spawned;
        let front = Front::new(executor.clone(), clock, identity);
        Ok(Self {
            executor,
            thread: Mutex::new(Some(thread)),
            stopped,
            front,
            node_seed,
            node_id,
        })
    }

    /// The key that every certificate leads to: DER, 133 bytes.
    #[must_use]
    pub fn root_key_der(&self) -> Vec<u8> {
        self.front.identity.root_key.clone()
    }

    /// The subnet's id.
    #[must_use]
    pub fn subnet_id(&self) -> Principal {
        self.front.identity.subnet
    }

    /// The canister ids that are this subnet's.
    #[must_use]
    pub fn range(&self) -> CanisterRange {
        self.front.identity.range
    }

    /// The seed of the node's Ed25519 key and its id, so that a test can play a malicious node.
    #[must_use]
    pub const fn node_key_for_tests(&self) -> ([u8; 32], Principal) {
        (self.node_seed, self.node_id)
    }

    /// The HTTP interface; callers may merge routes of their own.
    pub fn router(&self) -> Router {
        router_of([self])
    }

    /// A transport for an agent in the same process.
    #[must_use]
    pub fn in_process(&self) -> Arc<InProcess> {
        InProcess::new(self.router())
    }

    /// Installs a canister under the next id; durable when it returns.
    ///
    /// # Errors
    /// [`InstallError`].
    pub async fn install(
        &self,
        module: &[u8],
        argument: Vec<u8>,
        controllers: &[Principal],
    ) -> Result<Principal, InstallError> {
        let (module, controllers) = (module.to_vec(), controllers.to_vec());
        self.admin(move |executor| executor.install(&module, argument, &controllers))
            .await
            .map_err(|error| InstallError::Stopped(error.to_string()))?
    }

    /// Replaces a canister's module; all of it happens or nothing, durable when it returns.
    ///
    /// # Errors
    /// [`InstallError`].
    pub async fn upgrade(
        &self,
        canister: Principal,
        module: &[u8],
        argument: Vec<u8>,
    ) -> Result<(), InstallError> {
        let module = module.to_vec();
        self.admin(move |executor| executor.upgrade(&canister, &module, argument))
            .await
            .map_err(|error| InstallError::Stopped(error.to_string()))?
    }

    /// Sets who may create canisters through the management canister, instead of the holder of the
    /// node's key alone; durable when it returns. `false` if they are more than 100: then nothing
    /// changed.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn set_creators(&self, creators: Vec<Principal>) -> Result<bool, Stopped> {
        self.admin(move |executor| executor.set_creators(creators))
            .await
    }

    /// Runs an update outside of any round and tells what it cost; `None` for an unknown canister.
    /// Not logged: a subnet that is measured so is thrown away.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn measure(
        &self,
        canister: Principal,
        method: &str,
        argument: Vec<u8>,
    ) -> Result<Option<Execution>, Stopped> {
        let method = method.to_owned();
        self.admin(move |executor| executor.measure(&canister, &method, argument))
            .await
    }

    /// What the subnet tells of itself.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn status(&self) -> Result<SubnetStatus, Stopped> {
        self.admin(|executor| executor.status()).await
    }

    async fn admin<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Executor) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let mut command = Queued::from(Command::Admin(Box::new(move |executor| {
            drop(reply.send(action(executor)));
        })));
        loop {
            match self.executor.try_send(command) {
                Ok(()) => return answer.await.map_err(|_| Stopped),
                Err(TrySendError::Disconnected(_)) => return Err(Stopped),
                Err(TrySendError::Full(back)) => command = back,
            }
            tokio::time::sleep(BUSY_WAIT).await;
        }
    }

    /// Turns over one bit of a canister's heap in one replica, as failing memory does; the first
    /// replica has number 1.
    ///
    /// # Errors
    /// [`Stopped`].
    #[cfg(feature = "testkit")]
    pub async fn flip_heap_bit(
        &self,
        replica: usize,
        canister: Principal,
        byte: usize,
    ) -> Result<(), Stopped> {
        self.admin(move |executor| executor.flip_heap_bit(replica, &canister, byte))
            .await
    }

    /// Waits until the subnet stops by itself, and tells why. Does not end when it is shut down.
    pub async fn stops_by_itself(&self) -> StopReason {
        let mut stopped = self.stopped.clone();
        let reason = match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Stops after a checkpoint; without it the next start replays the log.
    pub fn shutdown(&self) {
        drop(self.executor.send(Command::Stop.into()));
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            drop(thread.join());
        }
    }
}

/// The HTTP interface of several subnets behind one listener: requests go to the subnet that holds
/// the canister which they are addressed to.
pub fn router_of<'a>(subnets: impl IntoIterator<Item = &'a Subnet>) -> Router {
    let fronts = subnets.into_iter().map(|subnet| subnet.front.clone());
    http::router(Fronts::new(fronts))
}

/// The state of one replica: the checkpoint, then the log, then the present.
fn replica(stored: &Stored, seeds: &Seeds, config: &Config, now: u64) -> Result<State, OpenError> {
    let keys = Keys::new(seeds, &config.topology, now)
        .ok_or_else(|| OpenError::State("keys that are not of this topology".into()))?;
    let engine = engine::engine().map_err(|error| OpenError::Start(error.to_string()))?;
    let mut state = match &stored.checkpoint {
        Some(checkpoint) => State::restore(engine, keys, checkpoint)?,
        None => State::new(engine, keys, now),
    };
    for record in &stored.records {
        state.replay(record)?;
    }
    state.usage.clear();
    state.advance(now);
    Ok(state)
}
