//! One trace reaches from the saved edit to the request at Microsoft.

use anyhow::{Context as _, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tandem_tests::Tester;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_an_edit_reaches_the_graph_call() -> Result<()> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let filter = tracing_subscriber::filter::EnvFilter::new("info");
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(layer))?;

    let mut tester = Tester::start().await?;
    // a sweep knows nothing of traces, so the announcement has to arrive
    tester.sweep = std::time::Duration::from_secs(600);
    let account = tester.account(2).await?;
    tester.all_roles().await?;
    let edit = tracing::info_span!("edit");
    tester.save(&account, &[(1, Some("+12125550101"))]).instrument(edit.clone()).await?;
    drop(edit);
    tester.at_rest().await;

    let spans = exporter.get_finished_spans()?;
    let edit = spans.iter().find(|span| span.name == "edit").context("the edit has no span")?;
    let trace = edit.span_context.trace_id();
    let of_trace: Vec<&str> =
        spans.iter().filter(|s| s.span_context.trace_id() == trace).map(|s| s.name.as_ref()).collect();
    for name in ["teams-sync.job", "teams-sync.step", "graph.request"] {
        assert!(of_trace.contains(&name), "{name} is not in the trace of the edit: {of_trace:?}");
    }
    tester.finish().await
}
