//! Quarantine: what becomes of an account after a try that failed, and its end.

use std::time::Duration;

use sqlx::Row;
use tandem_domain::quarantine::{Cause, Next, Standing};
use tandem_domain::{AccountId, JobId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Where an account stands, locked.
    STANDING = "select failures, quarantine_reason, extract(epoch from clock_timestamp() - quarantined_at)::float8 as age
                  from sync.accounts where account_id = $1 for update";
    /// After a try that failed.
    FAILED = "insert into sync.accounts as a (account_id, failures, retry_at, last_job, quarantine_reason, quarantined_at)
              values ($1, $2, clock_timestamp() + $3 * interval '1 ms', $4, $5, case when $5::text is not null then clock_timestamp() end)
              on conflict (account_id) do update
                set failures = excluded.failures, retry_at = excluded.retry_at, last_job = coalesce(excluded.last_job, a.last_job),
                    quarantine_reason = excluded.quarantine_reason,
                    quarantined_at = case when excluded.quarantine_reason is not null
                                          then coalesce(a.quarantined_at, excluded.quarantined_at) end";
    /// A person's try that failed moves no ladder of an account in quarantine.
    LAST_JOB = "update sync.accounts set last_job = $2 where account_id = $1";
    /// After a success.
    WORKED = "update sync.accounts set failures = 0, retry_at = null, quarantine_reason = null, quarantined_at = null where account_id = $1";
    /// Notes the begin, the end, or another reason of a quarantine.
    NOTE = "insert into vault.authorization_history (account_id, subject, from_state, to_state, reason, detail)
            values ($1, $2, $3, $4, $5, $6)";
    /// Switches Auto Sync off; a row when it was on.
    OFF = "update admin.accounts set auto_sync = false, updated_at = now() where account_id = $1 and auto_sync returning account_id";
    /// Ends quarantines whose reason is gone because the authorization is well again. What failed is tried at once; an
    /// account whose jobs had not failed has nothing to try.
    HEAL = "with healed as (
              select s.account_id, s.quarantine_reason,
                     exists (select from queue.jobs j where j.job_id = s.last_job and j.state = 'failed') as again
                from sync.accounts s join vault.authorizations v using (account_id)
               where s.quarantined_at is not null and s.quarantine_reason <> 'too_many_failures' and v.state = 'healthy'
               limit $1 for update of s skip locked
            ), freed as (
              update sync.accounts s
                 set quarantine_reason = null, quarantined_at = null, failures = case when h.again then s.failures else 0 end,
                     retry_at = case when h.again then clock_timestamp() end
                from healed h where s.account_id = h.account_id
            )
            insert into vault.authorization_history (account_id, subject, from_state, to_state, reason)
            select account_id, 'quarantine', 'quarantine', 'none', quarantine_reason from healed returning account_id";
    /// An account in quarantine, for people.
    SHOWN = "select s.quarantine_reason, s.quarantined_at, s.retry_at, coalesce(s.failures, 0) as failures,
                    queue.parked(a.account_id, 'auto') as parked
               from admin.accounts a left join sync.accounts s using (account_id) where a.account_id = $1";
}

/// Where an account stands. `scale` is how much faster than the clock the ladders run.
///
/// # Errors
/// [`StoreError`].
pub async fn standing(tx: &mut Tx, account: AccountId, scale: f64) -> Result<Standing, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let row = sqlx::query(STANDING).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    let Some(row) = row else { return Ok(Standing::default()) };
    let cause = row
        .get::<Option<&str>, _>("quarantine_reason")
        .map(|text| {
            let column = "sync.accounts.quarantine_reason";
            Cause::parse(text).ok_or(StoreError::Inconsistent { work, column })
        })
        .transpose()?;
    let age = row.get::<Option<f64>, _>("age").map(|age| time::Duration::seconds_f64(age * scale));
    Ok(Standing {
        failures: u32::try_from(row.get::<i32, _>("failures")).unwrap_or(0),
        quarantine: cause.zip(age),
    })
}

/// Stores what a try that failed made of an account; `wait` is that of `next`, as long as the ladders run here. True
/// when Auto Sync was switched off.
///
/// # Errors
/// [`StoreError`].
pub async fn failed(
    tx: &mut Tx,
    account: AccountId,
    before: &Standing,
    next: &Next,
    wait: Duration,
    job: Option<JobId>,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    sqlx::query(FAILED)
        .bind(account.0)
        .bind(i32::try_from(next.failures).unwrap_or(i32::MAX))
        .bind(wait.as_secs_f64() * 1000.0)
        .bind(job.map(|job| job.0))
        .bind(next.cause.map(Cause::as_str))
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    let was = before.quarantine.map(|(cause, _)| cause);
    if let Some(cause) = next.cause
        && was != Some(cause)
    {
        let from = if was.is_some() { "quarantine" } else { "none" };
        note(tx, account, "quarantine", (from, "quarantine"), Some(cause)).await?;
    }
    if !next.give_up {
        return Ok(false);
    }
    let off = sqlx::query(OFF).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    if off.is_some() {
        note(tx, account, "auto_sync", ("on", "off"), next.cause).await?;
    }
    Ok(off.is_some())
}

/// A person's job failed while the account is in quarantine: it counts as no automatic try.
///
/// # Errors
/// [`StoreError`].
pub async fn failed_by_hand(tx: &mut Tx, account: AccountId, job: JobId) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(LAST_JOB).bind(account.0).bind(job.0).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// A job worked: whatever quarantine there was is over. True when there was one.
///
/// # Errors
/// [`StoreError`].
pub async fn worked(tx: &mut Tx, account: AccountId) -> Result<bool, StoreError> {
    let before = standing(tx, account, 1.0).await?;
    let failed = tx.failed();
    sqlx::query(WORKED).bind(account.0).execute(&mut **tx).await.map_err(failed)?;
    let Some((cause, _)) = before.quarantine else { return Ok(false) };
    note(tx, account, "quarantine", ("quarantine", "none"), Some(cause)).await?;
    Ok(true)
}

async fn note(
    tx: &mut Tx,
    account: AccountId,
    subject: &str,
    states: (&str, &str),
    cause: Option<Cause>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(NOTE)
        .bind(account.0)
        .bind(subject)
        .bind(states.0)
        .bind(states.1)
        .bind(cause.map(Cause::as_str))
        .bind(cause.map(Cause::text))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Ends quarantines whose authorization is well again, at most `most`; tells whose.
///
/// # Errors
/// [`StoreError`].
pub async fn heal(store: &Store, most: i64) -> Result<Vec<AccountId>, StoreError> {
    let found: Vec<Uuid> = sqlx::query_scalar(HEAL)
        .bind(most)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("quarantine.heal", source))?;
    Ok(found.into_iter().map(AccountId).collect())
}

/// How automatic work of an account goes, for people.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Why and since when it is in quarantine.
    pub quarantine: Option<(Cause, OffsetDateTime)>,
    /// Tries that failed in a row.
    pub failures: u32,
    /// The next automatic try, after a failure.
    pub retry_at: Option<OffsetDateTime>,
    /// Why a queued Auto job would not start now.
    pub parked: Option<String>,
}

/// How automatic work of an account goes.
///
/// # Errors
/// [`StoreError`].
pub async fn shown(tx: &mut Tx, account: AccountId) -> Result<Shown, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(SHOWN).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    let Some(row) = row else { return Ok(Shown::default()) };
    let cause = row.get::<Option<&str>, _>("quarantine_reason").and_then(Cause::parse);
    Ok(Shown {
        quarantine: cause.zip(row.get("quarantined_at")),
        failures: u32::try_from(row.get::<i32, _>("failures")).unwrap_or(0),
        retry_at: row.get("retry_at"),
        parked: row.get("parked"),
    })
}
