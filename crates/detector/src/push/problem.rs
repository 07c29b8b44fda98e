//! Refusals as problem documents (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tandem_pbx::push::PushError;
use tandem_runtime::chain;
use tandem_store::StoreError;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(crate) item: Option<usize>,
    /// Seconds after which it may work.
    pub(crate) retry_after: Option<u32>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), item: None, retry_after: None }
    }

    pub(crate) fn retry(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The database is away or busy.
    pub(crate) fn unavailable() -> Self {
        let detail = "nothing was recorded; send the same message again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry(5)
    }

    /// Nothing could be looked up.
    pub(crate) fn storeless(error: &StoreError) -> Self {
        tracing::warn!(error = %chain(error), "a push could not be looked at");
        if error.retryable() { Self::unavailable() } else { Self::internal() }
    }

    /// Our own fault.
    pub(crate) fn internal() -> Self {
        let detail = "nothing was recorded; send the same message again and tell the provider if it stays";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { item: error.item, ..Self::new(status, error.code, error.message) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut document = Map::new();
        document.insert("type".to_owned(), Value::from("about:blank"));
        document.insert("title".to_owned(), Value::from(self.status.canonical_reason().unwrap_or("Error")));
        document.insert("status".to_owned(), Value::from(self.status.as_u16()));
        document.insert("code".to_owned(), Value::from(self.code));
        document.insert("detail".to_owned(), Value::from(self.detail));
        if let Some(item) = self.item {
            document.insert("item".to_owned(), Value::from(item));
        }
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
        let mut response = (self.status, kind, Value::Object(document).to_string()).into_response();
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            // the rest of the request stays unread, so nothing else can come over its connection (RFC 9112, section 9.6)
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
