//! How hard we press on Microsoft: a budget of requests per second for each tenant and for the whole
//! app, and gates that stay shut while Microsoft asks us to wait.
//!
//! After a throttling answer the gate's scope goes in single file until one request has passed, so
//! that a crowd of waiters does not run into the same wall again.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::config::GraphConfig;
use crate::retry_after::Wait;

/// Shortest wait after a throttling answer, whatever its header says.
const SHORTEST: Duration = Duration::from_secs(1);

/// Tokio's clock, so that waiting and measuring agree.
#[derive(Debug, Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>;

/// One scope of throttling: a tenant, or the whole app.
pub(crate) struct Scope {
    clock: TokioClock,
    bucket: Bucket,
    gate: Mutex<Gate>,
    turn: Arc<AsyncMutex<()>>,
}

#[derive(Debug, Default)]
struct Gate {
    shut_until: Option<Instant>,
    /// Whether Microsoft asked for longer than the gate is ever shut.
    parked: bool,
    /// Throttling answers in a row.
    strikes: usize,
    /// Whether requests go in single file.
    single_file: bool,
}

impl Scope {
    pub(crate) fn new(per_second: u32) -> Self {
        let clock = TokioClock(Instant::now());
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN));
        Self {
            bucket: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            gate: Mutex::default(),
            turn: Arc::default(),
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the wait, and whether it is parked.
    fn shut_until(&self) -> Option<(Instant, bool)> {
        let gate = self.gate();
        let until = gate.shut_until.filter(|until| *until > Instant::now())?;
        Some((until, gate.parked))
    }

    /// Whether requests of this scope have to wait now.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut_until().is_some()
    }

    fn is_single_file(&self) -> bool {
        self.gate().single_file
    }

    /// Takes one request out of the budget, or says how long until there is one.
    fn take(&self) -> Result<(), Duration> {
        self.bucket.check().map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// The wait where a throttling answer names none.
    pub(crate) fn fallback(&self) -> Wait {
        let delay = ExponentialBuilder::new()
            .with_min_delay(Duration::from_secs(2))
            .with_factor(4.0)
            .with_max_delay(Duration::from_secs(60))
            .with_max_times(usize::MAX)
            .with_jitter()
            .build()
            .nth(self.gate().strikes.min(4))
            .unwrap_or(SHORTEST);
        Wait { delay, parked: false }
    }

    /// Shuts the gate.
    pub(crate) fn throttled(&self, wait: Wait) {
        let until = Instant::now() + wait.delay.max(SHORTEST);
        let mut gate = self.gate();
        gate.shut_until = gate.shut_until.max(Some(until));
        gate.parked |= wait.parked;
        gate.strikes += 1;
        gate.single_file = true;
    }

    /// Notes an answer that was no throttling.
    pub(crate) fn passed(&self) {
        let mut gate = self.gate();
        // an answer to a request from before the gate was shut says nothing
        if gate.shut_until.is_none_or(|until| until <= Instant::now()) {
            *gate = Gate::default();
        }
    }
}

/// The budget of one tenant.
pub(crate) struct TenantBudget {
    pub(crate) scope: Scope,
    requests: Arc<Semaphore>,
    operations: Arc<Semaphore>,
}

/// The right to have one more asynchronous operation under way in a tenant; given back when dropped.
#[derive(Debug)]
pub struct OperationSlot {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The right to send one request; to be dropped when its answer has been noted.
pub(crate) struct Pass {
    _slot: Option<OwnedSemaphorePermit>,
    _turn: Option<OwnedMutexGuard<()>>,
    _app_turn: Option<OwnedMutexGuard<()>>,
}

/// How long a call waits for Microsoft in all. It starts with the call's turn, so that queueing behind
/// other calls of our own does not count.
pub(crate) struct Patience {
    limit: Duration,
    until: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, until: None }
    }

    pub(crate) fn until(&mut self) -> Instant {
        let limit = self.limit;
        *self.until.get_or_insert_with(|| Instant::now() + limit)
    }
}

/// Why a request was not let out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The caller's check said no.
    Stopped,
    /// The gate stays shut longer than the caller waits.
    TooLong(Wait),
}

impl TenantBudget {
    pub(crate) fn new(config: &GraphConfig) -> Self {
        let semaphore = || Arc::new(Semaphore::new(config.tenant_operations_in_flight));
        Self { scope: Scope::new(config.tenant_rate_per_s), requests: semaphore(), operations: semaphore() }
    }

    pub(crate) async fn operation_slot(&self) -> OperationSlot {
        let permit = Arc::clone(&self.operations).acquire_owned().await;
        OperationSlot { _permit: permit.ok() }
    }

    /// Waits for a free place, for the tenant's turn, for open gates and for the budget, in this order.
    pub(crate) async fn admit(
        &self,
        app: &Scope,
        patience: &mut Patience,
        may_start: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<Pass, Denied> {
        let slot = Arc::clone(&self.requests).acquire_owned().await.ok();
        // the lock is fair: calls leave in the order they came
        let turn = Arc::clone(&self.scope.turn).lock_owned().await;
        let mut app_turn = None;
        let (mut paid, mut app_paid) = (false, false);
        loop {
            if !may_start() {
                return Err(Denied::Stopped);
            }
            if let Some((until, parked)) = self.scope.shut_until().max(app.shut_until()) {
                if until > patience.until() {
                    let delay = until - Instant::now();
                    return Err(Denied::TooLong(Wait { delay, parked }));
                }
                tokio::time::sleep_until(until).await;
            } else if app_turn.is_none() && app.is_single_file() {
                app_turn = Some(Arc::clone(&app.turn).lock_owned().await);
            } else if !paid {
                match self.scope.take() {
                    Ok(()) => paid = true,
                    Err(wait) => tokio::time::sleep(wait).await,
                }
            } else if !app_paid {
                match app.take() {
                    Ok(()) => app_paid = true,
                    Err(wait) => tokio::time::sleep(wait).await,
                }
            } else {
                break;
            }
        }
        patience.until();
        Ok(Pass {
            _slot: slot,
            _turn: self.scope.is_single_file().then_some(turn),
            _app_turn: app_turn.filter(|_| app.is_single_file()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AppCredential;

    fn budget(rate: u32) -> TenantBudget {
        let url: url::Url = "http://127.0.0.1".parse().unwrap();
        let mut config = GraphConfig::new(url.clone(), url, "app", AppCredential::Secret("s".into()));
        config.tenant_rate_per_s = rate;
        TenantBudget::new(&config)
    }

    fn wait(seconds: u64) -> Wait {
        Wait { delay: Duration::from_secs(seconds), parked: false }
    }

    async fn admit(tenant: &TenantBudget, app: &Scope, patience: u64) -> Result<Pass, Denied> {
        let mut patience = Patience::new(Duration::from_secs(patience));
        tenant.admit(app, &mut patience, &|| true).await
    }

    #[tokio::test(start_paused = true)]
    async fn rate_is_kept() {
        let (tenant, app) = (budget(5), Scope::new(100));
        let start = Instant::now();
        for _ in 0..25 {
            assert!(admit(&tenant, &app, 60).await.is_ok());
        }
        let spent = start.elapsed();
        assert!(spent >= Duration::from_secs(4), "{spent:?}");
        assert!(spent < Duration::from_millis(4_100), "{spent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_app_bounds_all_tenants() {
        let (one, two, app) = (budget(100), budget(100), Scope::new(10));
        let start = Instant::now();
        for _ in 0..20 {
            assert!(admit(&one, &app, 60).await.is_ok());
            assert!(admit(&two, &app, 60).await.is_ok());
        }
        assert!(start.elapsed() >= Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_passes_a_shut_gate() {
        let (tenant, app) = (budget(5), Scope::new(100));
        let start = Instant::now();
        tenant.scope.throttled(wait(10));
        assert_eq!(admit(&tenant, &app, 9).await.err(), Some(Denied::TooLong(wait(10))));
        assert!(admit(&tenant, &app, 11).await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(10));
        app.throttled(wait(5));
        assert!(admit(&tenant, &app, 60).await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn single_file_until_one_has_passed() {
        let (tenant, app) = (budget(5), Scope::new(100));
        tenant.scope.throttled(wait(1));
        let first = admit(&tenant, &app, 60).await.unwrap();
        let second = tokio::time::timeout(Duration::from_secs(5), admit(&tenant, &app, 60));
        assert!(second.await.is_err(), "the second overtook the first");
        tenant.scope.passed();
        drop(first);
        let _second = admit(&tenant, &app, 60).await.unwrap();
        let _third = admit(&tenant, &app, 60).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_answer_does_not_open_the_gate() {
        let scope = Scope::new(5);
        scope.throttled(wait(10));
        scope.passed();
        assert!(scope.shut_until().is_some() && scope.is_single_file());
        tokio::time::advance(Duration::from_secs(10)).await;
        scope.passed();
        assert!(scope.shut_until().is_none() && !scope.is_single_file());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_caller_takes_nothing() {
        let (tenant, app) = (budget(1), Scope::new(100));
        let mut patience = Patience::new(Duration::from_secs(60));
        let denied = tenant.admit(&app, &mut patience, &|| false).await.err();
        assert_eq!(denied, Some(Denied::Stopped));
        let start = Instant::now();
        assert!(admit(&tenant, &app, 60).await.is_ok());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
