//! The thread that owns the state: it takes what has arrived, makes a round of it, and answers.

mod admit;
mod reads;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use candid::Principal;
use ic_transport_types::{RejectResponse, RequestId};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::clock::Clock;
use crate::code::InstallError;
use crate::config::Config;
use crate::execution::Execution;
use crate::journal::Journal;
use crate::keys::to_cbor;
use crate::profile::{Part, timed};
use crate::replicas::{Divergence, Followers};
use crate::state::{Ingress, LAYOUT, Round, State};
use crate::topology::{RangesForm, Signed};

/// How often an idle subnet signs its state again.
const HEARTBEAT: Duration = Duration::from_nanos(HEARTBEAT_NS);
const HEARTBEAT_NS: u64 = 1_000_000_000;
/// Most commands taken into one round; the replica's limit of messages in a block.
const ROUND_MAX_COMMANDS: usize = 1_000;
/// Most bytes of arguments in one round; the replica's limit of a block. What is beyond makes the
/// next round.
const ROUND_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Commands that may wait; beyond, callers are told to come back (`http` bounds their bytes too).
const QUEUE_COMMANDS: usize = 4_096;
/// The log is replaced by a checkpoint when it holds more bytes than this and than the last
/// checkpoint, so that both the log and the work of checkpoints stay in proportion.
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Pause before a round that no call from outside asked for, so that canisters which keep calling
/// themselves leave time for others.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// A query, authenticated.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub id: RequestId,
    pub canister: Principal,
    pub sender: Principal,
    pub method: String,
    pub argument: Vec<u8>,
    /// Of the certificate that the canister sees.
    pub form: RangesForm,
}

/// A read of the state tree, authenticated.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub paths: Vec<Vec<Vec<u8>>>,
    pub sender: Principal,
    /// Canister or subnet that the request was sent to.
    pub addressed: Principal,
}

/// What an update call is answered with.
#[derive(Debug, Clone)]
pub(crate) enum CallAnswer {
    Certificate(Signed),
    Rejected(RejectResponse),
    Refused(String),
}

pub(crate) enum Command {
    Call(Ingress, oneshot::Sender<CallAnswer>),
    Query(Query, oneshot::Sender<Vec<u8>>),
    ReadState(Read, oneshot::Sender<Result<Signed, String>>),
    Admin(Box<dyn FnOnce(&mut Executor) + Send>),
    Stop,
}

/// A command and the room that it takes until it is done.
#[derive(Debug)]
pub(crate) struct Queued {
    pub command: Command,
    pub room: Option<OwnedSemaphorePermit>,
}

impl From<Command> for Queued {
    fn from(command: Command) -> Self {
        Self {
            command,
            room: None,
        }
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Call(..) => "Call",
            Self::Query(..) => "Query",
            Self::ReadState(..) => "ReadState",
            Self::Admin(_) => "Admin",
            Self::Stop => "Stop",
        })
    }
}

/// An update call and who waits for its answer.
type Call = (Ingress, oneshot::Sender<CallAnswer>);

/// Why a subnet stopped by itself. What was not answered by then is not certified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The disk does not take what must be on it, or there is no randomness.
    #[error("the journal failed: {0}")]
    Journal(String),
    /// Replicas that ran the same rounds are not in the same state.
    #[error(transparent)]
    Diverged(#[from] Divergence),
}

/// The owner of state and journal.
#[derive(Debug)]
pub(crate) struct Executor {
    state: State,
    followers: Followers,
    journal: Box<dyn Journal>,
    clock: Arc<dyn Clock>,
    log_bytes: u64,
    checkpoint_bytes: u64,
    /// Who waits for the answers of requests under way.
    waiting: HashMap<Vec<u8>, Vec<oneshot::Sender<CallAnswer>>>,
    /// Set when the journal failed or replicas differ: nothing is answered any more.
    broken: bool,
    stopped: watch::Sender<Option<StopReason>>,
}

/// The executor's thread and how to reach it.
pub(crate) struct Spawned {
    pub commands: SyncSender<Queued>,
    pub thread: std::thread::JoinHandle<()>,
    pub stopped: watch::Receiver<Option<StopReason>>,
}

/// Starts the thread.
pub(crate) fn spawn(
    state: State,
    followers: Followers,
    journal: Box<dyn Journal>,
    clock: Arc<dyn Clock>,
    config: &Config,
) -> std::io::Result<Spawned> {
    let (commands, receiver) = sync_channel(QUEUE_COMMANDS);
    let (sender, stopped) = watch::channel(None);
    let mut executor = Executor {
        state,
        followers,
        journal,
        clock,
        log_bytes: 0,
        checkpoint_bytes: 0,
        waiting: HashMap::new(),
        broken: false,
        stopped: sender,
    };
    let config = config.clone();
    let thread = std::thread::Builder::new()
        .name("subnet".into())
        .stack_size(16 * 1024 * 1024)
        .spawn(move || {
            config.enter_thread();
            executor.run(&receiver);
        })?;
    Ok(Spawned {
        commands,
        thread,
        stopped,
    })
}

impl Executor {
    fn run(&mut self, receiver: &Receiver<Queued>) {
        loop {
            let first = match receiver.recv_timeout(self.pause()) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (commands, room): (Vec<_>, Vec<_>) = first
                .into_iter()
                .chain(receiver.try_iter().take(ROUND_MAX_COMMANDS - 1))
                .map(|queued| (queued.command, queued.room))
                .unzip();
            let stop = commands
                .iter()
                .any(|command| matches!(command, Command::Stop));
            self.round(commands);
            drop(room);
            if self.broken {
                // Whoever waits gets a closed channel, as if the process had died.
                return;
            }
            if stop {
                break;
            }
        }
        self.make_checkpoint();
    }

    /// How long to wait for commands.
    fn pause(&self) -> Duration {
        let now = self.now();
        if self.state.has_work(now) {
            return QUEUE_PAUSE;
        }
        let due = self.state.next_due();
        let until = due.map_or(HEARTBEAT_NS, |due| due.saturating_sub(now));
        HEARTBEAT.min(Duration::from_nanos(until))
    }

    fn round(&mut self, commands: Vec<Command>) {
        timed(Part::Round, || self.round_now(commands));
    }

    fn round_now(&mut self, commands: Vec<Command>) {
        let mut calls = Vec::new();
        let mut reads = Vec::new();
        for command in commands {
            match command {
                Command::Call(ingress, reply) => calls.push((ingress, reply)),
                read => reads.push(read),
            }
        }
        self.updates(calls);
        self.refresh();
        self.forget_who_left();
        for read in reads {
            if self.broken {
                return;
            }
            // Reads may take long together, and their certificates must stay fresh.
            self.refresh();
            match read {
                // Nobody waits any more.
                Command::Query(_, reply) if reply.is_closed() => {}
                Command::Query(query, reply) => {
                    drop(reply.send(self.query(query)));
                }
                Command::ReadState(read, reply) => {
                    drop(reply.send(self.read_state(&read)));
                }
                Command::Admin(action) => action(self),
                Command::Call(..) | Command::Stop => {}
            }
        }
    }

    /// Lets time pass if the state was signed a heartbeat ago.
    fn refresh(&mut self) {
        let now = self.now();
        if !self.broken && now - self.state.time >= HEARTBEAT_NS {
            self.advance(now);
        }
    }

    fn advance(&mut self, now: u64) {
        self.state.advance(now);
        self.followers.each(|state| state.advance(now));
    }

    /// Stops for good.
    fn stop(&mut self, reason: StopReason) {
        tracing::error!(%reason, "the subnet stops");
        self.broken = true;
        self.stopped.send_replace(Some(reason));
    }

    /// Compares the replicas after each did the same; stops if they differ.
    fn compare(&mut self) {
        if let Err(divergence) = self.followers.compare(&self.state) {
            self.stop(divergence.into());
        }
    }

    /// Time never goes back, whatever the machine's clock does.
    fn now(&self) -> u64 {
        self.clock.now_ns().max(self.state.time)
    }

    /// Makes rounds of the calls, as many as their bytes ask for; or one without any, if canisters
    /// have something to do.
    fn updates(&mut self, calls: Vec<Call>) {
        let mut round = Vec::new();
        let mut bytes = 0;
        for call in calls {
            let more = call.0.argument.len();
            if bytes + more > ROUND_MAX_BYTES {
                self.update_round(std::mem::take(&mut round));
                bytes = 0;
            }
            bytes += more;
            round.push(call);
        }
        self.update_round(round);
    }

    fn update_round(&mut self, calls: Vec<Call>) {
        if self.broken {
            return;
        }
        let time = self.now().max(self.state.time + 1);
        let mut repeats = Vec::new();
        let mut ingress = Vec::new();
        let mut seen = HashSet::new();
        for (call, reply) in calls {
            // A repeat is answered with what became of the first, never run again.
            let repeat = self.state.is_known(&call.id) || seen.contains(&call.id);
            if repeat {
                repeats.push((call.id, reply));
                continue;
            }
            match self.admit(&call, time) {
                Ok(()) => {
                    seen.insert(call.id.clone());
                    repeats.push((call.id.clone(), reply));
                    ingress.push(call);
                }
                Err(answer) => {
                    drop(reply.send(answer));
                }
            }
        }
        if ingress.is_empty() && !self.state.has_work(time) {
            if !repeats.is_empty() {
                self.refresh();
            }
        } else if let Err(error) = self.run_round(time, ingress) {
            self.stop(StopReason::Journal(error.to_string()));
        }
        if self.broken {
            return;
        }
        for (id, reply) in repeats {
            self.waiting.entry(id).or_default().push(reply);
        }
        self.answer();
        if self.log_bytes > LOG_MAX_BYTES.max(self.checkpoint_bytes) {
            self.make_checkpoint();
        }
    }

    fn run_round(&mut self, time: u64, ingress: Vec<Ingress>) -> std::io::Result<()> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        let round = Round {
            layout: LAYOUT,
            time,
            root_before: self.state.contents_root(),
            seed,
            ingress,
        };
        self.log(&round)?;
        self.state.execute(&round);
        self.followers.each(|state| state.execute(&round));
        self.compare();
        Ok(())
    }

    /// Certifies to who waits what became of their requests.
    fn answer(&mut self) {
        let state = &self.state;
        let done = self.waiting.extract_if(|id, _| !state.is_processing(id));
        for (id, waiting) in done {
            let path = vec![b"request_status".to_vec(), id];
            let signed = state.certify(&[path]);
            for reply in waiting {
                drop(reply.send(CallAnswer::Certificate(signed.clone())));
            }
        }
    }

    /// Forgets callers who wait no longer; they ask for the status.
    fn forget_who_left(&mut self) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|reply| !reply.is_closed());
            !waiting.is_empty()
        });
    }

    fn log(&mut self, round: &Round) -> std::io::Result<()> {
        timed(Part::Journal, || {
            let record = to_cbor(round);
            self.log_bytes += record.len() as u64;
            self.journal.append(&record)?;
            self.journal.sync()
        })
    }

    fn make_checkpoint(&mut self) {
        self.log_bytes = 0;
        let kept = timed(Part::Journal, || {
            let state = self.state.checkpoint();
            self.checkpoint_bytes = state.len() as u64;
            self.journal.checkpoint(&state)
        });
        if let Err(error) = kept {
            self.stop(StopReason::Journal(error.to_string()));
        }
    }

    /// Installs a canister and makes that durable.
    pub fn install(
        &mut self,
        module: &[u8],
        argument: Vec<u8>,
        controllers: &[Principal],
    ) -> Result<Principal, InstallError> {
        let id = self.state.install(module, argument.clone(), controllers)?;
        self.followers
            .each(|state| drop(state.install(module, argument.clone(), controllers)));
        self.keep()?;
        Ok(id)
    }

    /// Upgrades a canister and makes that durable.
    pub fn upgrade(
        &mut self,
        id: &Principal,
        module: &[u8],
        argument: Vec<u8>,
    ) -> Result<(), InstallError> {
        self.state.upgrade(id, module, argument.clone())?;
        self.followers
            .each(|state| drop(state.upgrade(id, module, argument.clone())));
        self.keep()
    }

    /// Makes an administrator's change durable, if the replicas agree on it.
    fn keep(&mut self) -> Result<(), InstallError> {
        self.compare();
        if !self.broken {
            self.make_checkpoint();
        }
        let stopped = self.stopped.borrow().clone();
        stopped.map_or(Ok(()), |reason| {
            Err(InstallError::Stopped(reason.to_string()))
        })
    }

    /// Turns over one bit of a canister's heap in one replica; 1 is the first.
    #[cfg(feature = "testkit")]
    pub fn flip_heap_bit(&mut self, replica: usize, canister: &Principal, byte: usize) {
        let state = match replica.checked_sub(2) {
            Some(index) => self.followers.get_mut(index),
            None => Some(&mut self.state),
        };
        let canister = state.and_then(|state| state.canister_mut(canister));
        if let Some(code) = canister.and_then(|canister| canister.code.as_mut()) {
            code.flip_heap_bit(byte);
        }
    }

    /// Runs an update outside of any round and tells what it cost; for benchmarks. It is not
    /// logged: a subnet that is measured so is thrown away.
    pub fn measure(
        &mut self,
        canister: &Principal,
        method: &str,
        argument: Vec<u8>,
    ) -> Option<Execution> {
        let time = self.now().max(self.state.time + 1);
        let execution = self.state.measure(canister, method, argument, time);
        self.followers.each(|state| state.advance(time));
        execution
    }

    /// Sets who may create canisters through the network, and makes that durable; `false` if they
    /// are too many.
    pub fn set_creators(&mut self, creators: Vec<Principal>) -> bool {
        let set = self.state.set_creators(creators.clone());
        if set {
            self.followers.each(|state| {
                state.set_creators(creators.clone());
            });
            self.make_checkpoint();
        }
        set
    }
}
