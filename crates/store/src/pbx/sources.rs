//! Sources: when they are read, by whom, with which result, and which account their customers are.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use sqlx::Row;
use tandem_domain::snapshot::{Known, UserKey};
use tandem_domain::{AccountId, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError};

statements! {
    /// Makes rows for the sources that have none.
    ENSURE = "insert into pbx.sources (source) select unnest($1::text[]) on conflict do nothing";
    /// Takes a read that is due and that nobody else is doing. With *Enable Sync* on for one of its accounts, a source is
    /// due every minute.
    CLAIM = "update pbx.sources
                set lease_holder = $2, lease_until = clock_timestamp() + make_interval(secs => $3),
                    last_started_at = clock_timestamp(), read_now = false
              where source = $1 and (lease_until is null or lease_until <= clock_timestamp())
                and (read_now or next_read_at is null or next_read_at <= clock_timestamp()
                  or last_started_at <= clock_timestamp() - interval '1 minute' and exists (
                       select from pbx.troubleshooting t join pbx.bindings b using (account_id)
                        where b.source = $1 and t.until > clock_timestamp()))
              returning last_started_at";
    /// Keeps a claim alive.
    RENEW = "update pbx.sources set lease_until = clock_timestamp() + make_interval(secs => $3)
              where source = $1 and lease_holder = $2 and lease_until > clock_timestamp()";
    /// Ends a claim and notes what came of it; reads of a fortnight ago are forgotten.
    FINISH = "with done as (
              update pbx.sources
                 set lease_holder = null, lease_until = null, last_ended_at = clock_timestamp(),
                     last_ok_at = case when $3::text is null then clock_timestamp() else last_ok_at end,
                     last_error_code = $3, last_error = $4,
                     last_users = coalesce($5, last_users), last_unbound = coalesce($6, last_unbound),
                     next_read_at = least(last_started_at + make_interval(secs => $7),
                                          clock_timestamp() + make_interval(secs => $8))
               where source = $1 and lease_holder = $2
              returning source, last_started_at, last_ended_at
              ), noted as (
              insert into pbx.reads (source, started_at, ended_at, users, unbound, unusable, held, changes, error_code, error)
              select source, last_started_at, last_ended_at, $5, $6, $9, $10, $11, $3, $4 from done
              on conflict do nothing
              )
              delete from pbx.reads r using done where r.source = done.source and r.started_at < now() - interval '14 days'";
    /// Gives a claim back: the read is due as before.
    RELEASE = "update pbx.sources set lease_holder = null, lease_until = null where source = $1 and lease_holder = $2";
    /// Asks for a read at once.
    READ_NOW = "update pbx.sources set read_now = true where source = $1";
    /// How the last read of a source ended.
    STATE = "select last_ended_at is not null as ended, last_error_code, last_error from pbx.sources where source = $1";
    /// Which account each customer of a source is.
    BINDINGS = "select account_key, account_id from pbx.bindings where source = $1";
    /// Every stored user of the accounts of a source, tombstones included.
    KNOWN = "select p.account_id, p.pbx_user_id, p.digest, p.missing_since is not null as missing,
                    p.deleted_at is not null as deleted
               from pbx.bindings b join pbx.profiles p on p.account_id = b.account_id
              where b.source = $1";
}

/// How a read ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Stable code and text of what went wrong.
    pub error: Option<(String, String)>,
    /// Users seen.
    pub users: Option<i64>,
    /// Customers of the source that no account is bound to.
    pub unbound: Option<i64>,
    /// Rows that could not be used.
    pub unusable: Option<i64>,
    /// Accounts whose losses are held.
    pub held: Option<i64>,
    /// Changes found.
    pub changes: Option<i64>,
    /// Seconds from the start of this read to the next.
    pub every: f64,
    /// Seconds from now to the next read, if that is sooner.
    pub soon: Option<f64>,
}

/// How the last read of a source ended, whoever did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastRead {
    /// There was none.
    None,
    /// It was believed.
    Ok,
    /// It failed or was refused: code and text.
    Failed(String, String),
}

/// Makes rows for the sources that have none.
///
/// # Errors
/// [`StoreError`].
pub async fn ensure(store: &Store, sources: &[String]) -> Result<(), StoreError> {
    let failed = |source| StoreError::of("pbx.sources.ensure", source);
    sqlx::query(ENSURE).bind(sources).execute(store.pool()).await.map_err(failed)?;
    Ok(())
}

/// Claims a read that is due, for `lease` seconds; the time at which it began, by the database's clock.
///
/// # Errors
/// [`StoreError`].
pub async fn claim(
    store: &Store,
    source: &str,
    holder: Uuid,
    lease: f64,
) -> Result<Option<OffsetDateTime>, StoreError> {
    sqlx::query_scalar(CLAIM)
        .bind(source)
        .bind(holder.to_string())
        .bind(lease)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.sources.claim", source))
}

/// Keeps a claim alive; false when somebody else has taken over.
///
/// # Errors
/// [`StoreError`].
pub async fn renew(store: &Store, source: &str, holder: Uuid, lease: f64) -> Result<bool, StoreError> {
    let done = sqlx::query(RENEW)
        .bind(source)
        .bind(holder.to_string())
        .bind(lease)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.sources.renew", source))?;
    Ok(done.rows_affected() == 1)
}

/// Ends a claim, unless somebody else has taken over.
///
/// # Errors
/// [`StoreError`].
pub async fn finish(store: &Store, source: &str, holder: Uuid, ended: &Ended) -> Result<(), StoreError> {
    let (code, text) = ended.error.as_ref().map(|(code, text)| (code.as_str(), text.as_str())).unzip();
    sqlx::query(FINISH)
        .bind(source)
        .bind(holder.to_string())
        .bind(code)
        .bind(text)
        .bind(ended.users)
        .bind(ended.unbound)
        .bind(ended.every)
        .bind(ended.soon)
        .bind(ended.unusable)
        .bind(ended.held)
        .bind(ended.changes)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.sources.finish", source))?;
    Ok(())
}

/// Gives a claim back without a result, so that another reader takes it at once.
///
/// # Errors
/// [`StoreError`].
pub async fn release(store: &Store, source: &str, holder: Uuid) -> Result<(), StoreError> {
    let failed = |source| StoreError::of("pbx.sources.release", source);
    sqlx::query(RELEASE).bind(source).bind(holder.to_string()).execute(store.pool()).await.map_err(failed)?;
    Ok(())
}

/// Asks for a read at once, whoever does it; false when there is no such source.
///
/// # Errors
/// [`StoreError`].
pub async fn read_now(store: &Store, source: &str) -> Result<bool, StoreError> {
    let failed = |source| StoreError::of("pbx.sources.read_now", source);
    let done = sqlx::query(READ_NOW).bind(source).execute(store.pool()).await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

/// How the last read ended.
///
/// # Errors
/// [`StoreError`].
pub async fn last_read(store: &Store, source: &str) -> Result<LastRead, StoreError> {
    let failed = |source| StoreError::of("pbx.sources.state", source);
    let row = sqlx::query(STATE).bind(source).fetch_optional(store.pool()).await.map_err(failed)?;
    Ok(match row {
        Some(row) if row.get::<bool, _>("ended") => match row.get("last_error_code") {
            Some(code) => {
                LastRead::Failed(code, row.get::<Option<String>, _>("last_error").unwrap_or_default())
            }
            None => LastRead::Ok,
        },
        _ => LastRead::None,
    })
}

/// Which account each customer of a source is.
///
/// # Errors
/// [`StoreError`].
pub async fn bindings(store: &Store, source: &str) -> Result<HashMap<String, AccountId>, StoreError> {
    let rows = sqlx::query(BINDINGS)
        .bind(source)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.sources.bindings", source))?;
    Ok(rows.iter().map(|row| (row.get("account_key"), AccountId(row.get("account_id")))).collect())
}

/// Every stored user of the accounts of a source, streamed into the few bytes that the comparison needs.
///
/// # Errors
/// [`StoreError`].
pub async fn known(store: &Store, source: &str) -> Result<Vec<Known>, StoreError> {
    let failed = |source| StoreError::of("pbx.sources.known", source);
    let mut known = Vec::new();
    let mut rows = sqlx::query(KNOWN).bind(source).fetch(store.pool());
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let account = AccountId(row.get("account_id"));
        known.push(Known {
            key: UserKey::of(account, &PbxUserId(row.get("pbx_user_id"))),
            account,
            digest: row.get("digest"),
            missing_once: row.get("missing"),
            tombstone: row.get("deleted"),
        });
    }
    Ok(known)
}
