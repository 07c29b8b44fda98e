//! How hard we press on Microsoft: a budget of requests per second for each tenant and for the whole
//! app, and gates that stay shut while Microsoft asks us to wait. The books are in a [`Ledger`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::GraphConfig;
use crate::ledger::{Ledger, ScopeId, Terms};
use crate::retries::Retries;
use crate::retry_after::Wait;
use crate::scope::Scope;

/// The budget of the whole app, in bursts of a quarter of a second.
pub(crate) fn app_scope(config: &GraphConfig) -> Scope {
    let rate = config.app_rate_per_s;
    let terms = Terms { per_second: f64::from(rate), burst: rate.div_ceil(4) };
    Scope::new(ScopeId::App(config.client_id.clone()), terms)
}

/// The budget of one tenant.
pub(crate) struct TenantBudget {
    pub(crate) scope: Scope,
    retries: Mutex<Retries>,
    start: Instant,
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
    /// A tenant's rate may be used up at once after a rest: a small job is over before it matters.
    pub(crate) fn new(config: &GraphConfig, tenant: Uuid) -> Self {
        let semaphore = || Arc::new(Semaphore::new(config.tenant_operations_in_flight));
        let rate = config.tenant_rate_per_s;
        let terms = Terms { per_second: f64::from(rate), burst: rate };
        Self {
            scope: Scope::new(ScopeId::Tenant(tenant), terms),
            retries: Mutex::new(Retries::new()),
            start: Instant::now(),
            requests: semaphore(),
            operations: semaphore(),
        }
    }

    /// A call is sent for the first time.
    pub(crate) fn first_try(&self) {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner).first(self.start.elapsed());
    }

    /// Takes the right to send something of this tenant again, if there is one.
    pub(crate) fn may_retry(&self) -> bool {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner).again(self.start.elapsed())
    }

    pub(crate) async fn operation_slot(&self) -> OperationSlot {
        let permit = Arc::clone(&self.operations).acquire_owned().await;
        OperationSlot { _permit: permit.ok() }
    }

    /// Waits for a free place, for the tenant's turn, for open gates and for the budget, in this order.
    pub(crate) async fn admit(
        &self,
        app: &Scope,
        ledger: &dyn Ledger,
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
                paid = self.scope.take(ledger).await;
            } else if !app_paid {
                app_paid = app.take(ledger).await;
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
    use crate::ledger::LocalLedger;

    struct Setup {
        ledger: LocalLedger,
        app: Scope,
        tenants: Vec<TenantBudget>,
    }

    fn setup(tenant_rate: u32, app_rate: u32, tenants: u128) -> Setup {
        let url: url::Url = "http://127.0.0.1".parse().unwrap();
        let mut config = GraphConfig::new(url.clone(), url, "app", AppCredential::Secret("s".into()));
        config.tenant_rate_per_s = tenant_rate;
        config.app_rate_per_s = app_rate;
        let tenants = (0..tenants).map(|n| TenantBudget::new(&config, Uuid::from_u128(n))).collect();
        Setup { ledger: LocalLedger::default(), app: app_scope(&config), tenants }
    }

    fn wait(seconds: u64) -> Wait {
        Wait { delay: Duration::from_secs(seconds), parked: false }
    }

    impl Setup {
        async fn admit(&self, tenant: usize, patience: u64) -> Result<Pass, Denied> {
            let mut patience = Patience::new(Duration::from_secs(patience));
            self.tenants[tenant].admit(&self.app, &self.ledger, &mut patience, &|| true).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rate_is_kept() {
        let setup = setup(5, 100, 1);
        let start = Instant::now();
        for _ in 0..25 {
            assert!(setup.admit(0, 60).await.is_ok());
        }
        let spent = start.elapsed();
        assert!(spent >= Duration::from_millis(3_900), "{spent:?}");
        assert!(spent < Duration::from_millis(4_300), "{spent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_app_bounds_all_tenants() {
        let setup = setup(100, 10, 2);
        let start = Instant::now();
        for _ in 0..20 {
            assert!(setup.admit(0, 60).await.is_ok());
            assert!(setup.admit(1, 60).await.is_ok());
        }
        assert!(start.elapsed() >= Duration::from_millis(3_400));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_passes_a_shut_gate() {
        let setup = setup(5, 100, 1);
        let start = Instant::now();
        setup.tenants[0].scope.throttled(wait(10));
        assert_eq!(setup.admit(0, 9).await.err(), Some(Denied::TooLong(wait(10))));
        assert!(setup.admit(0, 11).await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(10));
        setup.app.throttled(wait(5));
        assert!(setup.admit(0, 60).await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn i23_what_the_ledger_knows_stops_a_process_that_was_never_told() {
        let setup = setup(5, 100, 1);
        let app = ScopeId::App("app".to_owned());
        setup.ledger.shut(&app, Duration::from_secs(30), false).await;
        assert!(matches!(setup.admit(0, 9).await.err(), Some(Denied::TooLong(_))));
        let start = Instant::now();
        assert!(setup.admit(0, 60).await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn single_file_until_one_has_passed() {
        let setup = setup(5, 100, 1);
        setup.tenants[0].scope.throttled(wait(1));
        let first = setup.admit(0, 60).await.unwrap();
        let second = tokio::time::timeout(Duration::from_secs(5), setup.admit(0, 60));
        assert!(second.await.is_err(), "the second overtook the first");
        setup.tenants[0].scope.passed();
        drop(first);
        let _second = setup.admit(0, 60).await.unwrap();
        let _third = setup.admit(0, 60).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_caller_takes_nothing() {
        let setup = setup(1, 100, 1);
        let mut patience = Patience::new(Duration::from_secs(60));
        let denied = setup.tenants[0].admit(&setup.app, &setup.ledger, &mut patience, &|| false).await.err();
        assert_eq!(denied, Some(Denied::Stopped));
        let start = Instant::now();
        assert!(setup.admit(0, 60).await.is_ok());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
