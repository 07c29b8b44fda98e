//! What the detector has read and was told, for operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tandem_store::portal::detector as stored;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Problem;
use crate::App;
use crate::extract::Query;
use crate::fault::Fault;
use crate::pages::detector::Asked;
use crate::pages::fleet::address;
use crate::work::detector as work;

/// One read of a source.
#[derive(Serialize, ToSchema)]
pub(crate) struct Read {
    source: String,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    ended_at: OffsetDateTime,
    users: Option<i64>,
    /// Customers that no account is bound to.
    unbound: Option<i64>,
    /// Rows that could not be used.
    unusable: Option<i64>,
    /// Accounts whose losses are held.
    held: Option<i64>,
    changes: Option<i64>,
    /// Stable code of why it was not believed.
    error_code: Option<String>,
    error: Option<String>,
}

/// Losses of an account that are held.
#[derive(Serialize, ToSchema)]
pub(crate) struct Loss {
    account: String,
    source: String,
    missing: i32,
    known: i32,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    released_at: Option<OffsetDateTime>,
}

/// A message of a sender that was taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    account: String,
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    changed: i32,
    generation: i64,
    /// Why nothing starts by itself.
    waiting: Option<String>,
}

/// What the detector has read and was told.
#[derive(Serialize, ToSchema)]
pub(crate) struct DetectorLog {
    /// Newest first.
    reads: Vec<Read>,
    /// The `after` of the next page of reads.
    next: Option<String>,
    held: Vec<Loss>,
    /// The last fifty.
    messages: Vec<Message>,
}

impl From<stored::Read> for Read {
    fn from(read: stored::Read) -> Self {
        let (error_code, error) = read.error.unzip();
        Self {
            source: read.source,
            started_at: read.started_at,
            ended_at: read.ended_at,
            users: read.users,
            unbound: read.unbound,
            unusable: read.unusable,
            held: read.held,
            changes: read.changes,
            error_code,
            error,
        }
    }
}

impl From<stored::Hold> for Loss {
    fn from(hold: stored::Hold) -> Self {
        Self {
            account: hold.account,
            source: hold.source,
            missing: hold.missing,
            known: hold.known,
            since: hold.since,
            released_at: hold.released.map(|(at, ..)| at),
        }
    }
}

impl From<stored::Push> for Message {
    fn from(push: stored::Push) -> Self {
        let stored::Push { account, received_at, changed, generation, waiting } = push;
        Self { account, received_at, changed, generation, waiting }
    }
}

#[utoipa::path(get, path = "/api/v1/fleet/detector", tag = "fleet",
    params(("source" = Option<String>, Query, description = "Reads of this source"),
        ("account" = Option<String>, Query, description = "Reads, losses and messages of the account of this short name"),
        ("after" = Option<String>, Query, description = "The `next` of the page before")), responses(
    (status = 200, description = "Reads of fourteen days, held losses, the last messages", body = DetectorLog),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not an operator", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn log(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Json<DetectorLog>, Fault> {
    let found = work::log(&app, asked.narrowed()?).await?;
    Ok(Json(DetectorLog {
        next: found.reads.next.as_ref().map(address),
        reads: found.reads.rows.into_iter().map(Read::from).collect(),
        held: found.holds.into_iter().map(Loss::from).collect(),
        messages: found.pushes.into_iter().map(Message::from).collect(),
    }))
}
