//! Metrics of the role; documented in `docs/telemetry.md`.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    accepted: Counter<u64>,
    duration: Histogram<f64>,
    users: Gauge<u64>,
    unbound: Gauge<u64>,
    unusable: Gauge<u64>,
    refused: Counter<u64>,
    held: Gauge<u64>,
    pushes: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            accepted: meter.u64_counter("sync_edits_accepted").with_description("Changes recorded").build(),
            duration: meter
                .f64_histogram("detector_snapshot_duration")
                .with_unit("s")
                .with_description("Time from the start of a read to its last change saved")
                .build(),
            users: meter
                .u64_gauge("detector_snapshot_users")
                .with_description("Users that the last complete read of a source showed")
                .build(),
            unbound: meter
                .u64_gauge("detector_snapshot_unbound_accounts")
                .with_description("Customers of a source that no account is bound to")
                .build(),
            unusable: meter
                .u64_gauge("detector_snapshot_unusable_rows")
                .with_description(
                    "Rows of the last complete read that were left alone because a field cannot be used",
                )
                .build(),
            refused: meter
                .u64_counter("detector_snapshot_refused")
                .with_description("Reads that failed or were not believed")
                .build(),
            held: meter
                .u64_gauge("detector_held_accounts")
                .with_description("Accounts whose deletions wait for an operator")
                .build(),
            pushes: meter.u64_counter("detector_push").with_description("Push messages by outcome").build(),
        }
    }

    pub(crate) fn accepted(&self, source: &str, changes: u64) {
        self.accepted.add(changes, &[KeyValue::new("source", source.to_owned())]);
    }

    pub(crate) fn read(
        &self,
        source: &str,
        seconds: f64,
        users: u64,
        unbound: u64,
        unusable: u64,
        held: u64,
    ) {
        let labels = [KeyValue::new("source", source.to_owned())];
        self.duration.record(seconds, &labels);
        self.users.record(users, &labels);
        self.unbound.record(unbound, &labels);
        self.unusable.record(unusable, &labels);
        self.held.record(held, &labels);
    }

    pub(crate) fn refused(&self, source: &str, code: &'static str) {
        self.refused.add(1, &[KeyValue::new("source", source.to_owned()), KeyValue::new("code", code)]);
    }

    pub(crate) fn push(&self, code: &'static str) {
        self.pushes.add(1, &[KeyValue::new("code", code)]);
    }
}
