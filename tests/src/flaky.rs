//! A client's transport whose machine dies around a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ic_agent::AgentError;
use ic_agent::agent::HttpService;
use ic_agent::agent::agent_error::TransportError;

/// Dies before or after a chosen request has reached the subnet; a dead one carries nothing until
/// [`restart`](Self::restart). Clones share the life.
#[derive(Debug, Clone)]
pub struct FlakyTransport {
    inner: Arc<dyn HttpService>,
    life: Arc<Mutex<Life>>,
}

#[derive(Debug, Default)]
struct Life {
    requests: u64,
    death: Option<(u64, Moment)>,
    dead: bool,
}

/// When it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The subnet does not get the request.
    Before,
    /// The subnet has done what was asked, the answer is lost.
    After,
}

impl FlakyTransport {
    /// One that lives.
    #[must_use]
    pub fn new(inner: Arc<dyn HttpService>) -> Self {
        Self {
            inner,
            life: Arc::default(),
        }
    }

    /// Dies around the n-th request from now, counted from 0.
    pub fn dies(&self, moment: Moment, request: u64) {
        let mut life = self.life();
        life.death = Some((life.requests + request, moment));
    }

    /// Lives again; no death is set.
    pub fn restart(&self) {
        let mut life = self.life();
        life.death = None;
        life.dead = false;
    }

    /// Whether the chosen request came.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.life().dead
    }

    /// Requests that were made while it lived.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.life().requests
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; tells whether it dies after it.
    fn begin(&self) -> Result<bool, AgentError> {
        let mut life = self.life();
        if life.dead {
            return Err(died());
        }
        let number = life.requests;
        life.requests += 1;
        match life.death {
            Some((at, Moment::Before)) if at == number => {
                life.dead = true;
                Err(died())
            }
            Some((at, Moment::After)) if at == number => {
                // Requests that are made while this one is on its way die with it.
                life.dead = true;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

#[async_trait]
impl HttpService for FlakyTransport {
    async fn call<'a>(
        &'a self,
        request: &'a (dyn Fn() -> Result<Request<Bytes>, AgentError> + Send + Sync),
        max_retries: usize,
        size_limit: Option<usize>,
    ) -> Result<Response<Bytes>, AgentError> {
        let dies_after = self.begin()?;
        let response = self.inner.call(request, max_retries, size_limit).await;
        if dies_after || self.is_dead() {
            return Err(died());
        }
        response
    }
}

fn died() -> AgentError {
    AgentError::TransportError(TransportError::Generic("died on purpose".into()))
}
