//! Sections of the roles, with the defaults of `docs/operations.md`.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tandem_debouncer::DebouncerSettings;
use tandem_detector::DetectorConfig;
use tandem_domain::guard::RemovalGuard;
use tandem_domain::window::Timing;
use tandem_pbx::Mapping;
use tandem_runtime::config::{ConfigErrors, HumanDuration, duration};
use tandem_sync_log::SyncLogSettings;
use tandem_teams_sync::TeamsSyncSettings;

use super::{Environment, resolve, resolve_some};

/// Makes the paths of the section absolute.
pub(super) fn resolve_detector(detector: &mut DetectorConfig, folder: &Path) {
    for source in &mut detector.sources {
        resolve(folder, &mut source.url_file);
        resolve_some(folder, &mut source.ca_file);
        if Mapping::builtin(&source.mapping).is_none() {
            source.mapping = folder.join(&source.mapping).to_string_lossy().into_owned();
        }
    }
    if let Some(push) = &mut detector.push {
        resolve(folder, &mut push.secrets_dir);
    }
}

fn signed(duration: Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}

fn unsigned(duration: time::Duration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

/// Section `debouncer`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DebouncerSection {
    #[serde(with = "duration")]
    quiet: Duration,
    #[serde(with = "duration")]
    max_wait: Duration,
    #[serde(with = "duration")]
    tick: Duration,
    #[serde(with = "duration")]
    sweep: Duration,
    slots: usize,
}

impl Default for DebouncerSection {
    fn default() -> Self {
        let DebouncerSettings { timing, tick, sweep, slots } = DebouncerSettings::default();
        Self { quiet: unsigned(timing.quiet), max_wait: unsigned(timing.max_wait), tick, sweep, slots }
    }
}

impl DebouncerSection {
    pub(super) fn settings(self, errors: &mut ConfigErrors) -> DebouncerSettings {
        if self.quiet > self.max_wait {
            errors.push("debouncer.quiet", "is longer than debouncer.max_wait");
        }
        for (key, value) in [("quiet", self.quiet), ("tick", self.tick), ("sweep", self.sweep)] {
            if value < Duration::from_millis(10) {
                errors.push(format!("debouncer.{key}"), "must be at least 10ms");
            }
        }
        if self.slots == 0 {
            errors.push("debouncer.slots", "must be at least 1");
        }
        let timing = Timing { quiet: signed(self.quiet), max_wait: signed(self.max_wait) };
        DebouncerSettings { timing, tick: self.tick, sweep: self.sweep, slots: self.slots }
    }
}

/// Section `teams_sync`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TeamsSyncSection {
    /// None makes one from the host and the process.
    worker: Option<String>,
    auto_slots: usize,
    manual_slots: usize,
    in_flight: usize,
    list_pages: usize,
    #[serde(with = "duration")]
    lease: Duration,
    #[serde(with = "duration")]
    heartbeat: Duration,
    #[serde(with = "duration")]
    lease_margin: Duration,
    #[serde(with = "duration")]
    wait_out: Duration,
    #[serde(with = "duration")]
    sweep: Duration,
    #[serde(with = "duration")]
    operation_patience: Duration,
    #[serde(with = "duration")]
    first_poll: Duration,
    step_retries: Vec<HumanDuration>,
    #[serde(with = "duration")]
    intent_patience: Duration,
    #[serde(with = "duration")]
    equal_reads: Duration,
    #[serde(with = "duration")]
    operation_life: Duration,
    #[serde(with = "duration")]
    look: Duration,
    ladder_speed: u32,
    keep_days: i32,
    removal_floor: usize,
    removal_percent: usize,
}

impl Default for TeamsSyncSection {
    fn default() -> Self {
        let s = TeamsSyncSettings::default();
        Self {
            worker: None,
            auto_slots: s.auto_slots,
            manual_slots: s.manual_slots,
            in_flight: s.in_flight,
            list_pages: s.list_pages,
            lease: s.lease,
            heartbeat: s.heartbeat,
            lease_margin: s.lease_margin,
            wait_out: s.wait_out,
            sweep: s.sweep,
            operation_patience: s.operation_patience,
            first_poll: s.first_poll,
            step_retries: s.step_retries.into_iter().map(HumanDuration).collect(),
            intent_patience: s.intent_patience,
            equal_reads: s.equal_reads,
            operation_life: s.operation_life,
            look: s.look,
            ladder_speed: s.ladder_speed,
            keep_days: s.keep_days,
            removal_floor: s.guard.floor,
            removal_percent: s.guard.percent,
        }
    }
}

impl TeamsSyncSection {
    pub(super) fn settings(
        self,
        environment: Environment,
        request_timeout: Option<Duration>,
        errors: &mut ConfigErrors,
    ) -> TeamsSyncSettings {
        self.check(environment, request_timeout, errors);
        TeamsSyncSettings {
            worker: self.worker.unwrap_or_else(worker_name),
            auto_slots: self.auto_slots,
            manual_slots: self.manual_slots,
            lease: self.lease,
            heartbeat: self.heartbeat,
            lease_margin: self.lease_margin,
            wait_out: self.wait_out,
            sweep: self.sweep,
            operation_patience: self.operation_patience,
            first_poll: self.first_poll,
            step_retries: self.step_retries.into_iter().map(|wait| wait.0).collect(),
            intent_patience: self.intent_patience,
            equal_reads: self.equal_reads,
            operation_life: self.operation_life,
            look: self.look,
            ladder_speed: self.ladder_speed,
            keep_days: self.keep_days,
            guard: RemovalGuard { floor: self.removal_floor, percent: self.removal_percent },
            in_flight: self.in_flight,
            list_pages: self.list_pages,
        }
    }

    fn check(&self, environment: Environment, request_timeout: Option<Duration>, errors: &mut ConfigErrors) {
        let mut refuse = |key: &str, problem: &str| errors.push(format!("teams_sync.{key}"), problem);
        for (key, value) in [
            ("lease", self.lease),
            ("heartbeat", self.heartbeat),
            ("sweep", self.sweep),
            ("look", self.look),
            ("operation_patience", self.operation_patience),
        ] {
            if value < Duration::from_millis(10) {
                refuse(key, "must be at least 10ms");
            }
        }
        for (key, value) in [
            ("auto_slots", self.auto_slots),
            ("manual_slots", self.manual_slots),
            ("in_flight", self.in_flight),
            ("list_pages", self.list_pages),
        ] {
            if value == 0 {
                refuse(key, "must be at least 1");
            }
        }
        if self.lease_margin >= self.lease {
            refuse("lease_margin", "must be shorter than teams_sync.lease");
        } else if self.heartbeat >= self.lease - self.lease_margin {
            refuse(
                "heartbeat",
                "must be shorter than lease - lease_margin, or work stops between heartbeats",
            );
        }
        // a request that starts last must have ended when the lease does
        if request_timeout.is_some_and(|timeout| timeout >= self.lease_margin) {
            refuse("lease_margin", "must be longer than microsoft.request_timeout");
        }
        if request_timeout.is_some_and(|timeout| timeout > self.wait_out) {
            refuse("wait_out", "must not be shorter than microsoft.request_timeout");
        }
        if self.ladder_speed == 0 || (self.ladder_speed > 1 && !environment.is_development()) {
            refuse("ladder_speed", "is 1, and more only with environment = \"development\"");
        }
        if self.keep_days < 1 {
            refuse("keep_days", "must be at least 1");
        }
        if self.removal_percent > 100 {
            refuse("removal_percent", "is at most 100");
        }
        if self.worker.as_ref().is_some_and(String::is_empty) {
            refuse("worker", "is empty");
        }
    }
}

/// A name that no other running worker has.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    format!("{host}:{}", std::process::id())
}

/// Section `sync_log`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SyncLogSection {
    #[serde(with = "duration")]
    sweep: Duration,
    #[serde(with = "duration")]
    keep_events: Duration,
    keep_job_months: i32,
    keep_step_days: i32,
    slots: usize,
}

impl Default for SyncLogSection {
    fn default() -> Self {
        let SyncLogSettings { sweep, keep_events, keep_job_months, keep_step_days, slots } =
            SyncLogSettings::default();
        Self { sweep, keep_events, keep_job_months, keep_step_days, slots }
    }
}

impl SyncLogSection {
    pub(super) fn settings(self, errors: &mut ConfigErrors) -> SyncLogSettings {
        if self.sweep < Duration::from_millis(10) {
            errors.push("sync_log.sweep", "must be at least 10ms");
        }
        if self.keep_job_months < 1 {
            errors.push("sync_log.keep_job_months", "must be at least 1");
        }
        if self.keep_step_days < 1 {
            errors.push("sync_log.keep_step_days", "must be at least 1");
        }
        if self.slots == 0 {
            errors.push("sync_log.slots", "must be at least 1");
        }
        let Self { sweep, keep_events, keep_job_months, keep_step_days, slots } = self;
        SyncLogSettings { sweep, keep_events, keep_job_months, keep_step_days, slots }
    }
}
