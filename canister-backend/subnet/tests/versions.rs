//! The interface in its earlier versions, by hand and by an agent that believes it speaks the
//! latest one.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use candid::Principal;
use common::{
    anonymous_query, delegated, expected, get, in_memory, module, post, put, signed, signed_call,
    since_1970,
};
use ed25519_dalek::SigningKey;
use http::{Request, Response};
use ic_agent::agent::HttpService;
use ic_agent::{Agent, AgentError};
use ic_certification::{Certificate, LookupResult};
use ic_transport_types::{
    Envelope, EnvelopeContent, QueryResponse, ReadStateResponse, TransportCallResponse,
};
use paigham_subnet::{InProcess, Subnet};

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// Paths of the delegation's ranges, as one version or the other names them.
fn forms(certificate: &[u8], subnet: &Subnet) -> (bool, bool) {
    let certificate: Certificate = serde_cbor::from_slice(certificate).unwrap();
    let delegation = certificate.delegation.unwrap();
    let root: Certificate = serde_cbor::from_slice(&delegation.certificate).unwrap();
    let id = subnet.subnet_id();
    let flat = [&b"subnet"[..], id.as_slice(), b"canister_ranges"];
    let sharded = [&b"canister_ranges"[..], id.as_slice()];
    let shards = root.tree.lookup_subtree(sharded.iter());
    (
        matches!(root.tree.lookup_path(flat), LookupResult::Found(_)),
        matches!(shards, ic_certification::SubtreeLookupResult::Found(_)),
    )
}

fn read_time() -> Vec<u8> {
    let content = EnvelopeContent::ReadState {
        ingress_expiry: u64::try_from((since_1970() + MINUTE).as_nanos()).unwrap(),
        sender: Principal::anonymous(),
        paths: vec![vec!["time".into()]],
    };
    Envelope {
        content: Cow::Owned(content),
        sender_pubkey: None,
        sender_sig: None,
        sender_delegation: None,
    }
    .encode_bytes()
}

/// A tool that knows the interface as it was sends a call to version 2: it gets nothing but that
/// the call was taken, and reads what became of it. Versions 3 and 4 answer with a certificate; it
/// leads to the root through the ranges where each version's readers look for them.
#[tokio::test]
async fn calls_are_answered_in_each_version() {
    let subnet = delegated(1);
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let call = |version, text: &str| {
        let body = signed(canister, &key(), MINUTE, "put", text.as_bytes().to_vec());
        let path = format!("/api/v{version}/canister/{canister}/call");
        let subnet = &subnet;
        async move { post(subnet, &path, body).await }
    };
    assert_eq!(call(2, "v2").await, (202, Vec::new()));
    for (version, text, form) in [(3, "v3", (true, false)), (4, "v4", (false, true))] {
        let (status, body) = call(version, text).await;
        assert_eq!(status, 200);
        let TransportCallResponse::Replied { certificate } = serde_cbor::from_slice(&body).unwrap()
        else {
            panic!("version {version} gave no certificate");
        };
        assert_eq!(forms(&certificate, &subnet), form, "version {version}");
    }
    let agent = common::agent(&subnet);
    assert_eq!(get(&agent, &canister).await, expected(3, b"v4"));

    // The same bytes again, to any version: known, not run again.
    let again = signed_call(canister, &key(), MINUTE * 2, false);
    for version in [2, 3, 4, 2] {
        let path = format!("/api/v{version}/canister/{canister}/call");
        assert!(post(&subnet, &path, again.clone()).await.0 < 300);
    }
    assert_eq!(get(&agent, &canister).await, expected(4, b"signed"));
}

/// What is refused in the latest version is refused in the earlier ones with the same words:
/// nobody gets around a check by asking in an old way.
#[tokio::test]
async fn earlier_versions_are_no_way_around_checks() {
    let subnet = in_memory();
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    let forged = signed_call(canister, &key(), MINUTE, true);
    let unknown = signed(canister, &key(), MINUTE, "no_such", Vec::new());
    let mut answers = Vec::new();
    for version in [2, 3, 4] {
        let path = format!("/api/v{version}/canister/{canister}/call");
        let (status, text) = post(&subnet, &path, forged.clone()).await;
        assert_eq!(status, 400);
        let rejected = post(&subnet, &path, unknown.clone()).await;
        assert_eq!(
            rejected.0, 200,
            "a rejection before the call runs is told at once"
        );
        answers.push((text, rejected.1));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let agent = common::agent(&subnet);
    assert_eq!(get(&agent, &canister).await, expected(0, b""));
}

/// Queries and reads of the state tree, of both versions: the certificate that the canister sees,
/// and the one that the reader gets, name the ranges as their version does.
#[tokio::test]
async fn reads_are_answered_in_each_version() {
    let subnet = delegated(1);
    let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
    for (version, form) in [(2, (true, false)), (3, (false, true))] {
        let path = format!("/api/v{version}/canister/{canister}/query");
        let body = anonymous_query(canister, "certificate", Vec::new());
        let (_, body) = post(&subnet, &path, body).await;
        let QueryResponse::Replied { reply, .. } = serde_cbor::from_slice(&body).unwrap() else {
            panic!("version {version}");
        };
        assert_eq!(forms(&reply.arg, &subnet), form, "query {version}");
        for of in [
            format!("canister/{canister}"),
            format!("subnet/{}", subnet.subnet_id()),
        ] {
            let path = format!("/api/v{version}/{of}/read_state");
            let (status, body) = post(&subnet, &path, read_time()).await;
            assert_eq!(status, 200, "{path}");
            let read: ReadStateResponse = serde_cbor::from_slice(&body).unwrap();
            assert_eq!(forms(&read.certificate, &subnet), form, "{path}");
        }
    }
    let stranger = format!("/api/v3/subnet/{canister}/read_state");
    assert_eq!(post(&subnet, &stranger, read_time()).await.0, 400);
}

/// A transport that turns an agent's requests into those of earlier versions.
#[derive(Debug)]
struct Earlier {
    inner: Arc<InProcess>,
    call: &'static str,
}

#[async_trait]
impl HttpService for Earlier {
    async fn call<'a>(
        &'a self,
        request: &'a (dyn Fn() -> Result<Request<Bytes>, AgentError> + Send + Sync),
        max_retries: usize,
        size_limit: Option<usize>,
    ) -> Result<Response<Bytes>, AgentError> {
        let earlier = || {
            let mut request = request()?;
            let path = request.uri().to_string();
            let path = if path.ends_with("/call") {
                path.replace("/api/v4/", self.call)
            } else {
                path.replace("/api/v3/", "/api/v2/")
            };
            *request.uri_mut() = path.parse().unwrap();
            Ok(request)
        };
        self.inner.call(&earlier, max_retries, size_limit).await
    }
}

/// An unmodified agent, query signatures on, whose requests arrive at the earlier endpoints: it
/// polls after a call of version 2, and verifies everything, of a subnet that is its own root and of
/// one below a root key.
#[tokio::test]
async fn an_agent_gets_along_with_earlier_versions() {
    for subnet in [in_memory(), delegated(3)] {
        let canister = subnet.install(&module(), Vec::new(), &[]).await.unwrap();
        for (count, call) in (1..).zip(["/api/v2/", "/api/v3/"]) {
            let transport = Earlier {
                inner: subnet.in_process(),
                call,
            };
            let agent = Agent::builder()
                .with_url("http://subnet.invalid")
                .with_arc_http_middleware(Arc::new(transport))
                .build()
                .unwrap();
            agent.set_root_key(subnet.root_key_der());
            let answer = put(&agent, &canister, b"early").await.unwrap();
            assert_eq!(answer, expected(count, b"early"));
            assert_eq!(get(&agent, &canister).await, expected(count, b"early"));
        }
    }
}
