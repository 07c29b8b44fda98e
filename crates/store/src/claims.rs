//! Claims: how a worker takes a job, keeps it, and writes what happened to it.
//!
//! The database's clock decides when a lease ends. Every write after the claim names the epoch; a worker whose claim
//! was taken over gets [`StoreError::Superseded`] and stops.

use std::time::Duration;

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::job::{Counts, JobScope, JobState, JobType};
use tandem_domain::{AccountId, Gen, JobId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Claims queued jobs of one type that may start, of accounts without a running job. Those that are marked are not
    /// looked at again before the mark is gone; a person's job is. One with a person's token waits for nobody's authorization.
    /// Nor is one claimed for which Microsoft has a long wait: it would only hold its place. A person's job that was queued
    /// before a pause waits until it ends; an Auto one is claimed, and hands its changes back to the window.
    CLAIM = "with free as (
               select j.job_id from queue.jobs j
                where j.state = 'queued' and j.job_type = $4
                  and not exists (select from queue.jobs r where r.account_id = j.account_id and r.state = 'running')
                  and (j.parked is null or j.job_type = 'manual')
                  and (j.job_type = 'auto'
                    or not exists (select from admin.accounts a where a.account_id = j.account_id and a.paused_until > clock_timestamp())
                   and not exists (select from admin.fleet_pause p where p.until > clock_timestamp()))
                  and (j.token_request is not null or queue.parked(j.account_id, j.job_type) is null)
                  and not exists (select from vault.authorizations v join sync.budgets b
                                      on b.scope in ('tenant:' || v.tenant_id, 'app:' || v.client_id)
                                   where v.account_id = j.account_id and b.shut_until > clock_timestamp() + interval '5 s')
                order by j.queued_at limit $2 for update skip locked
             ), taken as (
               update queue.jobs j set state = 'running', parked = null, epoch = j.epoch + 1, worker = $1, event_number = j.event_number + 1,
                      started_at = clock_timestamp(), lease_until = clock_timestamp() + $3 * interval '1 ms'
                where j.job_id = any (array(select job_id from free)) returning j.*
             ), noted as (
               insert into queue.events (account_id, job_id, number, kind, data)
               select account_id, job_id, event_number, 'started',
                      json_build_object('worker', worker, 'epoch', epoch, 'started_at', started_at) from taken
             )
             select t.account_id, t.job_id, t.job_type, t.scope, t.cause, t.person, t.epoch, t.event_number, t.from_gen,
                    t.first_change_at, t.due_at, t.started_at, t.traceparent, t.token_request, t.excused, t.reason, t.linked_job, t.subject from taken t";
    /// Takes over running jobs whose worker has been silent for its lease and the time its requests may still run.
    TAKE_OVER = "with lost as (
                   select j.job_id from queue.jobs j
                    where j.state = 'running' and j.lease_until < clock_timestamp() - $4 * interval '1 ms'
                    order by j.lease_until limit $2 for update skip locked
                 ), taken as (
                   update queue.jobs j set epoch = j.epoch + 1, worker = $1, event_number = j.event_number + 1,
                          lease_until = clock_timestamp() + $3 * interval '1 ms'
                    where j.job_id = any (array(select job_id from lost)) returning j.*
                 ), noted as (
                   insert into queue.events (account_id, job_id, number, kind, data)
                   select account_id, job_id, event_number, 'taken_over', json_build_object('worker', worker, 'epoch', epoch) from taken
                 )
                 select t.account_id, t.job_id, t.job_type, t.scope, t.cause, t.person, t.epoch, t.event_number, t.from_gen,
                        t.first_change_at, t.due_at, t.started_at, t.traceparent, t.token_request, t.excused, t.reason, t.linked_job, t.subject from taken t";
    /// Renews the leases of a worker's jobs; tells which have a successor waiting, or may not go on by themselves
    /// because Auto Sync was switched off or the account or the fleet was paused, and which may not write any more, for that
    /// or because a person stops it.
    HEARTBEAT = "update queue.jobs j set lease_until = clock_timestamp() + $4 * interval '1 ms'
                   from unnest($2::uuid[], $3::int[]) as mine (job_id, epoch)
                  where j.job_id = mine.job_id and j.epoch = mine.epoch and j.worker = $1 and j.state = 'running'
                 returning j.job_id, exists (select from queue.jobs q where q.account_id = j.account_id and q.state = 'queued')
                        or j.job_type = 'auto' and exists (select from admin.accounts a where a.account_id = j.account_id
                             and (not a.auto_sync or a.paused_until > now()
                               or exists (select from admin.fleet_pause p where p.until > now()))) as give_way,
                        j.cancel_at is not null or j.job_type = 'auto' and not exists (select from admin.accounts a join vault.authorizations v using (account_id)
                             where a.account_id = j.account_id and a.auto_sync and v.state in ('healthy', 'weakened')) as forbidden";
    /// Numbers events of a claimed job; no row when the claim is not ours any more.
    NUMBER = "update queue.jobs set event_number = event_number + $3
               where job_id = $1 and epoch = $2 and state = 'running' returning account_id, event_number - $3 as before";
    /// Appends numbered events.
    APPEND = "insert into queue.events (account_id, job_id, number, kind, data)
              select $1, $2, e.number, e.kind, e.data
                from unnest($3::bigint[], $4::text[], $5::jsonb[]) as e (number, kind, data)
              returning number, at, kind, data";
    /// Ends a claimed job.
    FINISH = "update queue.jobs set state = $3, finished_at = clock_timestamp(), lease_until = null, counts = $4,
                     error_code = $5, error_text = $6, event_number = event_number + 1,
                     settled_at = case when $7 then clock_timestamp() end
               where job_id = $1 and epoch = $2 and state = 'running'
              returning account_id, event_number, finished_at, from_gen, to_gen";
    /// Appends an event to a job that is over.
    AFTERWARDS = "with job as (update queue.jobs set event_number = event_number + 1 where job_id = $1 and finished_at is not null returning *)
                  insert into queue.events (account_id, job_id, number, kind, data)
                  select account_id, job_id, event_number, $2, $3 from job returning account_id, number, at";
    /// Marks the jobs of an account as settled of which no user is still looked at.
    SETTLE = "update queue.jobs j set settled_at = clock_timestamp()
               where j.account_id = $1 and j.finished_at is not null and j.settled_at is null and j.state in ('succeeded', 'partly')
                 and not exists (select from sync.users u where u.account_id = j.account_id and u.job_id = j.job_id and u.settle_next is not null)
              returning j.job_id, j.settled_at, case when not j.excused then j.first_change_at end as first_change_at, j.job_type";
}

/// A job in the hands of a worker.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose.
    pub account: AccountId,
    /// The job.
    pub job: JobId,
    /// Auto or Manual.
    pub job_type: JobType,
    /// What it looks at.
    pub scope: JobScope,
    /// Why it was cut.
    pub cause: String,
    /// Who asked.
    pub person: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The job that it follows up or undoes.
    pub linked_job: Option<JobId>,
    /// The preview that it runs, or the held list that was approved.
    pub subject: Option<Uuid>,
    /// The fencing number of this claim.
    pub epoch: i32,
    /// Number of the event that the claim wrote.
    pub event_number: i64,
    /// Set by an earlier claim of the same job: where its range begins.
    pub from_gen: Option<Gen>,
    /// First change of its window.
    pub first_change_at: Option<OffsetDateTime>,
    /// When it became due.
    pub due_at: OffsetDateTime,
    /// When it was first claimed.
    pub started_at: OffsetDateTime,
    /// Trace of what led to it.
    pub traceparent: Option<String>,
    /// The request whose token it uses; none when it uses the stored authorization.
    pub token_request: Option<Uuid>,
    /// Whether it was taken over from a worker that fell silent.
    pub taken_over: bool,
    /// It waited for the customer, so its lateness is nobody's.
    pub excused: bool,
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn claim_of(row: &PgRow, work: &'static str, taken_over: bool) -> Result<Claim, StoreError> {
    Ok(Claim {
        account: AccountId(row.get("account_id")),
        job: JobId(row.get("job_id")),
        job_type: JobType::parse(row.get("job_type"))
            .ok_or(StoreError::Inconsistent { work, column: "queue.jobs.job_type" })?,
        scope: JobScope::parse(row.get("scope"))
            .ok_or(StoreError::Inconsistent { work, column: "queue.jobs.scope" })?,
        cause: row.get("cause"),
        person: row.get("person"),
        reason: row.get("reason"),
        linked_job: row.get::<Option<Uuid>, _>("linked_job").map(JobId),
        subject: row.get("subject"),
        epoch: row.get("epoch"),
        event_number: row.get("event_number"),
        from_gen: row.get("from_gen"),
        first_change_at: row.get("first_change_at"),
        due_at: row.get("due_at"),
        started_at: row.get("started_at"),
        traceparent: row.get("traceparent"),
        token_request: row.get("token_request"),
        taken_over,
        excused: row.get("excused"),
    })
}

/// Claims up to `most` queued jobs of one type.
///
/// # Errors
/// [`StoreError`].
pub async fn claim(
    store: &Store,
    worker: &str,
    job_type: JobType,
    most: i64,
    lease: Duration,
) -> Result<Vec<Claim>, StoreError> {
    const WORK: &str = "jobs.claim";
    let rows = sqlx::query(CLAIM)
        .bind(worker)
        .bind(most)
        .bind(millis(lease))
        .bind(job_type.as_str())
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of(WORK, source))?;
    rows.iter().map(|row| claim_of(row, WORK, false)).collect()
}

/// Takes over up to `most` jobs whose lease ended at least `wait_out` ago.
///
/// # Errors
/// [`StoreError`].
pub async fn take_over(
    store: &Store,
    worker: &str,
    most: i64,
    lease: Duration,
    wait_out: Duration,
) -> Result<Vec<Claim>, StoreError> {
    const WORK: &str = "jobs.take_over";
    let rows = sqlx::query(TAKE_OVER)
        .bind(worker)
        .bind(most)
        .bind(millis(lease))
        .bind(millis(wait_out))
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of(WORK, source))?;
    rows.iter().map(|row| claim_of(row, WORK, true)).collect()
}

/// What a heartbeat says of a claim that is still ours.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// The job.
    pub job: JobId,
    /// Users that have not been started should be left to the next job.
    pub give_way: bool,
    /// Nothing may be written any more: Auto Sync was switched off, the authorization is gone, or a person stops the job.
    pub forbidden: bool,
}

/// Renews the leases of these claims. Returned are the jobs still ours.
///
/// # Errors
/// [`StoreError`].
pub async fn heartbeat(
    store: &Store,
    worker: &str,
    claims: &[(JobId, i32)],
    lease: Duration,
) -> Result<Vec<Beat>, StoreError> {
    let rows = sqlx::query(HEARTBEAT)
        .bind(worker)
        .bind(claims.iter().map(|(job, _)| job.0).collect::<Vec<_>>())
        .bind(claims.iter().map(|(_, epoch)| *epoch).collect::<Vec<_>>())
        .bind(millis(lease))
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("jobs.heartbeat", source))?;
    Ok(rows
        .iter()
        .map(|row| Beat {
            job: JobId(row.get("job_id")),
            give_way: row.get("give_way"),
            forbidden: row.get("forbidden"),
        })
        .collect())
}

/// An event to append.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its kind, see `docs/events.md`.
    pub kind: &'static str,
    /// Its data.
    pub data: Value,
}

/// An event as it was numbered.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose job.
    pub account: AccountId,
    /// The job.
    pub job: JobId,
    /// Its number within the job.
    pub number: i64,
    /// When.
    pub at: OffsetDateTime,
    /// Its kind.
    pub kind: String,
    /// Its data.
    pub data: Value,
}

/// Appends events to a claimed job in the transaction of the state they describe. This is also the fence: when the
/// claim is not ours any more, the whole transaction must be dropped.
///
/// # Errors
/// [`StoreError::Superseded`] when the claim was taken over or the job is over.
pub async fn append(
    tx: &mut Tx,
    job: JobId,
    epoch: i32,
    events: Vec<NewEvent>,
) -> Result<Vec<Event>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let row = sqlx::query(NUMBER)
        .bind(job.0)
        .bind(epoch)
        .bind(count)
        .fetch_optional(&mut **tx)
        .await
        .map_err(&failed)?
        .ok_or(StoreError::Superseded { work })?;
    let account: Uuid = row.get("account_id");
    let before: i64 = row.get("before");
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(APPEND)
        .bind(account)
        .bind(job.0)
        .bind((1..=count).map(|n| before + n).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.kind).collect::<Vec<_>>())
        .bind(events.into_iter().map(|e| e.data).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(rows
        .iter()
        .map(|row| Event {
            account: AccountId(account),
            job,
            number: row.get("number"),
            at: row.get("at"),
            kind: row.get("kind"),
            data: row.get("data"),
        })
        .collect())
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// A final state.
    pub state: JobState,
    /// Users by outcome.
    pub counts: Counts,
    /// Stable code and text, for a failed job.
    pub error: Option<(String, String)>,
    /// Nothing is left to settle.
    pub settled: bool,
}

impl Ending {
    /// It ended without having done anything.
    #[must_use]
    pub fn cancelled() -> Self {
        Self { state: JobState::Cancelled, counts: Counts::default(), error: None, settled: true }
    }
}

/// A job that has just ended.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// Whose.
    pub account: AccountId,
    /// Number reserved for the `finished` event.
    pub event_number: i64,
    /// When.
    pub at: OffsetDateTime,
    /// The range it covered, when it came as far as a plan.
    pub range: Option<(Gen, Gen)>,
}

/// Ends a claimed job. The caller appends the `finished` event under the reserved number with [`append_numbered`].
///
/// # Errors
/// [`StoreError::Superseded`] when the claim was taken over.
pub async fn finish(tx: &mut Tx, job: JobId, epoch: i32, ending: &Ending) -> Result<Finished, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let row = sqlx::query(FINISH)
        .bind(job.0)
        .bind(epoch)
        .bind(ending.state.as_str())
        .bind(sqlx::types::Json(ending.counts))
        .bind(ending.error.as_ref().map(|(code, _)| code))
        .bind(ending.error.as_ref().map(|(_, text)| text))
        .bind(ending.settled)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed)?
        .ok_or(StoreError::Superseded { work })?;
    let range = row.get::<Option<Gen>, _>("from_gen").zip(row.get::<Option<Gen>, _>("to_gen"));
    Ok(Finished {
        account: AccountId(row.get("account_id")),
        event_number: row.get("event_number"),
        at: row.get("finished_at"),
        range,
    })
}

/// Appends one event under a number that was reserved in the same transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn append_numbered(
    tx: &mut Tx,
    account: AccountId,
    job: JobId,
    number: i64,
    event: NewEvent,
) -> Result<Event, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(APPEND)
        .bind(account.0)
        .bind(job.0)
        .bind(vec![number])
        .bind(vec![event.kind])
        .bind(vec![event.data])
        .fetch_one(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(Event { account, job, number, at: row.get("at"), kind: row.get("kind"), data: row.get("data") })
}

/// Appends an event to a job that is over (settling).
///
/// # Errors
/// [`StoreError`].
pub async fn append_afterwards(
    tx: &mut Tx,
    job: JobId,
    event: NewEvent,
) -> Result<Option<Event>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(AFTERWARDS)
        .bind(job.0)
        .bind(event.kind)
        .bind(&event.data)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(row.map(|row| Event {
        account: AccountId(row.get("account_id")),
        job,
        number: row.get("number"),
        at: row.get("at"),
        kind: event.kind.to_owned(),
        data: event.data,
    }))
}

/// A job that has just settled.
#[derive(Clone, Copy, Debug)]
pub struct SettledJob {
    /// The job.
    pub job: JobId,
    /// Auto or Manual.
    pub job_type: JobType,
    /// When.
    pub at: OffsetDateTime,
    /// First change of its window, unless it waited for the customer.
    pub first_change_at: Option<OffsetDateTime>,
}

/// Marks the jobs of an account as settled of which nothing is still looked at; tells which and when.
///
/// # Errors
/// [`StoreError`].
pub async fn settle(tx: &mut Tx, account: AccountId) -> Result<Vec<SettledJob>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let rows = sqlx::query(SETTLE).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(SettledJob {
                job: JobId(row.get("job_id")),
                job_type: JobType::parse(row.get("job_type"))
                    .ok_or(StoreError::Inconsistent { work, column: "queue.jobs.job_type" })?,
                at: row.get("settled_at"),
                first_change_at: row.get("first_change_at"),
            })
        })
        .collect()
}
