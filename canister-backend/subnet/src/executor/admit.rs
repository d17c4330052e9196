//! Which calls enter a round.

use candid::Principal;
use ic_transport_types::{RejectCode, RejectResponse};

use super::{CallAnswer, Executor};
use crate::execution::{Outcome, Reject, reject_code};
use crate::management::Admission;
use crate::state::Ingress;

/// How far ahead an update's expiry may lie: 5 minutes and 30 seconds of drift.
const EXPIRY_MAX_AHEAD_NS: u64 = 330 * 1_000_000_000;

impl Executor {
    /// Whether a call may enter the round. The canister is asked on its state before the round: that
    /// sheds load and protects nothing, so every method checks again.
    pub(super) fn admit(&mut self, ingress: &Ingress, now: u64) -> Result<(), CallAnswer> {
        if ingress.expiry < now {
            return Err(CallAnswer::Refused("the request has expired".into()));
        }
        if ingress.expiry > now.saturating_add(EXPIRY_MAX_AHEAD_NS) {
            return Err(CallAnswer::Refused(
                "the request expires too far in the future".into(),
            ));
        }
        if ingress.canister == Principal::management_canister() {
            let admitted = self.state.admit_management(ingress);
            return admitted.map_err(|refused| match refused {
                Admission::Rejected(why) => reject(why),
                Admission::WrongAddress => {
                    let text = "the address is not that of the canister that the request is about";
                    CallAnswer::Refused(text.into())
                }
            });
        }
        let Some(canister) = self.state.canister_mut(&ingress.canister) else {
            return Err(reject(Reject::failed("IC0301", "no such canister")));
        };
        let method = &ingress.method;
        canister
            .check_running()
            .and_then(|()| canister.check_method(method, true))
            .map_err(reject)?;
        match canister.inspect(method, ingress.argument.clone(), &ingress.sender, now) {
            Outcome::Accepted => Ok(()),
            Outcome::Failed { code, message } => Err(reject(Reject::failed(code, message))),
            Outcome::Replied(_) | Outcome::Rejected(_) | Outcome::Unanswered => {
                let text = "refused by the canister";
                let code = reject_code::CANISTER_REJECT;
                Err(reject(Reject::new(code, "IC0406", text)))
            }
        }
    }
}

impl From<Reject> for RejectResponse {
    fn from(reject: Reject) -> Self {
        Self {
            reject_code: match reject.code {
                reject_code::SYS_TRANSIENT => RejectCode::SysTransient,
                reject_code::DESTINATION_INVALID => RejectCode::DestinationInvalid,
                reject_code::CANISTER_REJECT => RejectCode::CanisterReject,
                _ => RejectCode::CanisterError,
            },
            reject_message: reject.message,
            error_code: Some(reject.error_code),
        }
    }
}

fn reject(why: Reject) -> CallAnswer {
    CallAnswer::Rejected(why.into())
}
