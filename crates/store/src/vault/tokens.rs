//! Tokens of people who signed in for one job.

use sqlx::Row;
use tandem_domain::{AccountId, ObjectId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Keeps a token.
    KEEP = "insert into vault.job_tokens (request_id, account_id, tenant_id, oid, key_id, sealed, expires_at)
            values ($1, $2, $3, $4, $5, $6, $7)";
    /// The token that came with a request.
    TOKEN = "select request_id, account_id, tenant_id, oid, sealed, expires_at from vault.job_tokens where request_id = $1";
}

/// A sealed token to keep.
#[derive(Clone, Debug)]
pub struct NewJobToken<'a> {
    /// The request it came with; it is inserted in the same transaction, before.
    pub request: Uuid,
    /// The account.
    pub account: AccountId,
    /// The tenant of the token.
    pub tenant: TenantId,
    /// Who signed in.
    pub oid: ObjectId,
    /// The key that sealed it.
    pub key_id: &'a str,
    /// The sealed bytes.
    pub sealed: &'a [u8],
    /// When the token ends.
    pub expires_at: OffsetDateTime,
}

/// Keeps a sealed token with its request, in one transaction with it.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such request of this account.
pub async fn keep_job_token(tx: &mut Tx, token: &NewJobToken<'_>) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(KEEP)
        .bind(token.request)
        .bind(token.account.0)
        .bind(token.tenant.0)
        .bind(token.oid.0)
        .bind(token.key_id)
        .bind(token.sealed)
        .bind(token.expires_at)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// A sealed token as it is kept.
#[derive(Clone, Debug)]
pub struct JobTokenRow {
    /// The request it came with.
    pub request: Uuid,
    /// The account.
    pub account: AccountId,
    /// The tenant it is sealed for.
    pub tenant: TenantId,
    /// Who signed in.
    pub oid: ObjectId,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// When the token ends.
    pub expires_at: OffsetDateTime,
}

/// The token that came with a request, unless it was erased; teams-sync only.
///
/// # Errors
/// [`StoreError`].
pub async fn job_token(store: &Store, request: Uuid) -> Result<Option<JobTokenRow>, StoreError> {
    let row = sqlx::query(TOKEN)
        .bind(request)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("vault.job_token", source))?;
    Ok(row.map(|row| JobTokenRow {
        request: row.get("request_id"),
        account: AccountId(row.get("account_id")),
        tenant: TenantId(row.get("tenant_id")),
        oid: ObjectId(row.get("oid")),
        sealed: row.get("sealed"),
        expires_at: row.get("expires_at"),
    }))
}
