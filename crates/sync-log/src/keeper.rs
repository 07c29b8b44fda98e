//! Keeping events: lock the records, read what is above their numbers, write both back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tandem_domain::JobId;
use tandem_domain::failure::Failure;
use tandem_runtime::{Ctx, failpoint};
use tandem_store::log::{self, Event, NewStep};
use tandem_store::log_read::JobRow;
use tandem_store::{Store, StoreError};
use time::{Date, OffsetDateTime};
use tracing::Instrument;

use crate::fold;
use crate::metrics::Metrics;

/// Jobs locked by one transaction.
const JOBS: usize = 200;
/// Events kept by one transaction.
const EVENTS: i64 = 2000;
/// Jobs of a page of the sweep.
const PAGE: i64 = 5000;

/// What a look at some jobs brought into the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Events that were new to the log.
    pub events: usize,
    /// Jobs that became final by them.
    pub finished: usize,
}

/// Brings events from the queue into the log. Cheap to clone; any number of them work side by side.
#[derive(Clone, Debug)]
pub struct Keeper {
    store: Store,
    metrics: Metrics,
    /// Months whose partitions were seen to exist.
    months: Arc<Mutex<BTreeSet<Date>>>,
}

/// What one transaction did.
struct Round {
    kept: Kept,
    /// Whether there may be more events.
    more: bool,
    /// Jobs with a missing event.
    gaps: BTreeSet<JobId>,
}

impl Keeper {
    /// A keeper over the database as `Login::SyncLog`.
    #[must_use]
    pub fn new(ctx: &Ctx, store: Store) -> Self {
        Self { store, metrics: Metrics::new(&ctx.meter), months: Arc::default() }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Keeps what happened to these jobs and is not in the log yet. Jobs that do not exist are left out.
    ///
    /// # Errors
    /// [`StoreError`]; what was not kept is kept by the next look.
    pub async fn keep(&self, jobs: &[JobId]) -> Result<Kept, StoreError> {
        let jobs: BTreeSet<JobId> = jobs.iter().copied().filter(|job| in_partition(*job)).collect();
        let jobs: Vec<JobId> = jobs.into_iter().collect();
        let span = tracing::info_span!("sync_log.keep", jobs = jobs.len());
        let kept = self.keep_known(&jobs).instrument(span).await;
        if kept.is_err() {
            self.months.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        kept
    }

    /// Like [`Self::keep`], but one job that cannot be kept does not stand in the way of the others.
    ///
    /// # Errors
    /// What may go away by itself and concerns all jobs alike, such as a database that does not answer.
    pub(crate) async fn keep_each(&self, jobs: &[JobId]) -> Result<Vec<(JobId, StoreError)>, StoreError> {
        match self.keep(jobs).await {
            Ok(_) => return Ok(Vec::new()),
            Err(error) if error.retryable() => return Err(error),
            Err(error) => tracing::debug!(error = %error, "keeping the jobs of a batch one by one"),
        }
        let alone: BTreeSet<JobId> = jobs.iter().copied().collect();
        let mut failures = Vec::new();
        for job in alone {
            if let Err(error) = self.keep(&[job]).await {
                failures.push((job, error));
            }
        }
        Ok(failures)
    }

    /// Keeps whatever the queue holds and the log does not, announced or not.
    ///
    /// # Errors
    /// The last [`StoreError`], after all jobs were tried.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let mut after = JobId(uuid::Uuid::nil());
        let mut failed = Ok(());
        loop {
            let behind = log::behind(&self.store, after, PAGE).await?;
            let Some(last) = behind.last() else { return failed };
            tracing::info!(jobs = behind.len(), "keeping events that were not announced");
            if let Some((_, error)) = self.keep_each(&behind).await?.pop() {
                failed = Err(error);
            }
            after = *last;
        }
    }

    async fn keep_known(&self, jobs: &[JobId]) -> Result<Kept, StoreError> {
        self.make_months(jobs).await?;
        let mut total = Kept::default();
        for chunk in jobs.chunks(JOBS) {
            let mut pending = chunk.to_vec();
            while !pending.is_empty() {
                let round = self.store.retrying(|| self.round(&pending)).await?;
                total.events += round.kept.events;
                total.finished += round.kept.finished;
                if !round.more {
                    break;
                }
                pending.retain(|job| !round.gaps.contains(job));
            }
        }
        Ok(total)
    }

    async fn round(&self, jobs: &[JobId]) -> Result<Round, StoreError> {
        let mut tx = self.store.begin("log.keep").await?;
        let records = log::lock(&mut tx, jobs).await?;
        let events = log::events(&mut tx, &records, EVENTS).await?;
        let more = i64::try_from(events.len()).is_ok_and(|read| read >= EVENTS);
        let folded = fold_all(records, &events);
        let finished: Vec<&JobRow> =
            folded.records.iter().filter(|r| folded.finished.contains(&r.job)).collect();
        if !folded.steps.is_empty() {
            log::keep(&mut tx, &folded.records, &folded.steps, &finished, &folded.failures).await?;
        }
        failpoint::hit("log.before_commit");
        tx.commit().await?;
        self.metrics.kept(folded.steps.len());
        for job in &finished {
            self.metrics.finished(job.job_type, job.state);
        }
        for job in &folded.gaps {
            tracing::warn!(%job, "an event of the job is missing; the log waits for it");
        }
        let kept = Kept { events: folded.steps.len(), finished: finished.len() };
        Ok(Round { kept, more, gaps: folded.gaps })
    }

    /// Makes the partitions that the jobs need. The sweep makes those of the calendar beforehand; this is for jobs
    /// whose ids come from another time.
    async fn make_months(&self, jobs: &[JobId]) -> Result<(), StoreError> {
        let needed: BTreeSet<Date> = jobs.iter().filter_map(|job| month_of(*job)).collect();
        let unseen: Vec<Date> = {
            let seen = self.months.lock().unwrap_or_else(PoisonError::into_inner);
            needed.difference(&seen).copied().collect()
        };
        for month in unseen {
            log::make_month(&self.store, month).await?;
            self.months.lock().unwrap_or_else(PoisonError::into_inner).insert(month);
        }
        Ok(())
    }
}

struct Folded {
    /// Records that changed.
    records: Vec<JobRow>,
    steps: Vec<NewStep>,
    failures: BTreeSet<Failure>,
    finished: BTreeSet<JobId>,
    gaps: BTreeSet<JobId>,
}

/// Folds events, ordered by job and number, into the records of their jobs; a job stops before a missing number.
fn fold_all(records: Vec<JobRow>, events: &[Event]) -> Folded {
    let mut records: BTreeMap<JobId, JobRow> = records.into_iter().map(|r| (r.job, r)).collect();
    let (mut steps, mut finished, mut gaps) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let (mut changed, mut failures) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        let Some(record) = records.get_mut(&event.job) else { continue };
        if event.number != record.event_number + 1 {
            gaps.insert(event.job);
            continue;
        }
        let was_final = record.state.is_final();
        let (step, failure) = fold::apply(record, event);
        steps.push(step);
        failures.extend(failure);
        changed.insert(event.job);
        if record.state.is_final() && !was_final {
            finished.insert(event.job);
        }
    }
    records.retain(|job, _| changed.contains(job));
    Folded { records: records.into_values().collect(), steps, failures, finished, gaps }
}

/// The first day of the month in which the job was cut; job ids are UUIDs of version 7 (RFC 9562).
fn month_of(job: JobId) -> Option<Date> {
    let (seconds, _) = job.0.get_timestamp()?.to_unix();
    let cut = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    cut.date().replace_day(1).ok()
}

fn in_partition(job: JobId) -> bool {
    let known = job.0.get_version_num() == 7 && month_of(job).is_some();
    if !known {
        tracing::warn!(%job, "not the id of a job: it tells no time");
    }
    known
}
