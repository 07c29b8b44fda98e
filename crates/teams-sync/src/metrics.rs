//! Metrics of the role; documented in `docs/telemetry.md`.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use tandem_domain::authorization::{AuthorizationState, Reason};
use tandem_domain::job::{Counts, JobState, JobType};
use tandem_store::claims::{Claim, SettledJob};

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    jobs: Counter<u64>,
    duration: Histogram<f64>,
    lateness: Histogram<f64>,
    users: Counter<u64>,
    landed: Counter<u64>,
    taken_over: Counter<u64>,
    lists: Counter<u64>,
    grants: Gauge<u64>,
    own_fault: Gauge<u64>,
    alarms: Counter<u64>,
    gap: Histogram<f64>,
    without: Counter<u64>,
    parked: Counter<u64>,
    sealed_secrets: Counter<u64>,
}

/// Buckets in seconds around the promise of ten minutes.
const LATENESS: [f64; 12] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 240.0, 360.0, 480.0, 600.0, 1800.0, 7200.0];

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, text: &'static str| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(text)
                .with_boundaries(LATENESS.to_vec())
                .build()
        };
        Self {
            jobs: meter.u64_counter("sync_jobs").with_description("Jobs that ended").build(),
            duration: seconds("sync_job_duration", "Claim to end of a job"),
            lateness: seconds("sync_lateness", "First change to start of its job, and to its landing"),
            users: meter.u64_counter("sync_users").with_description("Users of jobs by result").build(),
            gap: seconds("sync_move_gap", "Without dial tone while a user's number changed"),
            without: meter
                .u64_counter("sync_users_without_number")
                .with_description("Users left without the number that they should have")
                .build(),
            landed: meter.u64_counter("sync_users_landed").with_description("Users settled").build(),
            taken_over: meter
                .u64_counter("sync_jobs_taken_over")
                .with_description("Jobs of silent workers")
                .build(),
            lists: meter
                .u64_counter("sync_microsoft_lists")
                .with_description("Lists of Microsoft users read")
                .build(),
            grants: meter
                .u64_gauge("sync_grant_state")
                .with_description("Accounts by state of their authorization")
                .build(),
            own_fault: meter
                .u64_gauge("sync_own_fault")
                .with_description("1 while Microsoft refuses the provider's own credential")
                .build(),
            alarms: meter.u64_counter("sync_alarms").with_description("Things that must not happen").build(),
            parked: meter
                .u64_counter("sync_jobs_parked")
                .with_description("Jobs put back because Microsoft asked to wait")
                .build(),
            sealed_secrets: meter
                .u64_counter("sync_sealed_secret_failures")
                .with_description("Sealed secrets that could not be used, by code")
                .build(),
        }
    }

    pub(crate) fn started(&self, claim: &Claim) {
        if claim.taken_over {
            self.taken_over.add(1, &[]);
            return;
        }
        // one that was put back has started once already
        if let Some(first) = claim.first_change_at.filter(|_| !claim.excused && claim.epoch == 1) {
            let late = (claim.started_at - first).as_seconds_f64();
            self.lateness.record(
                late,
                &[KeyValue::new("until", "start"), KeyValue::new("type", claim.job_type.as_str())],
            );
        }
    }

    pub(crate) fn parked(&self) {
        self.parked.add(1, &[]);
    }

    /// Counts a sealed secret that could not be used.
    pub(crate) fn sealed_secret_failed(&self, code: &'static str) {
        self.sealed_secrets.add(1, &[KeyValue::new("code", code)]);
    }

    pub(crate) fn ended(&self, job_type: JobType, state: JobState, seconds: f64, counts: Counts) {
        let labels = [KeyValue::new("type", job_type.as_str()), KeyValue::new("result", state.as_str())];
        self.jobs.add(1, &labels);
        self.duration.record(seconds, &labels);
        for (result, users) in [
            ("confirmed", counts.confirmed),
            ("unchanged", counts.unchanged),
            ("deferred", counts.deferred),
            ("held", counts.held),
            ("conflict", counts.conflict),
            ("failed", counts.failed),
        ] {
            self.users.add(u64::try_from(users).unwrap_or(0), &[KeyValue::new("result", result)]);
        }
    }

    pub(crate) fn listed(&self, complete: bool) {
        self.lists.add(1, &[KeyValue::new("result", if complete { "complete" } else { "cut" })]);
    }

    pub(crate) fn moved<'a>(&self, gaps: impl Iterator<Item = &'a Duration>, without: usize) {
        for gap in gaps {
            self.gap.record(gap.as_secs_f64(), &[]);
        }
        if without > 0 {
            self.without.add(without as u64, &[]);
        }
    }

    pub(crate) fn settled(&self, job: &SettledJob) {
        if let Some(first) = job.first_change_at {
            let labels = [KeyValue::new("until", "landed"), KeyValue::new("type", job.job_type.as_str())];
            self.lateness.record((job.at - first).as_seconds_f64(), &labels);
        }
    }

    /// How authorizations stand; states that no account has are told as 0.
    pub(crate) fn standing(&self, own_fault: bool, states: &[(String, i64)]) {
        self.own_fault.record(u64::from(own_fault), &[]);
        for state in AuthorizationState::ALL {
            let accounts = states.iter().find(|(name, _)| name == state.as_str()).map_or(0, |(_, n)| *n);
            let labels = [KeyValue::new("state", state.as_str())];
            self.grants.record(u64::try_from(accounts).unwrap_or(0), &labels);
        }
    }

    pub(crate) fn alarm(&self, reason: Reason) {
        self.alarms.add(1, &[KeyValue::new("reason", reason.as_str())]);
    }

    pub(crate) fn landed(&self, users: usize) {
        self.landed.add(users as u64, &[]);
    }
}
