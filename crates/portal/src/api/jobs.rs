//! Jobs of an account and their steps.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_domain::JobId;
use tandem_store::log_read::{JobRow, StepRow};
use tandem_store::log_text;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Problem;
use crate::extract::{Query, id};
use crate::fault::Fault;
use crate::guard::InAccount;
use crate::pages::jobs::Asked;
use crate::{App, work};

/// A sync job.
#[derive(Serialize, ToSchema)]
pub(crate) struct Job {
    job_id: Uuid,
    /// `auto` or `manual`.
    r#type: String,
    /// `queued`, `running`, `succeeded`, `partly`, `failed` or `cancelled`.
    state: String,
    cause: Option<String>,
    person: Option<String>,
    reason: Option<String>,
    linked_job: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339")]
    queued_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    settled_at: Option<OffsetDateTime>,
    /// The job covers the changes above `from_gen` and up to `to_gen`.
    from_gen: Option<i64>,
    to_gen: Option<i64>,
    /// Users by outcome.
    #[schema(value_type = Option<Object>)]
    counts: Option<Value>,
    error_code: Option<String>,
    error_text: Option<String>,
}

/// One thing that happened to a job.
#[derive(Serialize, ToSchema)]
pub(crate) struct Step {
    number: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    kind: String,
    pbx_user_id: Option<String>,
    microsoft_user: Option<Uuid>,
    action: Option<String>,
    outcome: Option<String>,
    before: Option<String>,
    after: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    request_id: Option<String>,
}

/// A page of jobs, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Jobs {
    jobs: Vec<Job>,
    /// The `after` of the next page.
    next: Option<Uuid>,
}

/// A page of steps.
#[derive(Serialize, ToSchema)]
pub(crate) struct Steps {
    steps: Vec<Step>,
    /// The `after` of the next page.
    next: Option<i64>,
}

impl From<&JobRow> for Job {
    fn from(job: &JobRow) -> Self {
        Self {
            job_id: job.job.0,
            r#type: job.job_type.to_string(),
            state: job.state.to_string(),
            cause: job.cause.clone(),
            person: job.person.clone(),
            reason: job.reason.clone(),
            linked_job: job.linked_job.map(|job| job.0),
            queued_at: job.queued_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            settled_at: job.settled_at,
            from_gen: job.from_gen,
            to_gen: job.to_gen,
            counts: job.counts.clone(),
            error_code: job.error_code.clone(),
            error_text: job.error_text.clone(),
        }
    }
}

impl From<&StepRow> for Step {
    fn from(step: &StepRow) -> Self {
        Self {
            number: step.number,
            at: step.at,
            kind: step.kind.clone(),
            pbx_user_id: step.pbx_user.as_ref().map(ToString::to_string),
            microsoft_user: step.microsoft_user.map(|user| user.0),
            action: step.action.clone(),
            outcome: step.outcome.clone(),
            before: step.before.clone(),
            after: step.after.clone(),
            reason: step.reason.clone(),
            detail: step.detail.clone(),
            request_id: step.request_id.clone(),
        }
    }
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/jobs", tag = "jobs",
    params(("account" = String, Path, description = "Short name of the account"),
        ("type" = Option<String>, Query, description = "`auto` or `manual`"),
        ("state" = Option<String>, Query, description = "A state of a job"),
        ("since" = Option<String>, Query, description = "A day: jobs cut on it or later"),
        ("until" = Option<String>, Query, description = "A day: jobs cut on it or earlier"),
        ("after" = Option<Uuid>, Query, description = "The `next` of the page before")), responses(
    (status = 200, description = "Jobs, newest first", body = Jobs),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Json<Jobs>, Fault> {
    let (filter, after) = asked.filter()?;
    let found = work::jobs(&app, &inside, filter, after).await?;
    Ok(Json(Jobs { jobs: found.rows.iter().map(Job::from).collect(), next: found.next.map(|job| job.0) }))
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/jobs/{job}", tag = "jobs",
    params(("account" = String, Path, description = "Short name of the account"), ("job" = Uuid, Path, description = "Id of the job")), responses(
    (status = 200, description = "The job", body = Job),
    (status = 404, description = "No such job in this account", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
) -> Result<Json<Job>, Fault> {
    let Path((_, job)) = path;
    Ok(Json(Job::from(&work::job(&app, &inside, JobId(id(&job)?)).await?)))
}

/// Where a page of steps begins.
#[derive(Deserialize)]
pub(crate) struct After {
    /// The `next` of the page before.
    after: Option<i64>,
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/jobs/{job}/steps", tag = "jobs",
    params(("account" = String, Path, description = "Short name of the account"), ("job" = Uuid, Path, description = "Id of the job"), ("after" = Option<i64>, Query, description = "The `next` of the page before")), responses(
    (status = 200, description = "What happened, in order", body = Steps),
    (status = 400, description = "`after` is no number", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such job in this account", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn steps(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    Query(query): Query<After>,
) -> Result<Json<Steps>, Fault> {
    let Path((_, job)) = path;
    let row = work::job(&app, &inside, JobId(id(&job)?)).await?;
    let found = work::steps(&app, &inside, row.job, query.after.unwrap_or_default().max(0)).await?;
    Ok(Json(Steps { steps: found.rows.iter().map(Step::from).collect(), next: found.next }))
}

/// The log of a job as text.
#[derive(Serialize, ToSchema)]
pub(crate) struct Log {
    lines: Vec<String>,
    /// The `after` from which on there are further lines, now or later.
    last: i64,
    /// Whether there are further lines now.
    more: bool,
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/jobs/{job}/log", tag = "jobs",
    params(("account" = String, Path, description = "Short name of the account"), ("job" = Uuid, Path, description = "Id of the job"), ("after" = Option<i64>, Query, description = "The `last` of the page before")), responses(
    (status = 200, description = "Its log, a line for each step", body = Log),
    (status = 404, description = "No such job in this account", body = Problem, content_type = "application/problem+json"),
    (status = 400, description = "Something of it cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn log(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    Query(query): Query<After>,
) -> Result<Json<Log>, Fault> {
    let Path((_, job)) = path;
    let row = work::job(&app, &inside, JobId(id(&job)?)).await?;
    let after = query.after.unwrap_or_default().max(0);
    let found = work::steps(&app, &inside, row.job, after).await?;
    let last = found.rows.last().map_or(after, |step| step.number);
    let lines = found.rows.iter().map(|step| log_text::line(&row, step)).collect();
    Ok(Json(Log { lines, last, more: found.next.is_some() }))
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/jobs/{job}/bundle", tag = "jobs",
    params(("account" = String, Path, description = "Short name of the account"), ("job" = Uuid, Path, description = "Id of the job")), responses(
    (status = 200, description = "All that is known of the job; names, numbers and secrets are masked", body = Object),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such job in this account", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn bundle(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
) -> Result<Response, Fault> {
    let Path((_, job)) = path;
    crate::bundle::make(&app, &inside, JobId(id(&job)?)).await
}
