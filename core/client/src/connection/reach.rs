//! Bounded waits, and that one relay which does not answer is not the whole network
//! (`spec/client.md` §7).

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use ic_agent::AgentError;
use paigham_wire::ids::CanisterId;

use super::{Connection, principal, refused};
use crate::error::ClientError;

/// Longest wait for a query or a read of the state tree: its answer may have 3 MiB, over a slow
/// link.
pub(super) const READ_MAX: Duration = Duration::from_secs(60);
/// Longest wait for an update's certified answer. One that is given up may have been taken; its
/// repeat is harmless.
pub(super) const UPDATE_MAX: Duration = Duration::from_secs(120);
/// Longest wait for the directory, where it is asked only whether the network is there.
const PROBE_MAX: Duration = Duration::from_secs(10);

impl Connection {
    /// Begins an operation of the user's: relays that let a time run out are asked again.
    pub fn begin_round(&self) {
        self.locked_silent().clear();
    }

    /// Waits for the answer of a canister. A relay that has let the time run out once is not waited
    /// for again in the same round.
    ///
    /// # Errors
    /// [`ClientError::RelayUnreachable`] for a relay that does not answer while the directory does;
    /// [`ClientError::Unreachable`] where nobody does.
    pub(super) async fn reach<T>(
        &self,
        canister: &CanisterId,
        longest: Duration,
        asked: impl Future<Output = Result<T, AgentError>>,
    ) -> Result<T, ClientError> {
        if let Some(why) = self.locked_silent().get(canister.as_slice()) {
            return Err(unreachable_relay(canister, why.clone()));
        }
        let (error, in_time) = match tokio::time::timeout(longest, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => (refused(error), true),
            Err(_) => (
                ClientError::Unreachable("it does not answer in time".into()),
                false,
            ),
        };
        let ClientError::Unreachable(why) = error else {
            return Err(error);
        };
        if canister == &self.directory || !self.directory_answers().await {
            return Err(ClientError::Unreachable(why));
        }
        if !in_time {
            self.locked_silent()
                .insert(canister.as_slice().to_vec(), why.clone());
        }
        Err(unreachable_relay(canister, why))
    }

    async fn directory_answers(&self) -> bool {
        let Ok(directory) = principal(&self.directory) else {
            return false;
        };
        let time = vec![vec!["time".into()]];
        let asked = self.agent.read_state_raw(time, directory);
        matches!(tokio::time::timeout(PROBE_MAX, asked).await, Ok(Ok(_)))
    }

    fn locked_silent(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, String>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable_relay(relay: &CanisterId, why: String) -> ClientError {
    ClientError::RelayUnreachable {
        relay: relay.clone(),
        why,
    }
}
