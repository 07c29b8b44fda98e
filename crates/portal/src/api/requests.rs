//! What waits for a person, and what has become of what somebody asked for.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::{Value, json};
use tandem_domain::plan::{Step, UserPlan};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Problem;
use crate::App;
use crate::acts;
use crate::extract::id;
use crate::fault::Fault;
use crate::guard::InAccount;

/// A removal, or a step of a plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanStep {
    pbx_user_id: String,
    microsoft_user: Uuid,
    action: String,
    before: Option<String>,
    after: Option<String>,
    reason: String,
}

/// Removals that wait for a person.
#[derive(Serialize, ToSchema)]
pub(crate) struct Held {
    held_id: Uuid,
    job_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    /// Whether they have waited for too long to be approved.
    expired: bool,
    removals: Vec<PlanStep>,
}

/// What waits for a person: one list at most.
#[derive(Serialize, ToSchema)]
pub(crate) struct HeldLists {
    held: Vec<Held>,
}

/// A plan without anything written.
#[derive(Serialize, ToSchema)]
pub(crate) struct Plan {
    /// Equal plans have equal fingerprints.
    fingerprint: String,
    /// The job whose undo was planned.
    undoes: Option<Uuid>,
    steps: Vec<PlanStep>,
    held: Vec<PlanStep>,
    /// Each with `pbx_user_id` and `verdict`.
    #[schema(value_type = Vec<Object>)]
    users: Vec<Value>,
}

/// Why a request was refused.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refusal {
    code: String,
    text: String,
}

/// What has become of a request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Request {
    request_id: Uuid,
    /// Whether nobody has carried it out yet.
    waits: bool,
    /// The job that carries it out.
    job_id: Option<Uuid>,
    refused: Option<Refusal>,
    /// For a preview: the plan. The id of the request is that of the preview.
    plan: Option<Plan>,
}

fn steps(steps: &[Step]) -> Vec<PlanStep> {
    let one = |step: &Step| PlanStep {
        pbx_user_id: step.user.to_string(),
        microsoft_user: step.oid.0,
        action: step.action.kind().to_owned(),
        before: step.before.clone(),
        after: step.after.clone(),
        reason: step.reason.clone().into_owned(),
    };
    steps.iter().map(one).collect()
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/held", tag = "held removals",
    params(("account" = String, Path, description = "Short name of the account")), responses(
    (status = 200, description = "Removals that wait for a person", body = HeldLists),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn held(State(app): State<Arc<App>>, inside: InAccount) -> Result<Json<HeldLists>, Fault> {
    let found = acts::held(&app, &inside).await?;
    let held = found.map(|held| Held {
        held_id: held.id,
        job_id: held.job.0,
        since: held.created_at,
        expired: held.expired,
        removals: steps(&held.removals),
    });
    Ok(Json(HeldLists { held: held.into_iter().collect() }))
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/requests/{request}", tag = "jobs",
    params(("account" = String, Path, description = "Short name of the account"), ("request" = Uuid, Path, description = "Id of the request")), responses(
    (status = 200, description = "What has become of it", body = Request),
    (status = 404, description = "No such request in this account", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn request(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
) -> Result<Json<Request>, Fault> {
    let Path((_, request)) = path;
    let request_id = id(&request)?;
    let (answer, preview) = acts::followed(&app, &inside, request_id).await?;
    let plan = preview.and_then(|preview| {
        let plan = preview.result.ok()?.plan;
        let user = |user: &UserPlan| {
            json!({ "pbx_user_id": user.user, "verdict": user.verdict, "warning": user.warning })
        };
        Some(Plan {
            undoes: preview.undone.map(|job| job.0),
            steps: steps(&plan.steps),
            held: steps(&plan.held),
            users: plan.users.iter().map(user).collect(),
            fingerprint: plan.fingerprint,
        })
    });
    Ok(Json(Request {
        request_id,
        waits: answer.job.is_none() && !answer.answered,
        job_id: answer.job.map(|job| job.0),
        refused: answer.refused.map(|(code, text)| Refusal { code, text }),
        plan,
    }))
}
