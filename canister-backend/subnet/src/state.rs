//! The replicated state: canisters, request statuses, time; and the round that changes it.

mod requests;
mod round;
mod sealed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use candid::Principal;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use wasmtime::Engine;

use crate::calls::Request;
use crate::canister::{Canister, CanisterState, Home};
use crate::code::InstallError;
use crate::execution::Execution;
use crate::keys::{Keys, to_cbor};
use crate::management::install::InstallMode;
use crate::topology::canister_id;
use requests::{Requests, Status};
use sealed::Sealed;

/// Layout of checkpoints and records of the log. Those of another are refused.
pub(crate) const LAYOUT: u32 = 2;
/// Most principals that may create canisters.
const CREATORS_MAX: usize = 100;

/// One update call, authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ingress {
    #[serde(with = "serde_bytes")]
    pub id: Vec<u8>,
    pub canister: Principal,
    /// Canister of the address that it was sent to; another than `canister` only for the
    /// management canister.
    pub effective: Principal,
    pub sender: Principal,
    pub method: String,
    #[serde(with = "serde_bytes")]
    pub argument: Vec<u8>,
    pub expiry: u64,
}

/// What the journal keeps of a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    pub layout: u32,
    pub time: u64,
    /// State root after the round before, so that a replay proves that it is the same.
    #[serde(with = "serde_bytes")]
    pub root_before: Vec<u8>,
    /// Fresh randomness: what canisters get of `raw_rand` in this round comes from it.
    pub seed: [u8; 32],
    pub ingress: Vec<Ingress>,
}

/// What the messages of one method used. Fees are told apart from instructions, which they are no
/// part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodUse {
    /// Calls.
    pub calls: u64,
    /// Messages that ran: calls, and callbacks of the calls that they made.
    #[serde(default)]
    pub executions: u64,
    /// Instructions in all.
    pub instructions: u64,
    /// Dirty pages of stable memory in all.
    pub dirty_pages: u64,
    /// Dirty pages of the heap in all.
    #[serde(default)]
    pub dirty_heap_pages: u64,
    /// Bytes of arguments, and of answers to own calls.
    #[serde(default)]
    pub argument_bytes: u64,
    /// Bytes of replies.
    #[serde(default)]
    pub reply_bytes: u64,
    /// What a subnet of 13 nodes takes for each replicated execution beside its instructions, in
    /// cycles.
    #[serde(default)]
    pub execution_fees: u64,
    /// Messages that failed.
    pub failed: u64,
}

/// What a checkpoint holds.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    layout: u32,
    time: u64,
    rounds: u64,
    next_canister: u64,
    creators: Vec<Principal>,
    canisters: Vec<CanisterState>,
    /// Calls to the management canister that wait for the next round.
    management: Vec<Postponed>,
    statuses: BTreeMap<ByteBuf, Status>,
}

/// A call to the management canister, and the round that it was made in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Postponed {
    request: Request,
    round: u64,
}

/// Why a stored state does not come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("the checkpoint is not one of ours")]
    Checkpoint,
    #[error("a record of the log is not one of ours, or of another version")]
    Record,
    #[error("the replay of the log gives another state; the data folder was altered")]
    Diverged,
    #[error(transparent)]
    Install(#[from] InstallError),
}

pub(crate) struct State {
    pub engine: Engine,
    pub keys: Keys,
    canisters: BTreeMap<Principal, Canister>,
    next_canister: u64,
    creators: Vec<Principal>,
    management: VecDeque<Postponed>,
    requests: Requests,
    sealed: Sealed,
    pub time: u64,
    pub rounds: u64,
    /// Of the round that runs, and how often randomness was drawn from it.
    seed: [u8; 32],
    draws: u64,
    pub usage: BTreeMap<(Principal, String), MethodUse>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

impl State {
    /// An empty subnet. Whoever has the node's key may create canisters.
    pub fn new(engine: Engine, keys: Keys, time: u64) -> Self {
        let creators = vec![keys.node_id];
        let mut state = Self {
            engine,
            next_canister: keys.range.first(),
            keys,
            canisters: BTreeMap::new(),
            creators,
            management: VecDeque::new(),
            requests: Requests::default(),
            sealed: Sealed::default(),
            time,
            rounds: 0,
            seed: [0; 32],
            draws: 0,
            usage: BTreeMap::new(),
        };
        state.seal();
        state
    }

    /// As a checkpoint holds it.
    pub fn restore(engine: Engine, keys: Keys, bytes: &[u8]) -> Result<Self, RestoreError> {
        let stored: Checkpoint =
            serde_cbor::from_slice(bytes).map_err(|_| RestoreError::Checkpoint)?;
        if stored.layout != LAYOUT {
            return Err(RestoreError::Checkpoint);
        }
        let mut state = Self::new(engine, keys, stored.time);
        state.rounds = stored.rounds;
        state.next_canister = stored.next_canister;
        state.creators = stored.creators;
        state.management = stored.management.into();
        for canister in stored.canisters {
            let id = canister.id;
            if id >= canister_id(state.next_canister) || !state.keys.range.contains(&id) {
                return Err(RestoreError::Checkpoint);
            }
            let canister = Canister::restore(&state.engine, canister, state.home())?;
            state.canisters.insert(id, canister);
        }
        for (id, status) in stored.statuses {
            state.requests.set(id.into_vec(), status);
        }
        state.seal();
        Ok(state)
    }

    pub fn checkpoint(&self) -> Vec<u8> {
        to_cbor(&Checkpoint {
            layout: LAYOUT,
            time: self.time,
            rounds: self.rounds,
            next_canister: self.next_canister,
            creators: self.creators.clone(),
            canisters: self.canisters.values().map(Canister::state).collect(),
            management: self.management.iter().cloned().collect(),
            statuses: self.requests.stored(),
        })
    }

    /// Replays a record of the log.
    pub fn replay(&mut self, record: &[u8]) -> Result<(), RestoreError> {
        let round: Round = serde_cbor::from_slice(record).map_err(|_| RestoreError::Record)?;
        if round.layout != LAYOUT {
            return Err(RestoreError::Record);
        }
        // The round before was sealed at its own time; idle rounds since are not logged and
        // change nothing but time.
        if round.root_before != self.contents_root() {
            return Err(RestoreError::Diverged);
        }
        self.execute(&round);
        Ok(())
    }

    /// Hash over modules, certified data and what is under way: what a replay must reproduce before
    /// the next round is replayed on top. Heaps are not in it; the journal's own checksums guard its
    /// bytes.
    pub fn contents_root(&self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        for (id, canister) in &self.canisters {
            hasher.update(id.as_slice());
            hasher.update(&canister.module_hash().unwrap_or_default());
            let data = &canister.certified_data;
            hasher.update(&(data.len() as u64).to_be_bytes());
            hasher.update(data);
            hasher.update(&canister.version.to_be_bytes());
            hasher.update(&canister.timer.to_be_bytes());
        }
        hasher.finalize().as_bytes().to_vec()
    }

    fn home(&self) -> Home {
        Home {
            subnet: self.keys.subnet,
            root_key: self.keys.root_der.as_slice().into(),
        }
    }

    /// The next randomness of this round: 32 bytes that follow from its seed.
    pub(crate) fn random(&mut self) -> ByteBuf {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&self.draws.to_be_bytes());
        self.draws += 1;
        ByteBuf::from(*hasher.finalize().as_bytes())
    }

    pub(crate) fn may_create(&self, principal: &Principal) -> bool {
        self.creators.contains(principal)
    }

    /// Sets who may create canisters; `false` if they are too many.
    pub fn set_creators(&mut self, creators: Vec<Principal>) -> bool {
        let fits = creators.len() <= CREATORS_MAX;
        if fits {
            self.creators = creators;
        }
        fits
    }

    pub fn canister_mut(&mut self, id: &Principal) -> Option<&mut Canister> {
        self.canisters.get_mut(id)
    }

    pub const fn canisters(&self) -> &BTreeMap<Principal, Canister> {
        &self.canisters
    }

    /// An empty canister under the next id.
    ///
    /// # Errors
    /// [`InstallError::Id`] if there is none left.
    pub(crate) fn add_canister(
        &mut self,
        controllers: Vec<Principal>,
    ) -> Result<Principal, InstallError> {
        if !self.keys.range.has_number(self.next_canister) {
            return Err(InstallError::Id("the subnet's canister ids are used up"));
        }
        let id = canister_id(self.next_canister);
        self.next_canister += 1;
        let canister = Canister::new(id, self.home(), controllers);
        self.canisters.insert(id, canister);
        Ok(id)
    }

    pub(crate) fn remove_canister(&mut self, id: &Principal) {
        self.canisters.remove(id);
        self.usage.retain(|(canister, _), _| canister != id);
    }

    /// Creates a canister with code, for the process that embeds the subnet; nothing of it remains
    /// where that fails.
    pub fn install(
        &mut self,
        module: &[u8],
        argument: Vec<u8>,
        controllers: &[Principal],
    ) -> Result<Principal, InstallError> {
        let id = self.add_canister(controllers.to_vec())?;
        let (mode, caller) = (InstallMode::Install, self.keys.node_id);
        let installed = self.change_code(&id, mode, module, argument, &caller);
        if let Err(error) = installed {
            self.remove_canister(&id);
            self.next_canister -= 1;
            return Err(error);
        }
        self.seal();
        Ok(id)
    }

    /// Upgrades a canister, for the process that embeds the subnet.
    pub fn upgrade(
        &mut self,
        id: &Principal,
        module: &[u8],
        argument: Vec<u8>,
    ) -> Result<(), InstallError> {
        let (mode, caller) = (InstallMode::Upgrade(None), self.keys.node_id);
        self.change_code(id, mode, module, argument, &caller)?;
        self.seal();
        Ok(())
    }

    /// Runs one call outside of any round; what it leads to runs with the next.
    pub fn measure(
        &mut self,
        canister: &Principal,
        method: &str,
        argument: Vec<u8>,
        time: u64,
    ) -> Option<Execution> {
        let request = Request {
            origin: crate::calls::Origin::Task,
            caller: Principal::anonymous(),
            method: method.to_owned(),
            argument,
            deadline: 0,
        };
        self.time = time.max(self.time);
        let step = self.canisters.get_mut(canister)?.request(request, time)?;
        let execution = step.execution.clone();
        self.settle(canister, step);
        self.seal();
        Some(execution)
    }
}
