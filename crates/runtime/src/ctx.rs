//! What is handed to every role, and the ownership of background tasks.
//!
//! Promised: a task that ends by itself, fails or panics is recorded and stops the process; nothing limps on half alive.
//! Stopping is ordered: first whatever takes and does work, then the outbox, then the servers.

use std::{
    any::Any,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use opentelemetry::metrics::{Meter, MeterProvider, NoopMeterProvider};
use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{BoxError, Clock, Health, Ids, chain};

/// The order of stopping: a stage is told to stop when every task of the stages before it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Intake and work: at the stop nothing new is taken, and what was begun is finished or handed back.
    Work,
    /// The outbox: announces what work has committed.
    Outbox,
    /// Listeners for people and probes: they go last, so that a stop can be watched.
    Servers,
}

/// How a background task ended when it should not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// It returned although nobody asked it to stop.
    Ended,
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
}

/// One background task that ended when it should not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundError {
    /// The task's name.
    pub task: String,
    /// How it ended.
    pub kind: TaskEnd,
    /// What it said.
    pub message: String,
}

#[derive(Clone, Default)]
struct StageTasks {
    stop: CancellationToken,
    tracker: TaskTracker,
}

/// Clock, ids, the stop, tasks, health and metrics of one process (or of one role in a test). Clones are one context.
#[derive(Clone)]
pub struct Ctx {
    /// What time it is.
    pub clock: Clock,
    /// Where ids come from.
    pub ids: Ids,
    /// Fires when the process is to stop: take nothing new, finish, return.
    pub shutdown: CancellationToken,
    /// The tasks of [`Stage::Work`], for short tasks that a role tracks itself.
    pub tracker: TaskTracker,
    /// The named checks behind `/readyz`.
    pub health: Health,
    /// Where instruments are made.
    pub meter: Meter,
    outbox: StageTasks,
    servers: StageTasks,
    errors: Arc<Mutex<Vec<BackgroundError>>>,
}

impl Ctx {
    /// A context of its own, with nothing running in it.
    #[must_use]
    pub fn new(clock: Clock, ids: Ids, meter: Meter) -> Self {
        Self {
            clock,
            ids,
            shutdown: CancellationToken::new(),
            tracker: TaskTracker::new(),
            health: Health::default(),
            meter,
            outbox: StageTasks::default(),
            servers: StageTasks::default(),
            errors: Arc::default(),
        }
    }

    /// A context whose metrics go nowhere: for one-shot commands and tests.
    #[must_use]
    pub fn quiet(clock: Clock, ids: Ids) -> Self {
        Self::new(clock, ids, NoopMeterProvider::new().meter("tandem"))
    }

    /// Runs a loop that returns `Ok` after [`Ctx::shutdown`] fires. If it ends earlier, fails or panics, that is a
    /// background error and the process stops.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.watch(Stage::Work, name, false, task);
    }

    /// Like [`Ctx::spawn`], for a loop of a given stage: it stops when the token it is given fires.
    pub fn spawn_in<M, F>(&self, stage: Stage, name: &'static str, make: M)
    where
        M: FnOnce(CancellationToken) -> F,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let task = make(self.stage(stage).stop);
        self.watch(stage, name, false, task);
    }

    /// Runs a task that may be done at any time. An error or a panic is a background error and the process stops.
    pub fn spawn_once<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.watch(Stage::Work, name, true, task);
    }

    /// Asks for a soft stop, as the first signal does.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    /// The background tasks that ended when they should not have, oldest first.
    #[must_use]
    pub fn background_errors(&self) -> Vec<BackgroundError> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops everything in order and waits. True when every task ended in time; a stage that does not end leaves the
    /// stages after it a share of the deadline.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let start = Instant::now();
        let mut in_time = true;
        for (stage, share) in [(Stage::Work, 0.8), (Stage::Outbox, 0.9), (Stage::Servers, 1.0)] {
            let StageTasks { stop, tracker } = self.stage(stage);
            stop.cancel();
            tracker.close();
            if timeout_at(start + deadline.mul_f64(share), tracker.wait()).await.is_err() {
                tracing::warn!(stage = ?stage, tasks = tracker.len(), "tasks did not end before the deadline");
                in_time = false;
            }
        }
        in_time
    }

    fn stage(&self, stage: Stage) -> StageTasks {
        match stage {
            Stage::Work => StageTasks { stop: self.shutdown.clone(), tracker: self.tracker.clone() },
            Stage::Outbox => self.outbox.clone(),
            Stage::Servers => self.servers.clone(),
        }
    }

    fn watch<F>(&self, stage: Stage, name: &'static str, may_end: bool, task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let StageTasks { stop, tracker } = self.stage(stage);
        let (shutdown, errors) = (self.shutdown.clone(), self.errors.clone());
        // boxed: a role's loop is large, and it is wrapped once more by the tracker
        let task = Box::pin(AssertUnwindSafe(task).catch_unwind());
        tracker.spawn(async move {
            let (kind, message) = match task.await {
                Ok(Ok(())) if may_end || stop.is_cancelled() => return,
                Ok(Ok(())) => (TaskEnd::Ended, "ended although nobody asked it to".to_owned()),
                Ok(Err(error)) => (TaskEnd::Failed, chain(error.as_ref())),
                Err(panic) => (TaskEnd::Panicked, panic_text(panic.as_ref())),
            };
            tracing::error!(task = name, kind = ?kind, error = %message, "a background task failed; the process stops");
            errors.lock().unwrap_or_else(PoisonError::into_inner).push(BackgroundError {
                task: name.to_owned(),
                kind,
                message,
            });
            shutdown.cancel();
        });
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx")
            .field("clock", &self.clock)
            .field("stopping", &self.shutdown.is_cancelled())
            .field("tasks", &self.tracker.len())
            .finish_non_exhaustive()
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}
