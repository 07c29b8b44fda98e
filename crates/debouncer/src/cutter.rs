//! Cutting: due windows, requests and follow-ups become jobs.

use std::time::Duration;

use tandem_domain::job::{JobScope, JobType};
use tandem_domain::window::Timing;
use tandem_domain::{AccountId, JobId};
use tandem_outbox::{Announcer, Bell};
use tandem_runtime::health::Check;
use tandem_runtime::{BoxError, Clock, Ctx, Ids, chain, failpoint, trace};
use tandem_store::cut::{self, Cut, CutAccount, Queued, Requested};
use tandem_store::outbox::Announcement;
use tandem_store::{Store, outbox, windows};
use tandem_wire::JobEvent;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Parts;
use crate::metrics::Metrics;

/// Jobs cut in one transaction.
const BATCH: i64 = 500;
/// How often windows are looked for that nothing holds back any more: the end of a pause is no message.
const RELEASE: Duration = Duration::from_secs(5);

pub(crate) struct Cutter {
    store: Store,
    announcer: Announcer,
    bell: Bell,
    clock: Clock,
    ids: Ids,
    timing: Timing,
    metrics: Metrics,
    check: Check,
}

impl Cutter {
    pub(crate) fn new(
        ctx: &Ctx,
        parts: &Parts,
        announcer: Announcer,
        timing: Timing,
        metrics: Metrics,
        check: Check,
    ) -> Self {
        Self {
            store: parts.store.clone(),
            announcer,
            bell: parts.bell.clone(),
            clock: ctx.clock.clone(),
            ids: ctx.ids.stream("job"),
            timing,
            metrics,
            check,
        }
    }

    pub(crate) async fn run_until(self, tick: Duration, stop: CancellationToken) -> Result<(), BoxError> {
        let mut release_due = Instant::now();
        while !stop.is_cancelled() {
            let release = Instant::now() >= release_due;
            if release {
                release_due = Instant::now() + RELEASE;
            }
            match self.pass(release).await {
                Ok(()) => self.check.ok(),
                Err(error) => {
                    self.check.degraded(chain(error.as_ref()));
                    tracing::warn!(error = %chain(error.as_ref()), "jobs could not be cut; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn pass(&self, release: bool) -> Result<(), BoxError> {
        if release {
            let released = windows::release(&self.store).await?;
            if released > 0 {
                tracing::info!(windows = released, "windows released");
            }
            self.metrics.waiting(windows::oldest(&self.store).await?);
        }
        while self.requests().await? {}
        while self.due_windows().await? {}
        self.follow_ups().await?;
        Ok(())
    }

    /// Cuts the jobs of due windows; true when more may be due.
    #[tracing::instrument(name = "debouncer.cut", skip_all, level = "debug")]
    async fn due_windows(&self) -> Result<bool, BoxError> {
        let mut tx = self.store.begin("windows.cut").await?;
        let due = windows::take_due(&mut tx, BATCH, self.timing).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let accounts: Vec<CutAccount> = due
            .iter()
            .map(|w| CutAccount {
                // the edit's trace goes on, not that of this loop
                traceparent: w.traceparent.clone(),
                ..self.fresh(w.account, Some(w.first_change_at), w.due_at)
            })
            .collect();
        let cut = Cut {
            job_type: JobType::Auto,
            scope: JobScope::Changed,
            cause: "window",
            person: None,
            reason: None,
            linked_job: None,
            subject: None,
            token_request: None,
        };
        let queued = cut::queue(&mut tx, &cut, &accounts).await?;
        windows::close(&mut tx, &due.iter().map(|w| w.account).collect::<Vec<_>>()).await?;
        outbox::put(&mut tx, &self.announce(&queued, JobType::Auto)?).await?;
        tx.commit().await?;
        failpoint::hit("deb.after_job_insert_before_ack");
        self.bell.ring();
        self.metrics.cut(JobType::Auto, "window", queued.len());
        for job in &queued {
            tracing::info!(account = %job.account, job = %job.job, job_type = "auto", cause = "window", "job cut");
        }
        Ok(i64::try_from(due.len()).unwrap_or(BATCH) == BATCH)
    }

    /// Carries out people's requests; true when more may wait.
    async fn requests(&self) -> Result<bool, BoxError> {
        let mut tx = self.store.begin("requests.carry_out").await?;
        let requests = cut::take_requests(&mut tx, 50).await?;
        if requests.is_empty() {
            return Ok(false);
        }
        let mut announcements = Vec::new();
        let mut covered = Vec::new();
        let mut carried_out = false;
        let mut accounts: Vec<AccountId> = requests.iter().map(|r| r.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        for account in &accounts {
            windows::take_one(&mut tx, *account, self.timing).await?;
        }
        for request in &requests {
            let window = windows::open(&mut tx, request.account).await?;
            let first = window.filter(|_| request.asked.covers()).and_then(|w| w.first_change_at);
            let fresh = self.fresh(request.account, first, self.clock.now());
            let cause = request.asked.cause();
            let Some(requested) = cut::carry_out(&mut tx, request, fresh).await? else { continue };
            carried_out = true;
            if request.asked.covers() {
                covered.push(request.account);
            }
            match requested {
                Requested::Queued(job) => {
                    let job_type = request.job_type;
                    self.metrics.cut(job_type, cause, 1);
                    tracing::info!(account = %job.account, job = %job.job, job_type = %job_type, cause, "job cut");
                    announcements.extend(self.announce(&[job], job_type)?);
                }
                Requested::Joined { job, number, at, data } => {
                    tracing::info!(account = %request.account, job = %job, "request joined the queued job");
                    let event = JobEvent {
                        account: request.account.0,
                        job: job.0,
                        number,
                        at,
                        kind: "merged".to_owned(),
                        data,
                    };
                    announcements.push(self.announcer.event(&event)?);
                    announcements.push(self.announcer.due(request.account, job, JobType::Manual)?);
                }
            }
        }
        windows::close(&mut tx, &covered).await?;
        outbox::put(&mut tx, &announcements).await?;
        tx.commit().await?;
        self.bell.ring();
        // what waits for another job to start is looked at again with the next tick
        Ok(carried_out)
    }

    /// Cuts jobs for deferred users that are due and for accounts whose failed job is tried again.
    async fn follow_ups(&self) -> Result<(), BoxError> {
        let mut tx = self.store.begin("follow_ups.cut").await?;
        let mut found = cut::follow_ups(&mut tx, BATCH).await?;
        // windows are locked in key order everywhere, so that two batches cannot deadlock
        found.sort_unstable_by_key(|f| f.account);
        for follow_up in found {
            windows::take_one(&mut tx, follow_up.account, self.timing).await?;
            let window = windows::open(&mut tx, follow_up.account).await?;
            let first = window.and_then(|w| w.first_change_at);
            let account = self.fresh(follow_up.account, first, follow_up.due_at);
            let cut = Cut {
                job_type: JobType::Auto,
                scope: JobScope::Changed,
                cause: &follow_up.cause,
                person: None,
                reason: None,
                linked_job: follow_up.linked_job,
                subject: None,
                token_request: None,
            };
            let queued = cut::queue(&mut tx, &cut, &[account]).await?;
            windows::close(&mut tx, &[follow_up.account]).await?;
            outbox::put(&mut tx, &self.announce(&queued, JobType::Auto)?).await?;
            self.metrics.cut(JobType::Auto, &follow_up.cause, queued.len());
            for job in &queued {
                tracing::info!(account = %job.account, job = %job.job, job_type = "auto", cause = %follow_up.cause, "job cut");
            }
        }
        tx.commit().await?;
        self.bell.ring();
        Ok(())
    }

    fn fresh(
        &self,
        account: AccountId,
        first_change_at: Option<time::OffsetDateTime>,
        due_at: time::OffsetDateTime,
    ) -> CutAccount {
        CutAccount {
            account,
            job: JobId(self.ids.v7(&self.clock)),
            first_change_at,
            due_at,
            traceparent: trace::inject(),
        }
    }

    fn announce(&self, queued: &[Queued], job_type: JobType) -> Result<Vec<Announcement>, BoxError> {
        let mut announcements = Vec::with_capacity(queued.len() * 2);
        for job in queued {
            announcements.push(self.announcer.due(job.account, job.job, job_type)?);
            announcements.push(self.announcer.event(&JobEvent {
                account: job.account.0,
                job: job.job.0,
                number: 1,
                at: job.at,
                kind: "queued".to_owned(),
                data: job.data.clone(),
            })?);
        }
        Ok(announcements)
    }
}
