//! The canisters are deployed through the management canister, over HTTP, by an unmodified agent.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use candid::Principal;
use ic_agent::{Agent, Identity};
use paigham_modules::{DIRECTORY, RELAY, module_hash};
use paigham_network::NetworkUpError;
use paigham_network::deploy::{
    DeployError, Deployment, Place, Trust, announce, connect, deploy, upgrade,
};
use paigham_subnet::{
    CanisterRange, CanisterStatus, Config, MemoryJournal, RootKey, Subnet, SystemClock, Topology,
};
use paigham_wire::network::{CanisterRole, VerifiedNetwork};

/// A subnet below a root key that somebody else runs, and an administrator of it.
struct Elsewhere {
    subnet: Arc<Subnet>,
    url: String,
    keys: tempfile::TempDir,
}

impl Elsewhere {
    async fn runs() -> Self {
        let topology = Topology::Delegated {
            root: RootKey::from_seed(&[3; 32]),
            range: CanisterRange::of_subnet(5),
        };
        let subnet = Subnet::open_with_as(
            Box::new(MemoryJournal::default()),
            Arc::new(SystemClock),
            [4; 32],
            &Config::default().topology(topology),
        );
        let subnet = Arc::new(subnet.unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = subnet.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let keys = tempfile::tempdir().unwrap();
        for seed in [1, 2] {
            std::fs::write(keys.path().join(format!("{seed}.pem")), pem([seed; 32])).unwrap();
        }
        Self { subnet, url, keys }
    }

    /// The agent of one of the two people with keys.
    async fn agent(&self, seed: u8) -> Agent {
        let path = self.keys.path().join(format!("{seed}.pem"));
        let trust = Trust::RootKey(self.subnet.root_key_der());
        connect(&self.url, &path, trust).await.unwrap()
    }

    fn plan(&self, controllers: Vec<Principal>) -> Deployment {
        Deployment {
            url: self.url.clone(),
            name: "a country".into(),
            place: Place::Subnet(self.subnet.subnet_id()),
            relays: 2,
            controllers,
            admins: None,
            development: false,
            auditors: None,
        }
    }

    async fn canisters(&self) -> Vec<CanisterStatus> {
        self.subnet.status().await.unwrap().canisters
    }
}

/// An Ed25519 key as `openssl genpkey` writes it (RFC 8410).
fn pem(seed: [u8; 32]) -> String {
    let prefix = hex::decode("302e020100300506032b657004220420").unwrap();
    let der = [prefix, seed.to_vec()].concat();
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

fn principal(seed: u8) -> Principal {
    let identity = ic_agent::identity::BasicIdentity::from_raw_key(&[seed; 32]);
    identity.sender().unwrap()
}

fn published(data: &Path) -> VerifiedNetwork {
    VerifiedNetwork::pinned(&std::fs::read(data.join("network.cbor")).unwrap()).unwrap()
}

/// A module that does the same under another hash: with an empty custom section at its end.
fn older(module: &[u8]) -> Vec<u8> {
    [module, &[0, 2, 1, b'x']].concat()
}

/// An administrator of a subnet deploys one directory and two relays. They run the embedded modules
/// under the controllers that the signed file names, and the file leads to the subnet's root key.
/// Done again, it is refused and changes nothing.
#[tokio::test]
async fn canisters_are_deployed_over_http() {
    let (there, data) = (Elsewhere::runs().await, tempfile::tempdir().unwrap());
    let (agent, controllers) = (there.agent(1).await, vec![principal(1), principal(2)]);
    let plan = there.plan(controllers.clone());
    // The subnet's administrator has not let them in yet.
    let early = deploy(data.path(), &agent, &plan).await;
    assert!(matches!(early, Err(DeployError::Agent { .. })), "{early:?}");
    assert!(there.subnet.set_creators(vec![principal(1)]).await.unwrap());

    let file = deploy(data.path(), &agent, &plan).await.unwrap();
    assert_eq!(published(data.path()), file);
    assert_eq!(file.file().root_key.to_vec(), there.subnet.root_key_der());
    assert_eq!(file.file().urls, std::slice::from_ref(&there.url));
    assert!(!file.file().development);
    let canisters = there.canisters().await;
    let modules = [DIRECTORY, RELAY, RELAY].map(|module| hex::encode(module_hash(module)));
    let roles = [
        CanisterRole::Directory,
        CanisterRole::Relay,
        CanisterRole::Relay,
    ];
    assert_eq!(canisters.len(), 3);
    for (((there, named), module), role) in canisters
        .iter()
        .zip(&file.file().canisters)
        .zip(modules)
        .zip(roles)
    {
        assert_eq!(there.module_hash, module);
        assert_eq!(named.role, role);
        assert_eq!(Principal::from_slice(&named.id).to_text(), there.id);
        let mut theirs = there.controllers.clone();
        let mut ours: Vec<_> = controllers.iter().map(Principal::to_text).collect();
        theirs.sort();
        ours.sort();
        assert_eq!(theirs, ours);
    }
    let again = deploy(data.path(), &agent, &plan).await;
    let layout = matches!(again, Err(DeployError::Network(NetworkUpError::Layout(_))));
    assert!(layout, "{again:?}");
    assert_eq!(there.canisters().await.len(), 3);
}

/// A deployment dies after any canister was created, wherever it has come to by then: begun again
/// it ends with a network of those canisters, and creates nothing twice that is on record.
#[tokio::test]
async fn an_interrupted_deployment_goes_on() {
    for kept in 1..=3 {
        let (there, data) = (Elsewhere::runs().await, tempfile::tempdir().unwrap());
        there.subnet.set_creators(vec![principal(1)]).await.unwrap();
        let agent = there.agent(1).await;
        let plan = there.plan(vec![principal(1)]);
        let record = data.path().join("canisters");
        let created = || std::fs::read_to_string(&record).unwrap_or_default();
        {
            let mut first = Box::pin(deploy(data.path(), &agent, &plan));
            while created().lines().count() < kept {
                let step = Duration::from_millis(1);
                let over = tokio::time::timeout(step, &mut first).await;
                assert!(
                    over.is_err(),
                    "it was over before it was interrupted: {over:?}"
                );
            }
        }
        let on_record: Vec<_> = created().lines().map(str::to_owned).collect();
        let file = deploy(data.path(), &agent, &plan).await.unwrap();
        assert_eq!(published(data.path()), file);
        // One may have been on its way, and is on nobody's record.
        assert!((3..=4).contains(&there.canisters().await.len()));
        let named = file.file().canisters.iter();
        let named: Vec<_> = named
            .map(|entry| Principal::from_slice(&entry.id).to_text())
            .collect();
        assert_eq!(named.len(), 3);
        assert_eq!(named[..on_record.len()], on_record[..]);
    }
}

/// Other code is announced before it comes: an upgrade that clients do not know of is refused, then
/// the file names both modules, then the code changes, then the file names the new one alone. Each
/// file follows the one before. Somebody who is no controller changes nothing.
#[tokio::test]
async fn an_upgrade_is_announced_first() {
    let (there, data) = (Elsewhere::runs().await, tempfile::tempdir().unwrap());
    there.subnet.set_creators(vec![principal(1)]).await.unwrap();
    let agent = there.agent(1).await;
    let plan = there.plan(vec![principal(1)]);
    let deployed = deploy(data.path(), &agent, &plan).await.unwrap();
    // As an older program would have left it.
    let relay = Principal::from_slice(&deployed.file().canisters[2].id);
    let old = older(RELAY);
    there.subnet.upgrade(relay, &old, Vec::new()).await.unwrap();
    let key = std::fs::read(data.path().join("release.key")).unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(key.as_slice().try_into().unwrap());
    let mut file = deployed.file().clone();
    file.canisters[2].module_hashes = vec![module_hash(&old).into()];
    let before = file.sign(&[&key]).unwrap();
    std::fs::write(data.path().join("network.cbor"), &before).unwrap();
    let before = VerifiedNetwork::pinned(&before).unwrap();

    let unannounced = upgrade(data.path(), &agent).await;
    assert!(
        matches!(unannounced, Err(DeployError::NotAnnounced("relay"))),
        "{unannounced:?}"
    );
    let both = announce(data.path(), &agent).await.unwrap();
    let now = both.file().issued_at;
    before.successor(both.bytes(), now).unwrap();
    assert_eq!(both.file().canisters[2].module_hashes.len(), 2);
    assert_eq!(
        announce(data.path(), &agent).await.unwrap(),
        both,
        "once is enough"
    );

    let stranger = upgrade(data.path(), &there.agent(2).await).await;
    assert!(
        matches!(stranger, Err(DeployError::Agent { .. })),
        "{stranger:?}"
    );
    assert_eq!(
        there.canisters().await[2].module_hash,
        hex::encode(module_hash(&old))
    );

    let after = upgrade(data.path(), &agent).await.unwrap();
    both.successor(after.bytes(), now).unwrap();
    assert_eq!(after.file().canisters, deployed.file().canisters);
    assert_eq!(
        there.canisters().await[2].module_hash,
        hex::encode(module_hash(RELAY))
    );
    assert_eq!(upgrade(data.path(), &agent).await.unwrap(), after);
}

/// What is no key, and an endpoint under another root than the one that was given.
#[tokio::test]
async fn strange_keys_and_endpoints_are_refused() {
    let there = Elsewhere::runs().await;
    let path = there.keys.path().join("none.pem");
    std::fs::write(&path, "no key").unwrap();
    let refused = connect(&there.url, &path, Trust::InternetComputer).await;
    assert!(
        matches!(refused, Err(DeployError::Identity(_))),
        "{refused:?}"
    );

    there.subnet.set_creators(vec![principal(1)]).await.unwrap();
    let path = there.keys.path().join("1.pem");
    let agent = connect(&there.url, &path, Trust::InternetComputer).await;
    let data = tempfile::tempdir().unwrap();
    let refused = deploy(data.path(), &agent.unwrap(), &there.plan(Vec::new())).await;
    assert!(
        matches!(refused, Err(DeployError::Agent { .. })),
        "{refused:?}"
    );
    assert!(!data.path().join("network.cbor").exists());
}
