//! Replays of many jobs: counted, made, followed and aborted.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::acts::Because;
use super::{PostHeaders, Problem, Refusals};
use crate::App;
use crate::extract::{Query, id};
use crate::fault::Fault;
use crate::guard::Visitor;
use crate::pages::bulk::After;
use crate::work::bulk::{self, New, Over};
use crate::work::fleet_jobs::Asked;

/// A filter: `state`, `type`, `account`, `fingerprint` and `q` as of `GET /api/v1/jobs`, one of them at least, and the time
/// range. Without `from` and `to` the last seven days.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkFilter {
    state: String,
    r#type: String,
    account: String,
    fingerprint: String,
    from: String,
    to: String,
    q: String,
}

/// What a bulk act with this filter would be over.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkCount {
    jobs: usize,
    accounts: usize,
    /// The filter with its time range fixed: what to send.
    #[schema(value_type = BulkFilter)]
    filter: Option<Asked>,
}

/// A bulk act to be made: over `jobs`, 1,000 ids at most, or over all that match `filter`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBulk {
    /// What it is called, such as the incident: one line of 1 to 100 characters.
    name: String,
    /// Kept with each new job and in the audit: one line of 1 to 500 characters.
    reason: String,
    #[serde(default)]
    jobs: Vec<Uuid>,
    #[schema(value_type = Option<BulkFilter>)]
    filter: Option<Asked>,
    /// How many jobs are meant; nothing is done where it is another number.
    count: usize,
}

/// A bulk act.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkAct {
    bulk_id: Uuid,
    name: String,
    reason: String,
    person: String,
    #[schema(value_type = Option<BulkFilter>)]
    filter: Option<serde_json::Value>,
    jobs: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    aborted_at: Option<OffsetDateTime>,
    aborted_by: Option<String>,
    /// When everything was handed in, or nothing more was.
    #[serde(with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
}

/// Bulk acts, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkActs {
    bulk_acts: Vec<BulkAct>,
    /// The `after` of the next page.
    next: Option<Uuid>,
}

/// Jobs and accounts by what became of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkProgress {
    /// `waiting`, `refused`, `asked`, or the state of the new job.
    state: String,
    jobs: i64,
    accounts: i64,
}

/// An account of a bulk act.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkAccount {
    account: String,
    jobs: i64,
    /// As in the progress.
    state: String,
    /// The new job.
    job_id: Option<Uuid>,
    /// Stable code of why it was refused.
    refused: Option<String>,
    /// Stable code of why the new job waits.
    waits_for: Option<String>,
}

/// How far a bulk act is.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkSeen {
    #[serde(flatten)]
    bulk: BulkAct,
    progress: Vec<BulkProgress>,
    accounts: Vec<BulkAccount>,
    /// The `after` of the next page of accounts.
    next: Option<Uuid>,
}

/// A bulk act that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkMade {
    bulk_id: Uuid,
}

impl From<tandem_store::bulk::Bulk> for BulkAct {
    fn from(bulk: tandem_store::bulk::Bulk) -> Self {
        let (aborted_at, aborted_by) = bulk.aborted.unzip();
        Self {
            bulk_id: bulk.id,
            name: bulk.name,
            reason: bulk.reason,
            person: bulk.person,
            filter: bulk.filter,
            jobs: bulk.jobs,
            created_at: bulk.created_at,
            aborted_at,
            aborted_by,
            finished_at: bulk.finished_at,
        }
    }
}

#[utoipa::path(get, path = "/api/v1/bulk-count", tag = "fleet",
    params(("state" = Option<String>, Query, description = "As of `GET /api/v1/jobs`; without one, failed and partly done jobs"),
        ("type" = Option<String>, Query, description = "As there"),
        ("account" = Option<String>, Query, description = "As there"),
        ("fingerprint" = Option<String>, Query, description = "As there"),
        ("from" = Option<String>, Query, description = "As there; seven days ago without one"),
        ("to" = Option<String>, Query, description = "As there; now without one"),
        ("q" = Option<String>, Query, description = "As there")), responses(
    (status = 200, description = "How many jobs of how many accounts", body = BulkCount),
    (status = 400, description = "The filter is empty, too wide, or cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Nothing matches", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn count(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Json<BulkCount>, Fault> {
    let draft = bulk::draft(&app, &Over::Filter(asked)).await?;
    Ok(Json(BulkCount { jobs: draft.jobs.len(), accounts: draft.accounts, filter: draft.filter }))
}

#[utoipa::path(post, path = "/api/v1/bulk", tag = "fleet", request_body = NewBulk, params(PostHeaders), responses(
    (status = 202, description = "It is handed in, account by account", body = BulkMade),
    Refusals))]
pub(crate) async fn make(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<BulkMade>), Fault> {
    let key = super::key(&headers)?;
    let new: NewBulk =
        super::body(&headers, &body, "is { name, reason, count } with either jobs or a filter")?;
    let over = match (new.jobs.is_empty(), new.filter) {
        (true, Some(filter)) => Over::Filter(filter),
        (false, None) => Over::Chosen(new.jobs),
        _ => return Err(Fault::BadInput("The body", "has either jobs or a filter")),
    };
    let new = New { name: &new.name, reason: &new.reason, over: &over, count: new.count, key: &key };
    let bulk_id = bulk::make(&app, &visitor, &new).await?;
    Ok((StatusCode::ACCEPTED, Json(BulkMade { bulk_id })))
}

#[utoipa::path(get, path = "/api/v1/bulk", tag = "fleet",
    params(("after" = Option<Uuid>, Query, description = "The `next` of the page before")), responses(
    (status = 200, description = "Bulk acts, newest first", body = BulkActs),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(query): Query<After>,
) -> Result<Json<BulkActs>, Fault> {
    let found = bulk::list(&app, query.after).await?;
    let bulk_acts = found.rows.into_iter().map(BulkAct::from).collect();
    Ok(Json(BulkActs { bulk_acts, next: found.next }))
}

#[utoipa::path(get, path = "/api/v1/bulk/{bulk}", tag = "fleet",
    params(("bulk" = Uuid, Path, description = "Id of the bulk act"),
        ("after" = Option<Uuid>, Query, description = "The `next` of the page of accounts before")), responses(
    (status = 200, description = "How far it is", body = BulkSeen),
    (status = 404, description = "No such bulk act", body = Problem, content_type = "application/problem+json"),
    (status = 400, description = "Something of it cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path(bulk): Path<String>,
    Query(query): Query<After>,
) -> Result<Json<BulkSeen>, Fault> {
    let seen = bulk::seen(&app, id(&bulk)?, query.after).await?;
    let progress = seen.counts.into_iter();
    let accounts = seen.accounts.rows.into_iter();
    Ok(Json(BulkSeen {
        bulk: seen.bulk.into(),
        progress: progress
            .map(|count| BulkProgress { state: count.state, jobs: count.jobs, accounts: count.accounts })
            .collect(),
        accounts: accounts
            .map(|row| BulkAccount {
                account: row.name,
                jobs: row.jobs,
                state: row.state,
                job_id: row.job.map(|job| job.0),
                refused: row.refused,
                waits_for: row.parked,
            })
            .collect(),
        next: seen.accounts.next.map(|account| account.0),
    }))
}

#[utoipa::path(post, path = "/api/v1/bulk/{bulk}/abort", tag = "fleet", request_body = Because,
    params(("bulk" = Uuid, Path, description = "Id of the bulk act"), PostHeaders), responses(
    (status = 204, description = "Nothing more of it is handed in"),
    Refusals))]
pub(crate) async fn abort(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(bulk): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Fault> {
    super::key(&headers)?;
    let because: Because = super::body(&headers, &body, "is { \"reason\": text }")?;
    bulk::abort(&app, &visitor, id(&bulk)?, because.reason()).await?;
    Ok(StatusCode::NO_CONTENT)
}
