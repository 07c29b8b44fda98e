//! Mappings as a file.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MarkHeader, Problem};
use crate::App;
use crate::extract::id;
use crate::fault::Fault;
use crate::guard::InAccount;
use crate::pages::imports::{file, word};
use crate::sheet::Verdict;
use crate::work::imports::{self as work, Stands};

#[utoipa::path(get, path = "/api/v1/accounts/{account}/users.csv", tag = "users",
    params(("account" = String, Path, description = "Short name of the account")), responses(
    (status = 200, description = "All users as CSV (RFC 4180, UTF-8); cells that a spreadsheet would act on begin with an apostrophe", body = String, content_type = "text/csv"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn export(State(app): State<Arc<App>>, inside: InAccount) -> Result<Response, Fault> {
    Ok(file(&inside.account.name, work::export(&app, &inside).await?))
}

/// A file waits to be looked at and saved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Uploaded {
    import_id: Uuid,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/imports", tag = "users",
    description = "Needs no `Idempotency-Key`: nothing is saved, and a file that is sent again is a preview of its own.",
    request_body(content = String, content_type = "text/csv", description = "The first row names the columns: `pbx_user`, `microsoft_user` (sign-in name or object id; empty unassigns) and, where wanted, `service` and `number`; others of an export are not looked at. 4 MB and 20000 rows at most"),
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 201, description = "Kept for an hour; nothing is saved", body = Uploaded),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The file is too long", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It cannot be told what the rows are", body = Problem, content_type = "application/problem+json"),
    (status = 400, description = "Something of it cannot be read", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<(StatusCode, Json<Uploaded>), Fault> {
    let csv = headers.get("content-type").and_then(|kind| kind.to_str().ok());
    if csv.is_none_or(|kind| kind.split(';').next() != Some("text/csv")) {
        return Err(Fault::BadInput("Content-Type", "is text/csv"));
    }
    let body = body.map_err(|refused| match refused.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Fault::TooLarge,
        _ => Fault::BadInput("The upload", "ended before its end"),
    })?;
    let import_id = work::upload(&app, &inside, &body).await?;
    Ok((StatusCode::CREATED, Json(Uploaded { import_id })))
}

/// A row of a file.
#[derive(Serialize, ToSchema)]
pub(crate) struct Row {
    /// Where it begins, from 1.
    line: u64,
    pbx_user_id: String,
    /// `add`, `change`, `unassign`, `unchanged`, `repeated` or `bad`.
    what: String,
    /// The mapping that the user would have.
    microsoft_user: Option<Uuid>,
    service: Option<String>,
    number: Option<String>,
    /// Stable code of why the row cannot be used.
    code: Option<String>,
    detail: Option<String>,
}

/// What a file would do, or that it was saved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Preview {
    /// How many mappings were saved, once they were.
    saved: Option<i32>,
    /// Names exactly this preview; none once the file was saved.
    version: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// Everything can be saved.
    clean: bool,
    /// Stable code of why the licences do not cover it.
    licences: Option<String>,
    /// So many mappings would go that a sync holds the removals for a person; saving needs `removals`.
    many_removals: bool,
    rows: Vec<Row>,
}

fn row(row: &crate::sheet::Row) -> Row {
    let (mapping, problem) = match &row.verdict {
        Verdict::Add(mapping) | Verdict::Change(mapping) => (Some(mapping), None),
        Verdict::Bad(problem) => (None, Some(problem)),
        _ => (None, None),
    };
    Row {
        line: row.line,
        pbx_user_id: row.user.clone(),
        what: word(&row.verdict).to_owned(),
        microsoft_user: mapping.map(|mapping| mapping.microsoft_user.0),
        service: mapping.map(|mapping| mapping.service.as_str().to_owned()),
        number: mapping.and_then(|mapping| mapping.number.clone()),
        code: problem.map(|problem| problem.code().to_owned()),
        detail: problem.map(|problem| format!("{} {}", problem.text(), problem.todo())),
    }
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/imports/{import}", tag = "users",
    params(("account" = String, Path, description = "Short name of the account"), ("import" = Uuid, Path, description = "As the upload gave it")), responses(
    (status = 200, description = "What the file would do to the mappings there are now", body = Preview),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such file in this account, or no more", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
) -> Result<Json<Preview>, Fault> {
    let Path((_, import)) = path;
    Ok(Json(match work::look(&app, &inside, id(&import)?).await? {
        Stands::Saved(_, count) => Preview {
            saved: Some(count),
            version: None,
            expires_at: None,
            clean: true,
            licences: None,
            many_removals: false,
            rows: Vec::new(),
        },
        Stands::Waits(found) => Preview {
            saved: None,
            clean: found.judged.clean(),
            licences: found.judged.licences.map(|fault| fault.code().to_owned()),
            many_removals: found.judged.held,
            rows: found.judged.rows.iter().map(row).collect(),
            expires_at: Some(found.until),
            version: Some(found.version),
        },
    }))
}

/// The preview to save.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    /// The `version` of the preview that was seen.
    version: String,
    /// Many removals are meant.
    #[serde(default)]
    removals: bool,
}

/// The file was saved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Confirmed {
    saved: i32,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/imports/{import}", tag = "users",
    description = "Needs no `Idempotency-Key`: a file is saved once, and asked for again the answer is the same.", request_body = Confirm,
    params(("account" = String, Path, description = "Short name of the account"), ("import" = Uuid, Path, description = "As the upload gave it"),
        MarkHeader), responses(
    (status = 200, description = "All of it is saved, now or before", body = Confirmed),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such file in this account, or no more", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Not all of it can be saved, or many removals were not said to be meant; nothing was saved", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "A mapping of the file has changed since the preview; nothing was saved", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Confirmed>, Fault> {
    let Path((_, import)) = path;
    let new: Confirm = super::body(&headers, &body, "is { \"version\": text, \"removals\": true or false }")?;
    let saved = work::confirm(&app, &inside, id(&import)?, (&new.version, new.removals)).await?;
    Ok(Json(Confirmed { saved }))
}
