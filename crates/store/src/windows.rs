//! Windows: gathering changes, and cutting the jobs of windows that are due.
//!
//! Gathering and cutting lock the window row first and read the changes in a later statement, so that a change that
//! lands beside a cut always finds a window or a queued job.

use sqlx::Row;
use tandem_domain::window::Timing;
use tandem_domain::{AccountId, Gen};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Locks the named windows and moves them; see the function.
    GATHER = "select account_id, gathered_gen, first_change_at, due_at from queue.gather($1, $2, $3, $4, $5)";
    /// Accounts whose changes nobody gathered yet.
    BEHIND = "select g.account_id from change.generations g left join queue.windows w using (account_id)
               where g.gen > coalesce(w.gathered_gen, 0) limit $1";
    /// Opens the windows of accounts whose last job was cancelled, or would have done something else than a person had
    /// seen: its changes wait until nothing holds them back. Those of a job that a person stopped wait for the next one.
    REOPEN = "update queue.windows w
                 set first_change_at = coalesce(j.first_change_at, j.queued_at), last_change_at = coalesce(j.first_change_at, j.queued_at),
                     due_at = null
                from sync.accounts s join queue.jobs j on j.job_id = s.last_job
               where s.account_id = w.account_id and w.first_change_at is null
                 and (j.state = 'cancelled' and j.cancel_at is null or j.cause = 'preview' and j.error_code in ('plan_changed', 'preview_unknown'))
                 and not exists (select from queue.jobs q where q.account_id = w.account_id and q.state in ('queued', 'running'))";
    /// Windows that nothing holds back any more. One that somebody works on is left for the next time.
    RELEASE = "with free as (
                 select w.account_id from queue.windows w join admin.accounts a using (account_id)
                  where w.first_change_at is not null and w.due_at is null
                    and a.auto_sync and (a.paused_until is null or a.paused_until <= now())
                    and not exists (select from admin.fleet_pause f where f.until > now())
                  order by w.account_id for update of w skip locked
               )
               update queue.windows w set due_at = now() from free where free.account_id = w.account_id returning w.account_id";
    /// The oldest change of accounts with Auto Sync that waits for a job to start: of those that are paused, and of others.
    OLDEST = "select min(f.since) filter (where p.paused) as paused, min(f.since) filter (where not p.paused) as others, now() as now
                from admin.accounts a
                left join queue.windows w using (account_id)
                left join queue.jobs j on j.account_id = a.account_id and j.state = 'queued'
               cross join lateral (select least(w.first_change_at, j.first_change_at) as since) f
               cross join lateral (select coalesce(a.paused_until > now(), false)
                                       or exists (select from admin.fleet_pause f where f.until > now()) as paused) p
               where a.auto_sync and f.since is not null";
    /// Locks windows that are due; see the function.
    DUE = "select queue.due($1)";
    /// Of the locked windows, those that are still due after the last changes were gathered.
    STILL_DUE = "select account_id, first_change_at, due_at, traceparent from queue.windows where account_id = any ($1) and due_at <= now()";
    /// Closes windows whose changes a queued job covers now.
    CLOSE = "update queue.windows set first_change_at = null, last_change_at = null, due_at = null, traceparent = null where account_id = any ($1)";
    /// Open window of one account.
    OPEN = "select gathered_gen, first_change_at, last_change_at, due_at from queue.windows where account_id = $1";
}

/// A window after gathering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// Whose.
    pub account: AccountId,
    /// Changes up to here have been looked at.
    pub generation: Gen,
    /// First change of the open window, if one is open.
    pub first_change_at: Option<OffsetDateTime>,
    /// When a job is cut, if by itself.
    pub due_at: Option<OffsetDateTime>,
}

/// A window that is due, locked by the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWindow {
    /// Whose.
    pub account: AccountId,
    /// First change of the window.
    pub first_change_at: OffsetDateTime,
    /// When it became due.
    pub due_at: OffsetDateTime,
    /// Trace of the edit that opened it.
    pub traceparent: Option<String>,
}

/// An account to gather, with the trace of the edit that is gathered, where one is known.
#[derive(Clone, Debug)]
pub struct Named {
    /// Whose.
    pub account: AccountId,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

impl From<AccountId> for Named {
    fn from(account: AccountId) -> Self {
        Self { account, traceparent: None }
    }
}

/// In the order of keys, each once.
fn ids(accounts: &[AccountId]) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = accounts.iter().map(|a| a.0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn millis(duration: time::Duration) -> i32 {
    i32::try_from(duration.whole_milliseconds()).unwrap_or(i32::MAX)
}

/// Gathers what happened to the named accounts, whatever was announced of it. Of an account that is named twice, the trace
/// that is named first is kept.
///
/// # Errors
/// [`StoreError`].
pub async fn gather(store: &Store, named: &[Named], timing: Timing) -> Result<Vec<Gathered>, StoreError> {
    let mut named: Vec<&Named> = named.iter().collect();
    named.sort_by_key(|named| named.account);
    named.dedup_by_key(|named| named.account);
    let ids: Vec<Uuid> = named.iter().map(|named| named.account.0).collect();
    let mut traces: Vec<Option<&str>> = named.iter().map(|named| named.traceparent.as_deref()).collect();
    if traces.iter().all(Option::is_none) {
        traces.clear();
    }
    let mut tx = store.begin("windows.gather").await?;
    let gathered = gather_in(&mut tx, &ids, &traces, timing).await?;
    tx.commit().await?;
    Ok(gathered)
}

/// `ids` are in the order of keys and come once each; `traces` stand beside them, or there are none.
async fn gather_in(
    tx: &mut Tx,
    ids: &[Uuid],
    traces: &[Option<&str>],
    timing: Timing,
) -> Result<Vec<Gathered>, StoreError> {
    let failed = tx.failed();
    let rows: Vec<(Uuid, Gen, Option<OffsetDateTime>, Option<OffsetDateTime>)> = sqlx::query_as(GATHER)
        .bind(ids)
        .bind(&ids[..traces.len()])
        .bind(traces)
        .bind(millis(timing.quiet))
        .bind(millis(timing.max_wait))
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    let gathered = |(account, generation, first_change_at, due_at)| Gathered {
        account: AccountId(account),
        generation,
        first_change_at,
        due_at,
    };
    Ok(rows.into_iter().map(gathered).collect())
}

/// Accounts with changes that nobody has gathered, at most `most`.
///
/// # Errors
/// [`StoreError`].
pub async fn behind(store: &Store, most: i64) -> Result<Vec<AccountId>, StoreError> {
    let rows = sqlx::query_scalar::<_, Uuid>(BEHIND)
        .bind(most)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("windows.behind", source))?;
    Ok(rows.into_iter().map(AccountId).collect())
}

/// The changes of cancelled jobs wait in windows again.
///
/// # Errors
/// [`StoreError`].
pub async fn reopen(store: &Store) -> Result<(), StoreError> {
    let failed = |source| StoreError::of("windows.reopen", source);
    sqlx::query(REOPEN).execute(store.pool()).await.map_err(failed)?;
    Ok(())
}

/// Makes windows due that nothing holds back any more: Auto Sync was switched on, a pause has ended.
///
/// # Errors
/// [`StoreError`].
pub async fn release(store: &Store) -> Result<u64, StoreError> {
    let failed = |source| StoreError::of("windows.release", source);
    let done = sqlx::query(RELEASE).execute(store.pool()).await.map_err(failed)?;
    Ok(done.rows_affected())
}

/// For how long the oldest change of an account with Auto Sync has waited for a job to start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Oldest {
    /// Of accounts that are paused.
    pub paused: time::Duration,
    /// Of all others.
    pub others: time::Duration,
}

/// How long changes wait now.
///
/// # Errors
/// [`StoreError`].
pub async fn oldest(store: &Store) -> Result<Oldest, StoreError> {
    let failed = |source| StoreError::of("windows.oldest", source);
    let row = sqlx::query(OLDEST).fetch_one(store.pool()).await.map_err(failed)?;
    let now: OffsetDateTime = row.get("now");
    let age = |name: &str| {
        row.get::<Option<OffsetDateTime>, _>(name).map_or(time::Duration::ZERO, |since| now - since)
    };
    Ok(Oldest { paused: age("paused"), others: age("others") })
}

/// Locks up to `most` due windows, gathers what landed since, and returns those that are still due. The caller cuts
/// their jobs and calls [`close`] in the same transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn take_due(tx: &mut Tx, most: i64, timing: Timing) -> Result<Vec<DueWindow>, StoreError> {
    let failed = tx.failed();
    let mut ids: Vec<Uuid> =
        sqlx::query_scalar(DUE).bind(most).fetch_all(&mut **tx).await.map_err(&failed)?;
    ids.sort_unstable();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    gather_in(tx, &ids, &[], timing).await?;
    let rows = sqlx::query(STILL_DUE).bind(&ids).fetch_all(&mut **tx).await.map_err(&failed)?;
    Ok(rows
        .iter()
        .map(|row| DueWindow {
            account: AccountId(row.get("account_id")),
            first_change_at: row.get("first_change_at"),
            due_at: row.get("due_at"),
            traceparent: row.get("traceparent"),
        })
        .collect())
}

/// Locks one account's window and gathers what landed, for a job that is cut at somebody's request.
///
/// # Errors
/// [`StoreError`].
pub async fn take_one(tx: &mut Tx, account: AccountId, timing: Timing) -> Result<(), StoreError> {
    gather_in(tx, &[account.0], &[], timing).await?;
    Ok(())
}

/// Closes the windows of these accounts: a queued job covers their changes.
///
/// # Errors
/// [`StoreError`].
pub async fn close(tx: &mut Tx, accounts: &[AccountId]) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(CLOSE).bind(ids(accounts)).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// The window of an account as it stands, for people.
///
/// # Errors
/// [`StoreError`].
pub async fn open(tx: &mut Tx, account: AccountId) -> Result<Option<Gathered>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(OPEN).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.map(|row| Gathered {
        account,
        generation: row.get("gathered_gen"),
        first_change_at: row.get("first_change_at"),
        due_at: row.get("due_at"),
    }))
}
