//! Files of mappings that somebody has uploaded, and what has to be known to judge one.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::eligible::NotEligible;
use tandem_domain::{AccountId, ObjectId, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::users::Candidate;
use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Forgets those that nobody can confirm any more, and the oldest where there are many.
    FORGET = "delete from admin.imports where account_id = $1
                 and (expires_at <= $2 or import_id in
                      (select import_id from admin.imports where account_id = $1 order by created_at desc, import_id offset 19))";
    /// Keeps one.
    PUT = "insert into admin.imports (import_id, account_id, person_id, digest, lines, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)";
    /// One that is not too old.
    FIND = "select digest, lines, confirmed_at, saved, expires_at from admin.imports where account_id = $1 and import_id = $2 and expires_at > $3";
    /// It has been saved; what it said is not needed any more.
    CONFIRM = "update admin.imports set confirmed_at = $3, saved = $4, lines = '[]' where account_id = $1 and import_id = $2 and confirmed_at is null";
    /// Microsoft users by object id or sign-in name.
    LISTED = "select t.microsoft_user, t.upn, t.not_eligible, t.gone_at is not null as gone, m.pbx_user_id
                from sync.microsoft_users t left join admin.mappings m using (account_id, microsoft_user)
               where t.account_id = $1 and (t.microsoft_user = any ($2) or lower(t.upn) = any ($3))";
    /// Numbers that something of another account has.
    NUMBERS = "select number from admin.mappings where account_id <> $1 and number = any ($2)
               union select number from sync.standing where account_id <> $1 and number = any ($2)";
    /// Microsoft users that another account has.
    USERS = "select distinct microsoft_user from admin.mappings where account_id <> $1 and microsoft_user = any ($2)";
}

/// A file that somebody has uploaded.
#[derive(Clone, Debug)]
pub struct Import {
    /// Of the whole file.
    pub digest: SecretHash,
    /// What it says, as the portal reads it.
    pub lines: Value,
    /// When it was saved, with how many mappings.
    pub saved: Option<(OffsetDateTime, i32)>,
    /// Until when it can be saved.
    pub expires_at: OffsetDateTime,
}

/// Keeps a file until `expires_at`.
///
/// # Errors
/// [`StoreError`].
pub async fn put(
    tx: &mut Tx,
    (account, person): (AccountId, Uuid),
    id: Uuid,
    (digest, lines): (&SecretHash, &Value),
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(FORGET).bind(account.0).bind(now).execute(&mut **tx).await.map_err(&failed)?;
    let query = sqlx::query(PUT).bind(id).bind(account.0).bind(person).bind(digest.as_slice()).bind(lines);
    query.bind(now).bind(expires_at).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// A file that is not too old.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    tx: &mut Tx,
    account: AccountId,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Import>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(FIND).bind(account.0).bind(id).bind(now);
    let Some(row) = query.fetch_optional(&mut **tx).await.map_err(failed)? else { return Ok(None) };
    let digest: Vec<u8> = row.get("digest");
    let column = "admin.imports.digest";
    Ok(Some(Import {
        digest: digest.try_into().map_err(|_| StoreError::Inconsistent { work, column })?,
        lines: row.get("lines"),
        saved: row.get::<Option<OffsetDateTime>, _>("confirmed_at").zip(row.get("saved")),
        expires_at: row.get("expires_at"),
    }))
}

/// A file has been saved; false where it had been already.
///
/// # Errors
/// [`StoreError`].
pub async fn confirm(
    tx: &mut Tx,
    account: AccountId,
    id: Uuid,
    now: OffsetDateTime,
    saved: i32,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(CONFIRM).bind(account.0).bind(id).bind(now).bind(saved);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// A Microsoft user that a row may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Object id.
    pub oid: ObjectId,
    /// Whether it can be mapped.
    pub candidate: Candidate,
}

/// Microsoft users of the account's tenant by object id or by sign-in name in lower case.
///
/// # Errors
/// [`StoreError`].
pub async fn listed(
    tx: &mut Tx,
    account: AccountId,
    oids: &[Uuid],
    names: &[String],
) -> Result<Vec<Listed>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(LISTED).bind(account.0).bind(oids).bind(names);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| {
        let column = "sync.microsoft_users.not_eligible";
        let why_not = row
            .get::<Option<&str>, _>("not_eligible")
            .map(|why| NotEligible::parse(why).ok_or(StoreError::Inconsistent { work, column }));
        let candidate = Candidate {
            upn: row.get("upn"),
            why_not: why_not.transpose()?,
            gone: row.get("gone"),
            mapped_to: row.get::<Option<String>, _>("pbx_user_id").map(PbxUserId),
        };
        Ok(Listed { oid: ObjectId(row.get("microsoft_user")), candidate })
    };
    rows.iter().map(one).collect()
}

/// Which of these numbers and Microsoft users are in use outside the account. Reads over accounts.
///
/// # Errors
/// [`StoreError`].
pub async fn elsewhere(
    fleet: &mut Tx,
    account: AccountId,
    numbers: &[String],
    oids: &[Uuid],
) -> Result<(BTreeSet<String>, BTreeSet<ObjectId>), StoreError> {
    let failed = fleet.failed();
    let query = sqlx::query_scalar(NUMBERS).bind(account.0).bind(numbers);
    let numbers: Vec<String> = query.fetch_all(&mut **fleet).await.map_err(&failed)?;
    let query = sqlx::query_scalar(USERS).bind(account.0).bind(oids);
    let users: Vec<Uuid> = query.fetch_all(&mut **fleet).await.map_err(failed)?;
    Ok((numbers.into_iter().collect(), users.into_iter().map(ObjectId).collect()))
}
