//! Metrics of the role; documented in `docs/telemetry.md`.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use tandem_domain::job::{JobState, JobType};

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    events: Counter<u64>,
    finished: Counter<u64>,
    pruned: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            events: meter
                .u64_counter("sync_log_events")
                .with_description("Job events kept in the log")
                .build(),
            finished: meter
                .u64_counter("sync_jobs_finished")
                .with_description("Jobs that became final")
                .build(),
            pruned: meter
                .u64_counter("sync_log_events_pruned")
                .with_description("Job events removed from the queue after they were kept")
                .build(),
        }
    }

    pub(crate) fn kept(&self, events: usize) {
        self.events.add(events as u64, &[]);
    }

    pub(crate) fn finished(&self, job_type: JobType, state: JobState) {
        let labels = [KeyValue::new("type", job_type.as_str()), KeyValue::new("state", state.as_str())];
        self.finished.add(1, &labels);
    }

    pub(crate) fn pruned(&self, events: u64) {
        self.pruned.add(events, &[]);
    }
}
