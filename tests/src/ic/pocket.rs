//! PocketIC as [`Ic`].

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use candid::Principal;
use ic_agent::AgentError;
use ic_transport_types::{RejectCode, RejectResponse};
use paigham_subnet::{Clock, ManualClock};
use pocket_ic::nonblocking::PocketIc;
use pocket_ic::{PocketIcBuilder, PocketIcState, Time};
use tokio::sync::RwLock;

use super::Ic;

/// Where the server's path is told.
const SERVER: &str = "POCKET_IC_BIN";
/// Cycles of each canister: more than any scenario burns.
const CYCLES: u128 = 1 << 60;
/// Rounds after which everything that is due has run.
const ROUNDS: usize = 4;

/// An application subnet under a root subnet, run by a PocketIC server.
#[derive(Debug)]
pub struct Pocket {
    server: PathBuf,
    clock: ManualClock,
    instance: RwLock<Option<Instance>>,
}

struct Instance(PocketIc);

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Instance")
    }
}

impl Pocket {
    /// An empty one; `None` unless `POCKET_IC_BIN` names a file. Nothing is downloaded.
    pub async fn start() -> Option<Self> {
        let server = PathBuf::from(std::env::var_os(SERVER)?);
        if !server.is_file() {
            return None;
        }
        let clock = ManualClock::starting_now();
        let instance = instance(&server, &clock, PocketIcState::new()).await;
        Some(Self {
            server,
            clock,
            instance: RwLock::new(Some(instance)),
        })
    }
}

async fn instance(server: &std::path::Path, clock: &ManualClock, state: PocketIcState) -> Instance {
    let instance = PocketIcBuilder::new()
        .with_server_binary(server.to_owned())
        .with_nns_subnet()
        .with_application_subnet()
        .with_state(state)
        .build_async()
        .await;
    instance.set_time(now(clock)).await;
    instance.tick().await;
    Instance(instance)
}

fn now(clock: &ManualClock) -> Time {
    Time::from_nanos_since_unix_epoch(clock.now_ns())
}

/// A rejection in the agent's own terms.
fn rejected(response: &pocket_ic::RejectResponse) -> AgentError {
    let code = u64::from(response.reject_code as u8);
    let reject = RejectResponse {
        reject_code: RejectCode::try_from(code).unwrap_or(RejectCode::SysFatal),
        reject_message: response.reject_message.clone(),
        error_code: Some(response.error_code.to_string()),
    };
    AgentError::UncertifiedReject {
        reject,
        operation: None,
    }
}

macro_rules! on {
    ($self:ident) => {
        &$self.instance.read().await.as_ref().unwrap().0
    };
}

#[async_trait]
impl Ic for Pocket {
    async fn root_key(&self) -> Vec<u8> {
        on!(self).root_key().await.unwrap()
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    async fn install(&self, module: &[u8]) -> Principal {
        let guard = self.instance.read().await;
        let pocket = &guard.as_ref().unwrap().0;
        let canister = pocket.create_canister().await;
        pocket.add_cycles(canister, CYCLES).await;
        pocket
            .install_canister(canister, module.to_vec(), Vec::new(), None)
            .await;
        canister
    }

    async fn upgrade(&self, canister: Principal, module: &[u8]) -> Result<(), String> {
        let upgraded = on!(self)
            .upgrade_canister(canister, module.to_vec(), Vec::new(), None)
            .await;
        upgraded.map_err(|response| response.to_string())
    }

    async fn update(
        &self,
        canister: Principal,
        method: &str,
        argument: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError> {
        let sender = Principal::anonymous();
        let answer = on!(self)
            .update_call(canister, sender, method, argument)
            .await;
        answer.map_err(|response| rejected(&response))
    }

    async fn query(
        &self,
        canister: Principal,
        method: &str,
        argument: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError> {
        let sender = Principal::anonymous();
        let answer = on!(self)
            .query_call(canister, sender, method, argument)
            .await;
        answer.map_err(|response| rejected(&response))
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        let guard = self.instance.read().await;
        let pocket = &guard.as_ref().unwrap().0;
        pocket.set_time(now(&self.clock)).await;
        for _ in 0..ROUNDS {
            pocket.tick().await;
        }
    }

    async fn restart(&self) {
        let mut guard = self.instance.write().await;
        let Instance(old) = guard.take().unwrap();
        let state = old.drop_and_take_state().await.unwrap();
        *guard = Some(instance(&self.server, &self.clock, state).await);
    }
}
