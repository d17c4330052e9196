//! The thread that owns the state: it takes what has arrived, makes a round of it, and answers.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use candid::Principal;
use ic_transport_types::{RejectCode, RejectResponse, RequestId};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::canister::{Execution, InstallError, Outcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::Journal;
use crate::keys::to_cbor;
use crate::replicas::{Divergence, Followers};
use crate::state::{Ingress, Round, State};
use crate::status::{CanisterStatus, SubnetStatus};
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
/// How far ahead an update's expiry may lie: 5 minutes and 30 seconds of drift.
const EXPIRY_MAX_AHEAD_NS: u64 = 330 * 1_000_000_000;
/// The log is replaced by a checkpoint when it holds more bytes than this and than the last
/// checkpoint, so that both the log and the work of checkpoints stay in proportion.
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;

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
    /// The disk does not take what must be on it.
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
            let first = match receiver.recv_timeout(HEARTBEAT) {
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

    fn round(&mut self, commands: Vec<Command>) {
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

    /// Makes rounds of the calls, as many as their bytes ask for.
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
        if calls.is_empty() || self.broken {
            return;
        }
        let time = self.now().max(self.state.time + 1);
        let mut waiting = Vec::new();
        let mut round = Round {
            time,
            root_before: self.state.contents_root(),
            ingress: Vec::new(),
        };
        let mut seen = HashSet::new();
        for (ingress, reply) in calls {
            // A repeat is answered with what became of the first, never run again.
            let repeat = self.state.is_known(&ingress.id) || seen.contains(&ingress.id);
            if repeat {
                waiting.push((ingress.id, reply));
                continue;
            }
            match self.admit(&ingress, time) {
                Ok(()) => {
                    seen.insert(ingress.id.clone());
                    waiting.push((ingress.id.clone(), reply));
                    round.ingress.push(ingress);
                }
                Err(answer) => {
                    drop(reply.send(answer));
                }
            }
        }
        if !round.ingress.is_empty() {
            if let Err(error) = self.log(&round) {
                self.stop(StopReason::Journal(error.to_string()));
                return;
            }
            self.state.execute(&round);
            self.followers.each(|state| state.execute(&round));
            self.compare();
            if self.broken {
                return;
            }
        } else {
            self.refresh();
        }
        for (id, reply) in waiting {
            let path = vec![b"request_status".to_vec(), id];
            drop(reply.send(CallAnswer::Certificate(self.state.certify(&[path]))));
        }
        if self.log_bytes > LOG_MAX_BYTES.max(self.checkpoint_bytes) {
            self.make_checkpoint();
        }
    }

    /// Whether a call may enter the round. The canister is asked on its state before the round: that
    /// sheds load and protects nothing, so every method checks again.
    fn admit(&mut self, ingress: &Ingress, now: u64) -> Result<(), CallAnswer> {
        if ingress.expiry < now {
            return Err(CallAnswer::Refused("the request has expired".into()));
        }
        if ingress.expiry > now.saturating_add(EXPIRY_MAX_AHEAD_NS) {
            return Err(CallAnswer::Refused(
                "the request expires too far in the future".into(),
            ));
        }
        let Some(canister) = self.state.canister_mut(&ingress.canister) else {
            return Err(reject(
                RejectCode::DestinationInvalid,
                "no such canister",
                "IC0301",
            ));
        };
        let (method, sender) = (&ingress.method, ingress.sender.as_slice());
        if !canister.has_method(method, true) && !canister.has_method(method, false) {
            let text = format!("the canister has no method {method}");
            return Err(reject(RejectCode::DestinationInvalid, &text, "IC0536"));
        }
        let inspected = canister.inspect(method, ingress.argument.clone(), sender, now);
        match inspected.outcome {
            Outcome::Accepted => Ok(()),
            Outcome::Failed { code, message } => {
                Err(reject(RejectCode::CanisterError, &message, code))
            }
            Outcome::Replied(_) | Outcome::Rejected(_) => Err(reject(
                RejectCode::CanisterReject,
                "refused by the canister",
                "IC0406",
            )),
        }
    }

    fn log(&mut self, round: &Round) -> std::io::Result<()> {
        let record = to_cbor(round);
        self.log_bytes += record.len() as u64;
        self.journal.append(&record)?;
        self.journal.sync()
    }

    fn make_checkpoint(&mut self) {
        let state = self.state.checkpoint();
        self.checkpoint_bytes = state.len() as u64;
        self.log_bytes = 0;
        if let Err(error) = self.journal.checkpoint(&state) {
            self.stop(StopReason::Journal(error.to_string()));
        }
    }

    fn query(&mut self, query: Query) -> Vec<u8> {
        use ic_transport_types::{NodeSignature, QueryResponse, ReplyResponse};
        let time = self.state.time;
        let certificate = self.state.data_certificate(&query.canister, query.form);
        let execution = match self.state.canister_mut(&query.canister) {
            Some(canister) if canister.has_method(&query.method, false) => {
                let sender = query.sender.as_slice();
                let execution =
                    canister.query(&query.method, query.argument, sender, time, certificate);
                self.state.count(query.canister, &query.method, &execution);
                execution.outcome
            }
            Some(_) => Outcome::Failed {
                code: "IC0536",
                message: format!("the canister has no query {}", query.method),
            },
            None => Outcome::Failed {
                code: "IC0301",
                message: "no such canister".into(),
            },
        };
        let mut response = match execution {
            Outcome::Replied(arg) => QueryResponse::Replied {
                reply: ReplyResponse { arg },
                signatures: Vec::new(),
            },
            Outcome::Rejected(text) => rejected(RejectCode::CanisterReject, text, "IC0406"),
            Outcome::Failed { code, message } if code == "IC0301" || code == "IC0536" => {
                rejected(RejectCode::DestinationInvalid, message, code)
            }
            Outcome::Failed { code, message } => rejected(RejectCode::CanisterError, message, code),
            Outcome::Accepted => rejected(RejectCode::SysFatal, "no reply".into(), "IC0506"),
        };
        let signature = NodeSignature {
            timestamp: time,
            signature: self
                .state
                .keys
                .sign_as_node(&response.signable(query.id, time)),
            identity: self.state.keys.node_id,
        };
        match &mut response {
            QueryResponse::Replied { signatures, .. }
            | QueryResponse::Rejected { signatures, .. } => signatures.push(signature),
        }
        to_cbor(&response)
    }

    fn read_state(&self, read: &Read) -> Result<Signed, String> {
        let mut requests = BTreeSet::new();
        for path in &read.paths {
            let labels: Vec<_> = path.iter().map(Vec::as_slice).collect();
            match labels.as_slice() {
                [b"time"] | [b"subnet", ..] | [b"canister_ranges", ..] => {}
                [b"canister", _, b"module_hash" | b"controllers"] => {}
                [b"request_status", id, ..] => {
                    requests.insert(*id);
                    let asked = (read.sender, read.addressed);
                    if self
                        .state
                        .parties_of(id)
                        .is_some_and(|parties| parties != asked)
                    {
                        return Err("the request was sent by or to somebody else".into());
                    }
                }
                _ => return Err("the path is not one that may be read".into()),
            }
        }
        if requests.len() > 1 {
            return Err("more than one request".into());
        }
        Ok(self.state.certify(&read.paths))
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
        if let Some(canister) = state.and_then(|state| state.canister_mut(canister)) {
            canister.flip_heap_bit(byte);
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
        let anonymous = Principal::anonymous();
        let measured = self.state.canister_mut(canister)?;
        let execution = measured.update(method, argument, anonymous.as_slice(), time);
        // What it certified is signed before anybody asks.
        self.advance(time);
        Some(execution)
    }

    pub fn status(&self) -> SubnetStatus {
        let canisters = self.state.canisters().iter().map(|(id, canister)| {
            let (heap_bytes, stable_bytes) = canister.memory_sizes();
            let methods = self
                .state
                .usage
                .iter()
                .filter(|((canister, _), _)| canister == id);
            CanisterStatus {
                id: id.to_text(),
                module_hash: hex::encode(canister.module_hash()),
                controllers: canister
                    .controllers()
                    .iter()
                    .filter_map(|id| Principal::try_from_slice(id).ok())
                    .map(|id| id.to_text())
                    .collect(),
                heap_bytes,
                stable_bytes,
                methods: methods
                    .map(|((_, method), usage)| (method.clone(), *usage))
                    .collect(),
            }
        });
        SubnetStatus {
            subnet: self.state.keys.subnet.to_text(),
            root_key: hex::encode(&self.state.keys.root_der),
            rounds: self.state.rounds,
            time_ns: self.state.time,
            state_root: hex::encode(self.state.root()),
            canisters: canisters.collect(),
        }
    }
}

fn rejected(
    reject_code: RejectCode,
    reject_message: String,
    code: &str,
) -> ic_transport_types::QueryResponse {
    let reject = RejectResponse {
        reject_code,
        reject_message,
        error_code: Some(code.to_owned()),
    };
    ic_transport_types::QueryResponse::Rejected {
        reject,
        signatures: Vec::new(),
    }
}

fn reject(reject_code: RejectCode, text: &str, code: &str) -> CallAnswer {
    CallAnswer::Rejected(RejectResponse {
        reject_code,
        reject_message: text.to_owned(),
        error_code: Some(code.to_owned()),
    })
}
