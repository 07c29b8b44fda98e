//! Sign-ins under way, and sessions of people who are signed in. All times are handed in.

use sqlx::Row;
use tandem_domain::{ObjectId, TenantId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::people::Issuer;
use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Forgets sign-ins that nobody finished.
    FORGET_SIGN_INS = "delete from admin.sign_ins where expires_at < $1";
    /// A browser sets out to sign in.
    EXPECT = "insert into admin.sign_ins (state_hash, browser_hash, issuer, go_on, expires_at) values ($1, $2, $3, $4, $5)";
    /// The same browser comes back; the row is used up.
    TAKE = "delete from admin.sign_ins where state_hash = $1 and browser_hash = $2 returning issuer, go_on, expires_at > $3 as fresh";
    /// Ends sessions that are over.
    FORGET_SESSIONS = "delete from admin.sessions where ends_at <= $1 or seen_at <= $2";
    /// Opens a session.
    OPEN = "insert into admin.sessions (session_hash, person_id, created_at, seen_at, ends_at, global_admin) values ($1, $2, $3, $3, $4, $5)";
    /// A session that still runs, with its person, who is not shut out.
    FIND = "select s.person_id, s.seen_at, s.ends_at, s.global_admin, p.issuer, p.tenant_id, p.oid, p.name, p.operator
              from admin.sessions s join admin.people p using (person_id)
             where s.session_hash = $1 and s.ends_at > $2 and s.seen_at > $3 and p.disabled_at is null";
    /// The person was there.
    TOUCH = "update admin.sessions set seen_at = $2 where session_hash = $1 and seen_at < $2";
    /// Ends a session.
    CLOSE = "delete from admin.sessions where session_hash = $1";
    /// Ends all sessions of somebody.
    CLOSE_ALL = "delete from admin.sessions where person_id = $1";
}

/// A browser that sets out to sign in.
#[derive(Clone, Debug)]
pub struct NewSignIn<'a> {
    /// Hash of the state.
    pub state: SecretHash,
    /// Hash of the secret in the browser's cookie.
    pub browser: SecretHash,
    /// Where it goes.
    pub issuer: Issuer,
    /// A path of ours to go on to afterwards.
    pub go_on: &'a str,
    /// Until when the answer is waited for.
    pub expires_at: OffsetDateTime,
}

/// What a browser that comes back had set out for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Where it went.
    pub issuer: Issuer,
    /// Where to go on to.
    pub go_on: String,
    /// Whether it is in time.
    pub fresh: bool,
}

/// Keeps a sign-in under way.
///
/// # Errors
/// [`StoreError`].
pub async fn expect(tx: &mut Tx, new: &NewSignIn<'_>, now: OffsetDateTime) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(FORGET_SIGN_INS).bind(now).execute(&mut **tx).await.map_err(&failed)?;
    let query = sqlx::query(EXPECT).bind(new.state.as_slice()).bind(new.browser.as_slice());
    let query = query.bind(new.issuer.as_str()).bind(new.go_on).bind(new.expires_at);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Uses up the sign-in of this state and this browser.
///
/// # Errors
/// [`StoreError`].
pub async fn take(
    tx: &mut Tx,
    state: &SecretHash,
    browser: &SecretHash,
    now: OffsetDateTime,
) -> Result<Option<SignIn>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(TAKE).bind(state.as_slice()).bind(browser.as_slice()).bind(now);
    let Some(row) = query.fetch_optional(&mut **tx).await.map_err(failed)? else { return Ok(None) };
    let column = "admin.sign_ins.issuer";
    let issuer = Issuer::parse(row.get("issuer")).ok_or(StoreError::Inconsistent { work, column })?;
    Ok(Some(SignIn { issuer, go_on: row.get("go_on"), fresh: row.get("fresh") }))
}

/// Opens a session, and ends those that are over. `global_admin` says whether the sign-in showed that directory role.
///
/// # Errors
/// [`StoreError`].
pub async fn open(
    tx: &mut Tx,
    session: &SecretHash,
    (person, global_admin): (Uuid, bool),
    now: OffsetDateTime,
    (idle, longest): (Duration, Duration),
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(FORGET_SESSIONS).bind(now).bind(now - idle);
    query.execute(&mut **tx).await.map_err(&failed)?;
    let query = sqlx::query(OPEN)
        .bind(session.as_slice())
        .bind(person)
        .bind(now)
        .bind(now + longest)
        .bind(global_admin);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The person.
    pub person: Uuid,
    /// Tenant and object id of somebody whom Microsoft signed in.
    pub microsoft: Option<(TenantId, ObjectId)>,
    /// The name.
    pub name: String,
    /// Whether an operator.
    pub operator: bool,
    /// Whether the sign-in showed the directory role Global Administrator.
    pub global_admin: bool,
    /// When the person was last there.
    pub seen_at: OffsetDateTime,
    /// When it ends at the latest.
    pub ends_at: OffsetDateTime,
}

/// A session that still runs.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    tx: &mut Tx,
    session: &SecretHash,
    now: OffsetDateTime,
    idle: Duration,
) -> Result<Option<Session>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(FIND).bind(session.as_slice()).bind(now).bind(now - idle);
    let Some(row) = query.fetch_optional(&mut **tx).await.map_err(failed)? else { return Ok(None) };
    let tenant: Option<Uuid> = row.get("tenant_id");
    Ok(Some(Session {
        person: row.get("person_id"),
        microsoft: tenant.map(TenantId).zip(row.get::<Option<Uuid>, _>("oid").map(ObjectId)),
        name: row.get("name"),
        operator: row.get("operator"),
        global_admin: row.get("global_admin"),
        seen_at: row.get("seen_at"),
        ends_at: row.get("ends_at"),
    }))
}

/// The person was there.
///
/// # Errors
/// [`StoreError`].
pub async fn touch(tx: &mut Tx, session: &SecretHash, now: OffsetDateTime) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(TOUCH).bind(session.as_slice()).bind(now).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Ends a session; whether it ran.
///
/// # Errors
/// [`StoreError`].
pub async fn close(tx: &mut Tx, session: &SecretHash) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(CLOSE).bind(session.as_slice()).execute(&mut **tx).await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

/// Ends all sessions of somebody; how many.
///
/// # Errors
/// [`StoreError`].
pub async fn close_all(tx: &mut Tx, person: Uuid) -> Result<u64, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(CLOSE_ALL).bind(person).execute(&mut **tx).await.map_err(failed)?;
    Ok(done.rows_affected())
}
