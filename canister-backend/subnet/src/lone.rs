//! One canister without a subnet around it, on a stable memory made elsewhere: what a message costs
//! a canister that holds much, without executing everything that put it there.

use std::collections::BTreeMap;

use candid::Principal;

use crate::code::{Code, Entry, InstallError};
use crate::engine::engine;
use crate::execution::{Execution, limit};
use crate::ic0::{Message, Mode};
use crate::stable::{PAGE, StableMemory};

/// Bytes in which stable memory grows.
const WASM_PAGE: usize = 65_536;

/// A canister that runs alone. Its messages are metered as a subnet meters them; nothing orders,
/// certifies or keeps them.
#[derive(Debug)]
pub struct LoneCanister {
    id: Principal,
    code: Code,
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
        let code = Code::new(&engine, module)?;
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
        let mut lone = Self { id, code, time };
        lone.code.set_stable(stable);
        let hook = "canister_post_upgrade";
        if !lone.code.exports(hook) {
            return Err(InstallError::Id("the module has no post-upgrade hook"));
        }
        let message = lone.message(Mode::Init, hook, Vec::new(), limit::INSTALL);
        let (resumed, _) = lone.code.run(&Entry::Export(hook.into()), message);
        Ok((lone, resumed))
    }

    fn message(&self, mode: Mode, method: &str, argument: Vec<u8>, limit: u64) -> Message {
        let anonymous = Principal::anonymous();
        let mut message = Message::new(mode, method, argument, &anonymous, self.time);
        message.about.id = self.id;
        message.limit = limit;
        message
    }

    /// Runs an update, whose changes stay.
    pub fn update(&mut self, method: &str, argument: Vec<u8>) -> Execution {
        let message = self.message(Mode::Update, method, argument, limit::UPDATE);
        let entry = Entry::Export(format!("canister_update {method}"));
        self.code.run(&entry, message).0
    }

    /// Runs a query with a certificate of these bytes at hand.
    pub fn query(&mut self, method: &str, argument: Vec<u8>, certificate: Vec<u8>) -> Execution {
        let mut message = self.message(Mode::Query, method, argument, limit::QUERY);
        message.certificate = Some(certificate);
        let entry = Entry::Export(format!("canister_query {method}"));
        self.code.run(&entry, message).0
    }

    /// Bytes of stable memory; `None` beyond its end.
    #[must_use]
    pub fn stable_bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        self.code.stable_bytes(offset, length)
    }

    /// Numbers of the 4-KiB pages of stable memory that the last update wrote to.
    #[must_use]
    pub fn written_pages(&self) -> &[u64] {
        self.code.written_pages()
    }
}
