//! Differences of a snapshot that has not passed its refusal checks yet.

use sqlx::Row;
use tandem_domain::{AccountId, PbxUserId};
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Removes what earlier runs of the source left behind.
    CLEAN = "delete from pbx.spool where source = $1 and run <> $2";
    /// Adds differences.
    PUT = "insert into pbx.spool (source, run, seq, account_id, pbx_user_id, profile, digest)
           select $1, $2, * from unnest($3::bigint[], $4::uuid[], $5::text[], $6::text[]::json[], $7::bigint[])";
    /// How many differences each account has.
    ACCOUNTS = "select account_id, count(*) as n from pbx.spool where run = $1 group by account_id";
    /// The next differences of some accounts.
    TAKE = "select seq, account_id, pbx_user_id, profile::text as profile, digest
              from pbx.spool
             where run = $1 and account_id = any ($2) and (account_id, seq) > ($3, $4)
             order by account_id, seq limit $5";
    /// Removes a run.
    DROP = "delete from pbx.spool where run = $1";
}

/// One difference.
#[derive(Clone, Debug)]
pub struct Spooled {
    /// Its number within the run.
    pub seq: i64,
    /// Whose.
    pub account: AccountId,
    /// Which user.
    pub user: PbxUserId,
    /// The profile as JSON and its digest; `None`: the user was marked missing and is there.
    pub profile: Option<(String, i64)>,
}

/// Removes what earlier runs of the source left behind.
///
/// # Errors
/// [`StoreError`].
pub async fn clean(store: &Store, source: &str, run: Uuid) -> Result<(), StoreError> {
    let failed = |source| StoreError::of("pbx.spool.clean", source);
    sqlx::query(CLEAN).bind(source).bind(run).execute(store.pool()).await.map_err(failed)?;
    Ok(())
}

/// Adds differences to a run.
///
/// # Errors
/// [`StoreError`].
pub async fn put(store: &Store, source: &str, run: Uuid, rows: &[Spooled]) -> Result<(), StoreError> {
    sqlx::query(PUT)
        .bind(source)
        .bind(run)
        .bind(rows.iter().map(|row| row.seq).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.account.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.user.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.profile.as_ref().map(|(json, _)| json.as_str())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.profile.as_ref().map(|(_, digest)| *digest)).collect::<Vec<_>>())
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.spool.put", source))?;
    Ok(())
}

/// How many differences of a run each account has.
///
/// # Errors
/// [`StoreError`].
pub async fn accounts(store: &Store, run: Uuid) -> Result<Vec<(AccountId, i64)>, StoreError> {
    let failed = |source| StoreError::of("pbx.spool.accounts", source);
    let rows = sqlx::query(ACCOUNTS).bind(run).fetch_all(store.pool()).await.map_err(failed)?;
    Ok(rows.iter().map(|row| (AccountId(row.get("account_id")), row.get("n"))).collect())
}

/// The next differences of some accounts, those after `after`, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub async fn take(
    tx: &mut Tx,
    run: Uuid,
    accounts: &[Uuid],
    after: (AccountId, i64),
    limit: i64,
) -> Result<Vec<Spooled>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(TAKE)
        .bind(run)
        .bind(accounts)
        .bind(after.0.0)
        .bind(after.1)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| Spooled {
            seq: row.get("seq"),
            account: AccountId(row.get("account_id")),
            user: PbxUserId(row.get("pbx_user_id")),
            profile: row.get::<Option<String>, _>("profile").zip(row.get("digest")),
        })
        .collect())
}

/// Removes a run.
///
/// # Errors
/// [`StoreError`].
pub async fn drop_run(store: &Store, run: Uuid) -> Result<(), StoreError> {
    let failed = |source| StoreError::of("pbx.spool.drop", source);
    sqlx::query(DROP).bind(run).execute(store.pool()).await.map_err(failed)?;
    Ok(())
}
