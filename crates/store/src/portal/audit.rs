//! Audit records: appended under a lock on the head of their chain, read in order, never changed.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::AccountId;
use tandem_domain::audit::{GENESIS, Hash, Record};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// The head of a chain that begins.
    BEGIN = "insert into admin.audit_heads (account_id, number, hash) values ($1, 0, $2) on conflict do nothing";
    /// The head of a chain, locked.
    HEAD = "select number, hash from admin.audit_heads where account_id = $1 for update";
    /// Further records.
    APPEND = "insert into admin.audit (account_id, number, at, person_id, name, act, outcome, subject, reason, hash)
              select $1, * from unnest($2::bigint[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
                                       $9::text[], $10::bytea[])";
    /// The head moves on.
    MOVE = "update admin.audit_heads set number = $2, hash = $3 where account_id = $1";
    /// Heads of all chains that the reader may see.
    HEADS = "select h.account_id, h.number, h.hash, a.name from admin.audit_heads h left join admin.accounts a using (account_id) order by h.account_id";
    /// Chains that have records and no head.
    HEADLESS = "select distinct account_id from admin.audit r where not exists (select from admin.audit_heads h where h.account_id = r.account_id)";
    /// Records of a chain behind a number, in order.
    RECORDS = "select account_id, number, at, person_id, name, act, outcome, subject, reason, hash from admin.audit
                where account_id = $1 and number > $2 order by number limit $3";
}

/// What is recorded.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Whose chain; [`PROVIDER`](tandem_domain::audit::PROVIDER) where no account is concerned.
    pub account: AccountId,
    /// When.
    pub at: OffsetDateTime,
    /// Who, where known.
    pub person: Option<Uuid>,
    /// The name.
    pub name: &'a str,
    /// What was done.
    pub act: &'a str,
    /// Whether it was allowed.
    pub allowed: bool,
    /// With what.
    pub subject: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Appends a record in the transaction of what it tells about.
///
/// # Errors
/// [`StoreError`].
pub async fn append(tx: &mut Tx, entry: &Entry<'_>) -> Result<(), StoreError> {
    append_all(tx, entry.account, std::slice::from_ref(entry)).await
}

/// Appends records of one chain in the transaction of what they tell about.
///
/// # Errors
/// [`StoreError`].
pub async fn append_all(tx: &mut Tx, account: AccountId, entries: &[Entry<'_>]) -> Result<(), StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(BEGIN).bind(account.0).bind(GENESIS.as_slice());
    query.execute(&mut **tx).await.map_err(&failed)?;
    let head = sqlx::query(HEAD).bind(account.0).fetch_one(&mut **tx).await.map_err(&failed)?;
    let before: Vec<u8> = head.get("hash");
    let column = "admin.audit_heads.hash";
    let mut hash: Hash = before.try_into().map_err(|_| StoreError::Inconsistent { work, column })?;
    let mut records = Vec::with_capacity(entries.len());
    for (entry, number) in entries.iter().zip(head.get::<i64, _>("number") + 1..) {
        let record = Record {
            account,
            number,
            at: entry.at,
            person: entry.person,
            name: entry.name.to_owned(),
            act: entry.act.to_owned(),
            outcome: if entry.allowed { "allowed" } else { "refused" }.to_owned(),
            subject: entry.subject.to_owned(),
            reason: entry.reason.to_owned(),
        };
        hash = record.hash(&hash);
        records.push((record, hash));
    }
    let Some((last, _)) = records.last() else { return Ok(()) };
    let text =
        |of: fn(&Record) -> &str| -> Vec<&str> { records.iter().map(|(record, _)| of(record)).collect() };
    sqlx::query(APPEND)
        .bind(account.0)
        .bind(records.iter().map(|(record, _)| record.number).collect::<Vec<_>>())
        .bind(records.iter().map(|(record, _)| record.at).collect::<Vec<_>>())
        .bind(records.iter().map(|(record, _)| record.person).collect::<Vec<_>>())
        .bind(text(|record| &record.name))
        .bind(text(|record| &record.act))
        .bind(text(|record| &record.outcome))
        .bind(text(|record| &record.subject))
        .bind(text(|record| &record.reason))
        .bind(records.iter().map(|(_, hash)| hash.as_slice()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    let query = sqlx::query(MOVE).bind(account.0).bind(last.number).bind(hash.as_slice());
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// The end of a chain as its head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose chain.
    pub account: AccountId,
    /// Short name of the account, while there is one.
    pub name: Option<String>,
    /// How many records there are.
    pub number: i64,
    /// Hash of the last one.
    pub hash: Vec<u8>,
}

/// The ends of all chains that the reader may see.
///
/// # Errors
/// [`StoreError`].
pub async fn heads(tx: &mut Tx) -> Result<Vec<Head>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(HEADS).fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| Head {
        account: AccountId(row.get("account_id")),
        name: row.get("name"),
        number: row.get("number"),
        hash: row.get("hash"),
    };
    Ok(rows.iter().map(one).collect())
}

/// Chains that have lost their head.
///
/// # Errors
/// [`StoreError`].
pub async fn headless(tx: &mut Tx) -> Result<Vec<AccountId>, StoreError> {
    let failed = tx.failed();
    let rows: Vec<Uuid> = sqlx::query_scalar(HEADLESS).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.into_iter().map(AccountId).collect())
}

/// Records of a chain behind a number, each with the hash that is kept of it.
///
/// # Errors
/// [`StoreError`].
pub async fn records(
    tx: &mut Tx,
    account: AccountId,
    after: i64,
    limit: i64,
) -> Result<Vec<(Record, Vec<u8>)>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(RECORDS).bind(account.0).bind(after).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| {
        let record = Record {
            account: AccountId(row.get("account_id")),
            number: row.get("number"),
            at: row.get("at"),
            person: row.get("person_id"),
            name: row.get("name"),
            act: row.get("act"),
            outcome: row.get("outcome"),
            subject: row.get("subject"),
            reason: row.get("reason"),
        };
        (record, row.get("hash"))
    };
    Ok(rows.iter().map(one).collect())
}
