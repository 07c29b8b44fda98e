//! The gate before the token endpoint of a tenant: who was told to wait asks for no token before that, whichever process
//! and whichever app registration of that tenant.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::budget::Patience;
use crate::client::TenantClient;
use crate::error::{ErrorClass, GraphError};
use crate::ledger::{Ledger, ScopeId, Terms};
use crate::metrics::GraphMetrics;
use crate::retry_after::Wait;
use crate::scope::Scope;
use crate::token::Token;
use crate::token_error::TokenError;

/// Tokens are good for an hour, so this is never reached but by mistake.
const TERMS: Terms = Terms { per_second: 2.0, burst: 10 };

/// The gate of one tenant.
pub(crate) struct LoginGate(Scope);

impl LoginGate {
    pub(crate) fn new(tenant: Uuid) -> Self {
        Self(Scope::new(ScopeId::Login(tenant), TERMS))
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.0.is_shut()
    }

    /// Another process was told to wait.
    pub(crate) fn told_elsewhere(&self, wait: Duration, parked: bool) {
        self.0.told_elsewhere(wait, parked);
    }

    /// Leave to ask for one token.
    pub(crate) async fn pass(&self, ledger: &dyn Ledger) -> Result<(), TokenError> {
        if !self.0.is_shut() {
            // the books know of gates that this process was never told of; it is shut then
            self.0.take(ledger).await;
        }
        match self.0.shut_until() {
            None => Ok(()),
            Some((until, parked)) => Err(TokenError::Throttled {
                retry_after: until.saturating_duration_since(Instant::now()),
                parked,
            }),
        }
    }

    /// What the endpoint answered: when it asks to wait, the gate shuts for everybody.
    pub(crate) async fn answered<T>(
        &self,
        ledger: &dyn Ledger,
        metrics: &GraphMetrics,
        answer: Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let Err(TokenError::Throttled { retry_after, parked }) = answer else {
            self.0.passed();
            return answer;
        };
        let asked = Wait { delay: retry_after, parked };
        let wait = self.0.throttled(if asked.delay.is_zero() { self.0.fallback() } else { asked });
        metrics.throttled(self.0.id().kind());
        tracing::warn!(retry_after = ?wait.delay, scope = %self.0.id(), "throttled by Microsoft login");
        ledger.shut(self.0.id(), wait.delay, wait.parked).await;
        Err(TokenError::Throttled { retry_after: wait.delay, parked: wait.parked })
    }
}

impl TenantClient {
    /// The token in use. When login wants us to wait, that is waited for as long as the call has patience.
    pub(crate) async fn awaited_token(&self, patience: &mut Patience) -> Result<Arc<Token>, GraphError> {
        loop {
            let error = match self.current_token().await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let ErrorClass::Throttled { retry_after, .. } = error.class() else { return Err(error) };
            let open = Instant::now() + retry_after;
            if open > patience.until() || !(self.may_start)() {
                return Err(error);
            }
            sleep_until(open).await;
        }
    }
}
