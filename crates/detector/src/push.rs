//! The push endpoint: what a PBX tells by itself, over HTTP, signed.
//!
//! A message is either taken whole, recorded and answered with 202, or refused with a problem document and without any
//! effect. The same `webhook-id` again gets the same answer and has no second effect. The signature is checked before
//! anything of the body is read, and an account that does not exist answers like one whose signature is wrong.

mod accounts;
mod body;
mod group;
mod limits;
mod problem;
mod routes;
mod take;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tandem_domain::window::Timing;
use tandem_outbox::{Announcer, Bell};
use tandem_runtime::{BoxError, Clock, Ctx, chain};
use tandem_store::{Store, pbx};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use crate::push::accounts::Accounts;
use crate::push::limits::{Buckets, Lanes};
use crate::push::take::Queue;
use crate::source::Nudges;
use crate::{Parts, PushSettings};

/// How long a message is remembered: far longer than its timestamp is accepted.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);
/// How often receipts older than that are dropped.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Why the push endpoint does not listen.
#[derive(Debug, thiserror::Error)]
#[error("listen for pushes on {address}")]
pub struct PushStartError {
    /// Where it should.
    pub address: SocketAddr,
    /// Why it cannot.
    #[source]
    pub source: io::Error,
}

/// What every request works with.
pub(crate) struct App {
    clock: Clock,
    tracker: TaskTracker,
    store: Store,
    bell: Bell,
    announcer: Announcer,
    metrics: Metrics,
    nudges: Nudges,
    accounts: Accounts,
    buckets: Buckets,
    lanes: Lanes,
    queue: Queue,
    bodies: body::Budget,
    timing: Timing,
    after_due: Duration,
}

/// Listens and serves until the stop; the address it listens on.
pub(crate) async fn start(
    ctx: &Ctx,
    parts: &Parts,
    announcer: Announcer,
    metrics: Metrics,
    settings: &PushSettings,
    (timing, after_due): (Timing, Duration),
    nudges: Nudges,
) -> Result<SocketAddr, PushStartError> {
    let failed = |source| PushStartError { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let app = Arc::new(App {
        clock: ctx.clock.clone(),
        tracker: ctx.tracker.clone(),
        store: parts.store.clone(),
        bell: parts.bell.clone(),
        announcer,
        metrics,
        nudges,
        accounts: Accounts::new(parts.store.clone(), settings.secrets_dir.clone(), &ctx.ids),
        buckets: Buckets::new(settings.rate_per_second),
        lanes: Lanes::default(),
        queue: take::queue(),
        bodies: body::Budget::default(),
        timing,
        after_due,
    });
    let stop = ctx.shutdown.clone();
    ctx.spawn("detector.push", async move {
        let served = axum::serve(listener, routes::router(app));
        served.with_graceful_shutdown(stop.cancelled_owned()).await.map_err(BoxError::from)
    });
    let (store, stop) = (parts.store.clone(), ctx.shutdown.clone());
    ctx.spawn("detector.receipts", async move {
        while stop.run_until_cancelled(tokio::time::sleep(FORGET_EVERY)).await.is_some() {
            if let Err(error) = pbx::push::expire_receipts(&store, REMEMBER.as_secs_f64()).await {
                tracing::warn!(error = %chain(&error), "old push receipts could not be dropped");
            }
        }
        Ok(())
    });
    tracing::info!(address = %address, "listening for pushes");
    Ok(address)
}
