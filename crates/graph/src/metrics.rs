//! Counters of this crate, on the process-wide meter.

use std::borrow::Cow;

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

use crate::certificate::CertificateInfo;
use crate::client::Now;

/// The counters. The Prometheus exporter adds the suffix `_total`.
#[derive(Debug, Clone)]
pub(crate) struct GraphMetrics {
    requests: Counter<u64>,
    throttled: Counter<u64>,
}

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
                .with_description("Answers of Microsoft Graph that asked us to slow down")
                .build(),
        }
    }

    /// Counts one request; without a status the network failed.
    pub(crate) fn request(&self, kind: &'static str, status: Option<u16>) {
        let status: Cow<'static, str> = status.map_or("none".into(), |status| status.to_string().into());
        self.requests.add(1, &[KeyValue::new("kind", kind), KeyValue::new("status", status)]);
    }

    pub(crate) fn throttled(&self) {
        self.throttled.add(1, &[]);
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
