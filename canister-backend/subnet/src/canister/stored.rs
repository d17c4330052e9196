//! What of a canister goes into a checkpoint.

use std::collections::BTreeMap;

use candid::Principal;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use wasmtime::Engine;

use super::{Canister, Home, Status};
use crate::calls::Calls;
use crate::code::{Code, CodeState, InstallError};
use crate::ic0::CERTIFIED_DATA_MAX_BYTES;

/// A canister as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CanisterState {
    pub id: Principal,
    pub controllers: Vec<Principal>,
    pub status: Status,
    pub version: u64,
    #[serde(with = "serde_bytes")]
    pub certified_data: Vec<u8>,
    pub timer: u64,
    pub chunks: BTreeMap<ByteBuf, ByteBuf>,
    pub code: Option<CodeState>,
    pub calls: Calls,
}

impl Canister {
    /// As it was stored.
    pub fn restore(
        engine: &Engine,
        state: CanisterState,
        home: Home,
    ) -> Result<Self, InstallError> {
        if state.certified_data.len() > CERTIFIED_DATA_MAX_BYTES || !state.calls.is_sound() {
            return Err(InstallError::StoredState);
        }
        let chunks = state.chunks.into_iter();
        let chunks = chunks.map(|(hash, chunk)| {
            let hash = <[u8; 32]>::try_from(hash.as_slice());
            Ok((
                hash.map_err(|_| InstallError::StoredState)?,
                chunk.into_vec(),
            ))
        });
        let code = state.code.map(|code| Code::restore(engine, code));
        Ok(Self {
            id: state.id,
            home,
            controllers: state.controllers.into(),
            status: state.status,
            version: state.version,
            certified_data: state.certified_data,
            timer: state.timer,
            chunks: chunks.collect::<Result<_, InstallError>>()?,
            code: code.transpose()?,
            calls: state.calls,
        })
    }

    /// Everything that must outlive the process.
    pub fn state(&self) -> CanisterState {
        let chunks = self.chunks.iter();
        CanisterState {
            id: self.id,
            controllers: self.controllers.to_vec(),
            status: self.status.clone(),
            version: self.version,
            certified_data: self.certified_data.clone(),
            timer: self.timer,
            chunks: chunks
                .map(|(hash, chunk)| (ByteBuf::from(*hash), ByteBuf::from(chunk.clone())))
                .collect(),
            code: self.code.as_ref().map(Code::state),
            calls: self.calls.clone(),
        }
    }
}
