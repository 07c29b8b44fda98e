//! Named checks, and the listener that probes and dashboards ask.
//!
//! A role registers one check per thing it leans on and keeps it true. *Degraded* means the role still does its work,
//! only slower or by its sweep: the broker being away is the usual case, and no reason to take the role out of service.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Registry, TextEncoder};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{BoxError, Ctx, Stage};

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// Nothing is known yet: not ready.
    Starting,
    /// All is well.
    Ok,
    /// Work goes on, with a drawback.
    Degraded {
        /// What the drawback is.
        reason: String,
    },
    /// Work cannot go on: not ready.
    Failed {
        /// Why.
        reason: String,
    },
}

type Checks = Arc<Mutex<BTreeMap<String, Status>>>;

/// All checks of a process. Clones are one list.
#[derive(Clone, Debug, Default)]
pub struct Health(Checks);

/// The right to set one check. Clones set the same one; when the last is dropped the check is gone.
#[derive(Clone)]
pub struct Check(Arc<Owned>);

struct Owned {
    name: String,
    checks: Checks,
}

/// All checks at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the process should be given work.
    pub ready: bool,
    /// The checks, by name.
    pub checks: Vec<Named>,
}

/// One check in a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it says.
    #[serde(flatten)]
    pub status: Status,
}

/// Why the health listener did not start.
#[derive(Debug, thiserror::Error)]
#[error("listen for health checks on {addr}")]
pub struct HealthError {
    addr: SocketAddr,
    source: std::io::Error,
}

impl Health {
    /// Adds a check, which is [`Status::Starting`] until it is set. A name that exists is taken over.
    #[must_use]
    pub fn register(&self, name: impl Into<String>) -> Check {
        let name = name.into();
        lock(&self.0).insert(name.clone(), Status::Starting);
        Check(Arc::new(Owned { name, checks: self.0.clone() }))
    }

    /// All checks now. Ready when there is at least one and none is starting or failed.
    #[must_use]
    pub fn report(&self) -> Report {
        let checks: Vec<Named> = lock(&self.0)
            .iter()
            .map(|(name, status)| Named { name: name.clone(), status: status.clone() })
            .collect();
        let ready = !checks.is_empty()
            && checks.iter().all(|check| matches!(check.status, Status::Ok | Status::Degraded { .. }));
        Report { ready, checks }
    }
}

impl Check {
    /// All is well.
    pub fn ok(&self) {
        self.set(&Status::Ok);
    }

    /// Work goes on, with a drawback.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(&Status::Degraded { reason: reason.into() });
    }

    /// Work cannot go on.
    pub fn failed(&self, reason: impl Into<String>) {
        self.set(&Status::Failed { reason: reason.into() });
    }

    /// What the check says now.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.0.checks).get(&self.0.name).cloned().unwrap_or(Status::Starting)
    }

    fn set(&self, status: &Status) {
        let Owned { name, checks } = &*self.0;
        let before = lock(checks).insert(name.clone(), status.clone());
        // said once per change: a check may be set every few seconds
        if before.as_ref() != Some(status) {
            match status {
                Status::Failed { reason } => {
                    tracing::error!(check = name, reason, "a health check failed");
                }
                Status::Degraded { reason } => {
                    tracing::warn!(check = name, reason, "a health check is degraded");
                }
                Status::Ok => tracing::info!(check = name, "a health check is well"),
                Status::Starting => {}
            }
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        lock(&self.checks).remove(&self.name);
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({}: {:?})", self.0.name, self.status())
    }
}

fn lock(checks: &Checks) -> MutexGuard<'_, BTreeMap<String, Status>> {
    checks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Served {
    health: Health,
    registry: Registry,
    stopping: CancellationToken,
}

/// Serves `/healthz`, `/readyz` and `/metrics` until everything else has stopped. The port is taken before this returns,
/// so that a taken one is an error at start; port 0 picks a free one.
pub async fn serve(ctx: &Ctx, addr: SocketAddr, registry: Registry) -> Result<SocketAddr, HealthError> {
    let refused = |source| HealthError { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let state = Served { health: ctx.health.clone(), registry, stopping: ctx.shutdown.clone() };
    let app = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(state);
    ctx.spawn_in(Stage::Servers, "health", async move |stop| {
        // cut off rather than drained: a scraper that keeps its connection must not hold up the stop
        tokio::select! {
            ended = axum::serve(listener, app).into_future() => ended.map_err(BoxError::from),
            () = stop.cancelled() => Ok(()),
        }
    });
    Ok(bound)
}

async fn readyz(State(served): State<Served>) -> Response {
    let mut report = served.health.report();
    report.ready &= !served.stopping.is_cancelled();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics(State(served): State<Served>) -> Response {
    match TextEncoder::new().encode_to_string(&served.registry.gather()) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
