//! Secrets of accounts that stay until they are replaced or removed.

use sqlx::Row;
use tandem_domain::{AccountId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Removes a secret.
    REMOVE = "delete from vault.secrets where account_id = $1 and kind = $2";
    /// Keeps a secret.
    KEEP = "insert into vault.secrets (account_id, kind, tenant_id, key_id, sealed, label, not_after, created_by)
            values ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// What may be seen of a secret.
    SECRET = "select tenant_id, key_id, label, not_after, created_by, created_at from vault.secrets
               where account_id = $1 and kind = $2";
    /// The sealed credential of an account's own app.
    APP_CREDENTIAL = "select tenant_id, sealed, label, created_at from vault.secrets
                       where account_id = $1 and kind = 'app_credential'";
    /// Secrets that end within so many days.
    ENDING = "select account_id, label, not_after from vault.secrets where not_after < now() + $1 * interval '1 day'";
}

/// A sealed secret to keep.
#[derive(Clone, Debug)]
pub struct NewSecret<'a> {
    /// Whose.
    pub account: AccountId,
    /// Its kind, as `tandem_vault::Kind` names it.
    pub kind: &'a str,
    /// The tenant it is sealed for.
    pub tenant: TenantId,
    /// The key that sealed it.
    pub key_id: &'a str,
    /// The sealed bytes.
    pub sealed: &'a [u8],
    /// What people call it; for an app credential the client id.
    pub label: &'a str,
    /// When it ends by itself, for example with its certificate.
    pub not_after: Option<OffsetDateTime>,
    /// Who gave it.
    pub person: &'a str,
}

/// Keeps a sealed secret in place of the one of the same kind.
///
/// # Errors
/// [`StoreError`].
pub async fn keep_secret(tx: &mut Tx, secret: &NewSecret<'_>) -> Result<(), StoreError> {
    remove_secret(tx, secret.account, secret.kind).await?;
    let failed = tx.failed();
    sqlx::query(KEEP)
        .bind(secret.account.0)
        .bind(secret.kind)
        .bind(secret.tenant.0)
        .bind(secret.key_id)
        .bind(secret.sealed)
        .bind(secret.label)
        .bind(secret.not_after)
        .bind(secret.person)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Removes the secret of this kind; false when there was none.
///
/// # Errors
/// [`StoreError`].
pub async fn remove_secret(tx: &mut Tx, account: AccountId, kind: &str) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(REMOVE).bind(account.0).bind(kind).execute(&mut **tx).await.map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

/// What may be seen of a secret: everything but the secret.
#[derive(Clone, Debug)]
pub struct SecretRow {
    /// The tenant it is sealed for.
    pub tenant: TenantId,
    /// The key that sealed it.
    pub key_id: String,
    /// What people call it.
    pub label: String,
    /// When it ends by itself.
    pub not_after: Option<OffsetDateTime>,
    /// Who gave it.
    pub created_by: String,
    /// When.
    pub created_at: OffsetDateTime,
}

/// What may be seen of the secret of this kind.
///
/// # Errors
/// [`StoreError`].
pub async fn secret(tx: &mut Tx, account: AccountId, kind: &str) -> Result<Option<SecretRow>, StoreError> {
    let failed = tx.failed();
    let row =
        sqlx::query(SECRET).bind(account.0).bind(kind).fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.map(|row| SecretRow {
        tenant: TenantId(row.get("tenant_id")),
        key_id: row.get("key_id"),
        label: row.get("label"),
        not_after: row.get("not_after"),
        created_by: row.get("created_by"),
        created_at: row.get("created_at"),
    }))
}

/// The sealed credential of an account's own app registration.
#[derive(Clone, Debug)]
pub struct AppCredentialRow {
    /// The tenant it is sealed for.
    pub tenant: TenantId,
    /// The client id.
    pub client_id: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// When it was given: a replaced one has another time.
    pub created_at: OffsetDateTime,
}

/// The sealed credential of an account's own app registration; teams-sync only.
///
/// # Errors
/// [`StoreError`].
pub async fn app_credential(
    store: &Store,
    account: AccountId,
) -> Result<Option<AppCredentialRow>, StoreError> {
    let row = sqlx::query(APP_CREDENTIAL)
        .bind(account.0)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("vault.app_credential", source))?;
    Ok(row.map(|row| AppCredentialRow {
        tenant: TenantId(row.get::<Uuid, _>("tenant_id")),
        client_id: row.get("label"),
        sealed: row.get("sealed"),
        created_at: row.get("created_at"),
    }))
}

/// Accounts whose secret ends within so many days, with what people call it and when it ends.
///
/// # Errors
/// [`StoreError`].
pub async fn ending(
    store: &Store,
    days: i32,
) -> Result<Vec<(AccountId, String, OffsetDateTime)>, StoreError> {
    let rows = sqlx::query(ENDING)
        .bind(days)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("vault.ending", source))?;
    Ok(rows
        .iter()
        .map(|row| (AccountId(row.get("account_id")), row.get("label"), row.get("not_after")))
        .collect())
}
