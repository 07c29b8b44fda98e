//! The client, and its view on one tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::budget::{OperationSlot, TenantBudget, app_scope};
use crate::call::{Priority, StartCheck};
use crate::certificate::CertificateInfo;
use crate::circuit::Circuit;
use crate::config::{ConfigError, GraphConfig};
use crate::credential::{Login, http_client};
use crate::ledger::{Ledger, LocalLedger, ScopeId};
use crate::login_gate::LoginGate;
use crate::metrics::{self, GraphMetrics};
use crate::scope::Scope;
use crate::token::TokenSlot;
use crate::who::Who;

/// The wall clock handed in.
pub type Now = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// Tenants kept in memory before those not in use are forgotten.
const TENANTS_KEPT: usize = 10_000;

/// The client of Microsoft login and Graph. Cheap to clone; all clones share budgets and tokens, so one
/// process should have one.
#[derive(Clone)]
pub struct Graph {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: GraphConfig,
    pub(crate) base: Url,
    pub(crate) http: reqwest::Client,
    pub(crate) login: Login,
    pub(crate) now: Now,
    pub(crate) app: Scope,
    pub(crate) graph_host: Arc<Circuit>,
    pub(crate) login_host: Arc<Circuit>,
    own_books: LocalLedger,
    shared_books: OnceLock<Arc<dyn Ledger>>,
    pub(crate) metrics: GraphMetrics,
    tenants: Mutex<HashMap<Uuid, Arc<TenantState>>>,
}

pub(crate) struct TenantState {
    pub(crate) budget: TenantBudget,
    pub(crate) login: LoginGate,
    pub(crate) token: TokenSlot,
}

impl Graph {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// The first mistake in the settings ([`GraphConfig::problems`] tells them all), or a key or
    /// certificate that cannot be read.
    pub fn new(config: GraphConfig, now: Now) -> Result<Self, ConfigError> {
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(problem);
        }
        let http = http_client(&config)?;
        let circuit = |url| Arc::new(Circuit::new(url, config.host_pause));
        let (graph_host, login_host) = (circuit(&config.graph), circuit(&config.authority));
        let login = Login::new(&config, http.clone(), Arc::clone(&login_host), Arc::clone(&now))?;
        metrics::certificates(login.certificates(), &now);
        let mut base = config.graph.clone();
        base.set_path("/v1.0");
        Ok(Self {
            inner: Arc::new(Inner {
                base,
                http,
                login,
                now,
                app: app_scope(&config),
                graph_host,
                login_host,
                own_books: LocalLedger::default(),
                shared_books: OnceLock::new(),
                metrics: GraphMetrics::new(),
                tenants: Mutex::default(),
                config,
            }),
        })
    }

    /// The app registration that tokens are asked for with.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.inner.config.client_id
    }

    /// The view on one tenant, with low priority and the configured patience.
    #[must_use]
    pub fn tenant(&self, tenant: Uuid) -> TenantClient {
        TenantClient {
            graph: self.clone(),
            state: self.state(tenant),
            tenant,
            who: Who::Provider,
            priority: Priority::Low,
            max_wait: self.inner.config.max_wait,
            correlation: None,
            may_start: Arc::new(|| true),
        }
    }

    /// Keeps the budgets in a ledger that other processes use too, from now on. The first one stays.
    pub fn share_budgets(&self, ledger: Arc<dyn Ledger>) {
        if self.inner.shared_books.set(ledger).is_err() {
            tracing::debug!("the budgets are shared already");
        }
    }

    /// Microsoft has told another process to wait: nothing of that scope is sent from here before.
    /// A scope of which this process holds nothing is left alone; its ledger knows.
    pub fn throttled_elsewhere(&self, scope: &ScopeId, wait: Duration, parked: bool) {
        match scope {
            ScopeId::Tenant(tenant) => {
                let tenants = self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(state) = tenants.get(tenant) {
                    state.budget.scope.told_elsewhere(wait, parked);
                }
            }
            app if app == self.inner.app.id() => self.inner.app.told_elsewhere(wait, parked),
            ScopeId::Login(tenant) => {
                let tenants = self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(state) = tenants.get(tenant) {
                    state.login.told_elsewhere(wait, parked);
                }
            }
            ScopeId::App(_) => {}
        }
    }

    /// The certificates of the provider's app, the newest first; none with another kind of credential.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateInfo> {
        self.inner.login.certificates()
    }

    fn state(&self, tenant: Uuid) -> Arc<TenantState> {
        let mut tenants = self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= TENANTS_KEPT && !tenants.contains_key(&tenant) {
            let waits = |state: &TenantState| state.budget.scope.is_shut() || state.login.is_shut();
            tenants.retain(|_, state| Arc::strong_count(state) > 1 || waits(state));
        }
        let state = tenants.entry(tenant).or_insert_with(|| {
            Arc::new(TenantState {
                budget: TenantBudget::new(&self.inner.config, tenant),
                login: LoginGate::new(tenant),
                token: TokenSlot::default(),
            })
        });
        Arc::clone(state)
    }
}

impl Inner {
    pub(crate) fn ledger(&self) -> &dyn Ledger {
        self.shared_books.get().map_or(&self.own_books, |shared| &**shared)
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("base", &self.inner.base.as_str()).finish_non_exhaustive()
    }
}

/// The client's view on one tenant: every request carries a token of exactly this tenant.
#[derive(Clone)]
pub struct TenantClient {
    pub(crate) graph: Graph,
    pub(crate) state: Arc<TenantState>,
    pub(crate) tenant: Uuid,
    pub(crate) who: Who,
    pub(crate) priority: Priority,
    pub(crate) max_wait: Duration,
    pub(crate) correlation: Option<Uuid>,
    pub(crate) may_start: StartCheck,
}

impl TenantClient {
    /// The tenant.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.tenant
    }

    /// Tells Microsoft whom to serve first when it sheds load.
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// How long one call waits for throttling and its own retries together.
    #[must_use]
    pub fn with_max_wait(self, max_wait: Duration) -> Self {
        Self { max_wait, ..self }
    }

    /// The `client-request-id` of reads, so that all reads of one job can be found at Microsoft.
    #[must_use]
    pub fn with_correlation(self, id: Uuid) -> Self {
        Self { correlation: Some(id), ..self }
    }

    /// A check asked right before each request goes out, after all waiting: a worker whose lease runs
    /// out answers `false`, and the call ends with [`crate::GraphError::Stopped`].
    #[must_use]
    pub fn with_start_check(self, may_start: StartCheck) -> Self {
        Self { may_start, ..self }
    }

    /// Takes the right to try something of this tenant again that failed for a passing reason. At most a
    /// tenth of all requests may be such tries; the calls of this client take from the same budget.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        let may = self.state.budget.may_retry();
        self.graph.inner.metrics.retry(may);
        may
    }

    /// Waits for the right to have one more asynchronous operation under way in this tenant. To be held
    /// from before the write until its operation has ended.
    pub async fn operation_slot(&self) -> OperationSlot {
        self.state.budget.operation_slot().await
    }
}

impl std::fmt::Debug for TenantClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantClient").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
