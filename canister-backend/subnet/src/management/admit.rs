//! Which requests to the management canister enter a round.

use candid::Principal;

use super::types::{
    CanisterArgument, InstallArgument, InstallChunkedArgument, UpdateSettingsArgument,
    UploadChunkArgument,
};
use super::{Method, decode, not_controller};
use crate::execution::{Reject, reject_code};
use crate::state::{Ingress, State};

/// Why a request does not enter a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Sent to another address than that of the canister that it is about.
    WrongAddress,
    Rejected(Reject),
}

impl From<Reject> for Admission {
    fn from(reject: Reject) -> Self {
        Self::Rejected(reject)
    }
}

impl State {
    /// Checks sender and address. That sheds load; the methods check again. The sender comes first:
    /// an argument costs its decoding, and strangers write what they like.
    pub(crate) fn admit_management(&self, ingress: &Ingress) -> Result<(), Admission> {
        let sender = &ingress.sender;
        let method = Method::of(&ingress.method)?;
        let creates = matches!(
            method,
            Method::CreateCanister | Method::ProvisionalCreateCanister
        );
        if !creates && method != Method::RawRand {
            self.check_controller(&ingress.effective, sender)?;
        }
        let about = match method {
            Method::RawRand => {
                let text = "only canisters may ask for randomness";
                return Err(Reject::new(reject_code::CANISTER_REJECT, "IC0406", text).into());
            }
            Method::CreateCanister | Method::ProvisionalCreateCanister => {
                return if self.may_create(sender) {
                    Ok(())
                } else {
                    let text = format!("{sender} is not among those who may create canisters");
                    Err(Reject::failed("IC0512", text).into())
                };
            }
            Method::InstallChunkedCode => {
                let (argument,): (InstallChunkedArgument,) = decode(&ingress.argument)?;
                argument.target_canister
            }
            Method::InstallCode => {
                let (argument,): (InstallArgument,) = decode(&ingress.argument)?;
                argument.canister_id
            }
            Method::UploadChunk => {
                let (argument,): (UploadChunkArgument,) = decode(&ingress.argument)?;
                argument.canister_id
            }
            Method::UpdateSettings => {
                let (argument,): (UpdateSettingsArgument,) = decode(&ingress.argument)?;
                argument.canister_id
            }
            Method::StoredChunks
            | Method::ClearChunkStore
            | Method::UninstallCode
            | Method::StartCanister
            | Method::StopCanister
            | Method::DeleteCanister
            | Method::CanisterStatus => {
                let (argument,): (CanisterArgument,) = decode(&ingress.argument)?;
                argument.canister_id
            }
        };
        if about == ingress.effective {
            Ok(())
        } else {
            Err(Admission::WrongAddress)
        }
    }

    fn check_controller(&self, id: &Principal, sender: &Principal) -> Result<(), Admission> {
        match self.canisters().get(id) {
            None => Err(Reject::failed("IC0301", "no such canister").into()),
            Some(canister) if canister.is_controlled_by(sender) => Ok(()),
            Some(_) => Err(not_controller(sender, id).into()),
        }
    }
}
