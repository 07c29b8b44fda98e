//! What the detector has read and was told, for operators.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::AccountId;
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// A page of reads, newest first.
    READS = "select source, started_at, ended_at, users, unbound, unusable, held, changes, error_code, error from pbx.reads
              where ($1::text is null or source = $1) and (started_at, source) < (coalesce($2::timestamptz, 'infinity'), $3::text)
              order by started_at desc, source desc limit $4";
    /// Losses that wait for an operator, or that one has let happen, newest first.
    HOLDS = "select a.name, h.source, h.missing, h.known, h.since, h.released_at, h.released_by, h.reason
               from pbx.held_deletions h join admin.accounts a using (account_id)
              where $1::uuid is null or h.account_id = $1 order by h.since desc limit $2";
    /// The last messages of senders, newest first.
    PUSHES = "select a.name, r.received_at, r.changed, r.gen, r.waiting
                from pbx.push_receipts r join admin.accounts a using (account_id)
               where $1::uuid is null or r.account_id = $1 order by r.received_at desc limit $2";
    /// The source of an account.
    SOURCE = "select source from pbx.bindings where account_id = $1";
}

/// One read of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Which source.
    pub source: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: OffsetDateTime,
    /// Users seen; none where it was not believed.
    pub users: Option<i64>,
    /// Customers that no account is bound to.
    pub unbound: Option<i64>,
    /// Rows that could not be used.
    pub unusable: Option<i64>,
    /// Accounts whose losses are held.
    pub held: Option<i64>,
    /// Changes found.
    pub changes: Option<i64>,
    /// Why it was not believed: stable code and text.
    pub error: Option<(String, String)>,
}

/// Losses of an account that are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Short name of the account.
    pub account: String,
    /// Which source lost them.
    pub source: String,
    /// Users that are missing.
    pub missing: i32,
    /// Users that were known.
    pub known: i32,
    /// Since when.
    pub since: OffsetDateTime,
    /// When an operator let it happen, who, and why.
    pub released: Option<(OffsetDateTime, String, Option<String>)>,
}

/// A message of a sender that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Short name of the account.
    pub account: String,
    /// When it came.
    pub received_at: OffsetDateTime,
    /// Users that it changed.
    pub changed: i32,
    /// Generation of the account after it.
    pub generation: i64,
    /// Why nothing starts by itself, if so.
    pub waiting: Option<String>,
}

/// A page of reads, of one source or of all, behind the last of the page before.
///
/// # Errors
/// [`StoreError`].
pub async fn reads(
    tx: &mut Tx,
    source: Option<&str>,
    after: Option<(OffsetDateTime, &str)>,
    limit: i64,
) -> Result<Vec<Read>, StoreError> {
    let failed = tx.failed();
    let (started, name) = after.unzip();
    let query = sqlx::query(READS).bind(source).bind(started).bind(name.unwrap_or_default()).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| Read {
        source: row.get("source"),
        started_at: row.get("started_at"),
        ended_at: row.get("ended_at"),
        users: row.get("users"),
        unbound: row.get("unbound"),
        unusable: row.get("unusable"),
        held: row.get("held"),
        changes: row.get("changes"),
        error: row.get::<Option<String>, _>("error_code").zip(row.get("error")),
    };
    Ok(rows.iter().map(one).collect())
}

/// Losses that are held, of one account or of all, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn holds(tx: &mut Tx, account: Option<AccountId>, limit: i64) -> Result<Vec<Hold>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(HOLDS).bind(account.map(|account| account.0)).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let released = |row: &PgRow| {
        let at: OffsetDateTime = row.get::<Option<_>, _>("released_at")?;
        Some((at, row.get::<Option<_>, _>("released_by").unwrap_or_default(), row.get("reason")))
    };
    let one = |row: &PgRow| Hold {
        account: row.get("name"),
        source: row.get("source"),
        missing: row.get("missing"),
        known: row.get("known"),
        since: row.get("since"),
        released: released(row),
    };
    Ok(rows.iter().map(one).collect())
}

/// The last messages of senders, of one account or of all, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn pushes(tx: &mut Tx, account: Option<AccountId>, limit: i64) -> Result<Vec<Push>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(PUSHES).bind(account.map(|account| account.0)).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| Push {
        account: row.get("name"),
        received_at: row.get("received_at"),
        changed: row.get("changed"),
        generation: row.get("gen"),
        waiting: row.get("waiting"),
    };
    Ok(rows.iter().map(one).collect())
}

/// The source that the users of an account come from, where one is read.
///
/// # Errors
/// [`StoreError`].
pub async fn source_of(tx: &mut Tx, account: AccountId) -> Result<Option<String>, StoreError> {
    let failed = tx.failed();
    sqlx::query_scalar(SOURCE).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)
}
