//! Stopping a job because a person wants it.

use serde_json::Value;
use sqlx::Row;
use tandem_domain::{AccountId, JobId};

use crate::claims::Event;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Ends a job that nobody has begun.
    QUEUED = "with job as (
                update queue.jobs set state = 'cancelled', parked = null, cancel_at = clock_timestamp(), started_at = clock_timestamp(),
                       finished_at = clock_timestamp(), event_number = event_number + 2
                 where job_id = $1 and account_id = $2 and state = 'queued' returning *
              )
              insert into queue.events (account_id, job_id, number, kind, data)
              select j.account_id, j.job_id, j.event_number - 1 + e.place, e.kind, e.data
                from job j cross join lateral (values
                  (0, 'cancel_asked', json_build_object('person', $3::text, 'reason', $4::text)),
                  (1, 'finished', json_build_object('state', 'cancelled', 'finished_at', extract(epoch from j.finished_at)::bigint))) as e (place, kind, data)
              returning number, at, kind, data";
    /// Has the worker of a job that runs stop between two users.
    RUNNING = "with job as (
                 update queue.jobs set cancel_at = clock_timestamp(), event_number = event_number + 1
                  where job_id = $1 and account_id = $2 and state = 'running' and cancel_at is null returning *
               )
               insert into queue.events (account_id, job_id, number, kind, data)
               select account_id, job_id, event_number, 'cancel_asked', json_build_object('person', $3::text, 'reason', $4::text) from job
               returning number, at, kind, data";
}

/// How a job was stopped.
#[derive(Clone, Debug)]
pub enum Cancelled {
    /// It had not begun, and is over.
    Queued(Vec<Event>),
    /// It runs, and stops between two users.
    Running(Vec<Event>),
    /// There is nothing to stop: it is over, or asked to stop already.
    Nothing,
}

/// Stops a job of the account.
///
/// # Errors
/// [`StoreError`].
pub async fn cancel(
    tx: &mut Tx,
    account: AccountId,
    job: JobId,
    person: &str,
    reason: Option<&str>,
) -> Result<Cancelled, StoreError> {
    let queued = stop(tx, QUEUED, (account, job), person, reason).await?;
    if !queued.is_empty() {
        return Ok(Cancelled::Queued(queued));
    }
    let running = stop(tx, RUNNING, (account, job), person, reason).await?;
    Ok(if running.is_empty() { Cancelled::Nothing } else { Cancelled::Running(running) })
}

async fn stop(
    tx: &mut Tx,
    how: &'static str,
    (account, job): (AccountId, JobId),
    person: &str,
    reason: Option<&str>,
) -> Result<Vec<Event>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(how).bind(job.0).bind(account.0).bind(person).bind(reason);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| Event {
            account,
            job,
            number: row.get("number"),
            at: row.get("at"),
            kind: row.get("kind"),
            data: row.get::<Value, _>("data"),
        })
        .collect())
}
