//! Microsoft users to choose from, and mappings that suggest themselves.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MarkHeader, Problem};
use crate::App;
use crate::extract::Query;
use crate::fault::Fault;
use crate::guard::InAccount;
use crate::pages::mapping::Asked;
use crate::work::users as work;

/// A user of the tenant, as last seen.
#[derive(Serialize, ToSchema)]
pub(crate) struct MicrosoftUser {
    microsoft_user: Uuid,
    upn: String,
    display_name: Option<String>,
    /// It can be mapped, if nobody has it.
    eligible: bool,
    /// Stable name of why it cannot be mapped.
    not_eligible: Option<String>,
    mapped_to: Option<String>,
    /// The last complete list did not show it any more.
    gone: bool,
}

/// The first 50 users by sign-in name.
#[derive(Serialize, ToSchema)]
pub(crate) struct MicrosoftUsers {
    microsoft_users: Vec<MicrosoftUser>,
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/microsoft-users", tag = "users",
    params(("account" = String, Path, description = "Short name of the account"),
        ("search" = Option<String>, Query, description = "Only users who hold this text in names, kind or reason")), responses(
    (status = 200, description = "The first 50 by sign-in name", body = MicrosoftUsers),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 400, description = "Something of it cannot be read", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn microsoft(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Json<MicrosoftUsers>, Fault> {
    let found = work::microsoft(&app, &inside, work::searched(&asked.search)?).await?;
    let one = |user: tandem_store::microsoft_users::MicrosoftUser| MicrosoftUser {
        microsoft_user: user.oid.0,
        upn: user.upn,
        display_name: user.display_name,
        eligible: user.why_not.is_none() && user.gone_at.is_none(),
        not_eligible: user.why_not.map(|why| why.as_str().to_owned()),
        mapped_to: user.mapped_to.map(|user| user.to_string()),
        gone: user.gone_at.is_some(),
    };
    Ok(Json(MicrosoftUsers { microsoft_users: found.into_iter().map(one).collect() }))
}

/// A mapping that suggests itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct Proposal {
    pbx_user_id: String,
    microsoft_user: Uuid,
    upn: String,
}

/// The first 50 proposals by key.
#[derive(Serialize, ToSchema)]
pub(crate) struct Proposals {
    proposals: Vec<Proposal>,
    /// Names exactly these proposals.
    version: String,
    /// How many proposals there are.
    total: usize,
    /// Names exactly all of them.
    version_of_all: String,
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/proposals", tag = "users",
    params(("account" = String, Path, description = "Short name of the account")), responses(
    (status = 200, description = "Users without a mapping whose address is the sign-in name of an eligible Microsoft user; the first 50 by key", body = Proposals),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(State(app): State<Arc<App>>, inside: InAccount) -> Result<Json<Proposals>, Fault> {
    let found = work::proposals(&app, &inside).await?;
    let one = |one: tandem_store::portal::proposals::Proposal| Proposal {
        pbx_user_id: one.user.to_string(),
        microsoft_user: one.microsoft_user.0,
        upn: one.upn,
    };
    let work::Proposals { page, version, total, version_of_all } = found;
    Ok(Json(Proposals { proposals: page.into_iter().map(one).collect(), version, total, version_of_all }))
}

/// The proposals to accept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accept {
    /// The `version` of the proposals that were seen, or the `version_of_all`.
    version: String,
}

/// The proposals were accepted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    accepted: usize,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/proposals", tag = "users",
    description = "Needs no `Idempotency-Key`: `version` names what is accepted, and what is accepted is proposed no more.", request_body = Accept,
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 200, description = "All of them are mapped, as Voice", body = Accepted),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are fewer free licences than proposals; nothing was saved", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "The proposals are others by now", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn accept(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Accepted>, Fault> {
    let accept: Accept = super::body(&headers, &body, "is { \"version\": text }")?;
    Ok(Json(Accepted { accepted: work::accept(&app, &inside, &accept.version).await? }))
}
