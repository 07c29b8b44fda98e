//! Metrics of the role; documented in `docs/telemetry.md`.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use tandem_domain::job::JobType;
use tandem_store::windows::Oldest;

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    gathered: Counter<u64>,
    cut: Counter<u64>,
    oldest: Gauge<f64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            gathered: meter
                .u64_counter("sync_windows_gathered")
                .with_description("Accounts whose window was looked at")
                .build(),
            cut: meter.u64_counter("sync_jobs_cut").with_description("Jobs queued").build(),
            oldest: meter
                .f64_gauge("sync_oldest_unsynced")
                .with_unit("s")
                .with_description(
                    "How long the oldest change of an Auto account has waited for a job to start",
                )
                .build(),
        }
    }

    pub(crate) fn gathered(&self, accounts: usize) {
        self.gathered.add(accounts as u64, &[]);
    }

    pub(crate) fn waiting(&self, oldest: Oldest) {
        for (paused, waits) in [("yes", oldest.paused), ("no", oldest.others)] {
            self.oldest.record(waits.as_seconds_f64(), &[KeyValue::new("paused", paused)]);
        }
    }

    pub(crate) fn cut(&self, job_type: JobType, cause: &str, jobs: usize) {
        let labels = [KeyValue::new("type", job_type.as_str()), KeyValue::new("cause", cause.to_owned())];
        self.cut.add(jobs as u64, &labels);
    }
}
