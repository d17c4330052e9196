//! One canister: its settings, its status, its code if there is any, and the calls under way.

mod compare;
mod run;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use candid::Principal;

pub(crate) use compare::Part;
pub(crate) use run::{PreUpgrade, Step};
pub(crate) use stored::CanisterState;

use crate::calls::{Calls, Origin, is_due};
use crate::code::{Code, InstallError};
use crate::execution::Reject;
use crate::ic0::About;

/// What all canisters of a subnet share.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub subnet: Principal,
    pub root_key: Arc<[u8]>,
}

/// Who waits until a canister has stopped, and until when.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StopWaiter {
    pub origin: Origin,
    pub until: u64,
}

/// Whether a canister takes calls.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Status {
    Running,
    /// Answers to its own calls still run.
    Stopping(Vec<StopWaiter>),
    Stopped,
}

/// A canister.
#[derive(Debug)]
pub(crate) struct Canister {
    pub id: Principal,
    home: Home,
    pub controllers: Arc<[Principal]>,
    pub status: Status,
    pub version: u64,
    pub certified_data: Vec<u8>,
    /// When the timer is due, in nanoseconds since 1970; 0 = never.
    pub timer: u64,
    /// Chunks of modules by their SHA-256.
    pub chunks: BTreeMap<[u8; 32], Vec<u8>>,
    pub code: Option<Code>,
    pub calls: Calls,
}

impl Canister {
    /// An empty one.
    pub fn new(id: Principal, home: Home, controllers: Vec<Principal>) -> Self {
        Self {
            id,
            home,
            controllers: controllers.into(),
            status: Status::Running,
            version: 0,
            certified_data: Vec::new(),
            timer: 0,
            chunks: BTreeMap::new(),
            code: None,
            calls: Calls::default(),
        }
    }

    pub fn is_controlled_by(&self, principal: &Principal) -> bool {
        self.controllers.contains(principal)
    }

    pub fn module_hash(&self) -> Option<[u8; 32]> {
        self.code.as_ref().map(Code::module_hash)
    }

    /// (heap, stable) in bytes.
    pub fn memory_sizes(&self) -> (u64, u64) {
        self.code.as_ref().map_or((0, 0), Code::memory_sizes)
    }

    /// When something is to be done without a message: timer, deadline, end of waiting for a stop.
    pub fn next_due(&self) -> Option<u64> {
        let timer = Some(self.timer).filter(|at| *at != 0 && self.runs_timers());
        let stop = match &self.status {
            Status::Stopping(waiters) => waiters.iter().map(|waiter| waiter.until).min(),
            Status::Running | Status::Stopped => None,
        };
        let all = [timer, stop, self.calls.next_deadline()];
        all.into_iter().flatten().min()
    }

    fn runs_timers(&self) -> bool {
        self.status == Status::Running && self.code.is_some()
    }

    /// Whether its timer is due.
    pub fn timer_is_due(&self, now: u64) -> bool {
        self.runs_timers() && is_due(self.timer, now)
    }

    /// Why it takes no call, if it does not.
    pub fn check_running(&self) -> Result<(), Reject> {
        match self.status {
            Status::Running => Ok(()),
            Status::Stopping(_) => Err(Reject::failed("IC0509", "the canister is stopping")),
            Status::Stopped => Err(Reject::failed("IC0508", "the canister is stopped")),
        }
    }

    /// Why it has no such method, if it has not; `update` also takes queries.
    pub fn check_method(&self, method: &str, update: bool) -> Result<(), Reject> {
        let Some(code) = &self.code else {
            return Err(Reject::failed("IC0537", "the canister has no code"));
        };
        let query = code.exports(&format!("canister_query {method}"));
        if query || (update && code.exports(&format!("canister_update {method}"))) {
            return Ok(());
        }
        let kind = if update { "method" } else { "query" };
        let text = format!("the canister has no {kind} {method}");
        Err(Reject::failed("IC0536", text))
    }

    /// A stop that was asked for ends once nothing is under way: tells who waited.
    pub fn finish_stopping(&mut self) -> Vec<StopWaiter> {
        if !self.calls.is_idle() {
            return Vec::new();
        }
        match &mut self.status {
            Status::Stopping(waiters) => {
                let waiters = std::mem::take(waiters);
                self.status = Status::Stopped;
                self.version += 1;
                waiters
            }
            Status::Running | Status::Stopped => Vec::new(),
        }
    }

    /// Who has waited too long for a stop; the canister goes on stopping.
    pub fn expire_stops(&mut self, now: u64) -> Vec<StopWaiter> {
        match &mut self.status {
            Status::Stopping(waiters) => {
                let (late, waiting) = std::mem::take(waiters)
                    .into_iter()
                    .partition(|waiter| waiter.until <= now);
                *waiters = waiting;
                late
            }
            Status::Running | Status::Stopped => Vec::new(),
        }
    }

    /// Takes code whose hooks have run.
    pub fn replace_code(&mut self, code: Code, certified_data: Vec<u8>, timer: u64) {
        self.code = Some(code);
        self.certified_data = certified_data;
        self.timer = timer;
        self.version += 1;
    }

    /// Loses code and memory; tells who waited for an answer of it.
    pub fn uninstall(&mut self) -> Vec<Origin> {
        self.code = None;
        self.certified_data.clear();
        self.timer = 0;
        self.chunks.clear();
        self.version += 1;
        self.calls.abandon()
    }

    pub(crate) fn about(&self) -> About {
        About {
            id: self.id,
            subnet: self.home.subnet,
            root_key: Arc::clone(&self.home.root_key),
            controllers: Arc::clone(&self.controllers),
            version: self.version,
            status: match self.status {
                Status::Running => 1,
                Status::Stopping(_) => 2,
                Status::Stopped => 3,
            },
            timer: self.timer,
        }
    }
}

impl From<InstallError> for Reject {
    fn from(error: InstallError) -> Self {
        let text = error.to_string();
        match error {
            InstallError::Module(_) | InstallError::Engine(_) => Self::failed("IC0505", text),
            InstallError::Hook { code, .. } => Self::failed(code, text),
            InstallError::Id(_) => Self::failed("IC0514", text),
            InstallError::StoredState | InstallError::Stopped(_) => Self::failed("IC0521", text),
        }
    }
}
