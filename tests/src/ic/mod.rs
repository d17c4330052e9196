//! One interface over what can run our canisters, so that the same scenarios run over both: the
//! embedded subnet always, and PocketIC where its server is at hand (feature `pocket-ic`).

mod embedded;
#[cfg(feature = "pocket-ic")]
mod pocket;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use candid::Principal;
use ed25519_dalek::SigningKey;
use ic_agent::AgentError;
use paigham_subnet::ManualClock;
use paigham_wire::network::{CanisterRole, KeySet, NetworkCanister, NetworkFile, VerifiedNetwork};

pub use embedded::Embedded;
#[cfg(feature = "pocket-ic")]
pub use pocket::Pocket;

/// Something that runs canisters as the Internet Computer does. What cannot be done fails the test.
#[async_trait]
pub trait Ic: Send + Sync + std::fmt::Debug {
    /// The key that every certificate leads to: DER.
    async fn root_key(&self) -> Vec<u8>;

    /// The time; only [`Ic::pass`] moves it.
    fn clock(&self) -> ManualClock;

    /// Makes a canister and installs a module in it.
    async fn install(&self, module: &[u8]) -> Principal;

    /// Upgrades a canister.
    ///
    /// # Errors
    /// Why it stays as it was.
    async fn upgrade(&self, canister: Principal, module: &[u8]) -> Result<(), String>;

    /// An anonymous update call; Candid in, Candid out.
    ///
    /// # Errors
    /// As the subnet or the canister says.
    async fn update(
        &self,
        canister: Principal,
        method: &str,
        argument: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError>;

    /// An anonymous query call; Candid in, Candid out.
    ///
    /// # Errors
    /// As the subnet or the canister says.
    async fn query(
        &self,
        canister: Principal,
        method: &str,
        argument: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError>;

    /// Lets time pass, and the subnet do what is due by then.
    async fn pass(&self, time: Duration);

    /// Stops and starts again on what was kept.
    async fn restart(&self);
}

/// A network file for a directory and a relay that run there. It names no modules: nobody who uses it
/// looks at them.
pub async fn network(ic: &dyn Ic, directory: Principal, relay: Principal) -> VerifiedNetwork {
    let key = SigningKey::from_bytes(&[0x1C; 32]);
    let entry = |role, id: Principal| NetworkCanister {
        role,
        id: id.as_slice().to_vec().into(),
        module_hashes: Vec::new(),
        controllers: Vec::new(),
    };
    let keys = |keys: Vec<_>| KeySet {
        threshold: u32::from(!keys.is_empty()),
        keys,
    };
    let file = NetworkFile {
        version: 1,
        network: [0x1C; 16].into(),
        name: "scenarios".to_owned(),
        sequence: 1,
        issued_at: 0,
        expires_at: u64::MAX,
        root_key: ic.root_key().await.into(),
        canisters: vec![
            entry(CanisterRole::Directory, directory),
            entry(CanisterRole::Relay, relay),
        ],
        authority: keys(Vec::new()),
        proof_types: Vec::new(),
        urls: Vec::new(),
        gateways: Vec::new(),
        release: keys(vec![key.verifying_key().to_bytes().into()]),
        development: true,
        transparency: None,
        auditors: None,
    };
    VerifiedNetwork::pinned(&file.sign(&[&key]).unwrap()).unwrap()
}

/// Everything at hand that runs canisters, each fresh.
#[cfg_attr(
    not(feature = "pocket-ic"),
    expect(clippy::unused_async, reason = "a server takes time to start")
)]
#[cfg_attr(
    feature = "pocket-ic",
    expect(
        clippy::print_stderr,
        reason = "whoever asked for it is told why it is not there"
    )
)]
pub async fn all() -> Vec<Arc<dyn Ic>> {
    let embedded: Arc<dyn Ic> = Arc::new(Embedded::new());
    #[cfg(feature = "pocket-ic")]
    match Pocket::start().await {
        Some(pocket) => return vec![embedded, Arc::new(pocket)],
        None => eprintln!(
            "POCKET_IC_BIN names no PocketIC server: only the embedded subnet is tested. Set it to \
             the path of a server of version 13 to test both."
        ),
    }
    vec![embedded]
}
