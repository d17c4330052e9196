//! One canister without a subnet around it, on a stable memory made elsewhere: what a message costs
//! a canister that holds much, without executing everything that put it there.

use std::collections::BTreeMap;

use candid::Principal;

use crate::canister::{Canister, Execution, InstallError};
use crate::engine::engine;
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
        let mut canister = Canister::new(&engine, module, id.as_slice(), Vec::new(), &[])?;
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
        let resumed = canister
            .resume_on(stable, time)
            .ok_or(InstallError::Id("the module has no post-upgrade hook"))?;
        Ok((Self { canister, time }, resumed))
    }

    /// Runs an update, whose changes stay.
    pub fn update(&mut self, method: &str, argument: Vec<u8>) -> Execution {
        let anonymous = Principal::anonymous();
        self.canister
            .update(method, argument, anonymous.as_slice(), self.time)
    }

    /// Runs a query with a certificate of these bytes at hand.
    pub fn query(&mut self, method: &str, argument: Vec<u8>, certificate: Vec<u8>) -> Execution {
        let anonymous = Principal::anonymous();
        let sender = anonymous.as_slice();
        self.canister
            .query(method, argument, sender, self.time, certificate)
    }

    /// Bytes of stable memory; `None` beyond its end.
    #[must_use]
    pub fn stable_bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        self.canister.stable_bytes(offset, length)
    }

    /// Numbers of the 4-KiB pages of stable memory that the last update wrote to.
    #[must_use]
    pub fn written_pages(&self) -> &[u64] {
        self.canister.written_pages()
    }

    /// Time of the messages to come.
    pub const fn set_time(&mut self, time: u64) {
        self.time = time;
    }
}
