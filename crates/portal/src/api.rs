//! The REST API under `/api/v1`: JSON, problem documents, keyset paging, and a document generated from this code.
//!
//! A session's cookie signs requests in; posts show the session's token, as `GET /api/v1/me` gives it, in the header
//! `X-CSRF-Token`, and a key of their own in `Idempotency-Key`.

pub(crate) mod accounts;
pub(crate) mod jobs;
pub(crate) mod syncs;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:tandem:problem:` and the code.
    r#type: String,
    /// In a few words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The stable code.
    code: String,
    /// What happened and what to do.
    detail: String,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Tandem", version = "1", description = "What customers and operators see and ask for."),
    paths(accounts::me, accounts::list, accounts::one, jobs::list, jobs::one, jobs::steps, syncs::ask),
    components(schemas(Problem))
)]
struct Document;

/// The OpenAPI document of the API.
#[must_use]
pub fn openapi() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi()).into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_up_to_date_and_names_every_route_of_the_api() {
        let kept = include_str!("../../../docs/openapi.json");
        assert_eq!(kept, super::openapi(), "run `make gen`");
        let document: serde_json::Value = serde_json::from_str(kept).unwrap();
        for entry in crate::table().iter().filter(|entry| entry.path.starts_with("/api/v1/")) {
            let known = &document["paths"][entry.path][entry.method.to_lowercase()];
            assert!(known.is_object() || entry.path.ends_with("openapi.json"), "{entry:?}");
        }
    }
}
