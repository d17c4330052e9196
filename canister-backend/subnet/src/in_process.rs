//! The subnet as an agent's transport, without a socket.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use ic_agent::AgentError;
use ic_agent::agent::HttpService;
use ic_agent::agent::agent_error::TransportError;
use tower::ServiceExt;

/// Calls the subnet's router.
#[derive(Debug, Clone)]
pub struct InProcess {
    router: Router,
}

impl InProcess {
    /// Any router: the subnet's own, or one that stands before it.
    #[must_use]
    pub fn new(router: Router) -> Arc<Self> {
        Arc::new(Self { router })
    }
}

fn transport(error: impl ToString) -> AgentError {
    AgentError::TransportError(TransportError::Generic(error.to_string()))
}

#[async_trait]
impl HttpService for InProcess {
    async fn call<'a>(
        &'a self,
        request: &'a (dyn Fn() -> Result<Request<Bytes>, AgentError> + Send + Sync),
        _max_retries: usize,
        size_limit: Option<usize>,
    ) -> Result<Response<Bytes>, AgentError> {
        let request = request()?.map(Body::from);
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .map_err(transport)?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(transport)?.to_bytes();
        if size_limit.is_some_and(|limit| body.len() > limit) {
            return Err(AgentError::ResponseSizeExceededLimit());
        }
        Ok(Response::from_parts(parts, body))
    }
}
