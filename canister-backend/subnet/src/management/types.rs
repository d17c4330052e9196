//! Arguments and replies, as the specification's Candid has them. Fields that mean nothing here are
//! skipped when they are decoded.

use candid::{CandidType, Nat, Principal};
use serde::Deserialize;
use serde_bytes::ByteBuf;

use crate::execution::Reject;
use crate::management::CONTROLLERS_MAX;

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct CanisterArgument {
    pub canister_id: Principal,
}

#[derive(Debug, Default, CandidType, Deserialize)]
pub(super) struct Settings {
    pub controllers: Option<Vec<Principal>>,
    pub compute_allocation: Option<Nat>,
    pub wasm_memory_limit: Option<Nat>,
    pub environment_variables: Option<Vec<EnvironmentVariable>>,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct EnvironmentVariable {
    pub name: String,
    pub value: String,
}

impl Settings {
    /// Refuses what a canister would rely on and the embedded subnet does not do. What only bounds
    /// or pays for resources is accepted and means nothing.
    pub fn check(&self) -> Result<(), Reject> {
        let refuse = |text: &str| Err(Reject::failed("IC0408", text));
        let many = |ids: &Vec<Principal>| ids.len() > CONTROLLERS_MAX;
        if self.controllers.as_ref().is_some_and(many) {
            return refuse("more than 10 controllers");
        }
        if self
            .compute_allocation
            .as_ref()
            .is_some_and(|it| *it > 100_u8)
        {
            return refuse("a compute allocation beyond 100");
        }
        if self.wasm_memory_limit.as_ref().is_some_and(|it| *it > 0_u8) {
            return refuse("the embedded subnet has no wasm_memory_limit");
        }
        let some = |variables: &Vec<EnvironmentVariable>| !variables.is_empty();
        if self.environment_variables.as_ref().is_some_and(some) {
            return refuse("the embedded subnet has no environment variables");
        }
        Ok(())
    }
}

#[derive(Debug, Default, CandidType, Deserialize)]
pub(super) struct CreateArgument {
    pub settings: Option<Settings>,
}

#[derive(Debug, Default, CandidType, Deserialize)]
pub(super) struct ProvisionalCreateArgument {
    pub settings: Option<Settings>,
    pub specified_id: Option<Principal>,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct UpdateSettingsArgument {
    pub canister_id: Principal,
    pub settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, CandidType, Deserialize)]
pub(crate) enum InstallMode {
    #[serde(rename = "install")]
    Install,
    #[serde(rename = "reinstall")]
    Reinstall,
    #[serde(rename = "upgrade")]
    Upgrade(Option<UpgradeOptions>),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, CandidType, Deserialize)]
pub(crate) struct UpgradeOptions {
    pub skip_pre_upgrade: Option<bool>,
    pub wasm_memory_persistence: Option<Persistence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, CandidType, Deserialize)]
pub(crate) enum Persistence {
    #[serde(rename = "keep")]
    Keep,
    #[serde(rename = "replace")]
    Replace,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct InstallArgument {
    pub mode: InstallMode,
    pub canister_id: Principal,
    pub wasm_module: ByteBuf,
    pub arg: ByteBuf,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct ChunkHash {
    pub hash: ByteBuf,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct InstallChunkedArgument {
    pub mode: InstallMode,
    pub target_canister: Principal,
    pub store_canister: Option<Principal>,
    pub chunk_hashes_list: Vec<ChunkHash>,
    pub wasm_module_hash: ByteBuf,
    pub arg: ByteBuf,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct UploadChunkArgument {
    pub canister_id: Principal,
    pub chunk: ByteBuf,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) enum CanisterStatusType {
    #[serde(rename = "running")]
    Running,
    #[serde(rename = "stopping")]
    Stopping,
    #[serde(rename = "stopped")]
    Stopped,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) enum Visibility {
    #[serde(rename = "controllers")]
    Controllers,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct DefiniteSettings {
    pub controllers: Vec<Principal>,
    pub compute_allocation: Nat,
    pub memory_allocation: Nat,
    pub freezing_threshold: Nat,
    pub reserved_cycles_limit: Nat,
    pub minimum_incoming_canister_call_cycles: Nat,
    pub log_visibility: Visibility,
    pub log_memory_limit: Nat,
    pub snapshot_visibility: Visibility,
    pub status_visibility: Visibility,
    pub wasm_memory_limit: Nat,
    pub wasm_memory_threshold: Nat,
    pub environment_variables: Vec<EnvironmentVariable>,
}

#[derive(Debug, Default, CandidType, Deserialize)]
pub(super) struct MemoryMetrics {
    pub wasm_memory_size: Nat,
    pub stable_memory_size: Nat,
    pub global_memory_size: Nat,
    pub wasm_binary_size: Nat,
    pub custom_sections_size: Nat,
    pub canister_history_size: Nat,
    pub wasm_chunk_store_size: Nat,
    pub snapshots_size: Nat,
    pub log_memory_store_size: Nat,
}

#[derive(Debug, Default, CandidType, Deserialize)]
pub(super) struct QueryStats {
    pub num_calls_total: Nat,
    pub num_instructions_total: Nat,
    pub request_payload_bytes_total: Nat,
    pub response_payload_bytes_total: Nat,
}

#[derive(Debug, CandidType, Deserialize)]
pub(super) struct StatusReply {
    pub status: CanisterStatusType,
    pub ready_for_migration: bool,
    pub version: u64,
    pub settings: DefiniteSettings,
    pub module_hash: Option<ByteBuf>,
    pub memory_size: Nat,
    pub memory_metrics: MemoryMetrics,
    pub cycles: Nat,
    pub reserved_cycles: Nat,
    pub idle_cycles_burned_per_day: Nat,
    pub query_stats: QueryStats,
}
