//! Reading the log: jobs and steps, in pages by key, newest job first.
//!
//! The same functions serve an account's people ([`Store::begin_for`](crate::Store::begin_for)) and operators
//! ([`Store::begin`](crate::Store::begin)): row-level security decides which rows there are.

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::job::{JobScope, JobState, JobType};
use tandem_domain::{AccountId, Gen, JobId, ObjectId, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

/// The most rows of a page.
pub const MAX_PAGE: i64 = 200;

statements! {
    /// Jobs of all accounts that the reader may see. Times become bounds of the id, which is the partition key.
    JOBS = "select j.* from log.jobs j
             where j.job_id < coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
               and j.job_id < coalesce(log.uuid_at($2), 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
               and j.job_id >= coalesce(log.uuid_at($3), '00000000-0000-0000-0000-000000000000'::uuid)
               and ($4::text is null or j.job_type = $4)
               and ($5::text is null or j.state = $5)
               and ($6::text is null or j.error_code = $6)
             order by j.job_id desc limit $7";
    /// Jobs of one account.
    JOBS_OF_ACCOUNT = "select j.* from log.jobs j
             where j.job_id < coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
               and j.job_id < coalesce(log.uuid_at($2), 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
               and j.job_id >= coalesce(log.uuid_at($3), '00000000-0000-0000-0000-000000000000'::uuid)
               and ($4::text is null or j.job_type = $4)
               and ($5::text is null or j.state = $5)
               and ($6::text is null or j.error_code = $6)
               and j.account_id = $8
             order by j.job_id desc limit $7";
    /// One job.
    JOB = "select j.* from log.jobs j where j.job_id = $1";
    /// The job whose plan covered a change; one that failed or was cancelled counts only where no other did it.
    JOB_OF_CHANGE = "select * from (
               (select 1 as preference, j.* from log.jobs j
                 where j.account_id = $1 and j.to_gen >= $2 and j.from_gen < $2 and j.state not in ('failed', 'cancelled')
                 order by j.to_gen, j.job_id limit 1)
               union all
               (select 2, j.* from log.jobs j
                 where j.account_id = $1 and j.to_gen >= $2 and j.from_gen < $2 and j.state in ('failed', 'cancelled')
                 order by j.to_gen, j.job_id limit 1)
             ) found order by preference limit 1";
    /// Steps of a job in the order they happened.
    STEPS = "select s.* from log.steps s
              where s.job_id = $1 and s.number > $2
                and ($3::text is null or s.pbx_user_id = $3)
                and ($4::text is null or s.outcome = $4)
              order by s.number limit $5";
}

/// A job as the log has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobRow {
    /// Its id.
    #[serde(rename = "job_id")]
    pub job: JobId,
    /// Whose.
    #[serde(rename = "account_id")]
    pub account: AccountId,
    /// Auto or Manual.
    pub job_type: JobType,
    /// What it looked at.
    pub scope: JobScope,
    /// Where it is in its life.
    pub state: JobState,
    /// What it was cut for: `window`, `request`, `deferred`, `retry`.
    pub cause: Option<String>,
    /// Who asked.
    pub person: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The job it follows up.
    pub linked_job: Option<JobId>,
    /// When it was cut.
    #[serde(with = "time::serde::rfc3339")]
    pub queued_at: OffsetDateTime,
    /// When it became due.
    #[serde(with = "time::serde::rfc3339::option")]
    pub due_at: Option<OffsetDateTime>,
    /// The first change of its window.
    #[serde(with = "time::serde::rfc3339::option")]
    pub first_change_at: Option<OffsetDateTime>,
    /// When a worker began it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    /// When every read path agreed.
    #[serde(with = "time::serde::rfc3339::option")]
    pub settled_at: Option<OffsetDateTime>,
    /// Its plan covers the changes above this.
    pub from_gen: Option<Gen>,
    /// Its plan covers the changes up to here.
    pub to_gen: Option<Gen>,
    /// Users by outcome.
    pub counts: Option<Value>,
    /// Stable code of why the job as a whole failed.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_text: Option<String>,
    /// Fingerprint of its plan.
    pub fingerprint: Option<String>,
    /// Fingerprints of what it and its users failed by, the first ones.
    pub failures: Vec<String>,
    /// Events up to here are in this record.
    pub event_number: i64,
}

impl JobRow {
    pub(crate) fn read(row: &PgRow, work: &'static str) -> Result<Self, StoreError> {
        let odd = |column| StoreError::Inconsistent { work, column };
        Ok(Self {
            job: JobId(row.get("job_id")),
            account: AccountId(row.get("account_id")),
            job_type: JobType::parse(row.get("job_type")).ok_or(odd("log.jobs.job_type"))?,
            scope: JobScope::parse(row.get("scope")).ok_or(odd("log.jobs.scope"))?,
            state: JobState::parse(row.get("state")).ok_or(odd("log.jobs.state"))?,
            cause: row.get("cause"),
            person: row.get("person"),
            reason: row.get("reason"),
            linked_job: row.get::<Option<Uuid>, _>("linked_job").map(JobId),
            queued_at: row.get("queued_at"),
            due_at: row.get("due_at"),
            first_change_at: row.get("first_change_at"),
            started_at: row.get("started_at"),
            finished_at: row.get("finished_at"),
            settled_at: row.get("settled_at"),
            from_gen: row.get("from_gen"),
            to_gen: row.get("to_gen"),
            counts: row.get("counts"),
            error_code: row.get("error_code"),
            error_text: row.get("error_text"),
            fingerprint: row.get("fingerprint"),
            failures: row.get::<Option<_>, _>("failures").unwrap_or_default(),
            event_number: row.get("event_number"),
        })
    }
}

/// Which jobs to list; an empty filter lists all that the reader may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Auto or Manual.
    pub job_type: Option<JobType>,
    /// In this state.
    pub state: Option<JobState>,
    /// Cut at or after this time.
    pub since: Option<OffsetDateTime>,
    /// Cut before this time.
    pub until: Option<OffsetDateTime>,
    /// Failed with this code.
    pub error_code: Option<String>,
}

/// One thing that happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRow {
    /// Which job.
    #[serde(rename = "job_id")]
    pub job: JobId,
    /// Its number within the job.
    pub number: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What kind of event it is.
    pub kind: String,
    /// Which PBX user.
    #[serde(rename = "pbx_user_id")]
    pub pbx_user: Option<PbxUserId>,
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
    /// Everything the event said; null where it is no Unicode text.
    pub data: Value,
}

/// Which steps to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepFilter {
    /// Of this PBX user.
    pub user: Option<PbxUserId>,
    /// With this outcome.
    pub outcome: Option<String>,
}

/// A page of jobs older than `after`, newest first; at most `limit` and never more than [`MAX_PAGE`]. The last job of
/// a page is the `after` of the next one, so that jobs which arrive in between move nothing.
///
/// # Errors
/// [`StoreError`].
pub async fn jobs(
    tx: &mut Tx,
    filter: &JobFilter,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobRow>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let mut query = sqlx::query(if filter.account.is_some() { JOBS_OF_ACCOUNT } else { JOBS })
        .bind(after.map(|job| job.0))
        .bind(filter.until)
        .bind(filter.since)
        .bind(filter.job_type.map(JobType::as_str))
        .bind(filter.state.map(JobState::as_str))
        .bind(filter.error_code.as_deref())
        .bind(limit.clamp(0, MAX_PAGE));
    if let Some(account) = filter.account {
        query = query.bind(account.0);
    }
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter().map(|row| JobRow::read(row, work)).collect()
}

/// One job.
///
/// # Errors
/// [`StoreError`].
pub async fn job(tx: &mut Tx, job: JobId) -> Result<Option<JobRow>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let row = sqlx::query(JOB).bind(job.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    row.map(|row| JobRow::read(&row, work)).transpose()
}

/// The job that carried a change: its plan covered the generation.
///
/// # Errors
/// [`StoreError`].
pub async fn job_of_change(
    tx: &mut Tx,
    account: AccountId,
    generation: Gen,
) -> Result<Option<JobRow>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let row = sqlx::query(JOB_OF_CHANGE)
        .bind(account.0)
        .bind(generation)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed)?;
    row.map(|row| JobRow::read(&row, work)).transpose()
}

/// A page of a job's steps with numbers above `after`, in the order they happened; at most `limit` and never more than
/// [`MAX_PAGE`].
///
/// # Errors
/// [`StoreError`].
pub async fn steps(
    tx: &mut Tx,
    job: JobId,
    filter: &StepFilter,
    after: i64,
    limit: i64,
) -> Result<Vec<StepRow>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(STEPS)
        .bind(job.0)
        .bind(after)
        .bind(filter.user.as_ref().map(PbxUserId::as_str))
        .bind(filter.outcome.as_deref())
        .bind(limit.clamp(0, MAX_PAGE))
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(rows.iter().map(step).collect())
}

fn step(row: &PgRow) -> StepRow {
    StepRow {
        job: JobId(row.get("job_id")),
        number: row.get("number"),
        at: row.get("at"),
        kind: row.get("kind"),
        pbx_user: row.get::<Option<String>, _>("pbx_user_id").map(PbxUserId),
        microsoft_user: row.get::<Option<Uuid>, _>("microsoft_user").map(ObjectId),
        action: row.get("action"),
        outcome: row.get("outcome"),
        before: row.get("before"),
        after: row.get("after"),
        reason: row.get("reason"),
        detail: row.get("detail"),
        request_id: row.get("request_id"),
        // `json` admits texts that are no Unicode; one such step must not hide the page it stands on
        data: row.try_get("data").unwrap_or(Value::Null),
    }
}
