//! What the bus counts.

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Meter},
};

/// Instruments of the bus. Names are an interface for dashboards.
#[derive(Debug)]
pub(crate) struct Instruments {
    published: Counter<u64>,
    deliveries: Counter<u64>,
    healed: Counter<u64>,
    pending: Gauge<u64>,
    unanswered: Gauge<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            published: meter
                .u64_counter("tandem_bus_published")
                .with_description("Messages published, by result")
                .build(),
            deliveries: meter
                .u64_counter("tandem_bus_deliveries")
                .with_description("Messages handled, by consumer and outcome")
                .build(),
            healed: meter
                .u64_counter("tandem_bus_healed")
                .with_description("Streams and consumers made or changed, by name")
                .build(),
            pending: meter
                .u64_gauge("tandem_bus_pending")
                .with_description("Messages that wait for a consumer")
                .build(),
            unanswered: meter
                .u64_gauge("tandem_bus_unanswered")
                .with_description("Messages delivered to a consumer and not answered yet")
                .build(),
        }
    }

    pub(crate) fn published(&self, result: &'static str, count: u64) {
        self.published.add(count, &[KeyValue::new("result", result)]);
    }

    pub(crate) fn delivered(&self, consumer: &str, outcome: &'static str) {
        self.deliveries
            .add(1, &[KeyValue::new("consumer", consumer.to_owned()), KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn healed(&self, name: &str) {
        self.healed.add(1, &[KeyValue::new("name", name.to_owned())]);
    }

    pub(crate) fn backlog(&self, consumer: &str, pending: u64, unanswered: u64) {
        let labels = [KeyValue::new("consumer", consumer.to_owned())];
        self.pending.record(pending, &labels);
        self.unanswered.record(unanswered, &labels);
    }
}
