//! Looking for jobs over all accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Problem;
use super::jobs::Job;
use crate::App;
use crate::extract::Query;
use crate::fault::Fault;
use crate::work::fleet_jobs::{self, Asked};

/// A job with the account that it is of.
#[derive(Serialize, ToSchema)]
pub(crate) struct FleetJob {
    /// Short name of the account, while there is one.
    account: Option<String>,
    /// Fingerprints of what it and its users failed by, the first ones.
    fingerprints: Vec<String>,
    #[serde(flatten)]
    job: Job,
}

/// A page of jobs of all accounts, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct FleetJobs {
    jobs: Vec<FleetJob>,
    /// The `after` of the next page.
    next: Option<Uuid>,
    /// The search read 100,000 jobs, up to this one, without filling a page. `next` goes on from there.
    looked_to: Option<Uuid>,
}

#[utoipa::path(get, path = "/api/v1/jobs", tag = "fleet",
    params(("state" = Option<String>, Query, description = "A state of a job, or several with commas between"),
        ("type" = Option<String>, Query, description = "`auto` or `manual`"),
        ("account" = Option<String>, Query, description = "Short name of an account"),
        ("fingerprint" = Option<String>, Query, description = "Fingerprint of a failure"),
        ("from" = Option<String>, Query, description = "A day, or a time: jobs cut then or later"),
        ("to" = Option<String>, Query, description = "A day, or a time: jobs cut on that day or before that time"),
        ("q" = Option<String>, Query, description = "A number written `+E164`, the id of a job, Microsoft's id of a request, or a part of a person's name, an error's code or its text"),
        ("after" = Option<Uuid>, Query, description = "The `next` of the page before")), responses(
    (status = 200, description = "Jobs, newest first; the search is on record", body = FleetJobs),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Json<FleetJobs>, Fault> {
    let found = fleet_jobs::jobs(&app, &asked).await?;
    let one = |job: &tandem_store::fleet_jobs::FleetJob| FleetJob {
        account: job.account.as_ref().map(|(name, _)| name.clone()),
        fingerprints: job.row.failures.clone(),
        job: Job::from(&job.row),
    };
    Ok(Json(FleetJobs {
        jobs: found.rows.iter().map(one).collect(),
        next: found.next.map(|job| job.0),
        looked_to: found.looked_to.map(|job| job.0),
    }))
}
