//! Transports of an agent that count what passes through them.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ic_agent::AgentError;
use ic_agent::agent::HttpService;

/// One exchange: bodies only, without HTTP's own headers.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// Last part of the path: `call`, `query`, `read_state`.
    pub kind: String,
    pub request: usize,
    pub reply: usize,
}

/// Notes the sizes of all exchanges.
#[derive(Debug)]
pub(super) struct Counting<S> {
    inner: Arc<S>,
    exchanges: Mutex<Vec<Exchange>>,
}

impl<S> Counting<S> {
    pub fn new(inner: Arc<S>) -> Arc<Self> {
        let exchanges = Mutex::default();
        Arc::new(Self { inner, exchanges })
    }

    /// What has passed since the last time.
    pub fn take(&self) -> Vec<Exchange> {
        let mut exchanges = self
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut exchanges)
    }
}

#[async_trait]
impl<S: HttpService> HttpService for Counting<S> {
    async fn call<'a>(
        &'a self,
        request: &'a (dyn Fn() -> Result<Request<Bytes>, AgentError> + Send + Sync),
        max_retries: usize,
        size_limit: Option<usize>,
    ) -> Result<Response<Bytes>, AgentError> {
        let sent = request()?;
        let response = self.inner.call(request, max_retries, size_limit).await?;
        let kind = sent.uri().path().rsplit('/').next().unwrap_or_default();
        let exchange = Exchange {
            kind: kind.to_owned(),
            request: sent.body().len(),
            reply: response.body().len(),
        };
        let mut exchanges = self
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        exchanges.push(exchange);
        Ok(response)
    }
}
