//! The embedded subnet as [`Ic`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use candid::Principal;
use ic_agent::{Agent, AgentError};
use paigham_subnet::testkit::FaultJournal;
use paigham_subnet::{CanisterRange, Clock, Config, ManualClock, RootKey, Subnet, Topology};

use super::Ic;

/// Keys of the subnet and of the root above it, the same at every run.
const SEED: [u8; 32] = [0x1C; 32];
/// An agent compares certificates with this machine's clock, which a manual clock runs away from.
const EXPIRY: Duration = Duration::from_secs(365 * 24 * 3_600);
/// How far ahead of the clock an update expires.
const UPDATE_EXPIRY: Duration = Duration::from_secs(120);

/// One subnet below a root key, as a real one is.
#[derive(Debug)]
pub struct Embedded {
    journal: FaultJournal,
    clock: ManualClock,
    running: Mutex<Arc<Running>>,
}

#[derive(Debug)]
struct Running {
    subnet: Subnet,
    agent: Agent,
}

impl Embedded {
    /// An empty one.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn new() -> Self {
        let (journal, clock) = (FaultJournal::default(), ManualClock::starting_now());
        let running = Mutex::new(Arc::new(start(&journal, &clock)));
        Self {
            journal,
            clock,
            running,
        }
    }

    fn running(&self) -> Arc<Running> {
        Arc::clone(&self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, Arc<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

fn start(journal: &FaultJournal, clock: &ManualClock) -> Running {
    let topology = Topology::Delegated {
        root: RootKey::from_seed(&SEED),
        range: CanisterRange::of_subnet(0),
    };
    let config = Config::default().topology(topology);
    let (journal, clock) = (Box::new(journal.clone()), Arc::new(clock.clone()));
    let subnet = Subnet::open_with_as(journal, clock, SEED, &config).unwrap();
    let agent = Agent::builder()
        .with_url("http://subnet.invalid")
        .with_arc_http_middleware(subnet.in_process())
        .with_ingress_expiry(EXPIRY)
        .build()
        .unwrap();
    agent.set_root_key(subnet.root_key_der());
    Running { subnet, agent }
}

#[async_trait]
impl Ic for Embedded {
    async fn root_key(&self) -> Vec<u8> {
        self.running().subnet.root_key_der()
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    async fn install(&self, module: &[u8]) -> Principal {
        let running = self.running();
        let installed = running.subnet.install(module, Vec::new(), &[]).await;
        installed.unwrap()
    }

    async fn upgrade(&self, canister: Principal, module: &[u8]) -> Result<(), String> {
        let running = self.running();
        let upgraded = running.subnet.upgrade(canister, module, Vec::new()).await;
        upgraded.map_err(|error| error.to_string())
    }

    async fn update(
        &self,
        canister: Principal,
        method: &str,
        argument: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError> {
        let now = Duration::from_nanos(self.clock.now_ns());
        let running = self.running();
        let call = running.agent.update(&canister, method);
        call.with_arg(argument)
            .expire_at(UNIX_EPOCH + now + UPDATE_EXPIRY)
            .call_and_wait()
            .await
    }

    async fn query(
        &self,
        canister: Principal,
        method: &str,
        argument: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError> {
        let running = self.running();
        let call = running.agent.query(&canister, method);
        call.with_arg(argument).call().await
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        // Two rounds: what is due runs in the first, what that sent to itself in the second.
        for _ in 0..2 {
            self.clock.advance(Duration::from_secs(1));
            self.running().subnet.status().await.unwrap();
        }
    }

    async fn restart(&self) {
        self.running().subnet.shutdown();
        self.journal.restart();
        *self.locked() = Arc::new(start(&self.journal, &self.clock));
    }
}
