//! What people decide about jobs. Each post is recorded and answered at once; `GET …/requests/{request}` says what has
//! become of it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tandem_domain::JobId;
use tandem_domain::job::JobScope;
use utoipa::ToSchema;
use uuid::Uuid;

use super::syncs::Asked;
use super::{PostHeaders, Refusals};
use crate::App;
use crate::acts::{self, Wish};
use crate::extract::id;
use crate::fault::Fault;
use crate::guard::InAccount;

/// Why somebody decides so.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Because {
    /// Kept with the job and in the audit: one line of 1 to 500 characters.
    reason: String,
}

/// An undo.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUndo {
    /// Kept with the job and in the audit: one line of 1 to 500 characters.
    reason: String,
    /// Undo exactly as this preview showed, or not at all.
    preview_id: Option<Uuid>,
}

/// Nothing beside what the address says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

/// A preview.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPreview {
    /// `all` or `changed`.
    scope: String,
}

impl Because {
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

type Answer = Result<(StatusCode, Json<Asked>), Fault>;

async fn asked(app: &App, inside: &InAccount, headers: &HeaderMap, wish: Wish, reason: &str) -> Answer {
    let key = super::key(headers)?;
    let request_id = acts::ask(app, inside, wish, &key, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Asked { request_id })))
}

async fn because(app: &App, inside: &InAccount, headers: &HeaderMap, body: &[u8], wish: Wish) -> Answer {
    let because: Because = super::body(headers, body, "is { \"reason\": text }")?;
    asked(app, inside, headers, wish, acts::reason(&because.reason)?).await
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/held/{held}/approve", tag = "held removals", request_body = Because,
    params(("account" = String, Path, description = "Short name of the account"), ("held" = Uuid, Path, description = "Id of the list"), PostHeaders), responses(
    (status = 202, description = "A sync carries out exactly these removals", body = Asked),
    Refusals))]
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Path((_, held)) = path;
    because(&app, &inside, &headers, &body, Wish::Approve(id(&held)?)).await
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/held/{held}/reject", tag = "held removals", request_body = Because,
    params(("account" = String, Path, description = "Short name of the account"), ("held" = Uuid, Path, description = "Id of the list"), PostHeaders), responses(
    (status = 202, description = "The removals are dropped", body = Asked),
    Refusals))]
pub(crate) async fn reject(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Path((_, held)) = path;
    because(&app, &inside, &headers, &body, Wish::Reject(id(&held)?)).await
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/jobs/{job}/replay", tag = "jobs", request_body = Because,
    params(("account" = String, Path, description = "Short name of the account"), ("job" = Uuid, Path, description = "Id of the job"), PostHeaders), responses(
    (status = 202, description = "A new job of the same type does anew what this one did not achieve", body = Asked),
    Refusals))]
pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Path((_, job)) = path;
    because(&app, &inside, &headers, &body, Wish::Replay(JobId(id(&job)?))).await
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/jobs/{job}/undo", tag = "jobs", request_body = NewUndo,
    params(("account" = String, Path, description = "Short name of the account"), ("job" = Uuid, Path, description = "Id of the job"), PostHeaders), responses(
    (status = 202, description = "A new job undoes this one", body = Asked),
    Refusals))]
pub(crate) async fn undo(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Path((_, job)) = path;
    let new: NewUndo = super::body(&headers, &body, "is { \"reason\": text, \"preview_id\": id }")?;
    let wish = Wish::Undo(JobId(id(&job)?), new.preview_id);
    asked(&app, &inside, &headers, wish, acts::reason(&new.reason)?).await
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/jobs/{job}/cancel", tag = "jobs", request_body = Because,
    params(("account" = String, Path, description = "Short name of the account"), ("job" = Uuid, Path, description = "Id of the job"), PostHeaders), responses(
    (status = 202, description = "A job that waits ends, one that runs stops between two users", body = Asked),
    Refusals))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Path((_, job)) = path;
    because(&app, &inside, &headers, &body, Wish::Cancel(JobId(id(&job)?))).await
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/jobs/{job}/undo-preview", tag = "jobs", request_body = Empty,
    params(("account" = String, Path, description = "Short name of the account"), ("job" = Uuid, Path, description = "Id of the job"), PostHeaders), responses(
    (status = 202, description = "The plan of the undo is made; its request is the preview", body = Asked),
    Refusals))]
pub(crate) async fn undo_preview(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Path((_, job)) = path;
    let Empty {} = super::body(&headers, &body, "is {}")?;
    asked(&app, &inside, &headers, Wish::PreviewUndo(JobId(id(&job)?)), "").await
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/previews", tag = "jobs", request_body = NewPreview,
    params(("account" = String, Path, description = "Short name of the account"), PostHeaders), responses(
    (status = 202, description = "The plan of a sync is made; its request is the preview", body = Asked),
    Refusals))]
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let new: NewPreview = super::body(&headers, &body, "is { \"scope\": \"all\" or \"changed\" }")?;
    let scope = JobScope::parse(&new.scope).ok_or(Fault::BadInput("scope", "is all or changed"))?;
    asked(&app, &inside, &headers, Wish::Preview(scope), "").await
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/previews/{preview}/run", tag = "jobs", request_body = Because,
    params(("account" = String, Path, description = "Short name of the account"), ("preview" = Uuid, Path, description = "Id of the preview"), PostHeaders), responses(
    (status = 202, description = "A sync does exactly what the preview showed", body = Asked),
    Refusals))]
pub(crate) async fn run(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Path((_, preview)) = path;
    because(&app, &inside, &headers, &body, Wish::Run(id(&preview)?)).await
}
