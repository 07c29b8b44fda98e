//! One exchange over HTTP, and what the answer means for the budget.

use reqwest::Response;
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER};
use tracing::Instrument;
use tracing::field::Empty;

use crate::call::{Call, Reply};
use crate::client::TenantClient;
use crate::error::{ErrorClass, GraphError, RequestIds, Unusable};
use crate::refusal::{ErrorBody, Refusal, judge};
use crate::retry_after::{self, Wait};
use crate::scope::Scope;
use crate::token::Token;

/// Largest body accepted, after decompression.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// Part of a limit from which on we slow down.
const NEAR_LIMIT: f64 = 0.8;

impl TenantClient {
    /// Sends the request once and waits for the whole answer.
    pub(crate) async fn exchange(&self, call: &Call, token: &Token) -> Result<Reply, GraphError> {
        let span = tracing::info_span!(
            "graph.request",
            otel.kind = "client",
            graph.call = call.kind,
            http.request.method = %call.method(),
            url.path = call.url.path(),
            tenant = %self.tenant,
            http.response.status_code = Empty,
            graph.request_id = Empty,
            graph.resource_unit = Empty,
            graph.throttle.scope = Empty,
            graph.throttle.information = Empty,
            graph.throttle.limit_percentage = Empty,
        );
        let limit = self.graph.inner.config.request_timeout;
        let exchange = self.exchange_in_span(call, token).instrument(span);
        match tokio::time::timeout(limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.graph.inner.metrics.request(call.kind, None);
                Err(GraphError::Timeout { call: call.kind, after: limit })
            }
        }
    }

    async fn exchange_in_span(&self, call: &Call, token: &Token) -> Result<Reply, GraphError> {
        let inner = &self.graph.inner;
        let sent_id = call.write.as_ref().map(|write| write.client_request_id).or(self.correlation);
        let mut request = inner
            .http
            .request(call.method(), call.url.clone())
            .header("x-ms-throttle-priority", self.priority.header());
        if let Some(value) = token.header() {
            request = request.header(AUTHORIZATION, value);
        }
        if call.eventual {
            request = request.header("ConsistencyLevel", "eventual");
        }
        if call.write.is_none() {
            // else words that Microsoft added later, such as `ineligibleUser`, come as `unknownFutureValue`
            request = request.header("Prefer", "include-unknown-enum-members");
        }
        if let Some(id) = sent_id {
            request = request
                .header("client-request-id", id.to_string())
                .header("return-client-request-id", "true");
        }
        if let Some(write) = &call.write {
            request = request.json(&write.body);
        }
        let leave =
            inner.graph_host.enter().map_err(|source| GraphError::HostAway { call: call.kind, source })?;
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                if error.is_connect() {
                    leave.failed();
                }
                inner.metrics.request(call.kind, None);
                return Err(call.network(!error.is_connect(), error));
            }
        };
        leave.reached();
        let status = response.status();
        let span = tracing::Span::current();
        span.record("http.response.status_code", status.as_u16());
        inner.metrics.request(call.kind, Some(status.as_u16()));
        let mut ids = RequestIds {
            request_id: header(response.headers(), "request-id"),
            client_request_id: header(response.headers(), "client-request-id")
                .or_else(|| sent_id.map(|id| id.to_string())),
            date: header(response.headers(), "date"),
        };
        if let Some(id) = &ids.request_id {
            span.record("graph.request_id", id.as_str());
        }
        self.note_cost(call, response.headers(), &span).await;
        if status.is_success() {
            self.state.budget.scope.passed();
            inner.app.passed();
            let location = header(response.headers(), LOCATION.as_str());
            // an accepted write has no body that matters, so none may spoil it
            let body = if status.as_u16() == 202 {
                Vec::new()
            } else {
                read_body(response).await.map_err(|source| call.unusable(&ids, source))?
            };
            return Ok(Reply { status: status.as_u16(), location, ids, body });
        }
        let scope = self.scope_of(response.headers());
        let wait = retry_after::parse(
            header(response.headers(), RETRY_AFTER.as_str()).as_deref(),
            ids.date.as_deref(),
            (inner.now)(),
        );
        // the gate shuts before the body is read: others may be about to start
        let early = wait.filter(|_| matches!(status.as_u16(), 429 | 503 | 509));
        let told = async {
            if let Some(wait) = early {
                let wait = scope.throttled(wait);
                inner.ledger().shut(scope.id(), wait.delay, wait.parked).await;
            }
        };
        let ((), body) = tokio::join!(told, read_body(response));
        let body = ErrorBody::parse(&body.unwrap_or_default());
        let (class, effect) = judge(status.as_u16(), &body, wait, scope.fallback());
        if let ErrorClass::Throttled { retry_after, parked } = class {
            inner.metrics.throttled(scope.id().kind());
            tracing::warn!(call = call.kind, ?retry_after, scope = %scope.id(), "throttled by Microsoft");
            if early.is_none() {
                let wait = scope.throttled(Wait { delay: retry_after, parked });
                inner.ledger().shut(scope.id(), wait.delay, wait.parked).await;
            }
        } else {
            self.state.budget.scope.passed();
            inner.app.passed();
        }
        ids.request_id = ids.request_id.or(body.request_id);
        Err(GraphError::Refused(Box::new(Refusal {
            call: call.kind,
            status: status.as_u16(),
            code: body.code,
            message: body.message,
            inner_codes: body.inner_codes,
            ids,
            class,
            effect,
        })))
    }

    /// Keeps what Microsoft says of cost and limits, and slows down when a limit is near (Graph
    /// "throttling": `x-ms-throttle-limit-percentage` appears from 0.8 on).
    async fn note_cost(&self, call: &Call, headers: &HeaderMap, span: &tracing::Span) {
        let inner = &self.graph.inner;
        let number = |name| header(headers, name).and_then(|text| text.trim().parse::<f64>().ok());
        if let Some(units) = number("x-ms-resource-unit").filter(|units| (0.0..1e6).contains(units)) {
            span.record("graph.resource_unit", units);
            inner.metrics.resource_units(call.kind, units);
        }
        for (name, field) in [
            ("x-ms-throttle-scope", "graph.throttle.scope"),
            ("x-ms-throttle-information", "graph.throttle.information"),
        ] {
            if let Some(text) = header(headers, name) {
                span.record(field, text.as_str());
            }
        }
        if let Some(used) = number("x-ms-throttle-limit-percentage") {
            span.record("graph.throttle.limit_percentage", used);
            let scope = self.scope_of(headers);
            if used >= NEAR_LIMIT && scope.should_ease() {
                inner.metrics.eased(scope.id().kind());
                inner.ledger().ease(scope.id()).await;
            }
        }
    }

    /// Whom a throttling answer means: this tenant, unless the scope header names the whole app.
    fn scope_of(&self, headers: &HeaderMap) -> &Scope {
        let scope = header(headers, "x-ms-throttle-scope").unwrap_or_default();
        let first = scope.split('/').next().unwrap_or_default();
        if first.trim().eq_ignore_ascii_case("Application") {
            &self.graph.inner.app
        } else {
            &self.state.budget.scope
        }
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Unusable> {
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| Unusable::BrokenOff(error.without_url()))?
    {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(Unusable::TooLarge(BODY_LIMIT));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
