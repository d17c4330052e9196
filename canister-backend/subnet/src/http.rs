//! The HTTP interface as ic-agent uses it (IC interface specification, "HTTPS interface").

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use candid::Principal;
use ic_transport_types::{
    Envelope, EnvelopeContent, ReadStateResponse, RequestId, TransportCallResponse,
};
use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use crate::auth::authenticate;
use crate::clock::Clock;
use crate::executor::{CallAnswer, Command, Query, Queued, Read};
use crate::keys::to_cbor;
use crate::profile::{Part, timed};
use crate::state::Ingress;
use crate::topology::{CanisterRange, Delegator, RangesForm, Signed};

/// Largest request in bytes.
const BODY_MAX_BYTES: usize = 5 * 1024 * 1024;
/// Largest argument of an update in bytes.
const INGRESS_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most paths of a read_state, and most labels of one.
const MAX_PATHS: usize = 1_000;
const MAX_LABELS: usize = 127;
/// Bytes of requests that wait for the executor; beyond, callers are told to come back.
const WAITING_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long a call of version 3 or 4 waits for its certificate; beyond, the caller polls.
const CALL_PATIENCE: Duration = Duration::from_secs(10);

/// What the handlers need of one subnet.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    executor: SyncSender<Queued>,
    room: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    pub identity: Arc<Identity>,
}

/// What a subnet is to those who ask it.
#[derive(Debug)]
pub(crate) struct Identity {
    pub root_key: Vec<u8>,
    pub subnet: Principal,
    pub range: CanisterRange,
    pub delegator: Option<Arc<Delegator>>,
}

/// The subnets behind one listener, at least one.
#[derive(Debug, Clone)]
pub(crate) struct Fronts(Arc<[Front]>);

impl Fronts {
    pub fn new(fronts: impl IntoIterator<Item = Front>) -> Self {
        Self(fronts.into_iter().collect())
    }

    /// The subnet that holds a canister. The management canister is everywhere.
    fn of_canister(&self, canister: &Principal) -> Result<&Front, Refusal> {
        let anywhere = *canister == Principal::management_canister();
        self.0
            .iter()
            .find(|front| anywhere || front.holds(canister))
            .ok_or_else(|| bad("no subnet holds this canister"))
    }

    fn of_subnet(&self, subnet: &Principal) -> Result<&Front, Refusal> {
        self.0
            .iter()
            .find(|front| front.identity.subnet == *subnet)
            .ok_or_else(|| bad("there is no such subnet"))
    }

    fn of(&self, addressed: &Principal, of: Addressee) -> Result<&Front, Refusal> {
        match of {
            Addressee::Canister => self.of_canister(addressed),
            Addressee::Subnet => self.of_subnet(addressed),
        }
    }

    fn first(&self) -> Result<&Front, Refusal> {
        self.0.first().ok_or_else(gone)
    }
}

/// The version of the interface that a path names, as far as answers differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answering {
    /// With nothing: the caller polls.
    Later,
    /// With a certificate whose delegation, if there is one, names ranges so.
    At(RangesForm),
}

/// All routes.
pub(crate) fn router(fronts: Fronts) -> Router {
    use RangesForm::{Flat, Sharded};
    let call = |of, answering| {
        post(
            move |State(fronts): State<Fronts>, Path(id): Path<String>, body: Bytes| async move {
                call(&fronts, &id, &body, of, answering).await
            },
        )
    };
    let query = |form| {
        post(
            move |State(fronts): State<Fronts>, Path(id): Path<String>, body: Bytes| async move {
                query(&fronts, &id, &body, form).await
            },
        )
    };
    let read_state = |of, form| {
        post(
            move |State(fronts): State<Fronts>, Path(id): Path<String>, body: Bytes| async move {
                read_state(&fronts, &id, &body, of, form).await
            },
        )
    };
    let canister = |version: u8, what: &str| format!("/api/v{version}/canister/{{id}}/{what}");
    let subnet = |version: u8| format!("/api/v{version}/subnet/{{id}}/read_state");
    Router::new()
        .route("/api/v2/status", get(status))
        .route(
            &canister(2, "call"),
            call(Addressee::Canister, Answering::Later),
        )
        .route(
            &canister(3, "call"),
            call(Addressee::Canister, Answering::At(Flat)),
        )
        .route(
            &canister(4, "call"),
            call(Addressee::Canister, Answering::At(Sharded)),
        )
        .route(
            "/api/v4/subnet/{id}/call",
            call(Addressee::Subnet, Answering::At(Sharded)),
        )
        .route(&canister(2, "query"), query(Flat))
        .route(&canister(3, "query"), query(Sharded))
        .route(
            &canister(2, "read_state"),
            read_state(Addressee::Canister, Flat),
        )
        .route(
            &canister(3, "read_state"),
            read_state(Addressee::Canister, Sharded),
        )
        .route(&subnet(2), read_state(Addressee::Subnet, Flat))
        .route(&subnet(3), read_state(Addressee::Subnet, Sharded))
        .route("/paigham/subnet/status", get(subnet_status))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(fronts)
}

/// Whose id a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressee {
    Canister,
    Subnet,
}

/// A refusal with its status and reason.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

fn bad(reason: impl ToString) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, reason.to_string())
}

fn gone() -> Refusal {
    Refusal(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the subnet has stopped".into(),
    )
}

fn cbor(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/cbor")], body).into_response()
}

impl Front {
    pub fn new(executor: SyncSender<Queued>, clock: Arc<dyn Clock>, identity: Identity) -> Self {
        Self {
            executor,
            room: Arc::new(Semaphore::new(WAITING_MAX_BYTES)),
            clock,
            identity: Arc::new(identity),
        }
    }

    /// A subnet that is alone answers for every id: that it does not hold one is its answer.
    fn holds(&self, canister: &Principal) -> bool {
        self.identity.range == CanisterRange::ALL || self.identity.range.contains(canister)
    }

    fn certificate(&self, signed: Signed, form: RangesForm) -> Vec<u8> {
        timed(Part::Answers, || {
            signed.certificate(self.identity.delegator.as_deref(), form)
        })
    }

    /// Queues a command that takes `bytes` of memory until it is done.
    fn send(&self, command: Command, bytes: usize) -> Result<(), Refusal> {
        let busy = || Refusal(StatusCode::TOO_MANY_REQUESTS, "the subnet is busy".into());
        let bytes = u32::try_from(bytes).map_err(|_| busy())?;
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(bytes)
            .map_err(|_| busy())?;
        let queued = Queued {
            command,
            room: Some(room),
        };
        self.executor.try_send(queued).map_err(|error| match error {
            TrySendError::Full(_) => busy(),
            TrySendError::Disconnected(_) => gone(),
        })
    }

    /// Whether nobody takes commands any more; a full queue is not that.
    fn is_stopped(&self) -> bool {
        let nothing = Command::Admin(Box::new(|_| {}));
        matches!(
            self.executor.try_send(nothing.into()),
            Err(TrySendError::Disconnected(_))
        )
    }

    /// The content of an authentic envelope, and its request id.
    fn open(
        &self,
        addressed: Principal,
        body: &[u8],
    ) -> Result<(EnvelopeContent, RequestId), Refusal> {
        timed(Part::Envelopes, || {
            let content = self.authentic(addressed, body)?;
            let id = content.to_request_id();
            Ok((content, id))
        })
    }

    fn authentic(&self, addressed: Principal, body: &[u8]) -> Result<EnvelopeContent, Refusal> {
        let envelope: Envelope<'_> = serde_cbor::from_slice(body).map_err(bad)?;
        let canister = match envelope.content.as_ref() {
            EnvelopeContent::Call { canister_id, .. }
            | EnvelopeContent::Query { canister_id, .. } => {
                // The management canister is reached at the address of whom the request is about.
                let management = *canister_id == Principal::management_canister();
                if !management && *canister_id != addressed {
                    return Err(bad(
                        "the canister of the address is not that of the request",
                    ));
                }
                *canister_id
            }
            EnvelopeContent::ReadState { .. } => addressed,
        };
        authenticate(&envelope, &canister, self.clock.now_ns()).map_err(bad)?;
        let anonymous_read = *envelope.content.sender() == Principal::anonymous()
            && !matches!(envelope.content.as_ref(), EnvelopeContent::Call { .. });
        if !anonymous_read && envelope.content.ingress_expiry() < self.clock.now_ns() {
            return Err(bad("the request has expired"));
        }
        Ok(envelope.content.into_owned())
    }
}

async fn status(State(fronts): State<Fronts>) -> Result<Response, Refusal> {
    #[derive(Serialize)]
    struct Status {
        #[serde(with = "serde_bytes")]
        root_key: Vec<u8>,
        replica_health_status: &'static str,
        impl_version: &'static str,
    }
    let status = Status {
        replica_health_status: if fronts.0.iter().any(Front::is_stopped) {
            "stopped"
        } else {
            "healthy"
        },
        root_key: fronts.first()?.identity.root_key.clone(),
        impl_version: concat!("paigham-subnet ", env!("CARGO_PKG_VERSION")),
    };
    Ok(cbor(StatusCode::OK, to_cbor(&status)))
}

async fn call(
    fronts: &Fronts,
    address: &str,
    body: &[u8],
    of: Addressee,
    answering: Answering,
) -> Result<Response, Refusal> {
    let addressed = Principal::from_text(address).map_err(bad)?;
    let front = fronts.of(&addressed, of)?;
    let (content, id) = front.open(addressed, body)?;
    let EnvelopeContent::Call {
        ingress_expiry,
        sender,
        canister_id,
        method_name,
        arg,
        ..
    } = content
    else {
        return Err(bad("not a call"));
    };
    if arg.len() > INGRESS_MAX_BYTES {
        return Err(Refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "more than 2 MiB".into(),
        ));
    }
    let ingress = Ingress {
        id: id.as_slice().to_vec(),
        canister: canister_id,
        effective: addressed,
        sender,
        method: method_name,
        argument: arg,
        expiry: ingress_expiry,
    };
    let (reply, answer) = oneshot::channel();
    front.send(Command::Call(ingress, reply), body.len())?;
    let Ok(answer) = tokio::time::timeout(CALL_PATIENCE, answer).await else {
        return Ok(StatusCode::ACCEPTED.into_response());
    };
    let response = match (answer.map_err(|_| gone())?, answering) {
        (CallAnswer::Certificate(_), Answering::Later) => {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
        (CallAnswer::Certificate(signed), Answering::At(form)) => TransportCallResponse::Replied {
            certificate: front.certificate(signed, form),
        },
        (CallAnswer::Rejected(reject), _) => TransportCallResponse::NonReplicatedRejection(reject),
        (CallAnswer::Refused(reason), _) => return Err(bad(reason)),
    };
    Ok(cbor(StatusCode::OK, to_cbor(&response)))
}

async fn query(
    fronts: &Fronts,
    canister: &str,
    body: &[u8],
    form: RangesForm,
) -> Result<Response, Refusal> {
    let addressed = Principal::from_text(canister).map_err(bad)?;
    let front = fronts.of_canister(&addressed)?;
    let (content, id) = front.open(addressed, body)?;
    let EnvelopeContent::Query {
        sender,
        canister_id,
        method_name,
        arg,
        ..
    } = content
    else {
        return Err(bad("not a query"));
    };
    let query = Query {
        id,
        canister: canister_id,
        sender,
        method: method_name,
        argument: arg,
        form,
    };
    let (reply, answer) = oneshot::channel();
    front.send(Command::Query(query, reply), body.len())?;
    Ok(cbor(StatusCode::OK, answer.await.map_err(|_| gone())?))
}

async fn read_state(
    fronts: &Fronts,
    address: &str,
    body: &[u8],
    of: Addressee,
    form: RangesForm,
) -> Result<Response, Refusal> {
    let addressed = Principal::from_text(address).map_err(bad)?;
    let front = fronts.of(&addressed, of)?;
    let (content, _) = front.open(addressed, body)?;
    let EnvelopeContent::ReadState { sender, paths, .. } = content else {
        return Err(bad("not a read_state"));
    };
    if paths.len() > MAX_PATHS || paths.iter().any(|path| path.len() > MAX_LABELS) {
        return Err(bad("too many paths"));
    }
    let paths = paths
        .into_iter()
        .map(|path| {
            path.into_iter()
                .map(|label| label.as_bytes().to_vec())
                .collect()
        })
        .collect();
    let (reply, answer) = oneshot::channel();
    let read = Read {
        paths,
        sender,
        addressed,
    };
    front.send(Command::ReadState(read, reply), body.len())?;
    let signed = answer
        .await
        .map_err(|_| gone())?
        .map_err(|reason| Refusal(StatusCode::FORBIDDEN, reason))?;
    let certificate = front.certificate(signed, form);
    Ok(cbor(
        StatusCode::OK,
        to_cbor(&ReadStateResponse { certificate }),
    ))
}

async fn subnet_status(State(fronts): State<Fronts>) -> Result<Response, Refusal> {
    let mut subnets = Vec::new();
    for front in &*fronts.0 {
        let (reply, answer) = oneshot::channel();
        let command = Command::Admin(Box::new(move |executor| {
            drop(reply.send(executor.status()));
        }));
        front.send(command, 0)?;
        subnets.push(answer.await.map_err(|_| gone())?);
    }
    let json = serde_json::to_vec(&subnets)
        .map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
