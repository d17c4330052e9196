//! The node that answers clients: honest until it is told to lie.

mod behaviour;
mod down;
mod instead;
mod lie;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use candid::Principal;
use ed25519_dalek::{Signer, SigningKey};
use http_body_util::BodyExt;
use ic_transport_types::{Envelope, EnvelopeContent, NodeSignature, QueryResponse};
use paigham_subnet::testkit::Dice;
use paigham_subnet::{InProcess, Subnet};
use serde_bytes::ByteBuf;
use tokio::sync::Notify;
use tower::ServiceExt;

pub use behaviour::{Freshness, Passage, Signing, Updates};
pub use down::Down;
pub use instead::Instead;
pub use lie::{CERTIFIED_METHODS, Lie};

use behaviour::{Behaviour, Mood};

/// Largest request or answer in bytes.
const BODY_MAX_BYTES: usize = 8 * 1024 * 1024;
/// How long a reply waits to be overtaken.
const OVERTAKEN_MAX: Duration = Duration::from_millis(100);
/// Answers that the node keeps to tell again later.
const EARLIER_MAX: usize = 4_096;

/// A query and its honest answer, both without their Candid wrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Which canister was asked.
    pub canister: Principal,
    /// What was called.
    pub method: String,
    /// The request's blob.
    pub request: Vec<u8>,
    /// The reply's blob: 0 ‖ reply or 1 ‖ error.
    pub reply: Vec<u8>,
}

/// What passed through the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Query calls.
    pub queries: u64,
    /// Update calls.
    pub updates: u64,
    /// Everything else: reads of the state tree, status, the network file.
    pub others: u64,
    /// Answers that were changed.
    pub lies: u64,
}

/// Stands between clients and a subnet. It holds the node's key, as a real malicious node would,
/// and never the subnet's: it can say anything, and certify nothing.
///
/// Clones are the same node.
#[derive(Debug, Clone)]
pub struct MaliciousNode {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    identity: Mutex<Option<(SigningKey, Principal)>>,
    upstream: Mutex<Option<Router>>,
    behind: Mutex<Option<Router>>,
    down: Mutex<BTreeMap<Principal, Down>>,
    mood: Mutex<Mood>,
    /// Wakes replies that wait to be overtaken.
    passed: Notify,
    earlier: Mutex<Vec<Exchange>>,
    calls: Mutex<BTreeMap<String, u64>>,
    queries: AtomicU64,
    updates: AtomicU64,
    others: AtomicU64,
    lies: AtomicU64,
}

impl MaliciousNode {
    /// A node of no subnet yet: it answers that there is none.
    #[must_use]
    pub fn unconnected() -> Self {
        Self {
            inner: Arc::new(Inner {
                identity: Mutex::default(),
                upstream: Mutex::default(),
                behind: Mutex::default(),
                down: Mutex::default(),
                mood: Mutex::default(),
                passed: Notify::new(),
                earlier: Mutex::default(),
                calls: Mutex::default(),
                queries: AtomicU64::default(),
                updates: AtomicU64::default(),
                others: AtomicU64::default(),
                lies: AtomicU64::default(),
            }),
        }
    }

    /// Becomes the node of a subnet; `router` is how it reaches it.
    pub fn connect(&self, subnet: &Subnet, router: Router) {
        let (seed, id) = subnet.node_key_for_tests();
        *locked(&self.inner.identity) = Some((SigningKey::from_bytes(&seed), id));
        *locked(&self.inner.upstream) = Some(router);
    }

    /// The subnet is gone.
    pub fn disconnect(&self) {
        *locked(&self.inner.upstream) = None;
    }

    /// What it serves.
    pub fn router(&self) -> Router {
        Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::max(BODY_MAX_BYTES))
            .with_state(self.clone())
    }

    /// The node as a transport in the same process.
    #[must_use]
    pub fn in_process(&self) -> Arc<InProcess> {
        InProcess::new(self.router())
    }

    /// Serves HTTP on a free port of the loopback interface, as long as the runtime lives.
    ///
    /// # Panics
    /// Without such a port.
    pub async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Has a replica that stays behind, which it may answer queries from.
    pub fn has_behind(&self, router: Option<Router>) {
        *locked(&self.inner.behind) = router;
    }

    /// From now on it tells this lie wherever it fits.
    pub fn tells(&self, lie: Lie) {
        self.settle(|behaviour| behaviour.lie = Some(lie));
    }

    /// From now on it asks something else than it was asked, wherever that fits.
    pub fn asks(&self, instead: Instead) {
        self.settle(|behaviour| behaviour.instead = Some(instead));
    }

    /// What it does about its signature.
    pub fn signs(&self, signing: Signing) {
        self.settle(|behaviour| behaviour.signing = signing);
    }

    /// What it does with update calls.
    pub fn passes_updates(&self, updates: Updates) {
        self.settle(|behaviour| behaviour.updates = updates);
    }

    /// What it answers queries from.
    pub fn answers_from(&self, freshness: Freshness) {
        self.settle(|behaviour| behaviour.freshness = freshness);
    }

    /// The next `count` requests reach the subnet, their answers nobody.
    pub fn loses_replies(&self, count: u64) {
        self.settle(|_| {});
        if let Mood::Settled(_, replies_to_lose) = &mut *locked(&self.inner.mood) {
            *replies_to_lose = count;
        }
    }

    /// Every answer takes this much longer.
    pub fn waits(&self, delay: Duration) {
        self.settle(|behaviour| behaviour.delay = delay);
    }

    /// From now on one request in so many meets a fault that the dice choose.
    pub fn throws(&self, dice: Dice, one_in: u64) {
        *locked(&self.inner.mood) = Mood::Chance(dice, one_in);
    }

    fn settle(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut mood = locked(&self.inner.mood);
        if !matches!(*mood, Mood::Settled(..)) {
            *mood = Mood::default();
        }
        if let Mood::Settled(behaviour, _) = &mut *mood {
            change(behaviour);
        }
    }

    /// From now on it is honest.
    pub fn behaves(&self) {
        *locked(&self.inner.mood) = Mood::default();
    }

    /// What passed through so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Counts {
            queries: count(&self.inner.queries),
            updates: count(&self.inner.updates),
            others: count(&self.inner.others),
            lies: count(&self.inner.lies),
        }
    }

    /// Calls of a method that passed through so far, queries and updates.
    #[must_use]
    pub fn calls_of(&self, method: &str) -> u64 {
        locked(&self.inner.calls).get(method).copied().unwrap_or(0)
    }

    /// Honest answers so far, oldest first.
    #[must_use]
    pub fn earlier(&self) -> Vec<Exchange> {
        locked(&self.inner.earlier).clone()
    }

    fn remember(&self, exchange: Exchange) {
        let mut earlier = locked(&self.inner.earlier);
        if earlier.len() == EARLIER_MAX {
            earlier.remove(0);
        }
        earlier.push(exchange);
    }

    async fn answer(&self, parts: Parts, body: Bytes) -> Response {
        match self.is_down(&parts) {
            Some(Down::Refused) => return gateway("this canister is down"),
            Some(Down::Silent) => return std::future::pending().await,
            None => {}
        }
        let content = content_of(&body);
        let method = content.as_ref().map_or("", method_of).to_owned();
        let nth = {
            let mut calls = locked(&self.inner.calls);
            let count = calls.entry(method.clone()).or_default();
            *count += 1;
            *count
        };
        let behaviour = locked(&self.inner.mood).next(&method, nth);
        if !behaviour.delay.is_zero() {
            tokio::time::sleep(behaviour.delay).await;
        }
        if behaviour.passage == Passage::RequestLost {
            return gateway("the request is lost");
        }
        let response = match content {
            Some(query @ EnvelopeContent::Query { .. }) => {
                self.inner.queries.fetch_add(1, Ordering::SeqCst);
                self.answer_query(&parts, body, &query, &behaviour).await
            }
            Some(call @ EnvelopeContent::Call { .. }) => {
                self.inner.updates.fetch_add(1, Ordering::SeqCst);
                self.answer_update(&parts, body, call, &behaviour).await
            }
            _ => {
                self.inner.others.fetch_add(1, Ordering::SeqCst);
                self.forward(&parts, body).await
            }
        };
        match behaviour.passage {
            Passage::ReplyLost => return gateway("the answer is lost"),
            Passage::Overtaken => {
                let overtaken = self.inner.passed.notified();
                drop(tokio::time::timeout(OVERTAKEN_MAX, overtaken).await);
            }
            Passage::Whole | Passage::RequestLost => self.inner.passed.notify_waiters(),
        }
        response.into_response()
    }

    async fn answer_query(
        &self,
        parts: &Parts,
        body: Bytes,
        query: &EnvelopeContent,
        behaviour: &Behaviour,
    ) -> Answer {
        let instead = behaviour.instead.as_ref();
        if let Some(other) = instead.and_then(|instead| instead.question(query)) {
            return self.answer_instead(parts, query, other).await;
        }
        let behind = match behaviour.freshness {
            Freshness::Newest => None,
            Freshness::Behind => locked(&self.inner.behind).clone(),
        };
        let honest = match behind {
            Some(behind) => forward_to(behind, parts, body).await,
            None => self.forward(parts, body).await,
        };
        if honest.status != StatusCode::OK {
            return honest;
        }
        match self.changed(query, &honest.body, behaviour) {
            Some(body) => Answer {
                body: body.into(),
                ..honest
            },
            None => honest,
        }
    }

    /// The answer to another question, signed as the answer to this one.
    async fn answer_instead(
        &self,
        parts: &Parts,
        query: &EnvelopeContent,
        other: EnvelopeContent,
    ) -> Answer {
        let (parts, body) = instead::request(parts, other);
        let honest = self.forward(&parts, body.into()).await;
        let Ok(mut response) = serde_cbor::from_slice(&honest.body) else {
            return honest;
        };
        self.inner.lies.fetch_add(1, Ordering::SeqCst);
        self.sign(query, &mut response);
        Answer {
            body: self_described(&response).into(),
            ..honest
        }
    }

    /// The changed and signed answer, if there is a lie to tell here.
    fn changed(
        &self,
        query: &EnvelopeContent,
        honest: &[u8],
        behaviour: &Behaviour,
    ) -> Option<Vec<u8>> {
        let mut response: QueryResponse = serde_cbor::from_slice(honest).ok()?;
        let QueryResponse::Replied { reply, .. } = &mut response else {
            return None;
        };
        let exchange = exchange_of(query, &reply.arg)?;
        let lie = behaviour.lie.as_ref();
        let told = lie.and_then(|lie| lie.tell(&exchange, &locked(&self.inner.earlier)));
        self.remember(exchange);
        reply.arg = candid::encode_one(ByteBuf::from(told?)).ok()?;
        self.inner.lies.fetch_add(1, Ordering::SeqCst);
        if behaviour.signing == Signing::Anew {
            self.sign(query, &mut response);
        }
        Some(self_described(&response))
    }

    /// Signs an answer as the node does: over domain, request and what is said.
    fn sign(&self, query: &EnvelopeContent, response: &mut QueryResponse) {
        let identity = locked(&self.inner.identity);
        let (key, id) = identity.as_ref().expect("a connected node has a key");
        let timestamp = response.signatures().first().unwrap().timestamp;
        let signable = response.signable(query.to_request_id(), timestamp);
        let signature = NodeSignature {
            timestamp,
            signature: key.sign(&signable).to_bytes().to_vec(),
            identity: *id,
        };
        match response {
            QueryResponse::Replied { signatures, .. }
            | QueryResponse::Rejected { signatures, .. } => *signatures = vec![signature],
        }
    }

    async fn answer_update(
        &self,
        parts: &Parts,
        body: Bytes,
        call: EnvelopeContent,
        behaviour: &Behaviour,
    ) -> Answer {
        let method = method_of(&call).to_owned();
        match behaviour.updates {
            Updates::Once => {}
            Updates::Twice => drop(self.forward(parts, body.clone()).await),
            Updates::TwiceAnew => {
                if let Some(copy) = under_another_nonce(call) {
                    drop(self.forward(parts, copy.into()).await);
                }
            }
        }
        let mut answer = self.forward(parts, body).await;
        let lie = behaviour.lie.as_ref();
        if let Some(changed) = lie.and_then(|lie| lie.tell_of_update(&method, &answer.body)) {
            self.inner.lies.fetch_add(1, Ordering::SeqCst);
            answer.body = changed.into();
        }
        answer
    }

    async fn forward(&self, parts: &Parts, body: Bytes) -> Answer {
        let upstream = locked(&self.inner.upstream).clone();
        match upstream {
            Some(upstream) => forward_to(upstream, parts, body).await,
            None => Answer::nobody(),
        }
    }
}

async fn forward_to(upstream: Router, parts: &Parts, body: Bytes) -> Answer {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    request.headers_mut().clone_from(&parts.headers);
    let response = upstream.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Answer {
            status: parts.status,
            content_type: parts.headers.get(http::header::CONTENT_TYPE).cloned(),
            body: body.to_bytes(),
        },
        Err(_) => Answer::nobody(),
    }
}

async fn answer(State(node): State<MaliciousNode>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, BODY_MAX_BYTES).await {
        Ok(body) => node.answer(parts, body).await,
        Err(error) => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    }
}

/// An answer in one piece.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: Option<http::HeaderValue>,
    body: Bytes,
}

impl Answer {
    fn nobody() -> Self {
        Self {
            status: StatusCode::BAD_GATEWAY,
            content_type: None,
            body: Bytes::from_static(b"there is no subnet behind this node"),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        if let Some(content_type) = self.content_type {
            let headers = response.headers_mut();
            headers.insert(http::header::CONTENT_TYPE, content_type);
        }
        response
    }
}

fn gateway(why: &'static str) -> Response {
    (StatusCode::BAD_GATEWAY, why).into_response()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn content_of(body: &[u8]) -> Option<EnvelopeContent> {
    let envelope: Envelope<'_> = serde_cbor::from_slice(body).ok()?;
    Some(envelope.content.into_owned())
}

fn method_of(content: &EnvelopeContent) -> &str {
    match content {
        EnvelopeContent::Call { method_name, .. } | EnvelopeContent::Query { method_name, .. } => {
            method_name
        }
        EnvelopeContent::ReadState { .. } => "",
    }
}

/// `None` where the canister does not take and give blobs.
fn exchange_of(query: &EnvelopeContent, reply: &[u8]) -> Option<Exchange> {
    let EnvelopeContent::Query {
        canister_id,
        method_name,
        arg,
        ..
    } = query
    else {
        return None;
    };
    let blob = |candid: &[u8]| candid::decode_one::<ByteBuf>(candid).ok();
    Some(Exchange {
        canister: *canister_id,
        method: method_name.clone(),
        request: blob(arg)?.into_vec(),
        reply: blob(reply)?.into_vec(),
    })
}

/// The same anonymous call as another one. A signed one cannot be copied so.
fn under_another_nonce(mut call: EnvelopeContent) -> Option<Vec<u8>> {
    if *call.sender() != Principal::anonymous() {
        return None;
    }
    if let EnvelopeContent::Call { nonce, .. } = &mut call {
        *nonce = Some(b"again".to_vec());
    }
    Some(unsigned(call))
}

/// What somebody without a name sends.
fn unsigned(content: EnvelopeContent) -> Vec<u8> {
    let envelope = Envelope {
        content: std::borrow::Cow::Owned(content),
        sender_pubkey: None,
        sender_sig: None,
        sender_delegation: None,
    };
    envelope.encode_bytes()
}

/// CBOR with the self-describing tag, as a node sends it.
fn self_described(response: &QueryResponse) -> Vec<u8> {
    let mut serializer = serde_cbor::Serializer::new(Vec::new());
    serializer.self_describe().unwrap();
    serde::Serialize::serialize(response, &mut serializer).unwrap();
    serializer.into_inner()
}
