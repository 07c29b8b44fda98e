//! What operators see and do about sources.

use sqlx::Row;
use tandem_domain::AccountId;
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// All sources and how their last reads went.
    SOURCES = "select s.source, s.lease_holder, s.last_started_at, s.last_ended_at, s.last_ok_at, s.next_read_at, s.last_users,
                      s.last_unbound, s.last_error_code, s.last_error,
                      (select count(*) from pbx.bindings b where b.source = s.source) as accounts,
                      (select count(*) from pbx.held_deletions h where h.source = s.source and h.released_at is null) as held
                 from pbx.sources s order by s.source";
    /// Lets held deletions of an account happen at the next look.
    RELEASE = "update pbx.held_deletions set released_at = now(), released_by = $2, reason = $3
                where account_id = $1 and released_at is null returning missing";
}

/// A source and how its last read went.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SourceRow {
    /// Its name.
    pub source: String,
    /// Somebody is reading it.
    pub reading: bool,
    /// When the last read ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_ended_at: Option<OffsetDateTime>,
    /// When a read was last believed.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_ok_at: Option<OffsetDateTime>,
    /// When it is read next.
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_read_at: Option<OffsetDateTime>,
    /// Users seen.
    pub users: Option<i64>,
    /// Customers that no account is bound to.
    pub unbound: Option<i64>,
    /// Accounts bound to it.
    pub accounts: i64,
    /// Accounts whose deletions wait for an operator.
    pub held: i64,
    /// Stable code of what went wrong.
    pub error_code: Option<String>,
    /// The same in words.
    pub error: Option<String>,
}

/// All sources that a detector has ever had.
///
/// # Errors
/// [`StoreError`].
pub async fn list(store: &Store) -> Result<Vec<SourceRow>, StoreError> {
    let rows = sqlx::query(SOURCES)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("sources.list", source))?;
    Ok(rows
        .iter()
        .map(|row| SourceRow {
            source: row.get("source"),
            reading: row.get::<Option<String>, _>("lease_holder").is_some(),
            last_ended_at: row.get("last_ended_at"),
            last_ok_at: row.get("last_ok_at"),
            next_read_at: row.get("next_read_at"),
            users: row.get("last_users"),
            unbound: row.get("last_unbound"),
            accounts: row.get("accounts"),
            held: row.get("held"),
            error_code: row.get("last_error_code"),
            error: row.get("last_error"),
        })
        .collect())
}

/// Lets the held deletions of an account happen at the next look; how many users that are.
///
/// # Errors
/// [`StoreError`].
pub async fn release_deletions(
    tx: &mut Tx,
    account: AccountId,
    person: &str,
    reason: &str,
) -> Result<i64, StoreError> {
    let failed = tx.failed();
    let released: Vec<i32> = sqlx::query_scalar(RELEASE)
        .bind(account.0)
        .bind(person)
        .bind(reason)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(released.into_iter().map(i64::from).sum())
}
