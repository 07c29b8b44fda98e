//! The REST API under `/api/v1`: JSON, problem documents, keyset paging, and a document generated from this code.
//!
//! A bearer token signs requests in, or a session's cookie; with the cookie, posts show the session's token, as
//! `GET /api/v1/me` gives it, in the header `X-CSRF-Token`. Posts that are requests of their own bring a key in
//! `Idempotency-Key`.

pub(crate) mod accounts;
pub(crate) mod acts;
pub(crate) mod bulk;
pub(crate) mod detector;
pub(crate) mod fleet;
pub(crate) mod fleet_jobs;
pub(crate) mod imports;
pub(crate) mod jobs;
pub(crate) mod mail;
pub(crate) mod pauses;
pub(crate) mod proposals;
pub(crate) mod provider;
pub(crate) mod requests;
pub(crate) mod settings;
pub(crate) mod syncs;
pub(crate) mod users;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, IntoResponses, OpenApi, ToSchema};

use crate::fault::Fault;

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

/// Headers of a post that is a request of its own.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes what `key` and the guard read")]
struct PostHeaders {
    /// A key of the sender's, 1 to 200 visible characters; the same key again is the same request, for a day
    #[param(rename = "Idempotency-Key")]
    key: String,
    /// As `GET /api/v1/me` gives it; not needed with a bearer token
    #[param(rename = "X-CSRF-Token")]
    mark: Option<String>,
}

/// The header of what is sent but is no request of its own.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes what the guard reads")]
struct MarkHeader {
    /// As `GET /api/v1/me` gives it
    #[param(rename = "X-CSRF-Token")]
    mark: String,
}

/// How a decision about a job may be refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes what `Fault` answers")]
enum Refusals {
    /// The key is missing, or the body cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    Unreadable(Problem),
    /// The role does not cover it
    #[response(status = 403, content_type = "application/problem+json")]
    NotCovered(Problem),
    /// There is no such thing in this account
    #[response(status = 404, content_type = "application/problem+json")]
    NotThere(Problem),
    /// It does not apply now
    #[response(status = 409, content_type = "application/problem+json")]
    NotNow(Problem),
    /// The key was used for another request
    #[response(status = 422, content_type = "application/problem+json")]
    KeyReused(Problem),
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Tandem", version = "1", description = "What customers and operators see and ask for."),
    paths(
        accounts::me,
        accounts::list,
        accounts::one,
        detector::log,
        fleet::fleet,
        fleet::failures,
        pauses::account,
        pauses::fleet,
        provider::create,
        provider::read,
        provider::licences,
        provider::source,
        provider::invitation,
        provider::remove,
        jobs::list,
        jobs::one,
        jobs::steps,
        jobs::log,
        jobs::bundle,
        syncs::ask,
        users::list,
        users::one,
        users::save,
        users::sync,
        proposals::microsoft,
        proposals::list,
        proposals::accept,
        imports::export,
        imports::upload,
        imports::preview,
        imports::confirm,
        requests::held,
        acts::approve,
        acts::reject,
        acts::replay,
        acts::cancel,
        acts::undo_preview,
        acts::undo,
        acts::preview,
        acts::run,
        requests::request,
        settings::read,
        settings::save,
        fleet_jobs::list,
        bulk::count,
        bulk::make,
        bulk::list,
        bulk::one,
        bulk::abort,
        mail::read,
        mail::calendar,
        mail::add,
        mail::remove,
        mail::test
    ),
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

/// The key of a post.
fn key(headers: &HeaderMap) -> Result<String, Fault> {
    let mut keys = headers.get_all("idempotency-key").iter();
    match (keys.next().and_then(|key| key.to_str().ok()), keys.next()) {
        (Some(key), None) if (1..=200).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(format!("api {key}"))
        }
        _ => Err(Fault::KeyMissing),
    }
}

/// The version that a save is made from.
fn if_match(headers: &HeaderMap) -> Result<&str, Fault> {
    let mut tags = headers.get_all(header::IF_MATCH).iter();
    match (tags.next().and_then(|tag| tag.to_str().ok()), tags.next()) {
        (Some(tag), None) => Ok(tag.trim_matches('"')),
        _ => Err(Fault::VersionMissing),
    }
}

/// The body of a post; `form` says what it should be.
fn body<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8], form: &'static str) -> Result<T, Fault> {
    let json = headers.get("content-type").and_then(|kind| kind.to_str().ok());
    if json.is_none_or(|kind| kind.split(';').next() != Some("application/json")) {
        return Err(Fault::BadInput("Content-Type", "is application/json"));
    }
    serde_json::from_slice(body).map_err(|_| Fault::BadInput("The body", form))
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
