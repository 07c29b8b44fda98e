//! Handing in what a bulk act asks for: the debouncer's side of it.
//!
//! One account after the other gets one request, whatever number of jobs it has in the bulk act, and the request goes the
//! way of any other. Promised: the row of the bulk act is locked meanwhile, so that of many instances one works on it, and
//! what a transaction has handed in stays handed in. Not promised: that all fifty of a second start at once; each waits in
//! the lane of its account.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::job::{JobScope, JobState, JobType};
use tandem_domain::{AccountId, JobId, replay};
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// The bulk act that runs, if its next portion is due and nobody else works on it.
    TAKE = "select bulk_id, name, reason, person_id, person, aborted_at is not null as aborted, spread_at is null as fresh
              from admin.bulk_acts
             where finished_at is null and (aborted_at is not null or handed_in_at is null
                                            or handed_in_at <= clock_timestamp() - interval '500 ms')
             limit 1 for update skip locked";
    /// Its jobs with their accounts; accounts that are gone have nothing to sync.
    SPREAD = "insert into admin.bulk_items (bulk_id, job_id, account_id)
              select b.bulk_id, j.job_id, j.account_id
                from admin.bulk_acts b cross join unnest(b.jobs) as n (id)
                join log.jobs j on j.job_id = n.id join admin.accounts a on a.account_id = j.account_id
               where b.bulk_id = $1";
    /// It is spread.
    SPREAD_AT = "update admin.bulk_acts set spread_at = clock_timestamp() where bulk_id = $1";
    /// The next accounts, with the newest of their jobs.
    NEXT = "select n.account_id, a.auto_sync,
                   coalesce(a.paused_until > clock_timestamp(), false)
                     or exists (select from admin.fleet_pause p where p.until > clock_timestamp()) as paused, j.job_id, j.job_type,
                   j.state, j.scope, j.partly, j.everybody
              from (select distinct account_id from admin.bulk_items
                     where bulk_id = $1 and request_id is null and refused is null order by account_id limit $2) n
              join admin.accounts a on a.account_id = n.account_id
             cross join lateral (
               select l.job_id, l.job_type, l.state, l.scope, bool_or(l.state = 'partly') over () as partly,
                      bool_or(l.scope = 'all') over () as everybody
                 from admin.bulk_items i join log.jobs l using (job_id)
                where i.bulk_id = $1 and i.account_id = n.account_id and i.request_id is null and i.refused is null
                order by l.job_id desc limit 1) j
             order by n.account_id";
    /// What became of an account's jobs.
    HANDED_IN = "update admin.bulk_items set request_id = $3, refused = $4
                  where bulk_id = $1 and account_id = $2 and request_id is null and refused is null";
    /// What is left without a record of its job or account cannot be handed in.
    LOST = "update admin.bulk_items set refused = 'not_found' where bulk_id = $1 and request_id is null and refused is null";
    /// A portion is handed in.
    MOVED = "update admin.bulk_acts set handed_in_at = clock_timestamp() where bulk_id = $1";
    /// Everything is handed in, or nothing more will be.
    FINISH = "update admin.bulk_acts set finished_at = clock_timestamp() where bulk_id = $1";
}

/// The bulk act that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub person: (Uuid, String),
    /// Whether somebody has aborted it.
    pub aborted: bool,
}

/// An account whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Which.
    pub account: AccountId,
    /// The newest of its jobs: the new one follows it up.
    pub job: JobId,
    /// What the new job shall look at.
    pub scope: JobScope,
    /// How the account stands.
    pub admission: replay::Admission,
}

/// Locks the bulk act that runs, where a portion of it is due, and spreads it over its accounts the first time.
///
/// # Errors
/// [`StoreError`].
pub async fn take(tx: &mut Tx) -> Result<Option<Running>, StoreError> {
    let failed = tx.failed();
    let Some(row) = sqlx::query(TAKE).fetch_optional(&mut **tx).await.map_err(&failed)? else {
        return Ok(None);
    };
    let running = Running {
        id: row.get("bulk_id"),
        name: row.get("name"),
        reason: row.get("reason"),
        person: (row.get("person_id"), row.get("person")),
        aborted: row.get("aborted"),
    };
    if row.get("fresh") {
        sqlx::query(SPREAD).bind(running.id).execute(&mut **tx).await.map_err(&failed)?;
        sqlx::query(SPREAD_AT).bind(running.id).execute(&mut **tx).await.map_err(failed)?;
    }
    Ok(Some(running))
}

/// The accounts whose turn it is.
///
/// # Errors
/// [`StoreError`].
pub async fn next(tx: &mut Tx, bulk: Uuid) -> Result<Vec<Next>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(NEXT).bind(bulk).bind(replay::PORTION);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let odd = |column| StoreError::Inconsistent { work, column };
    let one = |row: &PgRow| {
        let state = JobState::parse(row.get("state")).ok_or_else(|| odd("log.jobs.state"))?;
        let scope = JobScope::parse(row.get("scope")).ok_or_else(|| odd("log.jobs.scope"))?;
        let wide = row.get("partly") || row.get("everybody");
        Ok(Next {
            account: AccountId(row.get("account_id")),
            job: JobId(row.get("job_id")),
            scope: if wide { JobScope::All } else { replay::scope(state, scope) },
            admission: replay::Admission {
                job_type: JobType::parse(row.get("job_type")).ok_or_else(|| odd("log.jobs.job_type"))?,
                auto_sync: row.get("auto_sync"),
                paused: row.get("paused"),
            },
        })
    };
    rows.iter().map(one).collect()
}

/// Records what became of an account's jobs: the request that they share, or the code of why there is none.
///
/// # Errors
/// [`StoreError`].
pub async fn handed_in(
    tx: &mut Tx,
    bulk: Uuid,
    account: AccountId,
    outcome: Result<Uuid, &str>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(HANDED_IN).bind(bulk).bind(account.0).bind(outcome.ok()).bind(outcome.err());
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// A portion is handed in; the next one is due in half a second.
///
/// # Errors
/// [`StoreError`].
pub async fn moved(tx: &mut Tx, bulk: Uuid) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(MOVED).bind(bulk).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Ends a bulk act. One that was not aborted has nothing left but jobs whose record is gone.
///
/// # Errors
/// [`StoreError`].
pub async fn finish(tx: &mut Tx, running: &Running) -> Result<(), StoreError> {
    let failed = tx.failed();
    if !running.aborted {
        sqlx::query(LOST).bind(running.id).execute(&mut **tx).await.map_err(&failed)?;
    }
    sqlx::query(FINISH).bind(running.id).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}
