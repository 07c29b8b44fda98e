//! W3C trace context as text, for outbox rows and message headers.

use std::collections::HashMap;

use opentelemetry::{Context, propagation::TextMapPropagator, trace::TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";

/// The `traceparent` of the current span; none when traces are not exported.
#[must_use]
pub fn inject() -> Option<String> {
    inject_span(&Span::current())
}

/// The `traceparent` of `span`; none when traces are not exported.
#[must_use]
pub fn inject_span(span: &Span) -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Makes the sender's span the parent of `span`. Call it before `span` is first entered. Text that is no trace context
/// is ignored: a trace is a help, never a reason to refuse a message.
pub fn set_parent(span: &Span, traceparent: &str) {
    let context = extract(traceparent);
    if context.span().span_context().is_valid() {
        // fails only when the span has already started or traces are off: then there is nothing to tie together
        let _untraced = span.set_parent(context);
    }
}

/// Ties `span` to the sender's span without making it a child: for work on behalf of many senders.
pub fn link(span: &Span, traceparent: &str) {
    let sender = extract(traceparent).span().span_context().clone();
    if sender.is_valid() {
        span.add_link(sender);
    }
}

fn extract(traceparent: &str) -> Context {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_trace_crosses_as_text() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let sender = tracing::info_span!("sender");
            let text = inject_span(&sender).unwrap();
            let receiver = tracing::info_span!("receiver");
            set_parent(&receiver, &text);
            let onward = inject_span(&receiver).unwrap();
            // version-trace-span-flags (W3C Trace Context): the same trace, another span
            assert_eq!(onward.split('-').nth(1), text.split('-').nth(1));
            assert_ne!(onward.split('-').nth(2), text.split('-').nth(2));

            let alone = tracing::info_span!("alone");
            set_parent(&alone, "nonsense");
            link(&alone, &text);
            link(&alone, "nonsense");
            assert_ne!(inject_span(&alone).unwrap().split('-').nth(1), text.split('-').nth(1));
            assert_eq!(sender.in_scope(inject), Some(text));
        });
        assert_eq!(inject(), None);
    }
}
