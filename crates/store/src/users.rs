//! Per user: how far it has come, and when a deferred one is looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::Row;
use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{Step, UserPlan};
use tandem_domain::{AccountId, Gen, JobId, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::{TOGETHER, statements};
use crate::{Store, StoreError, Tx};

statements! {
    /// Keeps the plan and fixes the job's range.
    PLANNED_JOB = "update queue.jobs set from_gen = $3, to_gen = $4, fingerprint = $5 where job_id = $1 and epoch = $2 and state = 'running'";
    /// That a plan was made.
    RUN = "insert into sync.runs (job_id, epoch, account_id, from_gen, to_gen, fingerprint) values ($1, $2, $3, $4, $5, $6)";
    /// Its steps.
    STEPS = "insert into sync.steps (job_id, epoch, account_id, no, step)
             select $1, $2, $3, s.no, s.step::json from unnest($4::integer[], $5::text[]) as s (no, step)";
    /// Users the plan covers.
    ATTEMPT = "insert into sync.users as u (account_id, pbx_user_id, microsoft_user, attempted_gen, job_id)
               select $1, p.user_id, p.oid, $4, $5 from unnest($2::text[], $3::uuid[]) as p (user_id, oid)
               on conflict (account_id, pbx_user_id) do update
                 set attempted_gen = greatest(u.attempted_gen, excluded.attempted_gen), microsoft_user = excluded.microsoft_user,
                     job_id = case when u.settle_next is null then excluded.job_id else u.job_id end, updated_at = clock_timestamp()";
    /// Outcomes of users. `reached` raises confirmed_gen; `moved` starts settling, else what was settled stays settled.
    OUTCOME = "update sync.users u
                  set outcome = o.outcome, code = o.code, detail = o.detail, updated_at = clock_timestamp(),
                      job_id = case when o.moved or u.settle_next is null then $3 else u.job_id end,
                      confirmed_gen = case when o.reached then greatest(u.confirmed_gen, $2) else u.confirmed_gen end,
                      confirmed_at = case when o.moved then clock_timestamp() else u.confirmed_at end,
                      settle_looks = case when o.moved then 0 else u.settle_looks end,
                      settle_next = case when o.moved then clock_timestamp() + $9 * interval '1 ms' else u.settle_next end,
                      settled_at = case when o.moved then null else u.settled_at end,
                      settle_issue = case when o.moved then null else u.settle_issue end,
                      settled_gen = case when o.reached and not o.moved and u.settle_next is null
                                         then greatest(u.confirmed_gen, $2) else u.settled_gen end
                 from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::bool[], $10::bool[])
                      as o (user_id, outcome, code, detail, reached, moved)
                where u.account_id = $1 and u.pbx_user_id = o.user_id";
    /// Users that could not be finished.
    DEFER = "insert into sync.deferred as d (account_id, pbx_user_id, reason, detail, next_look, job_id)
             select $1, f.user_id, f.reason, f.detail, clock_timestamp() + f.wait * interval '1 ms', $2
               from unnest($3::text[], $4::text[], $5::text[], $6::float8[]) as f (user_id, reason, detail, wait)
             on conflict (account_id, pbx_user_id) do update
               set reason = excluded.reason, detail = excluded.detail, next_look = excluded.next_look, job_id = excluded.job_id,
                   looks = case when d.reason = excluded.reason then d.looks + 1 else 0 end,
                   since = case when d.reason = excluded.reason then d.since else clock_timestamp() end";
    /// Users that are not deferred any more: those named, and those that Tandem has nothing to do with any more.
    UNDEFER = "delete from sync.deferred d where account_id = $1
                  and (pbx_user_id = any ($2)
                    or not exists (select from admin.mappings m where m.account_id = d.account_id and m.pbx_user_id = d.pbx_user_id)
                   and not exists (select from sync.standing s where s.account_id = d.account_id and s.pbx_user_id = d.pbx_user_id))";
    /// A job ended without having done anything: its changes wait.
    CANCELLED = "insert into sync.accounts (account_id, last_job) values ($1, $2)
                 on conflict (account_id) do update set last_job = excluded.last_job";
    /// How often and since when users have been deferred.
    LOOKS = "select pbx_user_id, reason, looks, extract(epoch from clock_timestamp() - since)::float8 as waited
               from sync.deferred where account_id = $1 and pbx_user_id = any ($2)";
    /// Users whose last outcome has this code.
    WITH_CODE = "select pbx_user_id from sync.users where account_id = $1 and code = $2";
    /// Users of an account that wait, the next to be looked at first.
    WAITING = "select pbx_user_id, reason, detail, since, next_look, job_id from sync.deferred where account_id = $1 order by next_look, pbx_user_id limit 1000";
    /// Makes a deferred user due now, or defers one that was not.
    DUE_NOW = "insert into sync.deferred (account_id, pbx_user_id, reason, detail, next_look, job_id) values ($1, $2, $3, $4, clock_timestamp(), $5)
               on conflict (account_id, pbx_user_id) do update set next_look = clock_timestamp()";
    /// Gives a user up until somebody does something about it.
    GIVE_UP = "with waiting as (delete from sync.deferred where account_id = $1 and pbx_user_id = $2)
               update sync.users set outcome = 'failed', code = $3, detail = $4, updated_at = clock_timestamp()
                where account_id = $1 and pbx_user_id = $2";
    /// After a job that worked: the range is covered, the account is well.
    COVERED = "insert into sync.accounts as a (account_id, covered_gen, last_job) values ($1, $2, $3)
               on conflict (account_id) do update
                 set covered_gen = greatest(a.covered_gen, excluded.covered_gen), last_job = excluded.last_job, failures = 0, retry_at = null";
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A plan to keep.
#[derive(Clone, Debug)]
pub struct PlannedRun<'a> {
    /// Whose.
    pub account: AccountId,
    /// The job.
    pub job: JobId,
    /// The claim.
    pub epoch: i32,
    /// The job's range begins after this generation.
    pub from: Gen,
    /// It ends with this generation.
    pub to: Gen,
    /// Fingerprint of the plan.
    pub fingerprint: &'a str,
    /// Its steps.
    pub steps: &'a [Step],
    /// Users it covers.
    pub users: &'a [UserPlan],
}

/// Keeps a plan in the transaction of its event.
///
/// # Errors
/// [`StoreError`].
pub async fn planned(tx: &mut Tx, run: &PlannedRun<'_>) -> Result<(), StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    sqlx::query(PLANNED_JOB)
        .bind(run.job.0)
        .bind(run.epoch)
        .bind(run.from)
        .bind(run.to)
        .bind(run.fingerprint)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    sqlx::query(RUN)
        .bind(run.job.0)
        .bind(run.epoch)
        .bind(run.account.0)
        .bind(run.from)
        .bind(run.to)
        .bind(run.fingerprint)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    for steps in run.steps.chunks(TOGETHER) {
        let texts: Result<Vec<String>, _> = steps.iter().map(serde_json::to_string).collect();
        sqlx::query(STEPS)
            .bind(run.job.0)
            .bind(run.epoch)
            .bind(run.account.0)
            .bind(steps.iter().map(|step| i32::try_from(step.no).unwrap_or(i32::MAX)).collect::<Vec<_>>())
            .bind(texts.map_err(|_| StoreError::Inconsistent { work, column: "sync.steps.step" })?)
            .execute(&mut **tx)
            .await
            .map_err(&failed)?;
    }
    // a PBX user mapped anew stands twice in a plan; its row follows the Microsoft user that it has now
    let latest: BTreeMap<&str, Uuid> = run.users.iter().map(|of| (of.user.as_str(), of.oid.0)).collect();
    let latest: Vec<(&str, Uuid)> = latest.into_iter().collect();
    for users in latest.chunks(TOGETHER) {
        let (names, oids): (Vec<&str>, Vec<Uuid>) = users.iter().copied().unzip();
        sqlx::query(ATTEMPT)
            .bind(run.account.0)
            .bind(names)
            .bind(oids)
            .bind(run.to)
            .bind(run.job.0)
            .execute(&mut **tx)
            .await
            .map_err(&failed)?;
    }
    Ok(())
}

/// How a user ended within a job.
#[derive(Clone, Copy, Debug)]
pub struct UserOutcome<'a> {
    /// The PBX user.
    pub user: &'a PbxUserId,
    /// Stable name of the outcome.
    pub outcome: &'static str,
    /// Stable code, where there is one.
    pub code: Option<&'a str>,
    /// For people.
    pub detail: Option<&'a str>,
    /// The tenant is as wanted up to the job's range.
    pub reached: bool,
    /// Something was written, so settling begins.
    pub moved: bool,
}

/// Records outcomes.
///
/// # Errors
/// [`StoreError`].
pub async fn outcomes(
    tx: &mut Tx,
    account: AccountId,
    upto: Gen,
    job: JobId,
    first_settle: Duration,
    outcomes: &[UserOutcome<'_>],
) -> Result<(), StoreError> {
    let failed = tx.failed();
    for outcomes in outcomes.chunks(TOGETHER) {
        sqlx::query(OUTCOME)
            .bind(account.0)
            .bind(upto)
            .bind(job.0)
            .bind(outcomes.iter().map(|o| o.user.as_str()).collect::<Vec<_>>())
            .bind(outcomes.iter().map(|o| o.outcome).collect::<Vec<_>>())
            .bind(outcomes.iter().map(|o| o.code).collect::<Vec<_>>())
            .bind(outcomes.iter().map(|o| o.detail).collect::<Vec<_>>())
            .bind(outcomes.iter().map(|o| o.reached).collect::<Vec<_>>())
            .bind(millis(first_settle))
            .bind(outcomes.iter().map(|o| o.moved).collect::<Vec<_>>())
            .execute(&mut **tx)
            .await
            .map_err(&failed)?;
    }
    Ok(())
}

/// A user to defer.
#[derive(Clone, Debug)]
pub struct Deferral {
    /// The PBX user.
    pub user: PbxUserId,
    /// Why.
    pub reason: DeferReason,
    /// For people.
    pub detail: String,
    /// Wait before the next look.
    pub wait: Duration,
}

/// Defers users.
///
/// # Errors
/// [`StoreError`].
pub async fn defer(
    tx: &mut Tx,
    account: AccountId,
    job: JobId,
    deferrals: &[Deferral],
) -> Result<(), StoreError> {
    if deferrals.is_empty() {
        return Ok(());
    }
    let failed = tx.failed();
    sqlx::query(DEFER)
        .bind(account.0)
        .bind(job.0)
        .bind(deferrals.iter().map(|d| d.user.as_str()).collect::<Vec<_>>())
        .bind(deferrals.iter().map(|d| d.reason.as_str()).collect::<Vec<_>>())
        .bind(deferrals.iter().map(|d| d.detail.as_str()).collect::<Vec<_>>())
        .bind(deferrals.iter().map(|d| millis(d.wait)).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Ends the deferral of users.
///
/// # Errors
/// [`StoreError`].
pub async fn undefer(tx: &mut Tx, account: AccountId, users: &[&str]) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(UNDEFER).bind(account.0).bind(users).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// How often a user has been deferred for a reason, and for how long.
#[derive(Clone, Debug)]
pub struct Looks {
    /// Why.
    pub reason: String,
    /// Looks so far.
    pub looks: u32,
    /// Time since the first.
    pub waited: time::Duration,
}

/// Looks of users that are deferred at the moment.
///
/// # Errors
/// [`StoreError`].
pub async fn looks(
    tx: &mut Tx,
    account: AccountId,
    users: &[&str],
) -> Result<BTreeMap<PbxUserId, Looks>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(LOOKS).bind(account.0).bind(users).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| {
            let looks = Looks {
                reason: row.get("reason"),
                looks: u32::try_from(row.get::<i32, _>("looks")).unwrap_or(0),
                waited: time::Duration::seconds_f64(row.get("waited")),
            };
            (PbxUserId(row.get("pbx_user_id")), looks)
        })
        .collect())
}

/// Users whose last outcome has this code.
///
/// # Errors
/// [`StoreError`].
pub async fn with_code(
    store: &Store,
    account: AccountId,
    code: &str,
) -> Result<BTreeSet<PbxUserId>, StoreError> {
    let users: Vec<String> = sqlx::query_scalar(WITH_CODE)
        .bind(account.0)
        .bind(code)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("users.with_code", source))?;
    Ok(users.into_iter().map(PbxUserId).collect())
}

/// A user that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The PBX user.
    pub user: PbxUserId,
    /// Why, by its stable name.
    pub reason: String,
    /// The same for people.
    pub detail: String,
    /// Since when.
    pub since: OffsetDateTime,
    /// When it is looked at again.
    pub next_look: OffsetDateTime,
    /// The job that deferred it last.
    pub job: JobId,
}

/// Users of an account that wait, at most 1,000.
///
/// # Errors
/// [`StoreError`].
pub async fn waiting(tx: &mut Tx, account: AccountId) -> Result<Vec<Waiting>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(WAITING).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| Waiting {
            user: PbxUserId(row.get("pbx_user_id")),
            reason: row.get("reason"),
            detail: row.get("detail"),
            since: row.get("since"),
            next_look: row.get("next_look"),
            job: JobId(row.get("job_id")),
        })
        .collect())
}

/// Makes a user due for a look at once.
///
/// # Errors
/// [`StoreError`].
pub async fn due_now(
    tx: &mut Tx,
    account: AccountId,
    user: &PbxUserId,
    reason: DeferReason,
    detail: &str,
    job: JobId,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(DUE_NOW)
        .bind(account.0)
        .bind(user.as_str())
        .bind(reason.as_str())
        .bind(detail)
        .bind(job.0)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// A user is not tried again by itself: a person decides, or a new change.
///
/// # Errors
/// [`StoreError`].
pub async fn give_up(
    tx: &mut Tx,
    account: AccountId,
    user: &PbxUserId,
    code: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(GIVE_UP)
        .bind(account.0)
        .bind(user.as_str())
        .bind(code)
        .bind(detail)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// The range of a job that worked is covered.
///
/// # Errors
/// [`StoreError`].
pub async fn covered(tx: &mut Tx, account: AccountId, upto: Gen, job: JobId) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(COVERED).bind(account.0).bind(upto).bind(job.0).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// A job was cancelled before it did anything; its changes wait.
///
/// # Errors
/// [`StoreError`].
pub async fn cancelled(tx: &mut Tx, account: AccountId, job: JobId) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(CANCELLED).bind(account.0).bind(job.0).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}
