//! The log: what happened to jobs, kept for people.
//!
//! It owns the schema `log`. Promised: every event of a job ends up in the log once, in the order of its number,
//! whatever the broker does with the announcement (loses it, repeats it, delivers it a year later); a finished job is
//! counted once. Not promised: that an event is there before the next sweep when its announcement was lost.
//!
//! An announcement names a job. The truth is `queue.events`, so a message, a sweep and a replay share one path:
//! [`Keeper::keep`].

mod announcements;
mod fold;
mod housekeeper;
mod keeper;
mod metrics;

use std::time::Duration;

use tandem_bus::{Batches, Bus};
use tandem_outbox::Letters;
use tandem_runtime::{BoxError, Ctx};
use tandem_store::Store;
use tandem_wire::{Subjects, settings};

use crate::housekeeper::Housekeeper;
pub use crate::keeper::{Keeper, Kept};

/// Settings of the role.
#[derive(Clone, Debug)]
pub struct SyncLogSettings {
    /// How often events are looked for whose announcement never came.
    pub sweep: Duration,
    /// Events that are in the log stay in the queue for this long.
    pub keep_events: Duration,
    /// Records of jobs are kept for this many months.
    pub keep_job_months: i32,
    /// Steps of jobs are kept for this many days.
    pub keep_step_days: i32,
    /// Batches of announcements worked on at once.
    pub slots: usize,
}

impl Default for SyncLogSettings {
    fn default() -> Self {
        Self {
            sweep: Duration::from_secs(60),
            keep_events: Duration::from_secs(3600),
            keep_job_months: 13,
            keep_step_days: 90,
            slots: 2,
        }
    }
}

/// What the role works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database as `Login::SyncLog`.
    pub store: Store,
    /// The broker.
    pub bus: Bus,
    /// Names of subjects and streams.
    pub subjects: Subjects,
}

/// Starts the role's tasks and returns; they end when `ctx.shutdown` fires.
pub fn start(ctx: &Ctx, parts: &Parts, settings: &SyncLogSettings) {
    let keeper = Keeper::new(ctx, parts.store.clone());
    let consumer = settings::sync_log(&parts.subjects);
    let (bus, stop) = (parts.bus.clone(), ctx.shutdown.clone());
    let (letters, heard) = (Letters::new(parts.store.clone()), keeper.clone());
    let batches = Batches { slots: settings.slots, ..Batches::default() };
    ctx.spawn("sync_log.events", async move {
        bus.run_batches(consumer, batches, letters, stop, move |deliveries| {
            let keeper = heard.clone();
            async move { announcements::handle(&keeper, &deliveries).await }
        })
        .await
        .map_err(BoxError::from)
    });
    let check = ctx.health.register("sync_log.sweep");
    let housekeeper = Housekeeper::new(keeper, settings.clone(), check);
    let stop = ctx.shutdown.clone();
    ctx.spawn("sync_log.sweep", async move { housekeeper.run_until(stop).await });
}
