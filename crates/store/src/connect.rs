//! The way of a Global Administrator through the connect pages: browsers, and what became of them.
//!
//! Every statement names the account and works in the context of that account ([`crate::Store::begin_for`]).

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::{AccountId, JobId, ObjectId, TenantId};
use time::Duration;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Where a browser is.
    ATTEMPT = "select t.attempt_id, t.link_hash, t.step, t.authority, t.state_hash, t.state_until <= now() as state_late, t.tenant_id,
                      t.oid, t.signed_in_as, t.refusal, t.request_id, r.job_id, p.outcome, p.code as proof_code, p.detail as proof_detail,
                      extract(epoch from now() - coalesce(t.signed_in_at, t.created_at))::float8 as since_sign_in
                 from admin.connect_attempts t left join vault.proofs p on p.proof_id = t.proof_id
                 left join admin.requests r on r.request_id = t.request_id
                where t.account_id = $1 and t.session_hash = $2";
    /// All browsers that came by a link, in their order.
    ATTEMPTS = "select t.attempt_id, t.link_hash, t.step, t.authority, t.state_hash, t.state_until <= now() as state_late, t.tenant_id,
                       t.oid, t.signed_in_as, t.refusal, t.request_id, r.job_id, p.outcome, p.code as proof_code, p.detail as proof_detail,
                       extract(epoch from now() - coalesce(t.signed_in_at, t.created_at))::float8 as since_sign_in
                  from admin.connect_attempts t left join vault.proofs p on p.proof_id = t.proof_id
                  left join admin.requests r on r.request_id = t.request_id
                 where t.account_id = $1 and t.link_hash = $2 order by t.created_at, t.attempt_id";
    /// Uses a state up, once and in time.
    TAKE_STATE = "update admin.connect_attempts set state_hash = null, state_until = null
                   where account_id = $1 and attempt_id = $2 and step = $3 and state_hash = $4 and state_until > now()";
    /// Somebody has signed in.
    SIGNED_IN = "update admin.connect_attempts set step = 'signed_in', tenant_id = $3, oid = $4, signed_in_as = $5, signed_in_at = now()
                  where account_id = $1 and attempt_id = $2 and step = 'signing_in' and state_hash is null";
    /// The browser is sent to the consent page.
    CONSENTING = "update admin.connect_attempts set step = 'consenting', state_hash = $3, state_until = now() + $4
                   where account_id = $1 and attempt_id = $2 and step in ('signed_in', 'consenting')
                     and coalesce(signed_in_at, created_at) > now() - $5::interval";
    /// Asks teams-sync for the proof.
    PUT_PROOF = "insert into vault.proofs (proof_id, account_id, tenant_id, client_id, admin_oid, admin_name)
                 select $3, account_id, tenant_id, $4, oid, signed_in_as from admin.connect_attempts
                  where account_id = $1 and attempt_id = $2 and step = 'consenting' and state_hash is null";
    /// The browser waits for it.
    PROVING = "update admin.connect_attempts set step = 'proving', proof_id = $3
                where account_id = $1 and attempt_id = $2 and step = 'consenting' and state_hash is null";
    /// Somebody has signed in who may ask for a sync; the browser is sent for the token of that one sync.
    AUTHORIZING = "update admin.connect_attempts
                      set step = 'authorizing', tenant_id = $3, oid = $4, signed_in_as = $5, state_hash = $6, state_until = now() + $7
                    where account_id = $1 and attempt_id = $2 and step = 'signing_in' and state_hash is null";
    /// A sync has been asked for.
    ASKED = "update admin.connect_attempts set step = 'asked', request_id = $3
              where account_id = $1 and attempt_id = $2 and step = 'authorizing' and state_hash is null";
    /// The way ends here.
    REFUSE = "update admin.connect_attempts set step = 'refused', refusal = $3::text::json, state_hash = null, state_until = null
               where account_id = $1 and attempt_id = $2 and step in ('signing_in', 'signed_in', 'consenting', 'authorizing')";
    /// Whether another account has a tenant; the unique key decides again when the authorization is stored.
    ELSEWHERE = "select vault.taken_by_another($1, $2)";
}

pub use crate::connect_begin::{NewAttempt, begin};
pub use crate::connect_links::{Bound, Link, NewLink, Purpose, close_link, link, put_link};

/// SHA-256 of a secret.
pub type SecretHash = [u8; 32];

/// How far a browser has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sent to the sign-in.
    SigningIn,
    /// Somebody has signed in and may connect the tenant.
    SignedIn,
    /// Sent to the consent page.
    Consenting,
    /// Waits for the proof, or has it.
    Proving,
    /// Sent for the token of a sync.
    Authorizing,
    /// Has asked for a sync.
    Asked,
    /// Its way has ended.
    Refused,
}

impl Step {
    const ALL: [(Self, &'static str); 7] = [
        (Self::SigningIn, "signing_in"),
        (Self::SignedIn, "signed_in"),
        (Self::Consenting, "consenting"),
        (Self::Proving, "proving"),
        (Self::Authorizing, "authorizing"),
        (Self::Asked, "asked"),
        (Self::Refused, "refused"),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(step, _)| *step == self).map_or("", |(_, name)| name)
    }
}

/// Where a browser is.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its id.
    pub id: Uuid,
    /// The link it came by.
    pub link_hash: Vec<u8>,
    /// How far it has come.
    pub step: Step,
    /// The tenant part of the address it was sent to.
    pub authority: String,
    /// Of the state that is out.
    pub state_hash: Option<Vec<u8>>,
    /// That state is too old.
    pub state_late: bool,
    /// The tenant signed in to, the person, and the name for display.
    pub person: Option<(TenantId, ObjectId, String)>,
    /// How long ago that was.
    pub since_sign_in: Duration,
    /// Why its way has ended.
    pub refusal: Option<Value>,
    /// What the proof has shown, once it has ended.
    pub proof: Option<ProofEnd>,
    /// The sync that it has asked for, and its job once there is one.
    pub request: Option<(Uuid, Option<JobId>)>,
}

/// What a proof has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofEnd {
    /// `healthy`, `weakened` or `refused`.
    pub outcome: String,
    /// Stable code of a refusal.
    pub code: Option<String>,
    /// What is missing or wrong.
    pub detail: Option<String>,
}

/// Where the browser of a session is.
///
/// # Errors
/// [`StoreError`].
pub async fn attempt(
    tx: &mut Tx,
    account: AccountId,
    session: &SecretHash,
) -> Result<Option<Attempt>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(ATTEMPT).bind(account.0).bind(session.as_slice());
    let row = query.fetch_optional(&mut **tx).await.map_err(failed)?;
    row.map(|row| read(work, &row)).transpose()
}

/// All browsers that came by a link, in their order.
///
/// # Errors
/// [`StoreError`].
pub async fn attempts(
    tx: &mut Tx,
    account: AccountId,
    link: &SecretHash,
) -> Result<Vec<Attempt>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(ATTEMPTS).bind(account.0).bind(link.as_slice());
    query.fetch_all(&mut **tx).await.map_err(failed)?.iter().map(|row| read(work, row)).collect()
}

fn read(work: &'static str, row: &PgRow) -> Result<Attempt, StoreError> {
    let name: String = row.get("step");
    let step = Step::ALL.iter().find(|(_, known)| *known == name).map(|(step, _)| *step);
    let step = step.ok_or(StoreError::Inconsistent { work, column: "admin.connect_attempts.step" })?;
    let person = match (row.get::<Option<Uuid>, _>("tenant_id"), row.get::<Option<Uuid>, _>("oid")) {
        (Some(tenant), Some(oid)) => {
            let name = row.get::<Option<String>, _>("signed_in_as").unwrap_or_default();
            Some((TenantId(tenant), ObjectId(oid), name))
        }
        _ => None,
    };
    let outcome: Option<String> = row.get("outcome");
    let request: Option<Uuid> = row.get("request_id");
    Ok(Attempt {
        id: row.get("attempt_id"),
        link_hash: row.get("link_hash"),
        step,
        authority: row.get("authority"),
        state_hash: row.get("state_hash"),
        state_late: row.get::<Option<bool>, _>("state_late").unwrap_or(false),
        person,
        since_sign_in: Duration::seconds_f64(row.get("since_sign_in")),
        refusal: row.get("refusal"),
        proof: outcome.map(|outcome| ProofEnd {
            outcome,
            code: row.get("proof_code"),
            detail: row.get("proof_detail"),
        }),
        request: request.map(|request| (request, row.get::<Option<Uuid>, _>("job_id").map(JobId))),
    })
}

/// Uses the state of a step up; false when somebody was faster, or it is too late.
///
/// # Errors
/// [`StoreError`].
pub async fn take_state(
    tx: &mut Tx,
    account: AccountId,
    attempt: Uuid,
    step: Step,
    state: &SecretHash,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query =
        sqlx::query(TAKE_STATE).bind(account.0).bind(attempt).bind(step.as_str()).bind(state.as_slice());
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// Who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Into which tenant.
    pub tenant: TenantId,
    /// Who it is there.
    pub oid: ObjectId,
    /// The name for display; it proves nothing.
    pub name: String,
}

/// Somebody has signed in who may go on; false when the attempt is elsewhere by now.
///
/// # Errors
/// [`StoreError`].
pub async fn signed_in(
    tx: &mut Tx,
    account: AccountId,
    attempt: Uuid,
    person: &Person,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(SIGNED_IN).bind(account.0).bind(attempt);
    let query = query.bind(person.tenant.0).bind(person.oid.0).bind(&person.name);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// The browser is sent to the consent page; false when the attempt is elsewhere by now, or began longer than `within` ago.
///
/// # Errors
/// [`StoreError`].
pub async fn consenting(
    tx: &mut Tx,
    account: AccountId,
    attempt: Uuid,
    state: &SecretHash,
    life: Duration,
    within: Duration,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(CONSENTING).bind(account.0).bind(attempt).bind(state.as_slice());
    let query = query.bind(life).bind(within);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// Asks teams-sync for the proof of the consent that the browser came back from.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Superseded`] when the attempt is elsewhere by now.
pub async fn ask_proof(
    tx: &mut Tx,
    account: AccountId,
    attempt: Uuid,
    proof: Uuid,
    client_id: &str,
) -> Result<(), StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(PUT_PROOF).bind(account.0).bind(attempt).bind(proof).bind(client_id);
    let put = query.execute(&mut **tx).await.map_err(&failed)?.rows_affected();
    let query = sqlx::query(PROVING).bind(account.0).bind(attempt).bind(proof);
    let waits = query.execute(&mut **tx).await.map_err(&failed)?.rows_affected();
    if (put, waits) == (1, 1) { Ok(()) } else { Err(StoreError::Superseded { work }) }
}

/// Somebody has signed in who may ask for a sync, and is sent for a token; false when the attempt is elsewhere by now.
///
/// # Errors
/// [`StoreError`].
pub async fn authorizing(
    tx: &mut Tx,
    account: AccountId,
    attempt: Uuid,
    person: &Person,
    state: &SecretHash,
    life: Duration,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query =
        sqlx::query(AUTHORIZING).bind(account.0).bind(attempt).bind(person.tenant.0).bind(person.oid.0);
    let query = query.bind(&person.name).bind(state.as_slice()).bind(life);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// The person has asked for a sync; false when the attempt is elsewhere by now.
///
/// # Errors
/// [`StoreError`].
pub async fn asked(
    tx: &mut Tx,
    account: AccountId,
    attempt: Uuid,
    request: Uuid,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(ASKED).bind(account.0).bind(attempt).bind(request);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// The attempt ends here.
///
/// # Errors
/// [`StoreError`].
pub async fn refuse(
    tx: &mut Tx,
    account: AccountId,
    attempt: Uuid,
    refusal: &Value,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(REFUSE).bind(account.0).bind(attempt).bind(refusal.to_string());
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Whether another account has the tenant. Whose it is, nobody is told who works for one account.
///
/// # Errors
/// [`StoreError`].
pub async fn bound_elsewhere(tx: &mut Tx, account: AccountId, tenant: TenantId) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(ELSEWHERE).bind(account.0).bind(tenant.0);
    query.fetch_one(&mut **tx).await.map_err(failed)
}
