//! Metrics of the role; documented in `docs/telemetry.md`.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use tandem_domain::mail::{Kind, Outcome};

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    made: Counter<u64>,
    ended: Counter<u64>,
    retried: Counter<u64>,
    unaddressed: Counter<u64>,
    waiting: Gauge<i64>,
    oldest: Gauge<f64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        Self {
            made: counter("mail_made", "Mails put into the outbox"),
            ended: counter("mail_deliveries", "Mails to one address that came to an end"),
            retried: counter("mail_retries", "Mails to one address that the mail server wants again later"),
            unaddressed: counter("mail_unaddressed", "Mails for which there is nobody to write to"),
            waiting: meter
                .i64_gauge("mail_waiting")
                .with_description("Mails to one address that wait to be handed over")
                .build(),
            oldest: meter
                .f64_gauge("mail_oldest_waiting")
                .with_unit("s")
                .with_description("Age of the oldest mail that waits to be handed over")
                .build(),
        }
    }

    pub(crate) fn made(&self, kind: Kind, addressed: bool) {
        let labels = [KeyValue::new("kind", kind.as_str())];
        self.made.add(1, &labels);
        if !addressed {
            self.unaddressed.add(1, &labels);
        }
    }

    pub(crate) fn ended(&self, kind: Kind, outcome: Outcome) {
        let labels = [KeyValue::new("kind", kind.as_str()), KeyValue::new("outcome", outcome.as_str())];
        self.ended.add(1, &labels);
    }

    pub(crate) fn lost(&self, deliveries: u64) {
        self.ended.add(deliveries, &[KeyValue::new("kind", "any"), KeyValue::new("outcome", "unknown")]);
    }

    pub(crate) fn retried(&self, kind: Kind) {
        self.retried.add(1, &[KeyValue::new("kind", kind.as_str())]);
    }

    pub(crate) fn backlog(&self, waiting: i64, oldest: f64) {
        self.waiting.record(waiting, &[]);
        self.oldest.record(oldest, &[]);
    }
}
