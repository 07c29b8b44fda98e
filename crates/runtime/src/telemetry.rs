//! Logs, metrics and traces of a process, set up once for all roles.
//!
//! Log lines go to standard error, so that commands keep standard output for their answers. Metrics are kept for
//! scraping; traces go out over HTTP when an endpoint is configured.

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use opentelemetry::{
    KeyValue, global,
    metrics::{Meter, MeterProvider},
    trace::TracerProvider,
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};
use url::Url;

const DEFAULT_FILTER: &str = "info,async_nats=warn,hyper_util=warn,opentelemetry=warn,reqwest=warn,sqlx=warn";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// One readable line, for people.
    Text,
}

/// What [`init`] needs.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// The name under which metrics and traces appear.
    pub service: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where traces go (the base address of an OTLP/HTTP receiver); none keeps them at home.
    pub otlp_endpoint: Option<Url>,
    /// Which lines are logged; none asks `TANDEM_LOG`, then `RUST_LOG`, then takes the default.
    pub filter: Option<String>,
}

/// Instruments and the registry they are scraped from, without touching anything global.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Makes instruments.
    pub meter: Meter,
    /// What is scraped.
    pub registry: Registry,
    provider: SdkMeterProvider,
}

impl Metrics {
    /// Metrics of one service.
    pub fn new(service: &str) -> anyhow::Result<Self> {
        Self::with(resource(service))
    }

    fn with(resource: Resource) -> anyhow::Result<Self> {
        let registry = Registry::new();
        // scope labels would be added to every sample and say nothing: all instruments are ours
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .context("set up metrics")?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).with_resource(resource).build();
        Ok(Self { meter: provider.meter("tandem"), registry, provider })
    }
}

/// Telemetry of a running process.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    tracer: Option<SdkTracerProvider>,
}

/// Installs the process's log, metrics and traces. Once per process; call it within the runtime.
pub fn init(config: TelemetryConfig) -> anyhow::Result<Telemetry> {
    let TelemetryConfig { service, log_format, otlp_endpoint, filter } = config;
    global::set_text_map_propagator(TraceContextPropagator::new());
    let metrics = Metrics::with(resource(&service))?;
    global::set_meter_provider(metrics.provider.clone());
    let tracer = otlp_endpoint.map(|endpoint| tracer(&endpoint, &service)).transpose()?;

    let filter = match filter.or_else(filter_from_env) {
        Some(text) => {
            EnvFilter::builder().parse(&text).with_context(|| format!("read the log filter `{text}`"))?
        }
        None => EnvFilter::new(DEFAULT_FILTER),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).boxed(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
    };
    let spans =
        tracer.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("tandem")));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(spans)
        .try_init()
        .context("install the log")?;
    Ok(Telemetry { metrics, tracer })
}

impl Telemetry {
    /// Makes instruments.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.metrics.meter.clone()
    }

    /// What `/metrics` shows.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.metrics.registry.clone()
    }

    /// Sends what is left, waiting at most `deadline`. The last step of a stop.
    pub async fn shutdown(self, deadline: Duration) {
        let Self { metrics, tracer } = self;
        // the exporter blocks, so it must not do so on a thread of the runtime
        let flushed = tokio::task::spawn_blocking(move || {
            let traces = tracer.map_or(Ok(()), |provider| provider.shutdown_with_timeout(deadline));
            traces.and(metrics.provider.shutdown_with_timeout(deadline))
        });
        match tokio::time::timeout(deadline, flushed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "some traces were not sent"),
            Ok(Err(error)) => tracing::warn!(%error, "some traces were not sent"),
            Err(_) => tracing::warn!("some traces were not sent before the deadline"),
        }
    }
}

fn resource(service: &str) -> Resource {
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn tracer(endpoint: &Url, service: &str) -> anyhow::Result<SdkTracerProvider> {
    let address = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(address)
        .with_timeout(Duration::from_secs(3))
        .build()
        .context("set up the export of traces")?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(resource(service))
        .build())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the log filter is the one setting a person changes without a file"
)]
fn filter_from_env() -> Option<String> {
    ["TANDEM_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|text| !text.is_empty())
}
