//! What is counted.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

/// The instruments of the portal.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: Counter<u64>,
    duration: Histogram<f64>,
    sign_ins: Counter<u64>,
    refusals: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            requests: meter.u64_counter("portal_requests").build(),
            duration: meter.f64_histogram("portal_request_duration").with_unit("s").build(),
            sign_ins: meter.u64_counter("portal_sign_ins").build(),
            refusals: meter.u64_counter("portal_refusals").build(),
        }
    }

    pub(crate) fn request(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.add(1, &[KeyValue::new("route", route), KeyValue::new("status", i64::from(status))]);
        self.duration.record(took.as_secs_f64(), &[KeyValue::new("route", route)]);
    }

    pub(crate) fn sign_in(&self, issuer: &'static str, result: &'static str) {
        self.sign_ins.add(1, &[KeyValue::new("issuer", issuer), KeyValue::new("result", result)]);
    }

    pub(crate) fn refused(&self, act: &'static str) {
        self.refusals.add(1, &[KeyValue::new("act", act)]);
    }
}
