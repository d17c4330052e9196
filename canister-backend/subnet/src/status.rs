//! What a subnet tells of itself, for people; clients check certificates instead.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::state::MethodUse;

/// State of the subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetStatus {
    /// Its id.
    pub subnet: String,
    /// Root key, DER in hexadecimal.
    pub root_key: String,
    /// Rounds since the first start.
    pub rounds: u64,
    /// Certified time in nanoseconds since 1970.
    pub time_ns: u64,
    /// Root of the state tree, as signed.
    pub state_root: String,
    /// The canisters.
    pub canisters: Vec<CanisterStatus>,
}

/// State of a canister.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanisterStatus {
    /// Its id.
    pub id: String,
    /// SHA-256 of its module.
    pub module_hash: String,
    /// Who may change it.
    pub controllers: Vec<String>,
    /// Bytes of its heap.
    pub heap_bytes: u64,
    /// Bytes of its stable memory.
    pub stable_bytes: u64,
    /// Use by method since this process started.
    pub methods: BTreeMap<String, MethodUse>,
}
