//! Errors of the token endpoint.

use serde_json::json;
use uuid::Uuid;

use super::aadsts;
use crate::clock::{self, Now};
use crate::reply::Reply;

/// An AADSTS error.
#[derive(Clone, Debug)]
pub(crate) struct LoginError {
    pub(crate) status: u16,
    pub(crate) error: String,
    pub(crate) code: u32,
    pub(crate) text: String,
}

impl LoginError {
    pub(crate) fn new(status: u16, error: &str, code: u32, text: impl Into<String>) -> Self {
        Self { status, error: error.to_owned(), code, text: text.into() }
    }

    /// The error of a code, as Microsoft's reference has it but for what is given.
    pub(crate) fn of_code(
        code: u32,
        error: Option<String>,
        text: Option<String>,
        status: Option<u16>,
    ) -> Self {
        let (usual, usual_status, usual_text) = aadsts::usual(code);
        Self {
            status: status.unwrap_or(usual_status),
            error: error.unwrap_or_else(|| usual.to_owned()),
            code,
            text: text.unwrap_or_else(|| usual_text.to_owned()),
        }
    }

    /// `invalid_request`, 400.
    pub(crate) fn request(code: u32, text: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", code, text)
    }

    /// `invalid_client`, 401.
    pub(crate) fn client(code: u32, text: impl Into<String>) -> Self {
        Self::new(401, "invalid_client", code, text)
    }

    /// `unauthorized_client`, 400.
    pub(crate) fn unauthorized(code: u32, text: impl Into<String>) -> Self {
        Self::new(400, "unauthorized_client", code, text)
    }

    /// `error_description`.
    pub(crate) fn description(&self, now: Now, trace: Uuid, correlation: Uuid) -> String {
        let stamp = clock::blank(now.wall);
        format!(
            "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
            self.code, self.text
        )
    }

    /// The documented body.
    pub(crate) fn reply(&self, now: Now, trace: Uuid, correlation: Uuid, base: &str) -> Reply {
        let stamp = clock::blank(now.wall);
        let body = json!({
            "error": self.error,
            "error_description": self.description(now, trace, correlation),
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{base}/error?code={}", self.code),
        });
        Reply::json(self.status, body)
    }
}
