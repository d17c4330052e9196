//! What the tests share: a canister, an agent, and requests made by hand.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use candid::Principal;
use ed25519_dalek::{Signer, SigningKey};
use ic_agent::identity::BasicIdentity;
use ic_agent::{Agent, AgentError, Identity};
use ic_transport_types::{Envelope, EnvelopeContent};
use paigham_subnet::{
    CanisterRange, Config, InProcess, MemoryJournal, RootKey, Subnet, SystemClock, Topology,
};
use tower::ServiceExt;

pub const WAT: &str = include_str!("../canister.wat");

pub fn module() -> Vec<u8> {
    wat::parse_str(WAT).unwrap()
}

pub fn in_memory() -> Subnet {
    Subnet::open_with(
        Box::new(MemoryJournal::default()),
        Arc::new(SystemClock),
        [1; 32],
    )
    .unwrap()
}

/// Of the root key above delegated subnets.
pub const SEED: [u8; 32] = [7; 32];

/// The subnet with this index below a root key.
pub fn delegated(index: u8) -> Subnet {
    let topology = Topology::Delegated {
        root: RootKey::from_seed(&SEED),
        range: CanisterRange::of_subnet(index.into()),
    };
    Subnet::open_with_as(
        Box::new(MemoryJournal::default()),
        Arc::new(SystemClock),
        [100 + index; 32],
        &Config::default().topology(topology),
    )
    .unwrap()
}

pub fn agent(subnet: &Subnet) -> Agent {
    agent_through(subnet.in_process(), &subnet.root_key_der())
}

pub fn agent_through(transport: Arc<InProcess>, root_key: &[u8]) -> Agent {
    let agent = Agent::builder()
        .with_url("http://subnet.invalid")
        .with_arc_http_middleware(transport)
        .build()
        .unwrap();
    agent.set_root_key(root_key.to_vec());
    agent
}

pub async fn put(agent: &Agent, canister: &Principal, bytes: &[u8]) -> Result<Vec<u8>, AgentError> {
    agent
        .update(canister, "put")
        .with_arg(bytes)
        .call_and_wait()
        .await
}

pub async fn get(agent: &Agent, canister: &Principal) -> Vec<u8> {
    agent
        .query(canister, "get")
        .with_arg(b"")
        .call()
        .await
        .unwrap()
}

/// calls (4), heap counter (4), stable (8)
pub fn expected(calls: u32, stable: &[u8]) -> Vec<u8> {
    let mut out = [calls.to_le_bytes(), calls.to_le_bytes()].concat();
    out.extend_from_slice(stable);
    out.resize(16, 0);
    out
}

pub fn since_1970() -> Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
}

pub fn signed_call(canister: Principal, key: &SigningKey, expiry: Duration, flip: bool) -> Vec<u8> {
    let content = call(canister, key, expiry, "put", b"signed".to_vec());
    sign(content, key, flip)
}

pub fn signed(
    canister: Principal,
    key: &SigningKey,
    expiry: Duration,
    method: &str,
    arg: Vec<u8>,
) -> Vec<u8> {
    sign(call(canister, key, expiry, method, arg), key, false)
}

fn call(
    canister: Principal,
    key: &SigningKey,
    expiry: Duration,
    method: &str,
    arg: Vec<u8>,
) -> EnvelopeContent {
    let identity = BasicIdentity::from_raw_key(&key.to_bytes());
    EnvelopeContent::Call {
        nonce: Some(vec![1]),
        ingress_expiry: u64::try_from((since_1970() + expiry).as_nanos()).unwrap(),
        sender: identity.sender().unwrap(),
        canister_id: canister,
        method_name: method.into(),
        arg,
        sender_info: None,
    }
}

fn sign(content: EnvelopeContent, key: &SigningKey, flip: bool) -> Vec<u8> {
    let identity = BasicIdentity::from_raw_key(&key.to_bytes());
    let mut signature = key
        .sign(&content.to_request_id().signable())
        .to_bytes()
        .to_vec();
    signature[0] ^= u8::from(flip);
    let envelope = Envelope {
        content: std::borrow::Cow::Owned(content),
        sender_pubkey: identity.public_key(),
        sender_sig: Some(signature),
        sender_delegation: None,
    };
    envelope.encode_bytes()
}

pub fn anonymous_query(canister: Principal, method: &str, arg: Vec<u8>) -> Vec<u8> {
    let content = EnvelopeContent::Query {
        nonce: None,
        ingress_expiry: u64::try_from((since_1970() + Duration::from_secs(60)).as_nanos()).unwrap(),
        sender: Principal::anonymous(),
        canister_id: canister,
        method_name: method.into(),
        arg,
        sender_info: None,
    };
    let envelope = Envelope {
        content: std::borrow::Cow::Owned(content),
        sender_pubkey: None,
        sender_sig: None,
        sender_delegation: None,
    };
    envelope.encode_bytes()
}

pub async fn post(subnet: &Subnet, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
    let request = http::Request::post(path)
        .body(axum::body::Body::from(body))
        .unwrap();
    let response = subnet.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, body.to_vec())
}
