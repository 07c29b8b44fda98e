//! The debouncer: gathers the changes of an account for a moment, then cuts one job.
//!
//! It owns `queue.windows`, inserts into `queue.jobs` and hands in what a bulk act asks for, account by account. Promised: a change that counts finds its way into a job
//! within `min(last change + quiet, first change + max wait)`, whether or not its announcement arrived; at most one
//! job is queued per account; any number of instances work side by side. Not promised: one job per change.

mod announcements;
mod bulk;
mod cutter;
mod gather;
mod metrics;

use std::time::Duration;

use tandem_bus::{Batches, Bus};
use tandem_domain::window::Timing;
use tandem_outbox::{Announcer, Bell, Letters};
use tandem_runtime::{BoxError, Ctx};
use tandem_store::Store;
use tandem_wire::{Subjects, settings};

use crate::bulk::Bulk;
use crate::cutter::Cutter;
use crate::gather::Gatherer;
use crate::metrics::Metrics;

/// How long the first announcement of a batch waits for company: next to nothing beside a window, and ten accounts
/// together cost little more than one.
const COMPANY: Duration = Duration::from_millis(50);

/// Announcements of a batch. Each may tell of 200 accounts.
const MESSAGES: usize = 100;

/// Settings of the role.
#[derive(Clone, Debug)]
pub struct DebouncerSettings {
    /// Quiet period and longest wait of accounts that set none.
    pub timing: Timing,
    /// How often due windows and requests are looked for.
    pub tick: Duration,
    /// How often changes are looked for whose announcement never came.
    pub sweep: Duration,
    /// Batches of announcements worked on at once.
    pub slots: usize,
}

impl Default for DebouncerSettings {
    fn default() -> Self {
        Self {
            timing: Timing::DEFAULT,
            tick: Duration::from_millis(500),
            sweep: Duration::from_secs(60),
            slots: 2,
        }
    }
}

/// What the role works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database as `Login::Debouncer`.
    pub store: Store,
    /// The broker.
    pub bus: Bus,
    /// Names of subjects and streams.
    pub subjects: Subjects,
    /// Rung after a commit.
    pub bell: Bell,
}

/// Starts the role's tasks and returns; they end when `ctx.shutdown` fires.
pub fn start(ctx: &Ctx, parts: &Parts, settings: &DebouncerSettings) {
    let metrics = Metrics::new(&ctx.meter);
    let gatherer = Gatherer::new(parts.store.clone(), settings.timing, metrics.clone());
    let consumer = settings::debouncer(&parts.subjects);
    let (bus, stop) = (parts.bus.clone(), ctx.shutdown.clone());
    let letters = Letters::new(parts.store.clone());
    let heard = gatherer.clone();
    let batches = Batches { max: MESSAGES, linger: COMPANY, slots: settings.slots };
    ctx.spawn("debouncer.changed", async move {
        bus.run_batches(consumer, batches, letters, stop, move |deliveries| {
            let gatherer = heard.clone();
            async move { announcements::handle(&gatherer, &deliveries).await }
        })
        .await
        .map_err(BoxError::from)
    });
    let sweeper = gatherer;
    let (sweep, stop) = (settings.sweep, ctx.shutdown.clone());
    ctx.spawn("debouncer.sweep", async move { sweeper.sweep_until(sweep, stop).await });
    let announcer = Announcer::new(parts.subjects.clone(), "debouncer", ctx);
    let check = ctx.health.register("debouncer.cut");
    let cutter = Cutter::new(ctx, parts, announcer, settings.timing, metrics, check);
    let (tick, stop) = (settings.tick, ctx.shutdown.clone());
    ctx.spawn("debouncer.cut", async move { cutter.run_until(tick, stop).await });
    let bulk = Bulk::new(ctx, parts.store.clone());
    let stop = ctx.shutdown.clone();
    ctx.spawn("debouncer.bulk", async move { bulk.run_until(tick, stop).await });
}
