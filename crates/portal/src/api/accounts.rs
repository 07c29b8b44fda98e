//! Who one is, which accounts one has, and how they stand.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tandem_domain::account_state;
use tandem_store::portal::overview::Overview;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Problem;
use crate::extract::Query;
use crate::fault::Fault;
use crate::guard::{InAccount, Visitor};
use crate::pages::accounts::Asked;
use crate::{App, work};

/// The person who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    person_id: Uuid,
    name: String,
    operator: bool,
    /// For the header `X-CSRF-Token` of posts.
    csrf_token: String,
}

/// How an account stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    account_id: Uuid,
    name: String,
    label: String,
    /// `in_sync`, `changes_queued`, `syncing`, `landing`, `sync_issue`, `sync_failed`, `held`, `not_authorized` or `setup_partial`.
    state: String,
    auto_sync: bool,
    changes_queued: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    oldest_change_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    starts_by: Option<OffsetDateTime>,
    current_job: Option<Uuid>,
    last_job: Option<Uuid>,
    licences: Licences,
    authorization: Option<Authorization>,
}

/// Integration licences.
#[derive(Serialize, ToSchema)]
pub(crate) struct Licences {
    bought: i32,
    mapped: i64,
    landed: i64,
    leaving: i64,
}

/// The authorization of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Authorization {
    tenant_id: Uuid,
    state: String,
    reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    /// What Microsoft said; for those who may see it.
    detail: Option<String>,
}

/// A page of accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accounts {
    accounts: Vec<Account>,
    /// The `after` of the next page.
    next: Option<String>,
}

impl From<&Overview> for Account {
    fn from(row: &Overview) -> Self {
        Self {
            account_id: row.account.0,
            name: row.name.clone(),
            label: row.label.clone(),
            state: account_state::state(&row.facts).to_string(),
            auto_sync: row.facts.auto_sync,
            changes_queued: row.facts.queued,
            oldest_change_at: row.oldest,
            starts_by: row.due_at,
            current_job: row.current.as_ref().map(|job| job.job.0),
            last_job: row.last.as_ref().map(|job| job.job.0),
            licences: Licences {
                bought: row.licences,
                mapped: row.mapped,
                landed: row.landed,
                leaving: row.leaving,
            },
            authorization: row.authorization.as_ref().map(|stored| Authorization {
                tenant_id: stored.tenant.0,
                state: stored.state.to_string(),
                reason: stored.reason.map(|reason| reason.to_string()),
                since: stored.since,
                detail: stored.detail.clone(),
            }),
        }
    }
}

#[utoipa::path(get, path = "/api/v1/me", tag = "accounts", responses(
    (status = 200, description = "The person who is signed in", body = Me),
    (status = 401, description = "Nobody is signed in", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn me(visitor: Visitor) -> Json<Me> {
    let Visitor { person, name, operator, mark, .. } = visitor;
    Json(Me { person_id: person, name, operator, csrf_token: mark })
}

#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts", params(
        ("state" = Option<String>, Query, description = "Only accounts in this state; for operators"),
        ("after" = Option<String>, Query, description = "The `next` of the page before")), responses(
    (status = 200, description = "The accounts of the person who is signed in, by name", body = Accounts),
    (status = 401, description = "Nobody is signed in", body = Problem, content_type = "application/problem+json"),
    (status = 400, description = "Something of it cannot be read", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Json<Accounts>, Fault> {
    let mut found = work::accounts(&app, &visitor, asked.state()?, asked.after()).await?;
    for row in &mut found.rows {
        // who sees it is a matter of one account's roles; a list shows it to nobody
        if let Some(authorization) = &mut row.authorization {
            authorization.detail = None;
        }
    }
    Ok(Json(Accounts { accounts: found.rows.iter().map(Account::from).collect(), next: found.next }))
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "Short name of the account")), responses(
    (status = 200, description = "How the account stands", body = Account),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(State(app): State<Arc<App>>, inside: InAccount) -> Result<Json<Account>, Fault> {
    Ok(Json(Account::from(&work::overview(&app, &inside).await?)))
}
