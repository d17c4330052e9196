//! One canister without a subnet around it, on a stable memory made elsewhere: what a message costs
//! a canister that holds much, without executing everything that put it there.

use std::collections::BTreeMap;

use candid::Principal;
use serde_bytes::ByteBuf;

use crate::calls::{CallResult, Input, Origin, Request};
use crate::canister::{Canister, Home, PreUpgrade, Step};
use crate::code::{Code, InstallError};
use crate::engine::engine;
use crate::execution::{Execution, Outcome, Reject};
use crate::stable::{PAGE, StableMemory};

/// Bytes in which stable memory grows.
const WASM_PAGE: usize = 65_536;

/// A canister that runs alone. Its messages are metered as a subnet meters them; nothing orders,
/// certifies or keeps them.
#[derive(Debug)]
pub struct LoneCanister {
    canister: Canister,
    time: u64,
}

impl LoneCanister {
    /// Installs a module on a stable memory, of which `stable` has all bytes, and runs its
    /// `canister_post_upgrade`, whose execution is given too. `time` is that of all messages, in
    /// nanoseconds since 1970.
    ///
    /// # Errors
    /// [`InstallError`]: the module does not run, has no such hook, or the memory is larger than a
    /// canister's.
    pub fn resume(
        module: &[u8],
        id: Principal,
        stable: &[u8],
        time: u64,
    ) -> Result<(Self, Execution), InstallError> {
        let engine = engine().map_err(|error| InstallError::Engine(error.to_string()))?;
        let mut code = Code::new(&engine, module)?;
        let size = stable.len().div_ceil(WASM_PAGE) as u64;
        let written = |(_, page): &(u64, &[u8])| page.iter().any(|byte| *byte != 0);
        let pages: BTreeMap<_, _> = (0..)
            .zip(stable.chunks(PAGE))
            .filter(written)
            .map(|(number, page)| {
                let mut page = page.to_vec();
                page.resize(PAGE, 0);
                (number, page)
            })
            .collect();
        let stable = StableMemory::restore(size, pages).ok_or(InstallError::StoredState)?;
        code.set_stable(stable);
        let home = Home {
            subnet: Principal::management_canister(),
            root_key: Vec::new().into(),
        };
        let mut canister = Canister::new(id, home, Vec::new());
        let resumed = canister.resume(code, time)?;
        Ok((Self { canister, time }, resumed))
    }

    /// Runs an update, whose changes stay.
    pub fn update(&mut self, method: &str, argument: Vec<u8>) -> Execution {
        let request = Request {
            origin: Origin::Task,
            caller: Principal::anonymous(),
            method: method.to_owned(),
            argument,
            deadline: 0,
        };
        match self.canister.request(request, self.time) {
            Some(step) => step.execution,
            None => Execution::without_run(Outcome::Unanswered),
        }
    }

    /// Runs a query with a certificate of these bytes at hand.
    pub fn query(&mut self, method: &str, argument: Vec<u8>, certificate: Vec<u8>) -> Execution {
        let anonymous = Principal::anonymous();
        self.canister
            .query(method, argument, &anonymous, self.time, certificate)
            .unwrap_or_else(|reject| Execution::without_run(Outcome::Rejected(reject.message)))
    }

    /// Upgrades it to a module at a time, in nanoseconds since 1970: timers that would have been due
    /// before are gone with the old code.
    ///
    /// # Errors
    /// [`InstallError`]; it is as before.
    pub fn upgrade(&mut self, module: &[u8], time: u64) -> Result<(), InstallError> {
        let engine = engine().map_err(|error| InstallError::Engine(error.to_string()))?;
        let anonymous = Principal::anonymous();
        let hooks = PreUpgrade::Run;
        self.canister
            .upgrade(&engine, module, Vec::new(), &anonymous, time, hooks)?;
        self.time = time;
        Ok(())
    }

    /// Lets time pass up to `time`, in nanoseconds since 1970, and runs everything that the timers
    /// then due lead to, in order. `random` is what `raw_rand` draws.
    pub fn wake(&mut self, time: u64, random: [u8; 32]) -> Vec<Execution> {
        self.time = time;
        let mut ran = Vec::new();
        while let Some(step) = self.next_step() {
            for request in step.management {
                self.manage(request, random);
            }
            if let Some((Origin::Call { callback, .. }, result)) = step.answer {
                self.canister.calls.respond(callback, result);
            }
            ran.push(step.execution);
        }
        ran
    }

    fn next_step(&mut self) -> Option<Step> {
        loop {
            let step = match self.canister.calls.next_input() {
                None => return self.canister.fire_timer(self.time),
                Some(Input::Request(request)) => self.canister.request(request, self.time),
                Some(Input::Response { callback, result }) => {
                    self.canister.response(callback, result, self.time)
                }
            };
            if step.is_some() {
                return step;
            }
        }
    }

    fn manage(&mut self, request: Request, random: [u8; 32]) {
        let result: CallResult = match request.method.as_str() {
            "raw_rand" => candid::encode_one(ByteBuf::from(random))
                .map(ByteBuf::from)
                .map_err(|error| Reject::failed("IC0503", error.to_string())),
            other => Err(Reject::failed("IC0536", format!("nobody to {other}"))),
        };
        if let Origin::Call { callback, .. } = request.origin {
            self.canister.calls.respond(callback, result);
        }
    }

    /// Bytes of stable memory; `None` beyond its end.
    #[must_use]
    pub fn stable_bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        self.code()?.stable_bytes(offset, length)
    }

    /// Numbers of the 4-KiB pages of stable memory that the last update wrote to.
    #[must_use]
    pub fn written_pages(&self) -> &[u64] {
        self.code().map_or(&[], Code::written_pages)
    }

    const fn code(&self) -> Option<&Code> {
        self.canister.code.as_ref()
    }
}
