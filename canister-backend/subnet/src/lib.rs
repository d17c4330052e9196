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
mod canister;
mod engine;
mod executor;
mod http;
mod ic0;
mod in_process;
mod journal;
mod keys;
#[cfg(feature = "testkit")]
mod lone;
mod prep;
mod stable;
mod state;
mod status;
mod tree;

use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use candid::Principal;
use tokio::sync::oneshot;

pub use canister::{Execution, InstallError, Outcome};
pub use executor::{Clock, ManualClock, SystemClock};
pub use in_process::InProcess;
#[cfg(feature = "testkit")]
pub use journal::testkit;
pub use journal::{FileJournal, Journal, MemoryJournal, Stored};
#[cfg(feature = "testkit")]
pub use lone::LoneCanister;
pub use prep::ModuleError;
pub use status::{CanisterStatus, MethodUse, SubnetStatus};

use executor::{Command, Executor, Queued, spawn};
use http::{Front, router};
use keys::{Keys, Seeds};
use state::{RestoreError, State};

/// File of the subnet's and the node's secret keys, in the data folder.
const KEYS_FILE: &str = "keys.cbor";
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
    /// What is stored does not make a subnet.
    #[error("the subnet's stored state: {0}")]
    State(String),
    /// The engine does not start, or there is no randomness.
    #[error("the subnet does not start: {0}")]
    Start(String),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ResourceBusy => Self::InUse,
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
    front: Front,
    subnet_id: Principal,
    node_seed: [u8; 32],
    node_id: Principal,
}

impl Subnet {
    /// Opens the subnet of a data folder, making one if there is none.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let journal = FileJournal::open(folder)?;
        let seeds = load_or_make_seeds(&folder.join(KEYS_FILE), journal.is_new()?)?;
        Self::start(Box::new(journal), Arc::new(SystemClock), &seeds)
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
        let node = blake3::hash(&seed).as_bytes().to_vec();
        Self::start(
            journal,
            clock,
            &Seeds {
                root: seed.to_vec(),
                node,
            },
        )
    }

    fn start(
        mut journal: Box<dyn Journal>,
        clock: Arc<dyn Clock>,
        seeds: &Seeds,
    ) -> Result<Self, OpenError> {
        let keys = Keys::new(seeds).ok_or_else(|| OpenError::State("damaged keys".into()))?;
        let root_key = keys.root_der.clone();
        let (subnet_id, node_id, node_seed) = (keys.subnet, keys.node_id, keys.node_seed());
        let engine = engine::engine().map_err(|error| OpenError::Start(error.to_string()))?;
        let stored = journal.load()?;
        let mut state = match stored.checkpoint {
            Some(checkpoint) => State::restore(engine, keys, &checkpoint)?,
            None => State::new(engine, keys, clock.now_ns()),
        };
        for record in &stored.records {
            state.replay(record)?;
        }
        if !stored.records.is_empty() {
            journal.checkpoint(&state.checkpoint())?;
        }
        state.usage.clear();
        let now = clock.now_ns();
        state.advance(now);
        let (executor, thread) = spawn(state, journal, Arc::clone(&clock))?;
        let front = Front::new(executor.clone(), clock, root_key);
        let thread = Mutex::new(Some(thread));
        Ok(Self {
            executor,
            thread,
            front,
            subnet_id,
            node_seed,
            node_id,
        })
    }

    /// The key that every certificate leads to: DER, 133 bytes.
    #[must_use]
    pub fn root_key_der(&self) -> Vec<u8> {
        self.front.root_key.clone()
    }

    /// The subnet's id.
    #[must_use]
    pub const fn subnet_id(&self) -> Principal {
        self.subnet_id
    }

    /// The seed of the node's Ed25519 key and its id, so that a test can play a malicious node.
    #[must_use]
    pub const fn node_key_for_tests(&self) -> ([u8; 32], Principal) {
        (self.node_seed, self.node_id)
    }

    /// The HTTP interface; callers may merge routes of their own.
    pub fn router(&self) -> Router {
        router(self.front.clone())
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
            .map_err(|error| InstallError::Journal(error.to_string()))?
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
            .map_err(|error| InstallError::Journal(error.to_string()))?
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

    /// Serves HTTP until `stop` resolves. `extra` are routes beside the subnet's.
    ///
    /// # Errors
    /// Of the listener.
    pub async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        extra: Router,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        axum::serve(listener, self.router().merge(extra))
            .with_graceful_shutdown(stop)
            .await
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

/// Keys are made for a new folder only: others would make another subnet of the same state.
fn load_or_make_seeds(path: &Path, new: bool) -> Result<Seeds, OpenError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::read(path) {
        Ok(bytes) => {
            serde_cbor::from_slice(&bytes).map_err(|_| OpenError::State("damaged keys.cbor".into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !new => {
            Err(OpenError::State("keys.cbor is missing".into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let seeds = Seeds::random().map_err(|error| OpenError::Start(error.to_string()))?;
            let temporary = path.with_extension("new");
            let mut options = std::fs::OpenOptions::new();
            options.create(true).truncate(true).write(true).mode(0o600);
            let mut file = options.open(&temporary)?;
            file.write_all(&keys::to_cbor(&seeds))?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)?;
            if let Some(folder) = path.parent() {
                std::fs::File::open(folder)?.sync_all()?;
            }
            Ok(seeds)
        }
        Err(error) => Err(error.into()),
    }
}
