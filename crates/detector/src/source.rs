//! When a source is read: whoever finds it due claims it, whichever process that is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tandem_outbox::Announcer;
use tandem_runtime::health::Check;
use tandem_runtime::{BoxError, Ctx, chain};
use tandem_store::pbx::sources::{self, Ended, LastRead};
use tandem_store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::reading::{Outcome, ReadError, Reader};
use crate::{DetectorSettings, Parts, SourceSettings};

/// How often the health of a source that others read is looked up.
const LOOK: Duration = Duration::from_secs(10);

/// Wakes the loop of a source in this process.
#[derive(Clone, Debug)]
pub(crate) struct Nudges(Arc<BTreeMap<String, Notify>>);

impl Nudges {
    pub(crate) fn new(sources: impl Iterator<Item = String>) -> Self {
        Self(Arc::new(sources.map(|source| (source, Notify::new())).collect()))
    }

    /// Wakes the loop of a source, if it runs here; others find the flag in the database.
    pub(crate) fn nudge(&self, source: &str) {
        if let Some(notify) = self.0.get(source) {
            notify.notify_one();
        }
    }

    async fn nudged(&self, source: &str) {
        match self.0.get(source) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// The loop of one source.
pub(crate) struct SourceLoop {
    reader: Reader,
    store: Store,
    metrics: Metrics,
    nudges: Nudges,
    check: Check,
    holder: Uuid,
    poll: Duration,
    tick: Duration,
    lease: Duration,
    second_look: Duration,
}

impl SourceLoop {
    pub(crate) fn new(
        ctx: &Ctx,
        parts: &Parts,
        announcer: &Announcer,
        metrics: &Metrics,
        source: SourceSettings,
        settings: &DetectorSettings,
        nudges: &Nudges,
    ) -> Self {
        let ids = ctx.ids.stream(&format!("detector.{}", source.name));
        Self {
            check: ctx.health.register(format!("source.{}", source.name)),
            holder: ctx.ids.stream("detector.holder").v4(),
            poll: source.poll,
            tick: settings.tick,
            lease: settings.lease,
            second_look: settings.second_look,
            store: parts.store.clone(),
            metrics: metrics.clone(),
            nudges: nudges.clone(),
            reader: Reader {
                name: source.name,
                source: source.source,
                store: parts.store.clone(),
                announcer: announcer.clone(),
                bell: parts.bell.clone(),
                metrics: metrics.clone(),
                clock: ctx.clock.clone(),
                ids,
                guard: settings.guard,
                second_look: settings.second_look,
            },
        }
    }

    pub(crate) async fn run_until(self, stop: CancellationToken) -> Result<(), BoxError> {
        let mut known = false;
        let mut looked: Option<Instant> = None;
        while !stop.is_cancelled() {
            match self.turn(&mut known, &mut looked, &stop).await {
                Ok(()) => {}
                Err(error) => {
                    self.check.degraded("database");
                    tracing::warn!(source.name = %self.reader.name, error = %chain(&error), "a source cannot be claimed; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.tick) => {}
                () = self.nudges.nudged(&self.reader.name) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Reads the source if that is due and nobody else does.
    async fn turn(
        &self,
        known: &mut bool,
        looked: &mut Option<Instant>,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        if !*known {
            sources::ensure(&self.store, std::slice::from_ref(&self.reader.name)).await?;
            *known = true;
        }
        let lease = self.lease.as_secs_f64();
        if let Some(started_at) = sources::claim(&self.store, &self.reader.name, self.holder, lease).await? {
            let span = tracing::info_span!("detector.snapshot", source.name = %self.reader.name, users = Empty, changes = Empty, code = Empty);
            *looked = Some(Instant::now());
            return Box::pin(self.claimed(started_at, stop)).instrument(span).await;
        }
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            *looked = Some(Instant::now());
            match sources::last_read(&self.store, &self.reader.name).await? {
                LastRead::Failed(code, _) => self.check.degraded(code),
                LastRead::None | LastRead::Ok => self.check.ok(),
            }
        }
        Ok(())
    }

    async fn claimed(&self, started_at: OffsetDateTime, stop: &CancellationToken) -> Result<(), StoreError> {
        let halt = stop.child_token();
        let began = Instant::now();
        let result = tokio::select! {
            result = self.reader.read(started_at, &halt) => result,
            never = self.keep_claim(&halt) => match never {},
        };
        let seconds = began.elapsed().as_secs_f64();
        let mut ended = Ended { every: self.poll.as_secs_f64(), ..Ended::default() };
        match result {
            Ok(outcome) => self.believed(outcome, seconds, &mut ended),
            Err(ReadError::Halted) => {
                // nobody's claim but ours is given back: the holder is part of the condition
                return sources::release(&self.store, &self.reader.name, self.holder).await;
            }
            Err(error) => self.refused(&error, &mut ended),
        }
        sources::finish(&self.store, &self.reader.name, self.holder, &ended).await
    }

    fn believed(&self, outcome: Outcome, seconds: f64, ended: &mut Ended) {
        let Outcome { users, unbound, unusable, held, changes, soon } = outcome;
        let span = tracing::Span::current();
        span.record("users", users).record("changes", changes);
        self.metrics.read(&self.reader.name, seconds, users, unbound, unusable, held);
        self.check.ok();
        ended.users = i64::try_from(users).ok();
        ended.unbound = i64::try_from(unbound).ok();
        ended.unusable = i64::try_from(unusable).ok();
        ended.held = i64::try_from(held).ok();
        ended.changes = i64::try_from(changes).ok();
        ended.soon = soon.then_some(self.second_look.as_secs_f64());
        if changes > 0 {
            tracing::info!(source.name = %self.reader.name, users, changes, duration_s = seconds, "changes found");
        } else {
            tracing::debug!(source.name = %self.reader.name, users, duration_s = seconds, "nothing changed");
        }
    }

    fn refused(&self, error: &ReadError, ended: &mut Ended) {
        let code = error.code();
        tracing::Span::current().record("code", code);
        self.metrics.refused(&self.reader.name, code);
        self.check.degraded(code);
        match error {
            // the text names a user of the PBX: it is for the table, not for the log
            ReadError::Refused(_) => {
                tracing::warn!(source.name = %self.reader.name, code, "a snapshot is refused");
            }
            _ => {
                tracing::warn!(source.name = %self.reader.name, code, error = %chain(error), "a source could not be read");
            }
        }
        ended.error = Some((code.to_owned(), chain(error)));
    }

    /// Renews the claim until the reading ends. When it is lost, the reading is told to stop; going on would do no
    /// harm but work that another reader does too.
    async fn keep_claim(&self, halt: &CancellationToken) -> Infallible {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let lease = self.lease.as_secs_f64();
            match sources::renew(&self.store, &self.reader.name, self.holder, lease).await {
                Ok(true) => {}
                Ok(false) => halt.cancel(),
                Err(error) => {
                    tracing::warn!(source.name = %self.reader.name, error = %chain(&error), "the claim of a source could not be renewed");
                }
            }
        }
    }
}
