//! Pausing an account, or the fleet.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::{MarkHeader, PostHeaders, Problem, body};
use crate::App;
use crate::fault::Fault;
use crate::guard::{InAccount, Visitor};
use crate::pausing::{self, Wish};

/// What a body of a pause looks like.
const FORM: &str = "is {\"on\": true, \"hours\": 24, \"reason\": \"\u{2026}\"}";

#[utoipa::path(post, path = "/api/v1/accounts/{account}/pause", tag = "pauses", request_body = Wish,
    params(("account" = String, Path, description = "Short name of the account"), PostHeaders), responses(
    (status = 204, description = "The account is paused, or is no more; under another key the same again changes the end alone"),
    (status = 400, description = "The key is missing, the body cannot be read, or there is no reason", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The key was used for another request", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn account(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<StatusCode, Fault> {
    let key = super::key(&headers)?;
    let wish = body::<Wish>(&headers, &bytes, FORM)?;
    let what = [b"pause ", &bytes[..]].concat();
    pausing::account(&app, &inside, &wish, Some((&key, &what))).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/api/v1/fleet/pause", tag = "pauses",
    description = "Takes no `Idempotency-Key`: look at the fleet before you send it again, somebody may have lifted the pause.", request_body = Wish,
    params(MarkHeader), responses(
    (status = 204, description = "The fleet is paused, or is no more; the same again changes the end alone"),
    (status = 400, description = "The body cannot be read, or there is no reason", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not an operator", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn fleet(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<StatusCode, Fault> {
    pausing::fleet(&app, &visitor, &body::<Wish>(&headers, &bytes, FORM)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
