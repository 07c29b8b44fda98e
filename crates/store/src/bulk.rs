//! Replays of many jobs as people see them: made, aborted, and how far they are.
//!
//! How far one is follows from the requests and the jobs themselves; nothing is counted along the way.

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::{AccountId, JobId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Makes a bulk act, unless another one runs or the key is used.
    MAKE = "insert into admin.bulk_acts (bulk_id, name, reason, person_id, person, key, digest, filter, jobs, created_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing";
    /// What a key was used for.
    USED = "select bulk_id, digest from admin.bulk_acts where person_id = $1 and key = $2";
    /// Nothing more of it is handed in.
    ABORT = "update admin.bulk_acts set aborted_at = $2, aborted_by = $3
              where bulk_id = $1 and finished_at is null and aborted_at is null";
    /// The newest ones older than a given one, newest first.
    LIST = "select bulk_id, name, reason, person, filter, cardinality(jobs) as jobs, created_at, aborted_at, aborted_by, finished_at
              from admin.bulk_acts where $1::uuid is null or bulk_id < $1 order by bulk_id desc limit $2";
    /// One of them.
    ONE = "select bulk_id, name, reason, person, filter, cardinality(jobs) as jobs, created_at, aborted_at, aborted_by, finished_at
             from admin.bulk_acts where bulk_id = $1";
    /// Jobs and accounts by what became of them.
    PROGRESS = "select s.state, count(*) as jobs, count(distinct s.account_id) as accounts
                  from (select i.account_id, case
                          when i.refused is not null then 'refused'
                          when i.request_id is null then 'waiting'
                          when r.job_id is null then 'asked'
                          else coalesce((select q.state from queue.jobs q where q.job_id = r.job_id),
                                        (select l.state from log.jobs l where l.job_id = r.job_id), 'asked') end as state
                          from admin.bulk_items i left join admin.requests r using (request_id)
                         where i.bulk_id = $1) s
                 group by s.state";
    /// Accounts behind a given one with what became of theirs.
    ACCOUNTS = "select i.account_id, a.name, a.label, count(*) as jobs, max(i.refused) as refused,
                       (array_agg(r.job_id) filter (where r.job_id is not null))[1] as job_id,
                       coalesce(max(q.state), max(case when i.refused is not null then 'refused'
                                                       when i.request_id is null then 'waiting' else 'asked' end)) as state,
                       max(q.parked) as parked
                  from (select distinct b.account_id from admin.bulk_items b where b.bulk_id = $1 and b.account_id > $2
                         order by b.account_id limit $3) these
                  join admin.bulk_items i on i.bulk_id = $1 and i.account_id = these.account_id
                  join admin.accounts a on a.account_id = i.account_id
                  left join admin.requests r using (request_id)
                  left join lateral (
                     select state, parked from queue.jobs where job_id = r.job_id
                     union all
                     select state, null from log.jobs where job_id = r.job_id limit 1) q on true
                 group by i.account_id, a.name, a.label order by i.account_id";
}

/// A bulk act that is to be made.
#[derive(Clone, Debug)]
pub struct NewBulk<'a> {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Who: id and name.
    pub person: (Uuid, &'a str),
    /// The sender's key, and the hash of what was asked under it.
    pub key: (&'a str, SecretHash),
    /// The filter, where it was one.
    pub filter: Option<&'a Value>,
    /// The jobs.
    pub jobs: &'a [Uuid],
    /// When.
    pub now: OffsetDateTime,
}

/// What became of making one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is made.
    New,
    /// The same was asked before, as this one.
    Same(Uuid),
    /// Something else was asked under the key.
    OtherKey,
    /// Another one runs.
    Running,
}

/// Makes a bulk act. Two at the same time wait for each other here.
///
/// # Errors
/// [`StoreError`].
pub async fn make(tx: &mut Tx, new: &NewBulk<'_>) -> Result<Made, StoreError> {
    let failed = tx.failed();
    let (person, (key, digest)) = (new.person, new.key);
    let query = sqlx::query(MAKE).bind(new.id).bind(new.name).bind(new.reason).bind(person.0).bind(person.1);
    let query = query.bind(key).bind(digest.as_slice()).bind(new.filter).bind(new.jobs).bind(new.now);
    if query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1 {
        return Ok(Made::New);
    }
    Ok(used(tx, person.0, new.key).await?.unwrap_or(Made::Running))
}

/// What was made under a key, if anything was.
///
/// # Errors
/// [`StoreError`].
pub async fn used(
    tx: &mut Tx,
    person: Uuid,
    (key, digest): (&str, SecretHash),
) -> Result<Option<Made>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(USED).bind(person).bind(key);
    let Some(row) = query.fetch_optional(&mut **tx).await.map_err(failed)? else { return Ok(None) };
    let same = row.get::<Vec<u8>, _>("digest") == digest.as_slice();
    Ok(Some(if same { Made::Same(row.get("bulk_id")) } else { Made::OtherKey }))
}

/// Sees to it that nothing more of a bulk act is handed in; whether there was something to abort.
///
/// # Errors
/// [`StoreError`].
pub async fn abort(tx: &mut Tx, bulk: Uuid, person: &str, now: OffsetDateTime) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(ABORT).bind(bulk).bind(now).bind(person);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// A bulk act.
#[derive(Clone, Debug, PartialEq)]
pub struct Bulk {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub person: String,
    /// The filter, where it was one.
    pub filter: Option<Value>,
    /// How many jobs it is over.
    pub jobs: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When and by whom it was aborted.
    pub aborted: Option<(OffsetDateTime, String)>,
    /// When everything was handed in, or nothing more was.
    pub finished_at: Option<OffsetDateTime>,
}

impl Bulk {
    fn read(row: &PgRow) -> Self {
        let aborted: Option<OffsetDateTime> = row.get("aborted_at");
        Self {
            id: row.get("bulk_id"),
            name: row.get("name"),
            reason: row.get("reason"),
            person: row.get("person"),
            filter: row.get("filter"),
            jobs: row.get::<i32, _>("jobs").into(),
            created_at: row.get("created_at"),
            aborted: aborted.zip(row.get("aborted_by")),
            finished_at: row.get("finished_at"),
        }
    }
}

/// Bulk acts older than `after`, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(tx: &mut Tx, after: Option<Uuid>, limit: i64) -> Result<Vec<Bulk>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(LIST).bind(after).bind(limit).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.iter().map(Bulk::read).collect())
}

/// One bulk act.
///
/// # Errors
/// [`StoreError`].
pub async fn find(tx: &mut Tx, bulk: Uuid) -> Result<Option<Bulk>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(ONE).bind(bulk).fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.as_ref().map(Bulk::read))
}

/// Jobs and accounts of a bulk act in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// `waiting`, `refused`, `asked`, or the state of the new job.
    pub state: String,
    /// How many of the jobs.
    pub jobs: i64,
    /// Of how many accounts.
    pub accounts: i64,
}

/// How far a bulk act is. Nothing where it is not spread over its accounts yet.
///
/// # Errors
/// [`StoreError`].
pub async fn progress(tx: &mut Tx, bulk: Uuid) -> Result<Vec<Count>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(PROGRESS).bind(bulk).fetch_all(&mut **tx).await.map_err(failed)?;
    let one =
        |row: &PgRow| Count { state: row.get("state"), jobs: row.get("jobs"), accounts: row.get("accounts") };
    Ok(rows.iter().map(one).collect())
}

/// An account of a bulk act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkAccount {
    /// Its id.
    pub account: AccountId,
    /// Short name.
    pub name: String,
    /// Label.
    pub label: String,
    /// How many of the jobs are its own.
    pub jobs: i64,
    /// As in [`Count`].
    pub state: String,
    /// The new job.
    pub job: Option<JobId>,
    /// Stable code of why it was refused.
    pub refused: Option<String>,
    /// Stable code of why the new job waits.
    pub parked: Option<String>,
}

/// Accounts of a bulk act behind `after`, in the order of their ids.
///
/// # Errors
/// [`StoreError`].
pub async fn accounts(
    tx: &mut Tx,
    bulk: Uuid,
    after: AccountId,
    limit: i64,
) -> Result<Vec<BulkAccount>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(ACCOUNTS).bind(bulk).bind(after.0).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| BulkAccount {
        account: AccountId(row.get("account_id")),
        name: row.get("name"),
        label: row.get("label"),
        jobs: row.get("jobs"),
        state: row.get("state"),
        job: row.get::<Option<Uuid>, _>("job_id").map(JobId),
        refused: row.get("refused"),
        parked: row.get("parked"),
    };
    Ok(rows.iter().map(one).collect())
}
