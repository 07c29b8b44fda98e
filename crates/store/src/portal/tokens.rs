//! Bearer tokens of people. All times are handed in.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::{ObjectId, TenantId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

/// The longest life of a token.
pub const LONGEST: Duration = Duration::days(90);
/// A token rests while its person has not signed in for this long: what an issuer says of somebody is learned then.
pub const AWAKE: Duration = Duration::days(30);
/// The most tokens of one person that are kept, ended ones included.
pub const MOST: i64 = 50;

statements! {
    /// Keeps a token, unless its person has too many or the same form was sent before.
    MAKE = "insert into admin.tokens (token_id, person_id, token_hash, name, created_at, expires_at)
            select $1, $2, $3, $4, $5, $6
             where (select count(*) from admin.tokens where person_id = $2) < $7
            on conflict do nothing";
    /// Forgets those of a person that ended long ago.
    FORGET = "delete from admin.tokens where person_id = $1 and least(expires_at, revoked_at) < $2";
    /// Tokens of a person, newest first.
    LIST = "select token_id, name, created_at, expires_at, used_at, revoked_at from admin.tokens
             where person_id = $1 order by created_at desc, token_id desc";
    /// Whose a token is that counts, who has signed in lately and is not shut out.
    FIND = "select t.token_id, t.used_at, p.person_id, p.tenant_id, p.oid, p.name, p.operator
              from admin.tokens t join admin.people p using (person_id)
             where t.token_hash = $1 and t.expires_at > $2 and t.revoked_at is null and p.disabled_at is null and p.signed_in_at > $3";
    /// It was used.
    TOUCH = "update admin.tokens set used_at = $2 where token_id = $1";
    /// Ends a token of a person.
    REVOKE = "update admin.tokens set revoked_at = $3 where token_id = $1 and person_id = $2 and revoked_at is null returning name";
    /// Ends all tokens of a person.
    REVOKE_ALL = "update admin.tokens set revoked_at = $2 where person_id = $1 and revoked_at is null";
}

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub person: Uuid,
    /// Hash of its secret.
    pub hash: SecretHash,
    /// What it is called.
    pub name: &'a str,
    /// When it is made.
    pub now: OffsetDateTime,
    /// When it ends.
    pub until: OffsetDateTime,
}

/// Keeps a token; false where the person has too many, or the id is used.
///
/// # Errors
/// [`StoreError::Constraint`] where it would live for longer than [`LONGEST`].
pub async fn make(tx: &mut Tx, new: &NewToken<'_>) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(FORGET).bind(new.person).bind(new.now - LONGEST);
    query.execute(&mut **tx).await.map_err(&failed)?;
    let query = sqlx::query(MAKE).bind(new.id).bind(new.person).bind(new.hash.as_slice()).bind(new.name);
    let query = query.bind(new.now).bind(new.until).bind(MOST);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// A token as its person sees it; the token itself is known to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// When it was last used, to the minute.
    pub used_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
}

/// Tokens of a person, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(tx: &mut Tx, person: Uuid) -> Result<Vec<TokenRow>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(LIST).bind(person).fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| TokenRow {
        id: row.get("token_id"),
        name: row.get("name"),
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
        used_at: row.get("used_at"),
        revoked_at: row.get("revoked_at"),
    };
    Ok(rows.iter().map(one).collect())
}

/// Somebody who shows a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The token.
    pub token: Uuid,
    /// When it was last used.
    pub used_at: Option<OffsetDateTime>,
    /// The person.
    pub person: Uuid,
    /// Tenant and object id of somebody whom Microsoft signs in.
    pub microsoft: Option<(TenantId, ObjectId)>,
    /// The name.
    pub name: String,
    /// Whether an operator.
    pub operator: bool,
}

/// Whose a token is; nobody's where it has ended, was revoked, or its person is shut out.
///
/// # Errors
/// [`StoreError`].
pub async fn find(tx: &mut Tx, hash: &SecretHash, now: OffsetDateTime) -> Result<Option<Bearer>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(FIND).bind(hash.as_slice()).bind(now).bind(now - AWAKE);
    let Some(row) = query.fetch_optional(&mut **tx).await.map_err(failed)? else { return Ok(None) };
    let tenant: Option<Uuid> = row.get("tenant_id");
    Ok(Some(Bearer {
        token: row.get("token_id"),
        used_at: row.get("used_at"),
        person: row.get("person_id"),
        microsoft: tenant.map(TenantId).zip(row.get::<Option<Uuid>, _>("oid").map(ObjectId)),
        name: row.get("name"),
        operator: row.get("operator"),
    }))
}

/// A token was used.
///
/// # Errors
/// [`StoreError`].
pub async fn touch(tx: &mut Tx, token: Uuid, now: OffsetDateTime) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(TOUCH).bind(token).bind(now).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Ends a token of a person; its name, if it had not ended so before.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke(
    tx: &mut Tx,
    token: Uuid,
    person: Uuid,
    now: OffsetDateTime,
) -> Result<Option<String>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(REVOKE).bind(token).bind(person).bind(now);
    query.fetch_optional(&mut **tx).await.map_err(failed)
}

/// Ends all tokens of a person, for good; how many had not been revoked before.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke_all(tx: &mut Tx, person: Uuid, now: OffsetDateTime) -> Result<u64, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(REVOKE_ALL).bind(person).bind(now).execute(&mut **tx).await.map_err(failed)?;
    Ok(done.rows_affected())
}
