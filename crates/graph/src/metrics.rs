//! Metrics of this crate, on the process-wide meter.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};

use crate::certificate::CertificateInfo;
use crate::client::Now;

/// The instruments. The Prometheus exporter adds the suffix `_total`.
#[derive(Debug, Clone)]
pub(crate) struct GraphMetrics {
    requests: Counter<u64>,
    throttled: Counter<u64>,
    eased: Counter<u64>,
    retries: Counter<u64>,
    units: Counter<f64>,
    wait: Histogram<f64>,
}

/// Buckets in seconds, up to the longest wait within a job.
const WAITS: [f64; 9] = [0.005, 0.05, 0.25, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

impl GraphMetrics {
    pub(crate) fn new() -> Self {
        let meter = global::meter("tandem-graph");
        Self {
            requests: meter
                .u64_counter("graph_requests")
                .with_description("Requests sent to Microsoft Graph, by kind and status")
                .build(),
            throttled: meter
                .u64_counter("sync_throttled")
                .with_description("Answers of Microsoft Graph and login that asked us to slow down")
                .build(),
            eased: meter
                .u64_counter("graph_eased")
                .with_description("Times we slowed down because a limit was near")
                .build(),
            retries: meter
                .u64_counter("graph_retries")
                .with_description("Requests that failed in passing: sent again, or not for want of budget")
                .build(),
            units: meter
                .f64_counter("graph_resource_units")
                .with_description("Cost of requests as Microsoft Graph counts it")
                .build(),
            wait: meter
                .f64_histogram("graph_budget_wait")
                .with_unit("s")
                .with_description("Wait of a request for its turn, for Microsoft and for the budget")
                .with_boundaries(WAITS.to_vec())
                .build(),
        }
    }

    /// Counts one request; without a status the network failed.
    pub(crate) fn request(&self, kind: &'static str, status: Option<u16>) {
        let status: Cow<'static, str> = status.map_or("none".into(), |status| status.to_string().into());
        self.requests.add(1, &[KeyValue::new("kind", kind), KeyValue::new("status", status)]);
    }

    pub(crate) fn throttled(&self, scope: &'static str) {
        self.throttled.add(1, &[KeyValue::new("scope", scope)]);
    }

    pub(crate) fn eased(&self, scope: &'static str) {
        self.eased.add(1, &[KeyValue::new("scope", scope)]);
    }

    pub(crate) fn retry(&self, granted: bool) {
        let outcome = if granted { "sent" } else { "denied" };
        self.retries.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn resource_units(&self, kind: &'static str, units: f64) {
        self.units.add(units, &[KeyValue::new("kind", kind)]);
    }

    pub(crate) fn waited(&self, wait: Duration) {
        self.wait.record(wait.as_secs_f64(), &[]);
    }
}

/// Tells, whenever it is asked, how long the certificates of the provider's app are still good.
pub(crate) fn certificates(certificates: Vec<CertificateInfo>, now: &Now) {
    if certificates.is_empty() {
        return;
    }
    let now = std::sync::Arc::clone(now);
    global::meter("tandem-graph")
        .f64_observable_gauge("sync_app_certificate_expires")
        .with_unit("s")
        .with_description("Time until a certificate of the provider's app ends, by thumbprint")
        .with_callback(move |gauge| {
            for certificate in &certificates {
                let left = (certificate.not_after - now()).as_seconds_f64();
                gauge.observe(left, &[KeyValue::new("certificate", certificate.thumbprint.clone())]);
            }
        })
        .build();
}
