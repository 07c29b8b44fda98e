//! Writing the log: what happened to jobs goes from `queue.events` into `log`, each event once.
//!
//! The caller locks the records of some jobs, reads the events above their numbers, and writes both back within one
//! transaction. The lock on the record is what makes two instances, a duplicate and a replay harmless.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;
use tandem_domain::failure::Failure;
use tandem_domain::{AccountId, JobId, ObjectId, PbxUserId};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::log_read::JobRow;
use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Opens the records of jobs that have none, in key order, so that two batches cannot deadlock.
    OPEN = "insert into log.jobs (job_id, account_id, job_type, scope, state, queued_at, event_number)
            select job_id, account_id, job_type, scope, 'queued', queued_at, 0 from queue.jobs
             where job_id = any ($1) order by job_id
            on conflict do nothing";
    /// Locks records in key order.
    LOCK = "select j.* from log.jobs j where j.job_id = any ($1) order by j.job_id for update";
    /// Events that the records do not hold yet.
    EVENTS = "select e.job_id, e.account_id, e.number, e.at, e.kind, e.data::text as data
                from unnest($1::uuid[], $2::bigint[]) as k (job_id, kept)
                join queue.events e on e.job_id = k.job_id and e.number > k.kept
               order by e.job_id, e.number limit $3";
    /// Writes locked records back, never an older one over a newer one.
    UPDATE = "update log.jobs j
                 set job_type = k.job_type, scope = k.scope, state = k.state, cause = k.cause, person = k.person, reason = k.reason,
                     linked_job = k.linked_job, queued_at = k.queued_at, due_at = k.due_at, first_change_at = k.first_change_at,
                     started_at = k.started_at, finished_at = k.finished_at, settled_at = k.settled_at,
                     from_gen = k.from_gen, to_gen = k.to_gen, counts = k.counts, error_code = k.error_code,
                     error_text = k.error_text, fingerprint = k.fingerprint, failures = nullif(k.failures, '{}'),
                     event_number = k.event_number
                from jsonb_to_recordset($1) as k (
                     job_id uuid, job_type text, scope text, state text, cause text, person text, reason text, linked_job uuid,
                     queued_at timestamptz, due_at timestamptz, first_change_at timestamptz, started_at timestamptz,
                     finished_at timestamptz, settled_at timestamptz, from_gen bigint, to_gen bigint, counts jsonb,
                     error_code text, error_text text, fingerprint text, failures text[], event_number bigint)
               where j.job_id = k.job_id and j.event_number < k.event_number";
    /// Keeps events as steps; their data goes from table to table untouched.
    STEPS = "insert into log.steps (job_id, number, account_id, at, kind, pbx_user_id, microsoft_user, action, outcome,
                                    before, after, reason, detail, request_id, data)
             select e.job_id, e.number, e.account_id, e.at, e.kind, k.pbx_user_id, k.microsoft_user, k.action, k.outcome,
                    k.before, k.after, k.reason, k.detail, k.request_id, e.data
               from jsonb_to_recordset($1) as k (
                    job_id uuid, number bigint, pbx_user_id text, microsoft_user uuid, action text, outcome text,
                    before text, after text, reason text, detail text, request_id text)
               join queue.events e on e.job_id = k.job_id and e.number = k.number
             on conflict do nothing";
    /// Keeps what fingerprints stand for, in key order; one that was noted within a day is left alone.
    FAILURES = "insert into log.failures (fingerprint, code, text)
                select k.fingerprint, k.code, k.text from jsonb_to_recordset($1) as k (fingerprint text, code text, text text)
                 where not exists (select from log.failures f
                                    where f.fingerprint = k.fingerprint and f.noted_at > now() - interval '1 day')
                 order by k.fingerprint
                on conflict (fingerprint) do update set noted_at = now()";
    /// Counts jobs that became final, in key order.
    COUNT = "insert into log.rollups as r (account_id, hour, job_type, state, jobs)
             select k.account_id, date_trunc('hour', k.finished_at, 'UTC'), k.job_type, k.state, count(*)
               from jsonb_to_recordset($1) as k (account_id uuid, finished_at timestamptz, job_type text, state text)
              group by 1, 2, 3, 4 order by 1, 2, 3, 4
             on conflict (account_id, hour, job_type, state) do update set jobs = r.jobs + excluded.jobs";
    /// Jobs with events that the log does not hold, page by page.
    BEHIND = "select e.job_id from (select job_id, max(number) as number from queue.events where job_id > $1 group by job_id) e
                left join log.jobs j on j.job_id = e.job_id
               where e.number > coalesce(j.event_number, 0)
               order by e.job_id limit $2";
    /// Removes old events that the log holds.
    PRUNE = "delete from queue.events where (job_id, number) in
               (select e.job_id, e.number from queue.events e join log.jobs j on j.job_id = e.job_id
                 where e.number <= j.event_number and e.at < now() - make_interval(secs => $1) limit $2)";
    /// Makes the partitions of the last, this and the next month.
    MONTHS = "select log.make_month((date_trunc('month', now()) + make_interval(months => m))::date) from generate_series(-1, 1) as m";
    /// Makes the partitions of one month.
    MONTH = "select log.make_month($1)";
    /// Forgets fingerprints that no record is left of.
    FORGET = "delete from log.failures where noted_at < now() - make_interval(months => $1 + 1)";
    /// Drops the partitions whose time has come.
    DROP = "select log.drop_months((now() - make_interval(months => $1))::date, (now() - make_interval(days => $2))::date)";
}

/// Something that happened to a job, as it was recorded with the state it describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Which job.
    pub job: JobId,
    /// Whose.
    pub account: AccountId,
    /// Its number within the job.
    pub number: i64,
    /// When.
    pub at: OffsetDateTime,
    /// What happened; unknown kinds are kept too.
    pub kind: String,
    /// Its details; null where they cannot be read.
    pub data: Value,
}

/// What a step's columns say, drawn from the data of its event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StepFacts {
    /// Which PBX user.
    pub pbx_user_id: Option<PbxUserId>,
    /// Which Microsoft user.
    pub microsoft_user: Option<ObjectId>,
    /// What was done.
    pub action: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The value before.
    pub before: Option<String>,
    /// The value after.
    pub after: Option<String>,
    /// Why, as a short text or a stable code.
    pub reason: Option<String>,
    /// More of it, for people.
    pub detail: Option<String>,
    /// Microsoft's id of the request.
    pub request_id: Option<String>,
}

/// An event's facts on their way into `log.steps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewStep {
    /// Which job.
    pub job_id: JobId,
    /// Number of the event.
    pub number: i64,
    /// Its columns.
    #[serde(flatten)]
    pub facts: StepFacts,
}

/// Opens the records that are missing and locks all of them. Jobs that do not exist are left out. The partitions of
/// the jobs' months must exist.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, jobs: &[JobId]) -> Result<Vec<JobRow>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let ids: Vec<Uuid> = jobs.iter().map(|j| j.0).collect();
    sqlx::query(OPEN).bind(&ids).execute(&mut **tx).await.map_err(&failed)?;
    let rows = sqlx::query(LOCK).bind(&ids).fetch_all(&mut **tx).await.map_err(&failed)?;
    rows.iter().map(|row| JobRow::read(row, work)).collect()
}

/// The events that these locked records do not hold yet, by job and number, at most `most`.
///
/// # Errors
/// [`StoreError`].
pub async fn events(tx: &mut Tx, records: &[JobRow], most: i64) -> Result<Vec<Event>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(EVENTS)
        .bind(records.iter().map(|r| r.job.0).collect::<Vec<_>>())
        .bind(records.iter().map(|r| r.event_number).collect::<Vec<_>>())
        .bind(most)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| Event {
            job: JobId(row.get("job_id")),
            account: AccountId(row.get("account_id")),
            number: row.get("number"),
            at: row.get("at"),
            kind: row.get("kind"),
            // `json` admits texts that are no Unicode; such an event is kept, its details are not understood
            data: serde_json::from_str(row.get("data")).unwrap_or(Value::Null),
        })
        .collect())
}

/// Writes locked records back together with the steps that changed them; `finished` are those of the records that
/// became final by these steps and are counted, `failures` what the fingerprints stand for that the steps added.
///
/// # Errors
/// [`StoreError`].
pub async fn keep(
    tx: &mut Tx,
    records: &[JobRow],
    steps: &[NewStep],
    finished: &[&JobRow],
    failures: &BTreeSet<Failure>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(UPDATE).bind(Json(records)).execute(&mut **tx).await.map_err(&failed)?;
    sqlx::query(STEPS).bind(Json(steps)).execute(&mut **tx).await.map_err(&failed)?;
    if !failures.is_empty() {
        sqlx::query(FAILURES).bind(Json(failures)).execute(&mut **tx).await.map_err(&failed)?;
    }
    if !finished.is_empty() {
        sqlx::query(COUNT).bind(Json(finished)).execute(&mut **tx).await.map_err(&failed)?;
    }
    Ok(())
}

/// Jobs after `after` with events that the log does not hold, in the order of their ids, at most `most`.
///
/// # Errors
/// [`StoreError`].
pub async fn behind(store: &Store, after: JobId, most: i64) -> Result<Vec<JobId>, StoreError> {
    let rows: Vec<Uuid> = sqlx::query_scalar(BEHIND)
        .bind(after.0)
        .bind(most)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("log.behind", source))?;
    Ok(rows.into_iter().map(JobId).collect())
}

/// Removes up to `most` events that are in the log and older than `seconds`; returns how many.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(store: &Store, seconds: f64, most: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(PRUNE)
        .bind(seconds)
        .bind(most)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("log.prune", source))?;
    Ok(done.rows_affected())
}

/// Makes the partitions of the last, this and the next month, where they are missing.
///
/// # Errors
/// [`StoreError`].
pub async fn make_months(store: &Store) -> Result<(), StoreError> {
    sqlx::query(MONTHS)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("log.make_months", source))?;
    Ok(())
}

/// Makes the partitions of the month of `day`, where they are missing.
///
/// # Errors
/// [`StoreError`].
pub async fn make_month(store: &Store, day: Date) -> Result<(), StoreError> {
    sqlx::query(MONTH)
        .bind(day)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("log.make_month", source))?;
    Ok(())
}

/// Drops the records of months that ended more than `job_months` ago and the steps of months that ended more than
/// `step_days` ago, and the fingerprints that no record is left of; returns the names of the dropped partitions.
///
/// # Errors
/// [`StoreError`].
pub async fn drop_months(store: &Store, job_months: i32, step_days: i32) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::of("log.drop_months", source);
    let dropped = sqlx::query_scalar(DROP)
        .bind(job_months)
        .bind(step_days)
        .fetch_all(store.pool())
        .await
        .map_err(failed)?;
    sqlx::query(FORGET).bind(job_months).execute(store.pool()).await.map_err(failed)?;
    Ok(dropped)
}
