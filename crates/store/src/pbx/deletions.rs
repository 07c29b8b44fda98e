//! Users that a source does not show any more: missing marks, tombstones, and losses that wait for a person.

use std::collections::BTreeMap;

use sqlx::Row;
use tandem_domain::snapshot::Losses;
use tandem_domain::{AccountId, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Users of an account that are alive, with or without a missing mark.
    ALIVE = "select pbx_user_id from pbx.profiles
              where account_id = $1 and deleted_at is null and (missing_since is not null) = $2";
    /// Marks users missing, unless they were written after the read began.
    MARK = "update pbx.profiles set missing_since = now()
             where account_id = $1 and pbx_user_id = any ($2) and missing_since is null and deleted_at is null
               and updated_at <= $3";
    /// Makes tombstones of users whose missing mark is old enough.
    CONFIRM = "update pbx.profiles
                  set deleted_at = now(), missing_since = null, updated_at = now(), source = $5
                where account_id = $1 and pbx_user_id = any ($2) and deleted_at is null
                  and missing_since <= $3 and updated_at <= $4
                returning pbx_user_id, profile::text as profile";
    /// Makes a tombstone at once.
    DELETE = "update pbx.profiles
                 set deleted_at = now(), missing_since = null, updated_at = now(), source = $3
               where account_id = $1 and pbx_user_id = $2 and deleted_at is null
               returning pbx_user_id, profile::text as profile";
    /// Notes that the losses of accounts wait; a release that covered fewer users is withdrawn.
    HOLD = "insert into pbx.held_deletions as h (account_id, source, missing, known)
            select i.account_id, $4, i.missing, i.known
              from unnest($1::uuid[], $2::integer[], $3::integer[]) as i (account_id, missing, known)
            on conflict (account_id, source) do update
              set missing = case when h.released_at is null or excluded.missing > h.missing then excluded.missing else h.missing end,
                  known = excluded.known,
                  released_at = case when excluded.missing > h.missing then null else h.released_at end,
                  released_by = case when excluded.missing > h.missing then null else h.released_by end,
                  reason = case when excluded.missing > h.missing then null else h.reason end
            returning h.account_id, (xmax = 0) as fresh";
    /// Losses that an operator believes.
    RELEASED = "select account_id, missing from pbx.held_deletions where source = $1 and released_at is not null";
    /// Removes holds that nothing waits behind any more.
    UNHOLD = "delete from pbx.held_deletions where source = $1 and not account_id = any ($2)";
}

/// A user that became a tombstone.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// Which user.
    pub user: PbxUserId,
    /// The profile it had, as JSON.
    pub profile: String,
}

fn deleted(row: &sqlx::postgres::PgRow) -> Deleted {
    Deleted { user: PbxUserId(row.get("pbx_user_id")), profile: row.get("profile") }
}

/// Users of an account that are alive and carry (or do not carry) a missing mark.
///
/// # Errors
/// [`StoreError`].
pub async fn alive(tx: &mut Tx, account: AccountId, missing: bool) -> Result<Vec<PbxUserId>, StoreError> {
    let failed = tx.failed();
    let users: Vec<String> =
        sqlx::query_scalar(ALIVE).bind(account.0).bind(missing).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(users.into_iter().map(PbxUserId).collect())
}

/// Marks users missing, those not written after `read_started`.
///
/// # Errors
/// [`StoreError`].
pub async fn mark_missing(
    tx: &mut Tx,
    account: AccountId,
    users: &[&str],
    read_started: OffsetDateTime,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(MARK)
        .bind(account.0)
        .bind(users)
        .bind(read_started)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Makes tombstones of users that were marked missing at `marked_before` or earlier and were not written after
/// `read_started`.
///
/// # Errors
/// [`StoreError`].
pub async fn confirm(
    tx: &mut Tx,
    source: &str,
    account: AccountId,
    users: &[&str],
    marked_before: OffsetDateTime,
    read_started: OffsetDateTime,
) -> Result<Vec<Deleted>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(CONFIRM)
        .bind(account.0)
        .bind(users)
        .bind(marked_before)
        .bind(read_started)
        .bind(source)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(rows.iter().map(deleted).collect())
}

/// Makes a tombstone at once; `None` when there is no such user alive.
///
/// # Errors
/// [`StoreError`].
pub async fn delete_now(
    tx: &mut Tx,
    source: &str,
    account: AccountId,
    user: &PbxUserId,
) -> Result<Option<Deleted>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(DELETE)
        .bind(account.0)
        .bind(user.as_str())
        .bind(source)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(row.as_ref().map(deleted))
}

/// Notes that losses wait for an operator; the accounts for which that is new.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(store: &Store, source: &str, losses: &[Losses]) -> Result<Vec<AccountId>, StoreError> {
    if losses.is_empty() {
        return Ok(Vec::new());
    }
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let rows = sqlx::query(HOLD)
        .bind(losses.iter().map(|l| l.account.0).collect::<Vec<_>>())
        .bind(losses.iter().map(|l| count(l.missing)).collect::<Vec<_>>())
        .bind(losses.iter().map(|l| count(l.known)).collect::<Vec<_>>())
        .bind(source)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.deletions.hold", source))?;
    Ok(rows.iter().filter(|row| row.get("fresh")).map(|row| AccountId(row.get("account_id"))).collect())
}

/// Accounts whose losses an operator believes, and how many users were missing then.
///
/// # Errors
/// [`StoreError`].
pub async fn released(store: &Store, source: &str) -> Result<BTreeMap<AccountId, usize>, StoreError> {
    let failed = |source| StoreError::of("pbx.deletions.released", source);
    let rows = sqlx::query(RELEASED).bind(source).fetch_all(store.pool()).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| {
            let missing = usize::try_from(row.get::<i32, _>("missing")).unwrap_or(0);
            (AccountId(row.get("account_id")), missing)
        })
        .collect())
}

/// Removes the source's holds but for those of the accounts named.
///
/// # Errors
/// [`StoreError`].
pub async fn unhold_others(store: &Store, source: &str, keep: &[Uuid]) -> Result<(), StoreError> {
    let failed = |source| StoreError::of("pbx.deletions.unhold", source);
    sqlx::query(UNHOLD).bind(source).bind(keep).execute(store.pool()).await.map_err(failed)?;
    Ok(())
}
