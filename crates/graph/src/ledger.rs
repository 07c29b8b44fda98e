//! Where budgets are kept: in this process, or in a place that all processes share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::time::Instant;
use uuid::Uuid;

use crate::bucket::Bucket;

/// What is left of a rate after Microsoft throttled.
pub const CUT: f64 = 0.5;
/// What is left of a rate when Microsoft says that a limit is near.
pub const EASE: f64 = 0.8;
/// A scope is not eased again before this has passed.
pub const EASE_PAUSE: Duration = Duration::from_secs(1);
/// No rate falls below this part of the configured one.
pub const FLOOR: f64 = 0.1;
/// Part of the configured rate that comes back each second: half of it in 30 s.
pub const RECOVERY_PER_S: f64 = 1.0 / 60.0;

/// Budgets kept in memory before those that have rested are forgotten.
const KEPT: usize = 10_000;

/// Whose budget.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ScopeId {
    /// The app with this client id, over all tenants.
    App(String),
    /// One tenant.
    Tenant(Uuid),
    /// The token endpoint of one tenant.
    Login(Uuid),
}

impl fmt::Display for ScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(client) => write!(f, "app:{client}"),
            Self::Tenant(tenant) => write!(f, "tenant:{tenant}"),
            Self::Login(tenant) => write!(f, "login:{tenant}"),
        }
    }
}

impl ScopeId {
    /// Reads what `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("app", client) => Some(Self::App(client.to_owned())),
            ("tenant", tenant) => Uuid::try_parse(tenant).ok().map(Self::Tenant),
            ("login", tenant) => Uuid::try_parse(tenant).ok().map(Self::Login),
            _ => None,
        }
    }

    /// `app`, `tenant` or `login`, for counters.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::App(_) => "app",
            Self::Tenant(_) => "tenant",
            Self::Login(_) => "login",
        }
    }
}

/// The full rate of a scope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Requests per second.
    pub per_second: f64,
    /// Requests that may go at once after a rest.
    pub burst: u32,
}

/// What a ledger answers to a buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// The requests may go after this wait.
    Granted {
        /// From now.
        after: Duration,
    },
    /// Microsoft asked to wait.
    Shut {
        /// From now.
        wait: Duration,
        /// Whether it asked for more than an hour.
        parked: bool,
    },
}

/// The books of budgets. Buying never fails: a ledger that cannot reach the shared place sells a small
/// share that is safe for every process at once.
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Books requests of a scope.
    fn buy<'a>(&'a self, scope: &'a ScopeId, terms: Terms, requests: u32) -> BoxFuture<'a, Offer>;

    /// Microsoft throttled the scope: nothing is sold before `wait` has passed, and the rate falls to
    /// [`CUT`] of what it was, once for all answers of one event.
    fn shut<'a>(&'a self, scope: &'a ScopeId, wait: Duration, parked: bool) -> BoxFuture<'a, ()>;

    /// Microsoft says that a limit of the scope is near: the rate falls to [`EASE`] of what it was.
    fn ease<'a>(&'a self, scope: &'a ScopeId) -> BoxFuture<'a, ()>;
}

/// The books of one process that shares with nobody: commands, and the safe share.
#[derive(Debug)]
pub struct LocalLedger {
    start: Instant,
    buckets: Mutex<HashMap<ScopeId, Bucket>>,
}

impl Default for LocalLedger {
    fn default() -> Self {
        Self { start: Instant::now(), buckets: Mutex::default() }
    }
}

impl LocalLedger {
    fn with<T>(&self, scope: &ScopeId, act: impl FnOnce(&mut Bucket, Duration) -> T) -> T {
        let now = self.start.elapsed();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEPT && !buckets.contains_key(scope) {
            buckets.retain(|_, bucket| !bucket.is_rested(now));
        }
        act(buckets.entry(scope.clone()).or_insert_with(Bucket::new), now)
    }
}

impl Ledger for LocalLedger {
    fn buy<'a>(&'a self, scope: &'a ScopeId, terms: Terms, requests: u32) -> BoxFuture<'a, Offer> {
        ready(self.with(scope, |bucket, now| bucket.buy(now, terms, requests))).boxed()
    }

    fn shut<'a>(&'a self, scope: &'a ScopeId, wait: Duration, parked: bool) -> BoxFuture<'a, ()> {
        self.with(scope, |bucket, now| bucket.shut(now, wait, parked));
        ready(()).boxed()
    }

    fn ease<'a>(&'a self, scope: &'a ScopeId) -> BoxFuture<'a, ()> {
        self.with(scope, Bucket::ease);
        ready(()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_scopes_are_read_back() {
        let tenant = Uuid::from_u128(7);
        for scope in [ScopeId::App("c0ffee".to_owned()), ScopeId::Tenant(tenant), ScopeId::Login(tenant)] {
            assert_eq!(ScopeId::parse(&scope.to_string()), Some(scope));
        }
        for bad in ["", "app", "tenant:x", "other:1"] {
            assert_eq!(ScopeId::parse(bad), None, "{bad}");
        }
    }
}
