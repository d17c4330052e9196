//! The management canister, `aaaaa-aa`: what administrators and canisters ask of the subnet itself
//! (IC interface specification, "The IC management canister").

mod admit;
mod chunks;
pub(crate) mod install;
mod lifecycle;
mod types;

use candid::Principal;
use candid::utils::{ArgumentDecoder, ArgumentEncoder, decode_args_with_config, encode_args};
use serde_bytes::ByteBuf;

pub(crate) use admit::Admission;

use crate::calls::{CallResult, Request};
use crate::canister::Canister;
use crate::execution::{Reject, reject_code};
use crate::state::State;

/// Work that decoding an argument may take, in candid's units: a module of 2 MiB takes 1 a byte.
const DECODING_QUOTA: usize = 20_000_000;
/// Work that skipping what is not asked for may take.
const SKIPPING_QUOTA: usize = 10_000;
/// Most controllers of a canister.
pub(crate) const CONTROLLERS_MAX: usize = 10;
/// Most canisters of an embedded subnet: each has memory of its own.
pub(crate) const CANISTERS_MAX: usize = 1_000;

/// What the management canister does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    CreateCanister,
    ProvisionalCreateCanister,
    InstallCode,
    InstallChunkedCode,
    UploadChunk,
    StoredChunks,
    ClearChunkStore,
    UninstallCode,
    StartCanister,
    StopCanister,
    DeleteCanister,
    CanisterStatus,
    UpdateSettings,
    RawRand,
}

impl Method {
    /// The method of a name.
    fn of(name: &str) -> Result<Self, Reject> {
        Ok(match name {
            "create_canister" => Self::CreateCanister,
            "provisional_create_canister_with_cycles" => Self::ProvisionalCreateCanister,
            "install_code" => Self::InstallCode,
            "install_chunked_code" => Self::InstallChunkedCode,
            "upload_chunk" => Self::UploadChunk,
            "stored_chunks" => Self::StoredChunks,
            "clear_chunk_store" => Self::ClearChunkStore,
            "uninstall_code" => Self::UninstallCode,
            "start_canister" => Self::StartCanister,
            "stop_canister" => Self::StopCanister,
            "delete_canister" => Self::DeleteCanister,
            "canister_status" => Self::CanisterStatus,
            "update_settings" => Self::UpdateSettings,
            "raw_rand" => Self::RawRand,
            _ => {
                let text = format!("the embedded subnet's management canister has no {name}");
                return Err(Reject::new(
                    reject_code::DESTINATION_INVALID,
                    "IC0536",
                    text,
                ));
            }
        })
    }
}

impl State {
    /// Does what the management canister was asked for; `None` if the answer comes later.
    pub(crate) fn manage(&mut self, request: &Request) -> Option<CallResult> {
        let caller = &request.caller;
        let argument = request.argument.as_slice();
        let result = match Method::of(&request.method) {
            Err(reject) => Err(reject),
            Ok(Method::CreateCanister) => self.create_canister(caller, argument),
            Ok(Method::ProvisionalCreateCanister) => self.provisional_create(caller, argument),
            Ok(Method::InstallCode) => self.install_code(caller, argument),
            Ok(Method::InstallChunkedCode) => self.install_chunked_code(caller, argument),
            Ok(Method::UploadChunk) => self.upload_chunk(caller, argument),
            Ok(Method::StoredChunks) => self.stored_chunks(caller, argument),
            Ok(Method::ClearChunkStore) => self.clear_chunk_store(caller, argument),
            Ok(Method::UninstallCode) => self.uninstall_code(caller, argument),
            Ok(Method::StartCanister) => self.start_canister(caller, argument),
            Ok(Method::StopCanister) => match self.stop_canister(request) {
                Ok(()) => return None,
                Err(reject) => Err(reject),
            },
            Ok(Method::DeleteCanister) => self.delete_canister(caller, argument),
            Ok(Method::CanisterStatus) => self.canister_status(caller, argument),
            Ok(Method::UpdateSettings) => self.update_settings(caller, argument),
            Ok(Method::RawRand) => decode(argument).and_then(|()| encode((self.random(),))),
        };
        Some(result.map(ByteBuf::from))
    }

    /// A canister, for one of its controllers.
    fn controlled(&mut self, id: &Principal, caller: &Principal) -> Result<&mut Canister, Reject> {
        let canister = self.existing(id)?;
        if canister.is_controlled_by(caller) {
            Ok(canister)
        } else {
            Err(not_controller(caller, id))
        }
    }

    /// A canister, for one of its controllers or itself.
    fn own(&mut self, id: &Principal, caller: &Principal) -> Result<&mut Canister, Reject> {
        let canister = self.existing(id)?;
        if canister.is_controlled_by(caller) || canister.id == *caller {
            Ok(canister)
        } else {
            Err(not_controller(caller, id))
        }
    }

    fn existing(&mut self, id: &Principal) -> Result<&mut Canister, Reject> {
        self.canister_mut(id)
            .ok_or_else(|| Reject::failed("IC0301", "no such canister"))
    }
}

fn not_controller(caller: &Principal, id: &Principal) -> Reject {
    let text = format!("{caller} is no controller of {id}");
    Reject::failed("IC0512", text)
}

/// An argument, with bounds on what hostile bytes cost.
fn decode<T>(argument: &[u8]) -> Result<T, Reject>
where
    T: for<'a> ArgumentDecoder<'a>,
{
    let mut config = candid::DecoderConfig::new();
    config
        .set_decoding_quota(DECODING_QUOTA)
        .set_skipping_quota(SKIPPING_QUOTA)
        .set_full_error_message(false);
    // A method without an argument is often called without any bytes.
    let argument = if argument.is_empty() {
        b"DIDL\0\0"
    } else {
        argument
    };
    decode_args_with_config(argument, &config)
        .map_err(|error| Reject::failed("IC0408", format!("not the method's argument: {error}")))
}

fn encode<T: ArgumentEncoder>(value: T) -> Result<Vec<u8>, Reject> {
    encode_args(value).map_err(|error| Reject::failed("IC0521", error.to_string()))
}
