//! Subnets below a root key, read by an unmodified agent and by our own verification.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use candid::Principal;
use common::{SEED, agent_through, delegated, expected, get, in_memory, module, put};
use ic_agent::AgentError;
use paigham_subnet::testkit::FaultJournal;
use paigham_subnet::{
    CanisterRange, Config, InProcess, KeyFile, OpenError, RootKey, Subnet, SystemClock, Topology,
    router_of,
};
use paigham_wire::certificate::{CertificateError, VerifiedCertificate};
use paigham_wire::ids::CanisterId;

fn wire_id(canister: &Principal) -> CanisterId {
    CanisterId::new(canister.as_slice()).unwrap()
}

/// Three subnets below one root key answer at one address, each for its own canisters. An agent that
/// knows the root key alone calls and queries all of them; a key of the subnets themselves is not
/// what it verifies against.
#[tokio::test]
async fn one_listener_serves_several_subnets() {
    let subnets = [delegated(0), delegated(1), delegated(2)];
    let root = subnets[0].root_key_der();
    let agent = agent_through(InProcess::new(router_of(&subnets)), &root);
    let mut canisters = Vec::new();
    for subnet in &subnets {
        assert_eq!(subnet.root_key_der(), root);
        let first = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
        let second = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
        assert!(subnet.range().contains(&first) && subnet.range().contains(&second));
        canisters.extend([first, second]);
    }
    for (index, canister) in canisters.iter().enumerate() {
        let text = format!("text {index}");
        put(&agent, canister, text.as_bytes()).await.unwrap();
    }
    for (index, canister) in canisters.iter().enumerate() {
        let text = format!("text {index}");
        assert_eq!(get(&agent, canister).await, expected(1, text.as_bytes()));
    }
    let mut sorted = canisters.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 6);
    let ids: Vec<_> = subnets.iter().map(Subnet::subnet_id).collect();
    for (subnet, id) in subnets.iter().zip(&ids) {
        let read = agent.read_subnet_state_raw(vec![vec!["time".into()]], *id);
        read.await.unwrap();
        assert_eq!(ids.iter().filter(|other| *other == id).count(), 1);
        assert_ne!(*id, Principal::self_authenticating(subnet.root_key_der()));
    }
    // An id that is nobody's.
    let stranger = Principal::from_slice(&[0, 0, 0, 0, 0xff, 0, 0, 0, 1, 1]);
    let refused = put(&agent, &stranger, b"x").await.unwrap_err();
    assert!(refused.to_string().contains("no subnet"), "{refused}");
}

/// A subnet stops; the others behind the same listener go on.
#[tokio::test]
async fn one_subnet_down_stops_no_other() {
    let subnets = [delegated(0), delegated(1)];
    let root = subnets[0].root_key_der();
    let agent = agent_through(InProcess::new(router_of(&subnets)), &root);
    let down = subnets[0]
        .install(&module(), Vec::new(), &[])
        .await
        .unwrap();
    let up = subnets[1]
        .install(&module(), Vec::new(), &[])
        .await
        .unwrap();
    subnets[0].shutdown();
    assert!(put(&agent, &down, b"x").await.is_err());
    put(&agent, &up, b"on").await.unwrap();
    assert_eq!(get(&agent, &up).await, expected(1, b"on"));
}

/// The certificate of one subnet is shown for a canister of another, and under another root key:
/// our verification takes neither, and takes both forms of the honest one.
#[tokio::test]
async fn our_verification_holds_subnets_to_their_ranges() {
    let subnet = delegated(1);
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let elsewhere = delegated(2)
        .install(&module(), Vec::new(), &[])
        .await
        .unwrap();
    let root = subnet.root_key_der();
    for version in [2, 3] {
        let path = format!("/api/v{version}/canister/{canister}/query");
        let body = common::anonymous_query(canister, "certificate", Vec::new());
        let (_, body) = common::post(&subnet, &path, body).await;
        let response: ic_transport_types::QueryResponse = serde_cbor::from_slice(&body).unwrap();
        let ic_transport_types::QueryResponse::Replied { reply, .. } = response else {
            panic!("version {version}");
        };
        let verify = |root: &[u8], canister: &Principal| {
            VerifiedCertificate::verify(&reply.arg, root, &wire_id(canister)).map(drop)
        };
        assert_eq!(verify(&root, &canister), Ok(()));
        assert_eq!(verify(&root, &elsewhere), Err(CertificateError::OutOfRange));
        assert_eq!(
            verify(&in_memory().root_key_der(), &canister),
            Err(CertificateError::Delegation)
        );
    }
}

/// An agent is given a canister id of another subnet's range at this subnet's address.
#[tokio::test]
async fn an_agent_refuses_a_subnet_out_of_its_range() {
    let subnet = delegated(1);
    let agent = agent_through(
        // Alone behind its listener, it is asked for everything.
        InProcess::new(router_of([&subnet])),
        &subnet.root_key_der(),
    );
    let elsewhere = Principal::from_slice(&[0, 0, 0, 0, 0, 0x20, 0, 0, 1, 1]);
    assert!(CanisterRange::of_subnet(2).contains(&elsewhere));
    assert!(put(&agent, &elsewhere, b"x").await.is_err());
}

fn open(folder: &std::path::Path, root: &RootKey) -> Subnet {
    let topology = Topology::Delegated {
        root: root.clone(),
        range: CanisterRange::of_subnet(1),
    };
    Subnet::open_as(folder, &Config::default().topology(topology)).unwrap()
}

/// A subnet below a root key gets another key, as after a break-in: it is the same subnet with the
/// same state, clients that know the root key notice nothing, and what the old key signs from then
/// on is worth nothing once its delegation is too old.
#[tokio::test]
async fn a_subnets_key_is_replaced_below_the_root() {
    let (folder, root) = (tempfile::tempdir().unwrap(), RootKey::from_seed(&SEED));
    let subnet = open(folder.path(), &root);
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let id = subnet.subnet_id();
    put(&common::agent(&subnet), &canister, b"before")
        .await
        .unwrap();
    subnet.shutdown();
    drop(subnet);

    let path = folder.path().join(KeyFile::NAME);
    let old = KeyFile::read(&path).unwrap();
    let new = old.with_new_subnet_key().unwrap();
    assert_ne!(old.subnet_key_der().unwrap(), new.subnet_key_der().unwrap());
    std::fs::write(&path, new.to_bytes()).unwrap();

    let subnet = open(folder.path(), &root);
    assert_eq!(subnet.subnet_id(), id);
    let agent = agent_through(subnet.in_process(), &root.der());
    assert_eq!(get(&agent, &canister).await, expected(1, b"before"));
    put(&agent, &canister, b"after").await.unwrap();
    subnet.shutdown();
    drop(subnet);

    // Such keys are for a subnet below a root only: agents take the root's id from its key.
    let alone = Subnet::open(folder.path()).unwrap_err();
    assert!(matches!(alone, OpenError::State(_)), "{alone}");
}

/// The root key is replaced: the old one verifies nothing any more, the new one does.
#[tokio::test]
async fn another_root_key_is_another_trust() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (RootKey::from_seed(&SEED), RootKey::from_seed(&[8; 32]));
    let subnet = open(folder.path(), &old);
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    subnet.shutdown();
    drop(subnet);
    let subnet = open(folder.path(), &new);
    let stale = agent_through(subnet.in_process(), &old.der());
    let refused = put(&stale, &canister, b"x").await.unwrap_err();
    assert!(
        matches!(refused, AgentError::CertificateVerificationFailed()),
        "{refused}"
    );
    let agent = agent_through(subnet.in_process(), &new.der());
    put(&agent, &canister, b"y").await.unwrap();
}

/// A checkpoint with canisters of another range, as when two data folders were mixed up.
#[tokio::test]
async fn a_state_of_another_range_is_refused() {
    let journal = FaultJournal::default();
    let open = |index| {
        let topology = Topology::Delegated {
            root: RootKey::from_seed(&SEED),
            range: CanisterRange::of_subnet(index),
        };
        Subnet::open_with_as(
            Box::new(journal.clone()),
            Arc::new(SystemClock),
            [1; 32],
            &Config::default().topology(topology),
        )
    };
    let subnet = open(0).unwrap();
    subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    subnet.shutdown();
    let mixed_up = open(1).unwrap_err();
    assert!(matches!(mixed_up, OpenError::State(_)), "{mixed_up}");
    open(0).unwrap().shutdown();
}
