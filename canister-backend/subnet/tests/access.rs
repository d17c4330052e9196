//! Who may send what: delegations, request statuses, and what the subnet tells anybody.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use axum::body::Body;
use candid::Principal;
use common::{agent, expected, get, in_memory, module, post, since_1970};
use ed25519_dalek::{Signer, SigningKey};
use ic_transport_types::{
    Delegation, DelegationPermissions, Envelope, EnvelopeContent, RequestId, SignedDelegation,
};
use paigham_subnet::SubnetStatus;
use tower::ServiceExt;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The DER form of an Ed25519 public key (RFC 8410).
fn der(key: &SigningKey) -> Vec<u8> {
    let prefix = hex::decode("302a300506032b6570032100").unwrap();
    [prefix, key.verifying_key().to_bytes().to_vec()].concat()
}

fn in_seconds(seconds: i64) -> u64 {
    let now = i64::try_from(since_1970().as_nanos()).unwrap();
    u64::try_from(now + seconds * 1_000_000_000).unwrap()
}

fn delegate(
    from: &SigningKey,
    to: &SigningKey,
    targets: Option<Vec<Principal>>,
) -> SignedDelegation {
    let delegation = Delegation {
        pubkey: der(to),
        expiration: in_seconds(60),
        targets,
        permissions: None,
    };
    resign(from, delegation)
}

fn resign(from: &SigningKey, delegation: Delegation) -> SignedDelegation {
    let signature = from.sign(&delegation.signable()).to_bytes().to_vec();
    SignedDelegation {
        delegation,
        signature,
    }
}

/// An envelope of `owner`, signed by `signer` at the end of a chain.
fn envelope(
    content: EnvelopeContent,
    owner: &SigningKey,
    chain: Vec<SignedDelegation>,
    signer: &SigningKey,
) -> Vec<u8> {
    let signature = signer.sign(&content.to_request_id().signable());
    Envelope {
        content: std::borrow::Cow::Owned(content),
        sender_pubkey: Some(der(owner)),
        sender_sig: Some(signature.to_bytes().to_vec()),
        sender_delegation: Some(chain),
    }
    .encode_bytes()
}

fn put_call(canister: Principal, owner: &SigningKey, nonce: u8) -> EnvelopeContent {
    EnvelopeContent::Call {
        nonce: Some(vec![nonce]),
        ingress_expiry: in_seconds(60),
        sender: Principal::self_authenticating(der(owner)),
        canister_id: canister,
        method_name: "put".into(),
        arg: b"chain".to_vec(),
        sender_info: None,
    }
}

/// An owner lets a first device act, which lets a second one act for this canister only: its calls
/// count as the owner's. Each chain that is broken, expired, too narrow or too long is refused, and
/// nothing of it counts.
#[tokio::test]
async fn delegation_chains_are_followed() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let other = Principal::from_text("rrkah-fqaaa-aaaaa-aaaaq-cai").unwrap();
    let (owner, first, second) = (key(1), key(2), key(3));
    let path = format!("/api/v4/canister/{canister}/call");
    let good = vec![
        delegate(&owner, &first, None),
        delegate(&first, &second, Some(vec![other, canister])),
    ];
    let body = envelope(put_call(canister, &owner, 0), &owner, good.clone(), &second);
    let (status, text) = post(&subnet, &path, body).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&text));
    assert_eq!(get(&agent(&subnet), &canister).await, expected(1, b"chain"));

    let changed = |change: fn(&mut Delegation)| {
        let mut delegation = good[1].delegation.clone();
        change(&mut delegation);
        vec![good[0].clone(), resign(&first, delegation)]
    };
    let mut unsigned = good.clone();
    unsigned[1].delegation.targets = None;
    let bad = [
        ("another signer", good.clone(), &first),
        ("no chain", Vec::new(), &second),
        ("a gap", vec![good[1].clone()], &second),
        ("swapped", vec![good[1].clone(), good[0].clone()], &second),
        ("changed after signing", unsigned, &second),
        (
            "expired",
            changed(|it| it.expiration = in_seconds(-1)),
            &second,
        ),
        (
            "no target",
            changed(|it| it.targets = Some(Vec::new())),
            &second,
        ),
        (
            "other targets",
            changed(|it| it.targets = Some(vec![Principal::management_canister()])),
            &second,
        ),
        (
            "for queries only",
            changed(|it| it.permissions = Some(DelegationPermissions::Queries)),
            &second,
        ),
        (
            "too long",
            (0..21).map(|_| delegate(&owner, &owner, None)).collect(),
            &owner,
        ),
    ];
    for (nonce, (what, chain, signer)) in (1..).zip(bad) {
        let body = envelope(put_call(canister, &owner, nonce), &owner, chain, signer);
        assert_eq!(post(&subnet, &path, body).await.0, 400, "{what}");
    }
    assert_eq!(get(&agent(&subnet), &canister).await, expected(1, b"chain"));
}

fn status_of(id: RequestId, owner: &SigningKey) -> EnvelopeContent {
    let label = |bytes: &[u8]| ic_certification::Label::from_bytes(bytes);
    EnvelopeContent::ReadState {
        ingress_expiry: in_seconds(60),
        sender: Principal::self_authenticating(der(owner)),
        paths: vec![vec![label(b"request_status"), label(id.as_slice())]],
    }
}

/// A device may act for one canister. It reads what became of the owner's call there, but not of
/// the call to another canister, whatever address it asks at.
#[tokio::test]
async fn a_delegation_for_one_canister_reads_no_status_of_another() {
    let subnet = in_memory();
    let open = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let closed = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let (owner, device) = (key(1), key(2));
    let mut ids = Vec::new();
    for canister in [open, closed] {
        let call = put_call(canister, &owner, 0);
        ids.push(call.to_request_id());
        let body = envelope(call, &owner, Vec::new(), &owner);
        let path = format!("/api/v4/canister/{canister}/call");
        assert_eq!(post(&subnet, &path, body).await.0, 200);
    }
    let chain = vec![delegate(&owner, &device, Some(vec![open]))];
    let subnet_id = subnet.subnet_id();
    for (address, id, allowed) in [
        (format!("canister/{open}"), ids[0], true),
        (format!("canister/{open}"), ids[1], false),
        (format!("canister/{closed}"), ids[1], false),
        (format!("subnet/{subnet_id}"), ids[1], false),
    ] {
        let body = envelope(status_of(id, &owner), &owner, chain.clone(), &device);
        let (status, _) = post(&subnet, &format!("/api/v3/{address}/read_state"), body).await;
        assert_eq!(status == 200, allowed, "{address}: {status}");
    }
}

async fn fetch(subnet: &paigham_subnet::Subnet, path: &str) -> (u16, Vec<u8>) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let response = subnet.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, body.to_vec())
}

/// Anybody may ask for the root key and the health of the subnet in the form that agents know, and
/// for its figures in JSON; paths that are not served are not found.
#[tokio::test]
async fn the_subnet_tells_its_status() {
    let subnet = in_memory();
    let controller = Principal::self_authenticating([7; 44]);
    let canister = subnet
        .install(&module(), Vec::new(), &[controller])
        .await
        .unwrap();
    let agent = agent(&subnet);
    common::put(&agent, &canister, b"count").await.unwrap();
    get(&agent, &canister).await;
    get(&agent, &canister).await;

    let told = agent.status().await.unwrap();
    assert_eq!(told.root_key, Some(subnet.root_key_der()));
    assert_eq!(told.replica_health_status.as_deref(), Some("healthy"));
    let (status, _) = fetch(&subnet, "/api/v2/status").await;
    assert_eq!(status, 200);

    let (status, body) = fetch(&subnet, "/paigham/subnet/status").await;
    assert_eq!(status, 200);
    let [figures]: [SubnetStatus; 1] = serde_json::from_slice(&body).unwrap();
    assert_eq!(figures.subnet, subnet.subnet_id().to_text());
    assert_eq!(figures.root_key, hex::encode(subnet.root_key_der()));
    assert!(in_seconds(-10) < figures.time_ns && figures.time_ns <= in_seconds(1));
    let [one] = &figures.canisters[..] else {
        panic!("{figures:?}")
    };
    assert_eq!(one.id, canister.to_text());
    assert_eq!(one.controllers, [controller.to_text()]);
    assert_eq!((one.heap_bytes, one.stable_bytes), (65_536, 65_536));
    assert_eq!(
        (one.methods["put"].calls, one.methods["put"].failed),
        (1, 0)
    );
    assert_eq!(one.methods["get"].calls, 2);
    assert!(one.methods["put"].instructions > 0);

    for path in ["/", "/api/v5/canister/x/call", "/paigham"] {
        assert_eq!(fetch(&subnet, path).await.0, 404, "{path}");
    }
    subnet.shutdown();
    let (status, _) = fetch(&subnet, "/paigham/subnet/status").await;
    assert_eq!(status, 500);
    let told = agent.status().await.unwrap();
    assert_eq!(told.replica_health_status.as_deref(), Some("stopped"));
    assert!(Duration::from_nanos(figures.time_ns) > Duration::from_secs(1_600_000_000));
}
