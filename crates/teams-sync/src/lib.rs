//! teams-sync: claims jobs, brings the tenant in line, and makes sure that it stayed so.
//!
//! The only role that talks to Microsoft Graph. A job: read both sides, plan (a pure function in `domain`), guard,
//! execute, read back, record. Beside the jobs it settles: writes whose outcome is open, and users that were
//! confirmed but not yet seen the same on every read path.
//!
//! Promised: at most one running job per account; a write is on record before it is sent; no request for a user or
//! number whose last write has no known outcome. Not promised: that a write is sent only once; it is sent when
//! reading shows that it is needed.

mod authority;
mod canary;
mod confirm;
mod deferring;
mod discovery;
mod execute;
mod expiry;
mod explain;
pub mod facts;
mod finish;
mod housekeeping;
mod job;
mod job_error;
mod journal;
mod lease;
mod look;
mod metrics;
mod observe;
mod on_record;
mod orders;
mod pace;
mod park;
mod policies;
mod proof;
mod rates;
mod reads;
mod reconcile;
mod requests;
mod reseal;
mod results;
mod settings;
mod settle;
mod spent;
mod step;
mod tenants;
mod undo;
mod who;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tandem_bus::{Batches, Bus, Outcome};
use tandem_graph::Graph;
use tandem_outbox::{Announcer, Bell, Letters};
use tandem_runtime::{BoxError, Clock, Ctx, Ids};
use tandem_store::Store;
use tandem_vault::Opener;
use tandem_wire::{Subjects, settings as wire};

pub use crate::expiry::CERTIFICATE_WARNING_DAYS;
pub use crate::job::REQUIRED_ROLES;
pub use crate::look::{Question, Seen, SeenUser, look};
pub use crate::reseal::{ResealError, Resealed, reseal};
pub use crate::settings::TeamsSyncSettings;
pub use crate::who::pack_app_credential;

use crate::authority::Gate;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::policies::PolicyCache;
use crate::rates::SharedLedger;
use crate::tenants::Tenants;
use crate::who::OwnApps;
use crate::worker::Worker;

/// What the role works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database as `Login::TeamsSync`.
    pub store: Store,
    /// The broker.
    pub bus: Bus,
    /// Names of subjects and streams.
    pub subjects: Subjects,
    /// Rung after a commit.
    pub bell: Bell,
    /// Microsoft.
    pub graph: Graph,
    /// What opens sealed secrets; without it own apps and people's tokens cannot be used.
    pub vault: Option<Arc<Opener>>,
}

/// What every part of the role shares.
#[derive(Debug)]
pub(crate) struct Shared {
    store: Store,
    graph: Graph,
    announcer: Announcer,
    bell: Bell,
    clock: Clock,
    ids: Ids,
    metrics: Metrics,
    policies: PolicyCache,
    pace: Pace,
    tenants: Tenants,
    gate: Gate,
    vault: Option<Arc<Opener>>,
    own_apps: OwnApps,
    settings: TeamsSyncSettings,
}

/// Starts the role's tasks and returns; they end when `ctx.shutdown` fires.
pub fn start(ctx: &Ctx, parts: &Parts, settings: &TeamsSyncSettings) {
    let shared = Arc::new(Shared {
        store: parts.store.clone(),
        graph: parts.graph.clone(),
        announcer: Announcer::new(parts.subjects.clone(), "teams-sync", ctx),
        bell: parts.bell.clone(),
        clock: ctx.clock.clone(),
        ids: ctx.ids.stream("teams-sync"),
        metrics: Metrics::new(&ctx.meter),
        policies: PolicyCache::default(),
        pace: Pace::default(),
        tenants: Tenants::default(),
        gate: Gate::default(),
        vault: parts.vault.clone(),
        own_apps: OwnApps::default(),
        settings: settings.clone(),
    });
    parts.graph.share_budgets(Arc::new(SharedLedger::new(parts.store.clone())));
    let (store, graph, stop) = (parts.store.clone(), parts.graph.clone(), ctx.shutdown.clone());
    ctx.spawn("teams-sync.gates", async move { rates::hear_until(store, graph, stop).await });
    canary::start(ctx, &shared);
    let worker = Arc::new(Worker::new(Arc::clone(&shared), ctx));
    for consumer in [wire::due_auto(&parts.subjects), wire::due_manual(&parts.subjects)] {
        let (bus, stop, worker) = (parts.bus.clone(), ctx.shutdown.clone(), Arc::clone(&worker));
        let letters = Letters::new(parts.store.clone());
        ctx.spawn("teams-sync.due", async move {
            let batches = Batches { slots: 1, ..Batches::default() };
            bus.run_batches(consumer, batches, letters, stop, move |deliveries| {
                let worker = Arc::clone(&worker);
                async move {
                    // the message only says that somebody waits; the claim itself reads the table
                    let failure = worker.claim_pass().await.err();
                    deliveries
                        .iter()
                        .map(|delivery| match (tandem_wire::decode_due(&delivery.payload), &failure) {
                            (Err(error), _) => {
                                Outcome::Reject { code: error.code().to_owned(), reason: error.to_string() }
                            }
                            (Ok(_), None) => Outcome::Done,
                            (Ok(_), Some(error)) => Outcome::Retry {
                                after: Duration::from_secs(2),
                                cause: tandem_runtime::chain(error),
                            },
                        })
                        .collect()
                }
            })
            .await
            .map_err(BoxError::from)
        });
    }
    let (stop, claiming) = (ctx.shutdown.clone(), Arc::clone(&worker));
    ctx.spawn("teams-sync.claim", async move { claiming.claim_until(stop).await });
    ctx.spawn_in(tandem_runtime::Stage::Work, "teams-sync.heartbeat", move |stop| async move {
        worker.beat_until(stop).await
    });
    let (stop, reconciling) = (ctx.shutdown.clone(), Arc::clone(&shared));
    ctx.spawn("teams-sync.reconcile", async move { reconcile::run_until(reconciling, stop).await });
    let (stop, answering) = (ctx.shutdown.clone(), Arc::clone(&shared));
    ctx.spawn("teams-sync.requests", async move { requests::run_until(answering, stop).await });
    let (stop, pruning) = (ctx.shutdown.clone(), Arc::clone(&shared));
    ctx.spawn("teams-sync.housekeeping", async move { housekeeping::run_until(pruning, stop).await });
    let (stop, erasing) = (ctx.shutdown.clone(), Arc::clone(&shared));
    ctx.spawn("teams-sync.spent", async move { spent::run_until(erasing, stop).await });
    let (stop, telling) = (ctx.shutdown.clone(), Arc::clone(&shared));
    ctx.spawn("teams-sync.expiry", async move { expiry::run_until(telling, stop).await });
    let (stop, proving) = (ctx.shutdown.clone(), Arc::clone(&shared));
    ctx.spawn("teams-sync.proof", async move { proof::run_until(proving, stop).await });
    let stop = ctx.shutdown.clone();
    ctx.spawn("teams-sync.settle", async move { settle::run_until(shared, stop).await });
}
