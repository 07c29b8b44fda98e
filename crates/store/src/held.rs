//! Removals that wait for a person. A list never changes: when other removals wait, it is closed and another opened, so
//! an id names exactly what a person has seen.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::guard::HELD_DAYS;
use tandem_domain::plan::{Step, fingerprint};
use tandem_domain::{AccountId, Gen, JobId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// The open list of an account.
    OPEN = "select *, created_at < now() - make_interval(days => $2) as expired from sync.held where account_id = $1 and closed_at is null for update";
    /// One list, locked.
    ONE = "select *, created_at < now() - make_interval(days => $2) as expired from sync.held where held_id = $1 for update";
    /// One list, to look at.
    LOOK = "select *, created_at < now() - make_interval(days => $2) as expired from sync.held where held_id = $1";
    /// Open lists, of one account or of all, oldest first.
    LIST = "select *, created_at < now() - make_interval(days => $2) as expired from sync.held
             where closed_at is null and ($1::uuid is null or account_id = $1) order by created_at, held_id";
    /// Keeps a list.
    HOLD = "insert into sync.held (held_id, account_id, job_id, fingerprint, removals, gen) values ($1, $2, $3, $4, $5, $6)";
    /// Closes a list.
    CLOSE = "update sync.held set closed_at = clock_timestamp(), outcome = $2, person = $3, reason = $4, decided_job = $5
              where held_id = $1 and closed_at is null";
}

/// Removals that wait, or waited, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub account: AccountId,
    /// The job that held them.
    pub job: JobId,
    /// Fingerprint of the removals.
    pub fingerprint: String,
    /// The removals.
    pub removals: Vec<Step>,
    /// The newest change when they were held.
    pub generation: Gen,
    /// Since when they wait.
    pub created_at: OffsetDateTime,
    /// Whether they have waited for too long to be approved.
    pub expired: bool,
    /// Once decided: `approved`, `rejected`, `expired` or `superseded`.
    pub outcome: Option<String>,
    /// Who decided.
    pub person: Option<String>,
    /// The job that carries out an approval.
    pub decided_job: Option<JobId>,
}

fn read(row: &PgRow, work: &'static str) -> Result<Held, StoreError> {
    Ok(Held {
        id: row.get("held_id"),
        account: AccountId(row.get("account_id")),
        job: JobId(row.get("job_id")),
        fingerprint: row.get("fingerprint"),
        removals: serde_json::from_value(row.get::<Value, _>("removals"))
            .map_err(|_| StoreError::Inconsistent { work, column: "sync.held.removals" })?,
        generation: row.get("gen"),
        created_at: row.get("created_at"),
        expired: row.get("expired"),
        outcome: row.get("outcome"),
        person: row.get("person"),
        decided_job: row.get::<Option<Uuid>, _>("decided_job").map(JobId),
    })
}

/// What waits for a person at the moment, locked.
///
/// # Errors
/// [`StoreError`].
pub async fn open(tx: &mut Tx, account: AccountId) -> Result<Option<Held>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let row =
        sqlx::query(OPEN).bind(account.0).bind(HELD_DAYS).fetch_optional(&mut **tx).await.map_err(failed)?;
    row.map(|row| read(&row, work)).transpose()
}

/// One list, locked until the transaction ends.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Held>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let row = sqlx::query(ONE).bind(id).bind(HELD_DAYS).fetch_optional(&mut **tx).await.map_err(failed)?;
    row.map(|row| read(&row, work)).transpose()
}

/// One list, open or decided.
///
/// # Errors
/// [`StoreError`].
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Held>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let row = sqlx::query(LOOK).bind(id).bind(HELD_DAYS).fetch_optional(&mut **tx).await.map_err(failed)?;
    row.map(|row| read(&row, work)).transpose()
}

/// What waits for a person, in one account or in all.
///
/// # Errors
/// [`StoreError`].
pub async fn list(tx: &mut Tx, account: Option<AccountId>) -> Result<Vec<Held>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let rows = sqlx::query(LIST)
        .bind(account.map(|a| a.0))
        .bind(HELD_DAYS)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    rows.iter().map(|row| read(row, work)).collect()
}

/// What a job found to hold.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// Id for the list, should a new one be needed.
    pub id: Uuid,
    /// Whose.
    pub account: AccountId,
    /// The job.
    pub job: JobId,
    /// The newest change that the job looked at.
    pub generation: Gen,
    /// All that waits for a person now; none closes the list.
    pub removals: &'a [Step],
}

/// Keeps removals for a person to decide. The same removals stay in their list; others are a new list, and so are
/// those of a list that expired.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(tx: &mut Tx, hold: &Hold<'_>) -> Result<(), StoreError> {
    let failed = tx.failed();
    let fingerprint = fingerprint(&[], hold.removals);
    if let Some(open) = open(tx, hold.account).await? {
        if open.fingerprint == fingerprint && !open.expired && !hold.removals.is_empty() {
            return Ok(());
        }
        let outcome = if open.expired { "expired" } else { "superseded" };
        close(tx, open.id, outcome, None, None, None).await?;
    }
    if hold.removals.is_empty() {
        return Ok(());
    }
    sqlx::query(HOLD)
        .bind(hold.id)
        .bind(hold.account.0)
        .bind(hold.job.0)
        .bind(fingerprint)
        .bind(json!(hold.removals))
        .bind(hold.generation)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Closes a list as `approved`, `rejected`, `expired` or `superseded`; false when it was closed already.
///
/// # Errors
/// [`StoreError`].
pub async fn close(
    tx: &mut Tx,
    id: Uuid,
    outcome: &str,
    person: Option<&str>,
    reason: Option<&str>,
    job: Option<JobId>,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(CLOSE)
        .bind(id)
        .bind(outcome)
        .bind(person)
        .bind(reason)
        .bind(job.map(|j| j.0))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}
