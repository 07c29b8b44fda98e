//! Settings of the role; the defaults are those of `docs/operations.md`.

use std::time::Duration;

use tandem_domain::guard::RemovalGuard;

/// Settings of the role.
#[derive(Clone, Debug)]
pub struct TeamsSyncSettings {
    /// Name of this worker, unique among those that run.
    pub worker: String,
    /// Auto jobs in hand at once.
    pub auto_slots: usize,
    /// Manual jobs in hand at once, so that a person never waits behind a bulk.
    pub manual_slots: usize,
    /// Life of a claim without heartbeat.
    pub lease: Duration,
    /// How often claims are renewed.
    pub heartbeat: Duration,
    /// No request starts so close to the end of the lease.
    pub lease_margin: Duration,
    /// What a successor waits beyond the lease.
    pub wait_out: Duration,
    /// How often waiting jobs and silent workers are looked for without being told.
    pub sweep: Duration,
    /// How long an operation is followed within a job; then its user is deferred.
    pub operation_patience: Duration,
    /// First poll of an operation in a tenant of which nothing is known yet.
    pub first_poll: Duration,
    /// Waits between tries of a step that met a fault expected to pass.
    pub step_retries: Vec<Duration>,
    /// Wait before the look at an intent whose process may be gone.
    pub intent_patience: Duration,
    /// Distance of the two equal reads that decide about a lost reply.
    pub equal_reads: Duration,
    /// An operation that has not ended after so long is given up.
    pub operation_life: Duration,
    /// How often open intents and unsettled users are looked for.
    pub look: Duration,
    /// Divides every wait of the ladders and of the settle schedule; 1 in production, more in demos and tests.
    pub ladder_speed: u32,
    /// When removals are held.
    pub guard: RemovalGuard,
    /// Steps of one job in flight at once.
    pub in_flight: usize,
    /// Longest list of a tenant in pages of 999; beyond it the list of Microsoft users is cut.
    pub list_pages: usize,
    /// Jobs that are over, their plans and their intents are let go after so many days; the log keeps the records.
    pub keep_days: i32,
}

impl Default for TeamsSyncSettings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            worker: "teams-sync".to_owned(),
            auto_slots: 500,
            manual_slots: 50,
            lease: seconds(60),
            heartbeat: seconds(10),
            lease_margin: seconds(25),
            wait_out: seconds(60),
            sweep: seconds(5),
            operation_patience: seconds(60),
            first_poll: seconds(2),
            step_retries: vec![seconds(2), seconds(8), seconds(30)],
            intent_patience: seconds(120),
            equal_reads: seconds(600),
            operation_life: seconds(86_400),
            look: seconds(1),
            ladder_speed: 1,
            guard: RemovalGuard::DEFAULT,
            in_flight: 10,
            list_pages: 2000,
            keep_days: 90,
        }
    }
}

impl TeamsSyncSettings {
    /// A wait of a ladder, made shorter where the ladders run faster.
    pub(crate) fn ladder(&self, wait: time::Duration) -> Duration {
        Duration::try_from(wait).unwrap_or_default() / self.ladder_speed.max(1)
    }

    /// Time that has passed, as the ladders count it.
    pub(crate) fn ladder_time(&self, waited: time::Duration) -> time::Duration {
        waited * i32::try_from(self.ladder_speed.max(1)).unwrap_or(i32::MAX)
    }
}
