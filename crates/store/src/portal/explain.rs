//! What explains one user: what stands in Teams for it, and which jobs did something for it.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::{AccountId, JobId, ObjectId, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// What stands in Teams for a user.
    STANDS = "select microsoft_user, number, policies, since from sync.standing where account_id = $1 and pbx_user_id = $2 order by since";
    /// The last jobs that did something for a user.
    JOBS = "select distinct job_id from log.steps where account_id = $1 and pbx_user_id = $2 order by job_id desc limit $3";
}

/// What Tandem has put on a Microsoft user and not taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stands {
    /// The Microsoft user.
    pub microsoft_user: ObjectId,
    /// The number.
    pub number: Option<String>,
    /// Policies by type.
    pub policies: Value,
    /// Since when.
    pub since: OffsetDateTime,
}

/// What stands in Teams for a user.
///
/// # Errors
/// [`StoreError`].
pub async fn stands(tx: &mut Tx, account: AccountId, user: &PbxUserId) -> Result<Vec<Stands>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(STANDS).bind(account.0).bind(user.as_str());
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| Stands {
        microsoft_user: ObjectId(row.get("microsoft_user")),
        number: row.get("number"),
        policies: row.get("policies"),
        since: row.get("since"),
    };
    Ok(rows.iter().map(one).collect())
}

/// The last jobs that did something for a user, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn jobs(
    tx: &mut Tx,
    account: AccountId,
    user: &PbxUserId,
    limit: i64,
) -> Result<Vec<JobId>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(JOBS).bind(account.0).bind(user.as_str()).bind(limit);
    let jobs: Vec<Uuid> = query.fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(jobs.into_iter().map(JobId).collect())
}
