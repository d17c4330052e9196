//! Installing, upgrading and removing code.

use candid::Principal;

use super::types::{CanisterArgument, InstallArgument, Persistence};
use super::{decode, encode};
use crate::canister::PreUpgrade;
use crate::code::InstallError;
use crate::execution::{Reject, reject_code};
use crate::state::State;

pub(crate) use super::types::InstallMode;

type Reply = Result<Vec<u8>, Reject>;

impl State {
    pub(super) fn install_code(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (InstallArgument,) = decode(argument)?;
        self.controlled(&argument.canister_id, caller)?;
        let (id, mode) = (argument.canister_id, argument.mode);
        self.change_code(
            &id,
            mode,
            &argument.wasm_module,
            argument.arg.into_vec(),
            caller,
        )?;
        encode(())
    }

    /// Changes a canister's code: all of it happens, or nothing. Who may, was checked.
    pub(crate) fn change_code(
        &mut self,
        id: &Principal,
        mode: InstallMode,
        module: &[u8],
        argument: Vec<u8>,
        caller: &Principal,
    ) -> Result<(), InstallError> {
        let (engine, time) = (self.engine.clone(), self.time);
        let canister = self
            .canister_mut(id)
            .ok_or(InstallError::Id("there is no such canister"))?;
        match mode {
            InstallMode::Install if canister.code.is_some() => Err(InstallError::Id(
                "the canister has code already; upgrade or reinstall it",
            )),
            InstallMode::Install | InstallMode::Reinstall => {
                canister.install(&engine, module, argument, caller, time)
            }
            InstallMode::Upgrade(options) => {
                let options = options.unwrap_or_default();
                if options.wasm_memory_persistence == Some(Persistence::Keep) {
                    return Err(InstallError::Id(
                        "the embedded subnet does not keep the heap over an upgrade",
                    ));
                }
                let pre_upgrade = if options.skip_pre_upgrade == Some(true) {
                    PreUpgrade::Skip
                } else {
                    PreUpgrade::Run
                };
                canister.upgrade(&engine, module, argument, caller, time, pre_upgrade)
            }
        }
    }

    pub(super) fn uninstall_code(&mut self, caller: &Principal, argument: &[u8]) -> Reply {
        let (argument,): (CanisterArgument,) = decode(argument)?;
        let canister = self.controlled(&argument.canister_id, caller)?;
        for origin in canister.uninstall() {
            let text = "the canister's code was uninstalled";
            let reject = Reject::new(reject_code::CANISTER_REJECT, "IC0406", text);
            self.deliver(origin, Err(reject));
        }
        encode(())
    }
}
