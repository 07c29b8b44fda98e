//! Users of an account, their mappings, and a sync of one.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_domain::policy::Service;
use tandem_domain::wanted::WantedNumber;
use tandem_domain::{ObjectId, user_state};
use tandem_store::portal::users::UserRow;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::syncs::{Asked as SyncAsked, NewSync};
use super::{MarkHeader, PostHeaders, Problem};
use crate::App;
use crate::extract::Query;
use crate::fault::Fault;
use crate::guard::InAccount;
use crate::pages::users::Asked;
use crate::work::About;
use crate::work::users::{self as work, Target};

/// A PBX user.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    pbx_user_id: String,
    display_name: Option<String>,
    email: Option<String>,
    extension: Option<String>,
    numbers: Vec<String>,
    /// The PBX has the user no more.
    gone: bool,
    /// For those who may see it.
    mapping: Option<Mapping>,
    /// `not_mapped`, `leaving`, `queued`, `waiting`, `held`, `conflict`, `failed`, `issue`, `not_synced`, `landing` or `in_teams`.
    state: String,
    code: Option<String>,
    detail: Option<String>,
    waits_for: Option<Wait>,
    /// What happens next.
    next_step: String,
}

/// Whom a user is mapped to.
#[derive(Serialize, ToSchema)]
pub(crate) struct Mapping {
    microsoft_user: Uuid,
    upn: Option<String>,
    /// `voice` or `app`.
    service: String,
}

/// Why and until when a user waits.
#[derive(Serialize, ToSchema)]
pub(crate) struct Wait {
    reason: String,
    detail: String,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    next_look: OffsetDateTime,
}

/// A page of users, by key.
#[derive(Serialize, ToSchema)]
pub(crate) struct Users {
    users: Vec<User>,
    /// The `after` of the next page.
    next: Option<String>,
}

/// A user explained.
#[derive(Serialize, ToSchema)]
pub(crate) struct Explained {
    user: User,
    /// The number that the user should have.
    wanted_number: Option<String>,
    /// Policies that the user should have, by type.
    #[schema(value_type = Object)]
    wanted_policies: Value,
    /// What Tandem has put on Microsoft users for this user and not taken off.
    stands: Vec<Standing>,
    #[serde(with = "time::serde::rfc3339::option")]
    confirmed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    settled_at: Option<OffsetDateTime>,
    /// The last jobs that did something for the user, newest first.
    jobs: Vec<Uuid>,
}

/// What stands on a Microsoft user.
#[derive(Serialize, ToSchema)]
pub(crate) struct Standing {
    number: Option<String>,
    #[schema(value_type = Object)]
    policies: Value,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
}

impl From<&UserRow> for User {
    fn from(row: &UserRow) -> Self {
        let profile = row.profile.clone().unwrap_or_default();
        let state = user_state::state(&row.facts);
        let reason =
            row.wait.as_ref().and_then(|wait| tandem_domain::ladder::DeferReason::parse(&wait.reason));
        Self {
            pbx_user_id: row.user.to_string(),
            display_name: profile.display_name,
            email: profile.email,
            extension: profile.extension,
            numbers: profile.did_numbers,
            gone: row.gone,
            mapping: row.mapping.as_ref().map(|mapping| Mapping {
                microsoft_user: mapping.microsoft_user.0,
                upn: row.upn.clone(),
                service: mapping.service.as_str().to_owned(),
            }),
            state: state.to_string(),
            code: row.code.clone(),
            detail: row.detail.clone(),
            waits_for: row.wait.as_ref().map(|wait| Wait {
                reason: wait.reason.clone(),
                detail: wait.detail.clone(),
                since: wait.since,
                next_look: wait.next_look,
            }),
            next_step: state.next_step(reason).to_owned(),
        }
    }
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/users", tag = "users",
    params(("account" = String, Path, description = "Short name of the account"),
        ("search" = Option<String>, Query, description = "Only users who hold this text in name, address, extension or numbers, whatever its case, or in the key, as it is written"),
        ("unmapped" = Option<String>, Query, description = "`yes`: only users without a mapping"),
        ("after" = Option<String>, Query, description = "The `next` of the page before")), responses(
    (status = 200, description = "Users, by key", body = Users),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Json<Users>, Fault> {
    let found = work::list(&app, &inside, asked.filter()?, &asked.after).await?;
    let users = found.rows.iter().map(User::from).collect();
    Ok(Json(Users { users, next: found.next.map(|after| after.to_string()) }))
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/users/{user}", tag = "users",
    params(("account" = String, Path, description = "Short name of the account"), ("user" = String, Path, description = "Key of the PBX user")), responses(
    (status = 200, description = "The user explained; the ETag names the mapping", body = Explained),
    (status = 404, description = "No such user in this account", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
) -> Result<Response, Fault> {
    let Path((_, user)) = path;
    let found = work::explain(&app, &inside, &work::key(&user)?).await?;
    let wanted = found.wanted.as_ref();
    let number = |wanted: &WantedNumber| wanted.number().map(ToString::to_string);
    let body = Explained {
        user: User::from(&found.row),
        wanted_number: wanted.and_then(|wanted| number(&wanted.number)),
        wanted_policies: wanted.map_or_else(|| json!({}), |wanted| json!(wanted.policies)),
        stands: found
            .stands
            .iter()
            .map(|one| Standing {
                number: one.number.clone(),
                policies: one.policies.clone(),
                since: one.since,
            })
            .collect(),
        confirmed_at: found.row.confirmed_at,
        settled_at: found.row.settled_at,
        jobs: found.jobs.iter().map(|job| job.job.0).collect(),
    };
    // whoever does not see the mapping cannot save it either
    let tag = format!("\"{}\"", work::version(found.row.mapping.as_ref()));
    Ok(([(header::ETAG, tag)], Json(body)).into_response())
}

/// The mapping that a user shall have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMapping {
    /// Object id of the Microsoft user; null takes the mapping away.
    microsoft_user: Option<Uuid>,
    /// `voice` or `app`; `voice` when left out.
    service: Option<String>,
}

/// The mapping was saved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Saved {
    pbx_user_id: String,
}

#[utoipa::path(put, path = "/api/v1/accounts/{account}/users/{user}/mapping", tag = "users", request_body = NewMapping,
    params(("account" = String, Path, description = "Short name of the account"), ("user" = String, Path, description = "Key of the PBX user"),
        ("If-Match" = String, Header, description = "The ETag of the user that the save is made from"),
        MarkHeader), responses(
    (status = 200, description = "Saved; the ETag names the new mapping", body = Saved),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such user in this account", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "No licence is free, or the Microsoft user cannot be mapped", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else has saved since", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn save(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    let Path((_, user)) = path;
    let user = work::key(&user)?;
    let from = super::if_match(&headers)?;
    let new: NewMapping =
        super::body(&headers, &body, "is { \"microsoft_user\": id or null, \"service\": text }")?;
    let service = Service::parse(new.service.as_deref().unwrap_or("voice"));
    let service = service.ok_or(Fault::BadInput("service", "is voice or app"))?;
    let target = new.microsoft_user.map(|oid| Target { microsoft_user: ObjectId(oid), service });
    let now_is = work::save(&app, &inside, &user, from, target).await?;
    let tag = [(header::ETAG, format!("\"{now_is}\""))];
    Ok((tag, Json(Saved { pbx_user_id: user.to_string() })).into_response())
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/users/{user}/syncs", tag = "users", request_body = NewSync,
    params(("account" = String, Path, description = "Short name of the account"), ("user" = String, Path, description = "Key of the PBX user"), PostHeaders), responses(
    (status = 202, description = "A sync of this user was asked for", body = SyncAsked),
    (status = 400, description = "The key is missing, or the body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such user in this account", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There is no stored authorization that works", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The key was used for another request", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sync(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<SyncAsked>), Fault> {
    let Path((_, user)) = path;
    let user = work::key(&user)?;
    let key = super::key(&headers)?;
    let new = NewSync::read(&headers, &body)?;
    let what = [format!("user {user} ").as_bytes(), &body].concat();
    let (about, key) = (About::User(&user), (key.as_str(), what.as_slice()));
    let request_id = crate::work::ask_sync(&app, &inside, about, key, new.reason()).await?;
    Ok((StatusCode::ACCEPTED, Json(SyncAsked::of(request_id))))
}
