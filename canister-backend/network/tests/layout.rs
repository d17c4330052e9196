//! Networks of several subnets and relays, and networks that get other keys.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use candid::Principal;
use ic_agent::Agent;
use paigham_network::{Layout, Network, NetworkTopology, NetworkUpError, Rekey, rekey};
use paigham_subnet::{OpenError, Subnet};
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::log::{Status, Submission, SubmitState};
use paigham_wire::network::{CanisterRole, NetworkError, VerifiedNetwork};
use serde_bytes::{ByteBuf, Bytes};

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

fn delegated(subnets: u16, relays: u16) -> Layout {
    Layout {
        topology: Some(NetworkTopology::Delegated),
        subnets: Some(subnets),
        relays: Some(relays),
        replicas: 1,
        auditors: None,
    }
}

/// Starts a network, takes its file and stops it again.
async fn up_once(data: &Path, layout: &Layout) -> VerifiedNetwork {
    let network = Network::up_as(data, address(), layout).await.unwrap();
    let file = network.file().clone();
    network.shutdown();
    file
}

fn ids(file: &VerifiedNetwork, role: CanisterRole) -> Vec<Vec<u8>> {
    let canisters = file.file().canisters.iter();
    canisters
        .filter(|entry| entry.role == role)
        .map(|entry| entry.id.to_vec())
        .collect()
}

fn follows(old: &VerifiedNetwork, new: &VerifiedNetwork) -> Result<(), NetworkError> {
    let now = new.file().issued_at;
    old.successor(new.bytes(), now).map(drop)
}

/// Two subnets of two relays each: one directory on the first subnet, four relays, each in its
/// subnet's range and all in the file. The next start, told nothing, changes nothing; a third relay
/// and a third subnet come later behind those that clients know; nothing can be taken out.
#[tokio::test]
async fn subnets_and_relays_are_laid_out() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up_as(data.path(), address(), &delegated(2, 2))
        .await
        .unwrap();
    let file = network.file().clone();
    assert_eq!(ids(&file, CanisterRole::Directory).len(), 1);
    let relays = ids(&file, CanisterRole::Relay);
    assert_eq!(relays.len(), 4);
    let holders: Vec<_> = relays
        .iter()
        .map(|id| {
            let id = Principal::from_slice(id);
            let holds = |subnet: &Subnet| subnet.range().contains(&id);
            network.subnets().position(holds).unwrap()
        })
        .collect();
    assert_eq!(holders, [0, 0, 1, 1]);
    for subnet in network.subnets() {
        assert_eq!(subnet.root_key_der(), file.file().root_key.to_vec());
    }
    network.shutdown();
    drop(network);
    let key = std::fs::metadata(data.path().join("root.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    assert_eq!(up_once(data.path(), &Layout::default()).await, file);
    let larger = up_once(data.path(), &delegated(3, 3)).await;
    follows(&file, &larger).unwrap();
    let more = ids(&larger, CanisterRole::Relay);
    assert_eq!(more.len(), 9);
    assert_eq!(more[0], relays[0], "where new queues are made");
    assert!(relays.iter().all(|relay| more.contains(relay)));
    for layout in [
        delegated(2, 3),
        delegated(3, 2),
        Layout {
            topology: Some(NetworkTopology::SelfRoot),
            ..Layout::default()
        },
    ] {
        let refused = Network::up_as(data.path(), address(), &layout)
            .await
            .unwrap_err();
        assert!(matches!(refused, NetworkUpError::Layout(_)), "{refused}");
    }
    assert_eq!(up_once(data.path(), &Layout::default()).await, larger);
}

/// The first start of a larger network dies before it published; told the same again, the next one
/// installs what is missing and nothing twice.
#[tokio::test]
async fn a_large_start_is_taken_up() {
    let data = tempfile::tempdir().unwrap();
    let complete = up_once(data.path(), &delegated(2, 2)).await;
    std::fs::remove_file(data.path().join("network.cbor")).unwrap();
    let again = up_once(data.path(), &delegated(2, 2)).await;
    assert_eq!(again.file().canisters, complete.file().canisters);
}

/// The root key is replaced in both topologies. The file that follows is signed by the release key,
/// names the same canisters and the new key; what is signed by another key is not followed.
#[tokio::test]
async fn another_root_key_comes_with_a_signed_file() {
    for layout in [Layout::default(), delegated(2, 1)] {
        let data = tempfile::tempdir().unwrap();
        let old = up_once(data.path(), &layout).await;
        let new = rekey(data.path(), Rekey::Root).unwrap();
        follows(&old, &new).unwrap();
        assert_ne!(old.file().root_key, new.file().root_key);
        assert_eq!(old.file().canisters, new.file().canisters);
        assert_eq!(up_once(data.path(), &Layout::default()).await, new);

        let thief = ed25519_dalek::SigningKey::from_bytes(&[6; 32]);
        let mut forged = new.file().clone();
        forged.sequence += 1;
        let unsigned = forged.sign(&[]).unwrap();
        let refused = new.successor(&unsigned, forged.issued_at);
        assert_eq!(refused, Err(NetworkError::Signatures));
        forged.release.keys = vec![thief.verifying_key().to_bytes().into()];
        let stolen = forged.sign(&[&thief]).unwrap();
        let refused = new.successor(&stolen, forged.issued_at);
        assert_eq!(refused, Err(NetworkError::NotASuccessor));
    }
}

/// Somebody changes the root key twice without a start in between: the log, which skips no number,
/// would never take the second file. The second change is refused and leaves everything as it is;
/// after a start, which hands the first file to the log, it is done, and the log follows.
#[tokio::test]
async fn one_root_key_at_a_time() {
    let data = tempfile::tempdir().unwrap();
    let begun = up_once(data.path(), &Layout::default()).await;
    let first = rekey(data.path(), Rekey::Root).unwrap();
    let refused = rekey(data.path(), Rekey::Root).unwrap_err();
    assert!(matches!(refused, NetworkUpError::NotLogged), "{refused}");
    assert_eq!(up_once(data.path(), &Layout::default()).await, first);
    let second = rekey(data.path(), Rekey::Root).unwrap();
    assert_eq!(second.file().sequence, first.file().sequence + 1);
    let network = Network::up(data.path(), address()).await.unwrap();
    for (file, version) in [(&first, 1), (&second, 2)] {
        assert_eq!(
            file.file().sequence,
            begun.file().sequence + u64::from(version)
        );
        let state = log_state(&network, file, version).await;
        assert!(matches!(state, Ok(SubmitState { .. })), "{state:?}");
    }
    network.shutdown();
}

/// How far the log is with a file.
async fn log_state(
    network: &Network,
    file: &VerifiedNetwork,
    version: u32,
) -> Result<SubmitState, DirectoryError> {
    let agent = Agent::builder()
        .with_url("http://subnet.invalid")
        .with_arc_http_middleware(network.subnet().in_process())
        .build()
        .unwrap();
    agent.set_root_key(network.subnet().root_key_der());
    let status = Status {
        label: file.log_label()[..].into(),
        version,
        value_hash: Submission::Network(file.bytes().to_vec().into()).value_hash(),
    };
    let directory = Principal::from_slice(network.directory().as_slice());
    let argument = candid::encode_one(Bytes::new(&encode(&status))).unwrap();
    let asked = agent.query(&directory, "status").with_arg(argument).call();
    let answer: ByteBuf = candid::decode_one(&asked.await.unwrap()).unwrap();
    decode_result(&answer).unwrap()
}

/// The process that replaces the root key dies in between. Before the file is published, the old key
/// stays; from then on the next start puts the new one in its place. What clients are given and what
/// the subnet signs with belong together every time.
#[tokio::test]
async fn a_rekey_that_dies_is_finished_or_forgotten() {
    for (layout, key) in [
        (Layout::default(), "subnet/keys.cbor"),
        (delegated(2, 1), "root.key"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let file = |name: &str| data.path().join(name);
        let next = format!("{key}.next");
        let old = up_once(data.path(), &layout).await;
        let old_key = std::fs::read(file(key)).unwrap();
        let new = rekey(data.path(), Rekey::Root).unwrap();
        let new_key = std::fs::read(file(key)).unwrap();

        // Dead before it published.
        std::fs::write(file(key), &old_key).unwrap();
        std::fs::write(file(&next), &new_key).unwrap();
        std::fs::write(file("network.cbor"), old.bytes()).unwrap();
        assert_eq!(up_once(data.path(), &Layout::default()).await, old);
        assert!(!file(&next).exists(), "an unused key is not kept");

        // Dead after it published.
        std::fs::write(file(&next), &new_key).unwrap();
        std::fs::write(file("network.cbor"), new.bytes()).unwrap();
        assert_eq!(up_once(data.path(), &Layout::default()).await, new);
        assert_eq!(std::fs::read(file(key)).unwrap(), new_key);
        assert!(!file(&next).exists());
    }
}

/// The key of one subnet is replaced below the root: the file that clients have stays true. A subnet
/// that is its own root has no other key than that, and what is not there cannot be replaced.
#[tokio::test]
async fn a_subnets_key_changes_without_a_new_file() {
    let data = tempfile::tempdir().unwrap();
    let file = up_once(data.path(), &delegated(2, 1)).await;
    let keys = |name: &str| std::fs::read(data.path().join(name).join("keys.cbor")).unwrap();
    let (first, second) = (keys("subnet"), keys("subnet-2"));
    assert_eq!(rekey(data.path(), Rekey::Subnet(2)).unwrap(), file);
    assert_eq!(keys("subnet"), first);
    assert_ne!(keys("subnet-2"), second);
    assert_eq!(up_once(data.path(), &Layout::default()).await, file);
    for number in [0, 3] {
        let refused = rekey(data.path(), Rekey::Subnet(number)).unwrap_err();
        assert!(matches!(refused, NetworkUpError::NoSubnet(n) if n == number));
    }

    let alone = tempfile::tempdir().unwrap();
    let nothing = rekey(alone.path(), Rekey::Root).unwrap_err();
    assert!(matches!(nothing, NetworkUpError::NoNetwork), "{nothing}");
    up_once(alone.path(), &Layout::default()).await;
    let refused = rekey(alone.path(), Rekey::Subnet(1)).unwrap_err();
    assert!(matches!(refused, NetworkUpError::Layout(_)), "{refused}");
}

/// Nobody replaces the keys of a network that runs.
#[tokio::test]
async fn a_running_network_keeps_its_keys() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), address()).await.unwrap();
    let refused = rekey(data.path(), Rekey::Root).unwrap_err();
    assert!(
        matches!(refused, NetworkUpError::Subnet(OpenError::InUse)),
        "{refused}"
    );
    network.shutdown();
}
