//! Metrics of the role; documented in `docs/telemetry.md`.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use tandem_domain::job::JobType;

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    gathered: Counter<u64>,
    cut: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            gathered: meter
                .u64_counter("sync_windows_gathered")
                .with_description("Accounts whose window was looked at")
                .build(),
            cut: meter.u64_counter("sync_jobs_cut").with_description("Jobs queued").build(),
        }
    }

    pub(crate) fn gathered(&self, accounts: usize) {
        self.gathered.add(accounts as u64, &[]);
    }

    pub(crate) fn cut(&self, job_type: JobType, cause: &str, jobs: usize) {
        let labels = [KeyValue::new("type", job_type.as_str()), KeyValue::new("cause", cause.to_owned())];
        self.cut.add(jobs as u64, &labels);
    }
}
