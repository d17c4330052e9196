//! The HTTP interface as ic-agent uses it (IC interface specification, "HTTPS interface").

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use candid::Principal;
use ic_transport_types::{Envelope, EnvelopeContent, ReadStateResponse, TransportCallResponse};
use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use crate::auth::authenticate;
use crate::executor::{CallAnswer, Clock, Command, Query, Queued, Read};
use crate::keys::to_cbor;
use crate::state::Ingress;

/// Largest request in bytes.
const BODY_MAX_BYTES: usize = 5 * 1024 * 1024;
/// Largest argument of an update in bytes.
const INGRESS_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most paths of a read_state, and most labels of one.
const MAX_PATHS: usize = 1_000;
const MAX_LABELS: usize = 127;
/// Bytes of requests that wait for the executor; beyond, callers are told to come back.
const WAITING_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What the handlers need.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    executor: SyncSender<Queued>,
    room: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    pub root_key: Vec<u8>,
}

/// All routes.
pub(crate) fn router(front: Front) -> Router {
    Router::new()
        .route("/api/v2/status", get(status))
        .route("/api/v4/canister/{canister}/call", post(call))
        .route("/api/v3/canister/{canister}/query", post(query))
        .route("/api/v3/canister/{canister}/read_state", post(read_state))
        .route("/api/v3/subnet/{subnet}/read_state", post(read_state))
        .route("/paigham/subnet/status", get(subnet_status))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(front)
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
    pub fn new(executor: SyncSender<Queued>, clock: Arc<dyn Clock>, root_key: Vec<u8>) -> Self {
        Self {
            executor,
            room: Arc::new(Semaphore::new(WAITING_MAX_BYTES)),
            clock,
            root_key,
        }
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

    fn open(&self, canister: &str, body: &[u8]) -> Result<Authenticated, Refusal> {
        let addressed = Principal::from_text(canister).map_err(bad)?;
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
        Ok(Authenticated {
            addressed,
            content: envelope.content.into_owned(),
        })
    }
}

/// The content of an envelope whose sender is who signed it, and where it was sent.
struct Authenticated {
    addressed: Principal,
    content: EnvelopeContent,
}

async fn status(State(front): State<Front>) -> Response {
    #[derive(Serialize)]
    struct Status {
        #[serde(with = "serde_bytes")]
        root_key: Vec<u8>,
        replica_health_status: &'static str,
        impl_version: &'static str,
    }
    let status = Status {
        replica_health_status: if front.is_stopped() {
            "stopped"
        } else {
            "healthy"
        },
        root_key: front.root_key,
        impl_version: concat!("paigham-subnet ", env!("CARGO_PKG_VERSION")),
    };
    cbor(StatusCode::OK, to_cbor(&status))
}

async fn call(
    State(front): State<Front>,
    Path(canister): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let Authenticated { addressed, content } = front.open(&canister, &body)?;
    let id = content.to_request_id();
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
    let response = match answer.await.map_err(|_| gone())? {
        CallAnswer::Certificate(certificate) => TransportCallResponse::Replied { certificate },
        CallAnswer::Processing => return Ok(StatusCode::ACCEPTED.into_response()),
        CallAnswer::Rejected(reject) => TransportCallResponse::NonReplicatedRejection(reject),
        CallAnswer::Refused(reason) => return Err(bad(reason)),
    };
    Ok(cbor(StatusCode::OK, to_cbor(&response)))
}

async fn query(
    State(front): State<Front>,
    Path(canister): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let Authenticated { content, .. } = front.open(&canister, &body)?;
    let id = content.to_request_id();
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
    };
    let (reply, answer) = oneshot::channel();
    front.send(Command::Query(query, reply), body.len())?;
    Ok(cbor(StatusCode::OK, answer.await.map_err(|_| gone())?))
}

async fn read_state(
    State(front): State<Front>,
    Path(address): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let Authenticated { addressed, content } = front.open(&address, &body)?;
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
    let certificate = answer
        .await
        .map_err(|_| gone())?
        .map_err(|reason| Refusal(StatusCode::FORBIDDEN, reason))?;
    Ok(cbor(
        StatusCode::OK,
        to_cbor(&ReadStateResponse { certificate }),
    ))
}

async fn subnet_status(State(front): State<Front>) -> Result<Response, Refusal> {
    let (reply, answer) = oneshot::channel();
    let command = Command::Admin(Box::new(move |executor| {
        drop(reply.send(executor.status()));
    }));
    front.send(command, 0)?;
    let status = answer.await.map_err(|_| gone())?;
    let json = serde_json::to_vec(&status)
        .map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
