//! All accounts together, for operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tandem_domain::account_state::AccountState;
use tandem_domain::window::LatenessBudget;
use tandem_store::portal::fleet::{FailureGroup, Lateness, Waiting};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Problem;
use crate::App;
use crate::extract::Query;
use crate::fault::Fault;
use crate::pages::fleet::{Asked, address};
use crate::work::fleet as work;

/// How late jobs were, in seconds.
#[derive(Serialize, ToSchema)]
pub(crate) struct Late {
    /// Jobs that started.
    started: i64,
    /// Jobs that have settled.
    settled: i64,
    start_p50: Option<f64>,
    start_p95: Option<f64>,
    settled_p50: Option<f64>,
    settled_p95: Option<f64>,
}

/// The accounts of a state, or all of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountsOfState {
    /// A state of an account; none for all together.
    state: Option<String>,
    accounts: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    oldest_change_at: Option<OffsetDateTime>,
    lateness: Late,
}

/// An account with Auto Sync that waits for a job to start.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingAccount {
    account_id: Uuid,
    name: String,
    label: String,
    #[serde(with = "time::serde::rfc3339")]
    waits_since: OffsetDateTime,
    /// Changes that wait; 1000 stands for any more.
    changes: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    starts_by: Option<OffsetDateTime>,
    /// When the ten minutes end.
    #[serde(with = "time::serde::rfc3339")]
    promised_by: OffsetDateTime,
    /// Why its job may not start.
    waits_for: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    paused_until: Option<OffsetDateTime>,
}

/// The fleet.
#[derive(Serialize, ToSchema)]
pub(crate) struct Fleet {
    all: AccountsOfState,
    states: Vec<AccountsOfState>,
    /// The longest wait first.
    waiting: Vec<WaitingAccount>,
    /// The `after` of the next page of those that wait.
    next: Option<String>,
}

/// Jobs that failed by the same.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failure {
    /// What the group is known by.
    fingerprint: String,
    code: String,
    /// The text without what belongs to one case.
    text: String,
    jobs: i64,
    accounts: i64,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last: OffsetDateTime,
}

/// What concerns most jobs first, a hundred at most.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failures {
    failures: Vec<Failure>,
}

impl From<Lateness> for Late {
    fn from(late: Lateness) -> Self {
        let Lateness { started, settled, start_p50, start_p95, settled_p50, settled_p95 } = late;
        Self { started, settled, start_p50, start_p95, settled_p50, settled_p95 }
    }
}

impl From<Waiting> for WaitingAccount {
    fn from(row: Waiting) -> Self {
        Self {
            account_id: row.account.0,
            name: row.name,
            label: row.label,
            waits_since: row.since,
            changes: row.changes,
            starts_by: row.due_at,
            promised_by: row.since + LatenessBudget::PROMISE,
            waits_for: row.parked,
            paused_until: row.paused_until,
        }
    }
}

impl From<FailureGroup> for Failure {
    fn from(group: FailureGroup) -> Self {
        let FailureGroup { fingerprint, code, text, jobs, accounts, since, last } = group;
        Self { fingerprint, code, text, jobs, accounts, since, last }
    }
}

#[utoipa::path(get, path = "/api/v1/fleet", tag = "fleet",
    params(("hours" = Option<i64>, Query, description = "Lateness of the last 24, 48 or 72 hours"),
        ("after" = Option<String>, Query, description = "The `next` of the page before")), responses(
    (status = 200, description = "States, lateness, and the accounts that wait longest", body = Fleet),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not an operator", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn fleet(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Fleet>, Fault> {
    let (hours, after) = (asked.hours()?, asked.after()?);
    let found = work::standing(&app, after.as_ref()).await?;
    let late = work::late(&app, hours).await?;
    let accounts = |state: Option<AccountState>, count: tandem_store::portal::fleet::Count| AccountsOfState {
        state: state.map(|state| state.to_string()),
        accounts: count.accounts,
        oldest_change_at: count.oldest,
        lateness: work::of_state(&late, state).into(),
    };
    Ok(Json(Fleet {
        all: accounts(None, found.all()),
        states: found.counts.iter().map(|(state, count)| accounts(Some(*state), *count)).collect(),
        next: found.waiting.next.as_ref().map(address),
        waiting: found.waiting.rows.into_iter().map(WaitingAccount::from).collect(),
    }))
}

#[utoipa::path(get, path = "/api/v1/fleet/failures", tag = "fleet",
    params(("hours" = Option<i64>, Query, description = "Jobs of the last 24, 48 or 72 hours")), responses(
    (status = 200, description = "What jobs failed by", body = Failures),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not an operator", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn failures(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Failures>, Fault> {
    let found = work::failures(&app, asked.hours()?).await?;
    Ok(Json(Failures { failures: found.into_iter().map(Failure::from).collect() }))
}
