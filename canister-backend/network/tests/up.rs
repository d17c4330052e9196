//! A network is started, killed, restarted and moved; what clients have pinned must stay true.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use candid::Principal;
use ed25519_dalek::SigningKey;
use http::Request;
use http_body_util::BodyExt;
use paigham_modules::{DIRECTORY, RELAY, module_hash};
use paigham_network::{Network, NetworkUpError};
use paigham_subnet::{MemoryJournal, Subnet, SystemClock};
use paigham_wire::admin::InitArgument;
use paigham_wire::codec::encode;
use paigham_wire::directory::DirectoryArgument;
use paigham_wire::network::{NETWORK_PATH, VerifiedNetwork};
use serde_bytes::ByteBuf;
use tower::ServiceExt;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Starts the network of a folder and stops it again: its file, and the hashes of what runs.
async fn up_once(data: &Path, port: u16) -> (Vec<u8>, Vec<String>) {
    let network = Network::up(data, address(port)).await.unwrap();
    let status = network.subnet().status().await.unwrap();
    let hashes = status
        .canisters
        .into_iter()
        .map(|canister| canister.module_hash)
        .collect();
    let bytes = network.file_bytes().to_vec();
    network.shutdown();
    (bytes, hashes)
}

fn embedded() -> Vec<String> {
    [DIRECTORY, RELAY]
        .map(|module| hex::encode(module_hash(module)))
        .to_vec()
}

/// A module that does the same under another hash: with an empty custom section at its end.
fn older(module: &[u8]) -> Vec<u8> {
    [module, &[0, 2, 1, b'x']].concat()
}

fn pinned(bytes: &[u8]) -> VerifiedNetwork {
    VerifiedNetwork::pinned(bytes).unwrap()
}

fn now_seconds(network: &VerifiedNetwork) -> u64 {
    network.file().issued_at
}

/// The second start changes nothing: the same file, the same two canisters, and keys that only
/// their owner reads.
#[tokio::test]
async fn a_second_start_publishes_the_same_file() {
    let data = tempfile::tempdir().unwrap();
    let first = up_once(data.path(), 1).await;
    let second = up_once(data.path(), 1).await;
    assert_eq!(first, second);
    assert_eq!(first.1, embedded());
    assert_eq!(
        std::fs::read(data.path().join("network.cbor")).unwrap(),
        first.0
    );
    let key = std::fs::metadata(data.path().join("release.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let file = pinned(&first.0);
    assert!(file.file().development);
    assert_eq!(
        file.file().expires_at - file.file().issued_at,
        365 * 24 * 60 * 60
    );
    assert_eq!(file.file().proof_types, [2]);
    assert!(file.file().transparency.is_some());
}

/// The first start dies after it installed no canister, one or both, and before it published:
/// the next one installs what is missing and nothing twice.
#[tokio::test]
async fn a_start_killed_before_publishing_is_taken_up() {
    for installed in 0..=2 {
        let data = tempfile::tempdir().unwrap();
        let subnet = Subnet::open(&data.path().join("subnet")).unwrap();
        let mut ids = Vec::new();
        let seed = [5; 32];
        std::fs::write(data.path().join("release.key"), seed).unwrap();
        let argument = encode(&DirectoryArgument {
            common: InitArgument::default(),
            release_key: Some(SigningKey::from_bytes(&seed).verifying_key().to_bytes()),
        });
        let argument = candid::encode_one(Some(ByteBuf::from(argument))).unwrap();
        let parts = [(DIRECTORY, argument), (RELAY, Vec::new())];
        for (module, argument) in parts.into_iter().take(installed) {
            ids.push(subnet.install(module, argument, &[]).await.unwrap());
        }
        subnet.shutdown();
        drop(subnet);
        // The dead process also left half a file behind.
        std::fs::write(data.path().join("network.cbor.new"), b"half").unwrap();
        let (bytes, hashes) = up_once(data.path(), 1).await;
        assert_eq!(hashes, embedded(), "{installed} installed before");
        let named = pinned(&bytes).file().canisters.clone();
        for (id, canister) in ids.iter().zip(named) {
            assert_eq!(id.as_slice(), canister.id.as_slice());
        }
    }
}

/// The first start dies after the log began with its file and before it published that: the next
/// one publishes the file in the log, or one that follows it.
#[tokio::test]
async fn a_start_killed_after_logging_is_taken_up() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("network.cbor");
    let logged = up_once(data.path(), 1).await.0;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(up_once(data.path(), 1).await.0, logged);
    std::fs::remove_file(&file).unwrap();
    let moved = up_once(data.path(), 2).await.0;
    let logged = pinned(&logged);
    assert!(logged.successor(&moved, now_seconds(&logged)).is_ok());
}

/// The network moves to another port: clients that pinned the old file accept the new one, and
/// clients that pinned the new one do not go back.
#[tokio::test]
async fn a_changed_port_gives_a_successor() {
    let data = tempfile::tempdir().unwrap();
    let old = pinned(&up_once(data.path(), 1).await.0);
    let bytes = up_once(data.path(), 2).await.0;
    let new = old.successor(&bytes, now_seconds(&old)).unwrap();
    assert_eq!(new.file().sequence, old.file().sequence + 1);
    assert_eq!(new.file().urls, ["http://127.0.0.1:2"]);
    assert!(new.successor(old.bytes(), now_seconds(&old)).is_err());
}

/// The program was replaced by one that embeds another relay: the canister is upgraded in place,
/// and clients get a successor that allows the new module only.
#[tokio::test]
async fn other_modules_are_replaced() {
    let data = tempfile::tempdir().unwrap();
    let current = pinned(&up_once(data.path(), 1).await.0);
    let (relay, before) = (older(RELAY), current.relay().unwrap());
    // The folder as the older program would have left it.
    let subnet = Subnet::open(&data.path().join("subnet")).unwrap();
    let id = Principal::try_from_slice(before.as_slice()).unwrap();
    subnet.upgrade(id, &relay, Vec::new()).await.unwrap();
    subnet.shutdown();
    drop(subnet);
    let key = std::fs::read(data.path().join("release.key")).unwrap();
    let key = SigningKey::from_bytes(key.as_slice().try_into().unwrap());
    let mut file = current.file().clone();
    file.canisters[1].module_hashes = vec![module_hash(&relay).into()];
    let old = pinned(&file.sign(&[&key]).unwrap());
    std::fs::write(data.path().join("network.cbor"), old.bytes()).unwrap();

    let (bytes, hashes) = up_once(data.path(), 1).await;
    assert_eq!(hashes, embedded());
    let new = old.successor(&bytes, now_seconds(&old)).unwrap();
    assert_eq!(new.relay().unwrap(), before);
    assert_eq!(new.file().canisters, current.file().canisters);
}

/// Files that do not belong together: the network refuses to start rather than publish a file
/// that no client would follow.
#[tokio::test]
async fn a_mixed_up_folder_is_refused() {
    let data = tempfile::tempdir().unwrap();
    up_once(data.path(), 1).await;
    let path = data.path().join("network.cbor");
    let own = std::fs::read(&path).unwrap();

    let other = tempfile::tempdir().unwrap();
    std::fs::write(&path, up_once(other.path(), 1).await.0).unwrap();
    let refused = Network::up(data.path(), address(1)).await.unwrap_err();
    assert!(matches!(refused, NetworkUpError::OtherSubnet), "{refused}");

    std::fs::write(&path, &own[1..]).unwrap();
    let refused = Network::up(data.path(), address(1)).await.unwrap_err();
    assert!(matches!(refused, NetworkUpError::File(_)), "{refused}");

    std::fs::write(&path, &own).unwrap();
    std::fs::write(data.path().join("release.key"), [7; 32]).unwrap();
    let refused = Network::up(data.path(), address(1)).await.unwrap_err();
    assert!(
        matches!(refused, NetworkUpError::OtherReleaseKey),
        "{refused}"
    );

    std::fs::remove_file(data.path().join("release.key")).unwrap();
    let refused = Network::up(data.path(), address(1)).await.unwrap_err();
    assert!(
        matches!(refused, NetworkUpError::OtherReleaseKey),
        "{refused}"
    );
}

/// Two processes on one folder would fork the subnet: the second is turned away.
#[tokio::test]
async fn a_second_process_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let network = Network::up(data.path(), address(1)).await.unwrap();
    let refused = Network::up(data.path(), address(1)).await.unwrap_err();
    assert!(matches!(
        refused,
        NetworkUpError::Subnet(paigham_subnet::OpenError::InUse)
    ));
    network.shutdown();
}

/// A newcomer fetches the file that the link names, from the router that also serves the subnet.
#[tokio::test]
async fn the_file_is_served_where_the_link_says() {
    let journal = Box::new(MemoryJournal::default());
    let network = Network::in_memory(Arc::new(SystemClock), journal, [3; 32])
        .await
        .unwrap();
    let link = network.link("http://127.0.0.1:9/");
    assert_eq!(link.at, format!("http://127.0.0.1:9{NETWORK_PATH}"));
    let request = Request::get(NETWORK_PATH)
        .body(axum::body::Body::empty())
        .unwrap();
    let response = network.router().oneshot(request).await.unwrap();
    let served = response.into_body().collect().await.unwrap().to_bytes();
    assert!(link.matches(&served));
    assert_eq!(served, network.file_bytes());
    let request = Request::get("/api/v2/status")
        .body(axum::body::Body::empty())
        .unwrap();
    assert!(
        network
            .router()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .is_success()
    );
    network.shutdown();
}

/// A test restarts its subnet on the same disk: with the earlier file nothing changes.
#[tokio::test]
async fn a_network_without_files_can_go_on() {
    let (folder, seed) = (tempfile::tempdir().unwrap(), [4; 32]);
    let urls = vec!["http://subnet.invalid".to_owned()];
    let subnet = Subnet::open(folder.path()).unwrap();
    let network = Network::on(subnet, urls.clone(), seed).await.unwrap();
    let file = network.file_bytes().to_vec();
    network.shutdown();
    drop(network);
    let subnet = Subnet::open(folder.path()).unwrap();
    let network = Network::again_on(subnet, urls, seed, &file).await.unwrap();
    assert_eq!(network.file_bytes(), file);
    assert_eq!(network.subnet().status().await.unwrap().canisters.len(), 2);
    network.shutdown();
}
