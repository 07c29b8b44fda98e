//! Queued jobs that may not start, and jobs that are put back because nobody but ourselves is to blame.
//!
//! Whether a job may start is decided by `queue.parked` when it is claimed. The mark on the job, with its event, says so
//! to people, and spares a claim the look at what waits for long.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row;
use tandem_domain::job::JobType;
use tandem_domain::{AccountId, JobId};
use uuid::Uuid;

use crate::claims::{Claim, Event, NewEvent, append_numbered};
use crate::rates::Adaptation;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Brings the marks of queued jobs in line with why they may not start; writes an event for each that changed. The
    /// last conditions only spare the function for the many that are well.
    MARK = "with found as (
              select j.job_id, p.why from queue.jobs j cross join lateral (
                       select case when j.token_request is null then queue.parked(j.account_id, j.job_type) end as why) p
               where j.state = 'queued' and p.why is distinct from j.parked
                 and (j.parked is not null or exists (select from vault.apps a where a.state = 'own_fault')
                   or not exists (select from vault.authorizations v where v.account_id = j.account_id and v.state = 'healthy')
                   or exists (select from sync.accounts s where s.account_id = j.account_id and s.quarantined_at is not null))
               order by j.queued_at limit $1 for update of j skip locked
            ), marked as (
              update queue.jobs j
                 set parked = f.why, excused = j.excused or coalesce(f.why <> 'own_credential', false), event_number = j.event_number + 1
                from found f where j.job_id = f.job_id returning j.account_id, j.job_id, j.event_number, j.parked
            )
            insert into queue.events (account_id, job_id, number, kind, data)
            select account_id, job_id, event_number, case when parked is null then 'released' else 'parked' end,
                   json_build_object('reason', parked) from marked
            returning account_id, job_id, number, at, kind, data";
    /// Puts a running job back into the queue, unless another one waits there. One that Microsoft lets wait is not marked:
    /// `sync.budgets` says how long, and a claim looks there.
    PUT_BACK = "update queue.jobs j
                   set state = 'queued', started_at = null, lease_until = null, worker = null, parked = nullif($3, 'throttled'), event_number = event_number + 1
                 where job_id = $1 and epoch = $2 and state = 'running'
                   and not exists (select from queue.jobs q where q.account_id = j.account_id and q.state = 'queued')
                returning event_number";
    /// Leaves the tenant of an account alone for a while; its rate stays as it is.
    REST = "select sync.shut('tenant:' || v.tenant_id, $2, false, 1, $3, $4) from vault.authorizations v where v.account_id = $1";
    /// The job that waits, locked.
    WAITING = "select job_id from queue.jobs where account_id = $1 and state = 'queued' for update";
    /// A waiting job takes over what a person asked of one that is given up for it.
    INHERIT = "update queue.jobs w
                  set job_type = case when j.job_type = 'manual' then 'manual' else w.job_type end,
                      scope = case when j.scope = 'all' then 'all' else w.scope end,
                      person = case when w.token_request is null then coalesce(j.person, w.person) else w.person end,
                      reason = case when w.token_request is null then coalesce(j.reason, w.reason) else w.reason end,
                      event_number = w.event_number + 1
                 from queue.jobs j where w.job_id = $1 and j.job_id = $2
                returning w.event_number, json_build_object('job_type', w.job_type, 'scope', w.scope, 'person', w.person,
                                                            'reason', w.reason, 'instead_of', j.job_id) as data";
}

fn event(row: &sqlx::postgres::PgRow) -> Event {
    Event {
        account: AccountId(row.get("account_id")),
        job: JobId(row.get("job_id")),
        number: row.get("number"),
        at: row.get("at"),
        kind: row.get("kind"),
        data: row.get("data"),
    }
}

/// Marks queued jobs that may not start, and takes the mark off those that may; at most `most`. The events are to be
/// announced in the same transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn mark(tx: &mut Tx, most: i64) -> Result<Vec<Event>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(MARK).bind(most).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.iter().map(event).collect())
}

/// What became of a job that could not go on.
#[derive(Clone, Debug)]
pub enum PutBack {
    /// It waits in the queue again.
    Queued(Event),
    /// Another job waits already and does its work as well; this one has to be ended.
    GivenUpFor(JobId, Option<Event>),
}

/// Puts a claimed job back into the queue as if it had not been claimed, marked with why.
///
/// # Errors
/// [`StoreError::Superseded`] when the claim was taken over.
pub async fn put_back(tx: &mut Tx, claim: &Claim, why: &str, detail: &str) -> Result<PutBack, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let number: Option<i64> = sqlx::query_scalar(PUT_BACK)
        .bind(claim.job.0)
        .bind(claim.epoch)
        .bind(why)
        .fetch_optional(&mut **tx)
        .await
        .map_err(&failed)?;
    if let Some(number) = number {
        let new = NewEvent { kind: "parked", data: json!({ "reason": why, "detail": detail }) };
        return Ok(PutBack::Queued(append_numbered(tx, claim.account, claim.job, number, new).await?));
    }
    let waiting: Uuid = sqlx::query_scalar(WAITING)
        .bind(claim.account.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(&failed)?
        .ok_or(StoreError::Superseded { work })?;
    let waiting = JobId(waiting);
    if claim.job_type != JobType::Manual {
        return Ok(PutBack::GivenUpFor(waiting, None));
    }
    let row =
        sqlx::query(INHERIT).bind(waiting.0).bind(claim.job.0).fetch_one(&mut **tx).await.map_err(&failed)?;
    let (number, data): (i64, Value) = (row.get("event_number"), row.get("data"));
    let merged =
        append_numbered(tx, claim.account, waiting, number, NewEvent { kind: "merged", data }).await?;
    Ok(PutBack::GivenUpFor(waiting, Some(merged)))
}

/// Nothing is sent to the tenant of an account for at least `wait`.
///
/// # Errors
/// [`StoreError`].
pub async fn rest(
    tx: &mut Tx,
    account: AccountId,
    wait: Duration,
    adaptation: &Adaptation,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(REST)
        .bind(account.0)
        .bind(wait.as_secs_f64() * 1000.0)
        .bind(adaptation.floor)
        .bind(adaptation.recovery_per_s)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(failed)
}
