//! Creating, starting, stopping, deleting and describing canisters.

use candid::{Nat, Principal};
use serde_bytes::ByteBuf;

use super::types::{
    CanisterArgument, CanisterStatusType, CreateArgument, DefiniteSettings, MemoryMetrics,
    ProvisionalCreateArgument, QueryStats, Settings, StatusReply, UpdateSettingsArgument,
    Visibility,
};
use super::{CANISTERS_MAX, decode, encode};
use crate::calls::Request;
use crate::canister::{Canister, Status, StopWaiter};
use crate::execution::{Reject, reject_code};
use crate::ic0::CYCLES;
use crate::state::State;

/// How long somebody waits for a canister to stop.
const STOP_TIMEOUT_NS: u64 = 300 * 1_000_000_000;
/// Most who wait for one canister to stop.
const STOP_WAITERS_MAX: usize = 100;

type Reply = Result<Vec<u8>, Reject>;

impl State {
    pub(super) fn create_canister(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (CreateArgument,) = decode(argument)?;
        self.create(caller, argument.settings)
    }

    pub(super) fn provisional_create(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (ProvisionalCreateArgument,) = decode(argument)?;
        if argument.specified_id.is_some() {
            let text = "the embedded subnet counts its canisters' ids itself";
            return Err(Reject::failed("IC0408", text));
        }
        self.create(caller, argument.settings)
    }

    fn create(&mut self, caller: &Principal, settings: Option<Settings>) -> Reply {
        if !self.may_create(caller) {
            let text = format!("{caller} is not among those who may create canisters");
            return Err(Reject::failed("IC0512", text));
        }
        if self.canisters().len() >= CANISTERS_MAX {
            let text = "no more canisters fit this subnet";
            return Err(Reject::new(reject_code::SYS_TRANSIENT, "IC0103", text));
        }
        let settings = settings.unwrap_or_default();
        settings.check()?;
        let controllers = settings.controllers.unwrap_or_else(|| vec![*caller]);
        let canister_id = self.add_canister(controllers)?;
        encode((CanisterArgument { canister_id },))
    }

    pub(super) fn update_settings(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (UpdateSettingsArgument,) = decode(argument)?;
        let canister = self.controlled(&argument.canister_id, caller)?;
        argument.settings.check()?;
        if let Some(controllers) = argument.settings.controllers {
            canister.controllers = controllers.into();
        }
        canister.version += 1;
        encode(())
    }

    pub(super) fn start_canister(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (CanisterArgument,) = decode(argument)?;
        let canister = self.controlled(&argument.canister_id, caller)?;
        let was = std::mem::replace(&mut canister.status, Status::Running);
        canister.version += 1;
        if let Status::Stopping(waiters) = was {
            for waiter in waiters {
                let text = "the canister was started again";
                let cancelled = Reject::failed("IC0511", text);
                self.deliver(waiter.origin, Err(cancelled));
            }
        }
        encode(())
    }

    /// The answer comes when nothing of the canister is under way any more.
    pub(super) fn stop_canister(&mut self, request: &Request) -> Result<(), Reject> {
        let (argument,): (CanisterArgument,) = decode(&request.argument)?;
        let until = self.time.saturating_add(STOP_TIMEOUT_NS);
        let canister = self.controlled(&argument.canister_id, &request.caller)?;
        let waiter = StopWaiter {
            origin: request.origin.clone(),
            until,
        };
        match &mut canister.status {
            Status::Stopping(waiters) if waiters.len() >= STOP_WAITERS_MAX => {
                let text = "too many wait for this canister to stop";
                return Err(Reject::new(reject_code::SYS_TRANSIENT, "IC0206", text));
            }
            Status::Stopping(waiters) => waiters.push(waiter),
            Status::Running | Status::Stopped => {
                canister.status = Status::Stopping(vec![waiter]);
                canister.version += 1;
            }
        }
        self.finish_stopping(&argument.canister_id);
        Ok(())
    }

    pub(super) fn delete_canister(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (CanisterArgument,) = decode(argument)?;
        let canister = self.controlled(&argument.canister_id, caller)?;
        if canister.status != Status::Stopped {
            let text = "only a stopped canister can be deleted";
            return Err(Reject::failed("IC0510", text));
        }
        self.remove_canister(&argument.canister_id);
        encode(())
    }

    pub(super) fn canister_status(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (CanisterArgument,) = decode(argument)?;
        let canister = self.own(&argument.canister_id, caller)?;
        encode((describe(canister),))
    }
}

fn describe(canister: &Canister) -> StatusReply {
    let (heap, stable) = canister.memory_sizes();
    let chunks: usize = canister.chunks.values().map(Vec::len).sum();
    let settings = DefiniteSettings {
        controllers: canister.controllers.to_vec(),
        compute_allocation: Nat::default(),
        memory_allocation: Nat::default(),
        freezing_threshold: Nat::default(),
        reserved_cycles_limit: Nat::default(),
        minimum_incoming_canister_call_cycles: Nat::default(),
        log_visibility: Visibility::Controllers,
        log_memory_limit: Nat::default(),
        snapshot_visibility: Visibility::Controllers,
        status_visibility: Visibility::Controllers,
        wasm_memory_limit: Nat::default(),
        wasm_memory_threshold: Nat::default(),
        environment_variables: Vec::new(),
    };
    StatusReply {
        status: match canister.status {
            Status::Running => CanisterStatusType::Running,
            Status::Stopping(_) => CanisterStatusType::Stopping,
            Status::Stopped => CanisterStatusType::Stopped,
        },
        ready_for_migration: canister.status == Status::Stopped,
        version: canister.version,
        settings,
        module_hash: canister.module_hash().map(ByteBuf::from),
        memory_size: Nat::from(heap + stable + chunks as u64),
        memory_metrics: MemoryMetrics {
            wasm_memory_size: Nat::from(heap),
            stable_memory_size: Nat::from(stable),
            wasm_chunk_store_size: Nat::from(chunks),
            ..MemoryMetrics::default()
        },
        cycles: Nat::from(CYCLES),
        reserved_cycles: Nat::default(),
        idle_cycles_burned_per_day: Nat::default(),
        query_stats: QueryStats::default(),
    }
}
