//! Proofs that a tenant lets us in, as teams-sync takes them, makes them and stores what they showed.

use std::time::Duration;

use sqlx::Row;
use tandem_domain::{AccountId, ObjectId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Takes proofs that are due; others leave them alone for the hold.
    TAKE = "update vault.proofs p set next_look = now() + make_interval(secs => $2), looks = p.looks + 1
              from (select proof_id from vault.proofs where next_look <= now() order by next_look limit $1 for update skip locked) due
             where p.proof_id = due.proof_id
            returning p.proof_id, p.account_id, p.tenant_id, p.client_id, p.admin_oid, p.admin_name, p.requested_at, now() as now";
    /// Looks again later.
    LATER = "update vault.proofs set next_look = now() + make_interval(secs => $2), detail = $3 where proof_id = $1 and outcome is null";
    /// The proof has ended.
    END = "update vault.proofs set next_look = null, outcome = $2, code = $3, detail = $4, ended_at = now()
            where proof_id = $1 and outcome is null";
    /// Stores what was proved. The tenant of an account that has one stays: it is left by an operator, never by consent.
    STORE = "insert into vault.authorizations (account_id, tenant_id, client_id, state, permissions, bound_by, checked_at, detail, admin_oid, admin_name)
             values ($1, $2, $3, $4, $5, $6, now(), $7, $8, $6)
             on conflict (account_id) do update
               set client_id = excluded.client_id, state = excluded.state, permissions = excluded.permissions, bound_by = excluded.bound_by,
                   bound_at = now(), checked_at = now(), detail = excluded.detail, admin_oid = excluded.admin_oid,
                   admin_name = excluded.admin_name
             where authorizations.tenant_id = excluded.tenant_id";
    /// The authorization as it was.
    BEFORE = "select tenant_id, state, admin_oid from vault.authorizations where account_id = $1 for update";
}

/// A proof to be made.
#[derive(Clone, Debug)]
pub struct DueProof {
    /// Its id.
    pub proof: Uuid,
    /// For whom.
    pub account: AccountId,
    /// The tenant that is said to have consented.
    pub tenant: TenantId,
    /// To which app.
    pub client_id: String,
    /// The Global Administrator who consented.
    pub admin: ObjectId,
    /// The name for display.
    pub admin_name: String,
    /// When it was asked for.
    pub requested_at: OffsetDateTime,
    /// The database's time.
    pub now: OffsetDateTime,
}

/// What a proof has shown of the tenant.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// `healthy` or `weakened`.
    pub state: &'static str,
    /// Permissions seen.
    pub permissions: &'a [String],
    /// What is missing.
    pub detail: Option<&'a str>,
}

/// An authorization before a new one is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// The tenant.
    pub tenant: TenantId,
    /// Its state.
    pub state: String,
    /// Who is linked.
    pub admin: Option<ObjectId>,
}

/// Takes up to `limit` proofs that are due; no other process looks at them before `hold` has passed.
///
/// # Errors
/// [`StoreError`].
pub async fn take(store: &Store, limit: i64, hold: Duration) -> Result<Vec<DueProof>, StoreError> {
    let mut tx = store.begin("connect.take_proofs").await?;
    let failed = tx.failed();
    let rows =
        sqlx::query(TAKE).bind(limit).bind(hold.as_secs_f64()).fetch_all(&mut *tx).await.map_err(failed)?;
    tx.commit().await?;
    Ok(rows
        .iter()
        .map(|row| DueProof {
            proof: row.get("proof_id"),
            account: AccountId(row.get("account_id")),
            tenant: TenantId(row.get("tenant_id")),
            client_id: row.get("client_id"),
            admin: ObjectId(row.get("admin_oid")),
            admin_name: row.get("admin_name"),
            requested_at: row.get("requested_at"),
            now: row.get("now"),
        })
        .collect())
}

/// Looks again after `wait`; `detail` says why.
///
/// # Errors
/// [`StoreError`].
pub async fn later(tx: &mut Tx, proof: Uuid, wait: Duration, detail: &str) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(LATER)
        .bind(proof)
        .bind(wait.as_secs_f64())
        .bind(detail)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Ends a proof; false when another process has ended it already.
///
/// # Errors
/// [`StoreError`].
pub async fn end(
    tx: &mut Tx,
    proof: Uuid,
    outcome: &str,
    code: Option<&str>,
    detail: Option<&str>,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(END).bind(proof).bind(outcome).bind(code).bind(detail);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// The authorization that an account has; its row is locked.
///
/// # Errors
/// [`StoreError`].
pub async fn before(tx: &mut Tx, account: AccountId) -> Result<Option<Before>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(BEFORE).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.map(|row| Before {
        tenant: TenantId(row.get("tenant_id")),
        state: row.get("state"),
        admin: row.get::<Option<Uuid>, _>("admin_oid").map(ObjectId),
    }))
}

/// Stores what was proved; false when the account has another tenant.
///
/// # Errors
/// [`StoreError::Constraint`] `authorizations_tenant_id_key` when another account has the tenant.
pub async fn store(tx: &mut Tx, due: &DueProof, shown: &Shown<'_>) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(STORE)
        .bind(due.account.0)
        .bind(due.tenant.0)
        .bind(&due.client_id)
        .bind(shown.state)
        .bind(shown.permissions)
        .bind(&due.admin_name)
        .bind(shown.detail)
        .bind(due.admin.0)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}
