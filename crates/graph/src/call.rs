//! One call: token, budget, exchange, and what follows from the answer: done, wait, again, or give up.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::budget::{Denied, Patience};
use crate::client::TenantClient;
use crate::config::RetryPolicy;
use crate::error::{Effect, ErrorClass, GraphError, RequestIds, Unusable};
use crate::token::Token;

/// Says whether the caller may still start requests.
pub type StartCheck = Arc<dyn Fn() -> bool + Send + Sync>;

/// Whom Microsoft serves first when it sheds load (Graph "throttling", `x-ms-throttle-priority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Work in the background.
    Low,
    /// A person waits.
    Normal,
}

impl Priority {
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
        }
    }
}

/// A request to be sent.
pub(crate) struct Call {
    /// Kind of request, for messages and counters.
    pub(crate) kind: &'static str,
    pub(crate) url: Url,
    /// The body makes it a write.
    pub(crate) write: Option<Write>,
    /// Whether to ask for the eventually consistent index (advanced queries on directory objects).
    pub(crate) eventual: bool,
}

pub(crate) struct Write {
    pub(crate) body: Value,
    pub(crate) client_request_id: Uuid,
}

/// A success.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) ids: RequestIds,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn read(kind: &'static str, url: Url) -> Self {
        Self { kind, url, write: None, eventual: false }
    }

    pub(crate) fn method(&self) -> Method {
        if self.write.is_some() { Method::POST } else { Method::GET }
    }

    pub(crate) fn unusable(&self, ids: &RequestIds, source: Unusable) -> GraphError {
        GraphError::Unusable { call: self.kind, ids: Box::new(ids.clone()), source }
    }

    pub(crate) fn network(&self, sent: bool, error: reqwest::Error) -> GraphError {
        GraphError::Network {
            call: self.kind,
            effect: if sent { Effect::Unknown } else { Effect::NotSent },
            // the address may hold numbers
            source: error.without_url(),
        }
    }
}

/// Whether a moment may help. Throttling has been waited for already, and a host that is left alone is known to be away.
fn worth_another_try(error: &GraphError) -> bool {
    error.class().is_passing() && !matches!(error.class(), ErrorClass::Throttled { .. }) && !error.is_away()
}

impl RetryPolicy {
    fn delays(self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_factor(4.0)
            .with_max_delay(self.longest)
            .with_max_times(self.times)
            .with_jitter()
            .build()
    }
}

impl TenantClient {
    /// The token in use; a login that stumbles is asked again, as it is for every call.
    pub(crate) async fn patient_token(&self) -> Result<Arc<Token>, GraphError> {
        let mut delays = self.graph.inner.config.retry.delays();
        let mut patience = Patience::new(self.max_wait);
        loop {
            let error = match self.awaited_token(&mut patience).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            match delays.next().filter(|_| worth_another_try(&error)) {
                Some(delay) if self.may_retry() => tokio::time::sleep(delay).await,
                _ => return Err(error),
            }
        }
    }

    /// Sends the call and decodes the answer. Throttled calls wait and are sent again; so are reads after
    /// passing trouble; a rejected token is replaced once. A write that Microsoft did not merely throttle
    /// is the caller's to repeat: it has it on record. All that is sent again is paid from the tenant's
    /// budget of retries.
    pub(crate) async fn send<T>(
        &self,
        call: &Call,
        decode: impl Fn(&Reply) -> Result<T, Unusable>,
    ) -> Result<T, GraphError> {
        let mut patience = Patience::new(self.max_wait);
        let mut delays = self.graph.inner.config.retry.delays();
        let mut refused = RequestIds::default();
        let mut token_replaced = false;
        self.state.budget.first_try();
        loop {
            let result = self.attempt(call, &mut patience, &mut refused, &mut token_replaced).await;
            let result = match result {
                Ok(None) => continue,
                Ok(Some(reply)) => decode(&reply).map_err(|source| call.unusable(&reply.ids, source)),
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // without a token nothing was sent, so a write may ask for one again
            let harmless = call.write.is_none() || matches!(error, GraphError::Token { .. });
            let delay = (harmless && worth_another_try(&error)).then(|| delays.next()).flatten();
            match delay {
                Some(delay) if Instant::now() + delay <= patience.until() && self.may_retry() => {
                    tracing::debug!(call = call.kind, %error, ?delay, "to be sent again");
                    tokio::time::sleep(delay).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// One attempt; `None` means that the next one may follow at once, behind the gate.
    async fn attempt(
        &self,
        call: &Call,
        patience: &mut Patience,
        refused: &mut RequestIds,
        token_replaced: &mut bool,
    ) -> Result<Option<Reply>, GraphError> {
        let token = self.awaited_token(patience).await?;
        let inner = &self.graph.inner;
        let asked = Instant::now();
        let admitted = self.state.budget.admit(&inner.app, inner.ledger(), patience, &*self.may_start).await;
        inner.metrics.waited(asked.elapsed());
        let pass = admitted.map_err(|denied| match denied {
            Denied::Stopped => GraphError::Stopped { call: call.kind },
            Denied::TooLong(wait) => GraphError::Throttled {
                call: call.kind,
                retry_after: wait.delay,
                parked: wait.parked,
                ids: Box::new(refused.clone()),
            },
        })?;
        let outcome = self.exchange(call, &token).await;
        drop(pass);
        match outcome {
            Err(GraphError::Refused(refusal)) => match refusal.class {
                ErrorClass::Throttled { .. } if self.may_retry() => {
                    *refused = refusal.ids;
                    Ok(None)
                }
                ErrorClass::Unauthorized => {
                    let again = !std::mem::replace(token_replaced, true) && self.reject_token(&token).await;
                    if again { Ok(None) } else { Err(GraphError::Refused(refusal)) }
                }
                _ => {
                    token.taken();
                    Err(GraphError::Refused(refusal))
                }
            },
            Ok(reply) => {
                token.taken();
                Ok(Some(reply))
            }
            Err(error) => Err(error),
        }
    }
}
