//! Claiming jobs and keeping the claims.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tandem_domain::JobId;
use tandem_domain::job::JobType;
use tandem_runtime::health::Check;
use tandem_runtime::{BoxError, Ctx, chain, trace};
use tandem_store::claims::{self, Beat, Claim};
use tandem_store::{Store, StoreError};
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::lease::Lease;
use crate::{Shared, job};

/// Jobs claimed in one statement.
const BATCH: usize = 500;
/// So many jobs found at once are the front of a wave.
const WAVE: usize = 100;
/// How long to wait for the next of a wave.
const BETWEEN: Duration = Duration::from_millis(200);
/// How long the Auto jobs of a wave wait for each other at most.
const LONGEST_WAVE: Duration = Duration::from_secs(3);
/// Connections of their own for claims and heartbeats, which must not queue behind what the jobs ask.
const CONNECTIONS: u32 = 2;

#[derive(Debug)]
struct InHand {
    epoch: i32,
    lease: Arc<Lease>,
}

/// Claims jobs, renews the claims, and runs each in a task of its own.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    /// For claims and heartbeats only.
    store: Store,
    ctx: Ctx,
    auto: Arc<Semaphore>,
    manual: Arc<Semaphore>,
    in_hand: Mutex<HashMap<JobId, InHand>>,
    /// Held by the one claim pass there may be; Auto jobs begin between two passes, so that thousands that are due
    /// together are all cut and claimed before the work of the first takes the database.
    passing: RwLock<()>,
    freed: Notify,
    check: Check,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, ctx: &Ctx) -> Self {
        Self {
            auto: Arc::new(Semaphore::new(shared.settings.auto_slots)),
            manual: Arc::new(Semaphore::new(shared.settings.manual_slots)),
            store: shared.store.apart(CONNECTIONS),
            shared,
            ctx: ctx.clone(),
            in_hand: Mutex::new(HashMap::new()),
            passing: RwLock::new(()),
            freed: Notify::new(),
            check: ctx.health.register("teams-sync.claim"),
        }
    }

    /// Claims what waits, as far as there are permits, and what follows in the same wave. Manual jobs have permits of
    /// their own, and begin at once.
    pub(crate) async fn claim_pass(self: &Arc<Self>) -> Result<(), StoreError> {
        let _one_at_a_time = self.passing.write().await;
        let began = Instant::now();
        loop {
            let mut found = 0;
            for (job_type, slots) in [(JobType::Manual, &self.manual), (JobType::Auto, &self.auto)] {
                found += self.claim_all(job_type, slots).await?;
            }
            if found < WAVE || began.elapsed() >= LONGEST_WAVE {
                return Ok(());
            }
            sleep(BETWEEN).await;
        }
    }

    /// Claims what waits of one type; how many were found.
    async fn claim_all(
        self: &Arc<Self>,
        job_type: JobType,
        slots: &Arc<Semaphore>,
    ) -> Result<usize, StoreError> {
        let mut all = 0;
        while !self.ctx.shutdown.is_cancelled() {
            let mut permits = Vec::new();
            while permits.len() < BATCH
                && let Ok(permit) = Arc::clone(slots).try_acquire_owned()
            {
                permits.push(permit);
            }
            if permits.is_empty() {
                break;
            }
            let settings = &self.shared.settings;
            let asked_at = Instant::now();
            let most = i64::try_from(permits.len()).unwrap_or(i64::MAX);
            let found = claims::claim(&self.store, &settings.worker, job_type, most, settings.lease).await?;
            all += found.len();
            let full = found.len() == permits.len();
            for (claim, permit) in found.into_iter().zip(permits) {
                self.take(claim, permit, asked_at);
            }
            if !full {
                break;
            }
        }
        Ok(all)
    }

    async fn take_over_pass(self: &Arc<Self>) -> Result<(), StoreError> {
        let settings = &self.shared.settings;
        let Ok(permit) = Arc::clone(&self.auto).try_acquire_owned() else { return Ok(()) };
        let mut permits = vec![permit];
        while permits.len() < BATCH
            && let Ok(permit) = Arc::clone(&self.auto).try_acquire_owned()
        {
            permits.push(permit);
        }
        let asked_at = Instant::now();
        let most = i64::try_from(permits.len()).unwrap_or(i64::MAX);
        let found =
            claims::take_over(&self.store, &settings.worker, most, settings.lease, settings.wait_out).await?;
        for (claim, permit) in found.into_iter().zip(permits) {
            tracing::warn!(account = %claim.account, job = %claim.job, epoch = claim.epoch, "job taken over from a silent worker");
            self.take(claim, permit, asked_at);
        }
        Ok(())
    }

    fn take(self: &Arc<Self>, claim: Claim, permit: OwnedSemaphorePermit, asked_at: Instant) {
        let settings = &self.shared.settings;
        let lease = Arc::new(Lease::new(asked_at, settings.lease, settings.lease_margin));
        let (id, epoch, job_type) = (claim.job, claim.epoch, claim.job_type);
        self.hand().insert(id, InHand { epoch, lease: Arc::clone(&lease) });
        let worker = Arc::clone(self);
        let span = tracing::info_span!("teams-sync.claimed", account = %claim.account, job = %id);
        if let Some(parent) = &claim.traceparent {
            trace::set_parent(&span, parent);
        }
        self.ctx.spawn_once(
            "teams-sync.job",
            async move {
                let _permit = permit;
                if job_type == JobType::Auto {
                    drop(worker.passing.read().await);
                }
                let lost = lease.lost.clone();
                let outcome = tokio::select! {
                    outcome = job::run(Arc::clone(&worker.shared), claim, lease) => outcome,
                    () = lost.cancelled() => Err(StoreError::Superseded { work: "jobs.run" }),
                };
                worker.hand().remove(&id);
                if let Err(error) = outcome {
                    // the claim ends by itself and the job is taken over: nothing is lost
                    tracing::warn!(job = %id, epoch, error = %chain(&error), "job left to its next claim");
                }
                drop(_permit);
                // an account whose next job was waiting, or one that found no permit, can start now; ends that come
                // together are one look
                worker.freed.notify_one();
                Ok(())
            }
            .instrument(span),
        );
    }

    fn hand(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, InHand>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for waiting jobs when a place has become free, and for those and silent workers without being told.
    pub(crate) async fn claim_until(self: Arc<Self>, stop: CancellationToken) -> Result<(), BoxError> {
        let mut sweep = Instant::now();
        while !stop.is_cancelled() {
            let pass = async {
                self.claim_pass().await?;
                if sweep <= Instant::now() {
                    self.take_over_pass().await?;
                    sweep = Instant::now() + self.shared.settings.sweep;
                }
                Ok::<_, StoreError>(())
            };
            match pass.await {
                Ok(()) => self.check.ok(),
                Err(error) => {
                    self.check.degraded(chain(&error));
                    tracing::warn!(error = %chain(&error), "jobs could not be claimed; trying again");
                    sweep = Instant::now() + self.shared.settings.sweep;
                }
            }
            tokio::select! {
                () = sleep_until(sweep) => {}
                () = self.freed.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        for held in self.hand().values() {
            held.lease.ask_to_give_way();
        }
        Ok(())
    }

    /// Renews the claims until every job has ended, also while the process is asked to stop.
    pub(crate) async fn beat_until(self: Arc<Self>, stop: CancellationToken) -> Result<(), BoxError> {
        loop {
            let asked_at = Instant::now();
            let mine: Vec<(JobId, i32)> = self.hand().iter().map(|(job, held)| (*job, held.epoch)).collect();
            if mine.is_empty() && stop.is_cancelled() {
                return Ok(());
            }
            if !mine.is_empty() {
                self.beat(asked_at, &mine).await;
            }
            let pause = if stop.is_cancelled() {
                Duration::from_millis(200).min(self.shared.settings.heartbeat)
            } else {
                self.shared.settings.heartbeat
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
    }

    async fn beat(&self, asked_at: Instant, mine: &[(JobId, i32)]) {
        let settings = &self.shared.settings;
        match claims::heartbeat(&self.store, &settings.worker, mine, settings.lease).await {
            Ok(ours) => {
                let ours: HashMap<JobId, Beat> = ours.into_iter().map(|beat| (beat.job, beat)).collect();
                let hand = self.hand();
                for (job, epoch) in mine {
                    let Some(held) = hand.get(job).filter(|held| held.epoch == *epoch) else { continue };
                    match ours.get(job) {
                        Some(beat) => {
                            held.lease.renewed(
                                asked_at,
                                settings.lease,
                                settings.lease_margin,
                                beat.give_way,
                            );
                            if beat.forbidden {
                                held.lease.forbid_writes();
                            }
                        }
                        None => held.lease.lost.cancel(),
                    }
                }
            }
            // trust ends by itself; the job stops starting requests before its lease ends
            Err(error) => tracing::warn!(error = %chain(&error), "claims could not be renewed; trying again"),
        }
    }
}
