//! Which keys sealed what is stored, and sealing it anew.

use sqlx::Row;
use tandem_domain::{AccountId, ObjectId, TenantId};
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError};

statements! {
    /// How many secrets and tokens each key sealed.
    USES = "select key_id, count(*) filter (where secret) as secrets, count(*) filter (where not secret) as tokens
              from (select key_id, true as secret from vault.secrets union all select key_id, false from vault.job_tokens) u
             group by key_id order by key_id";
    /// Secrets and tokens that another key than this one sealed.
    OTHER = "select * from (
               select account_id::text || kind as place, account_id, kind, tenant_id, null::uuid as request_id, null::uuid as oid, sealed
                 from vault.secrets where key_id <> $1
               union all
               select account_id::text || request_id::text, account_id, 'job_token', tenant_id, request_id, oid, sealed
                 from vault.job_tokens where key_id <> $1) o
              where o.place > $2 order by o.place limit $3";
    /// Puts a secret sealed anew in place of the bytes it was opened from.
    SECRET = "update vault.secrets set key_id = $4, sealed = $5 where account_id = $1 and kind = $2 and sealed = $3";
    /// The same for a token.
    TOKEN = "update vault.job_tokens set key_id = $3, sealed = $4 where request_id = $1 and sealed = $2";
}

/// What one key has sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key_id: String,
    /// Secrets of accounts.
    pub secrets: i64,
    /// Tokens of jobs.
    pub tokens: i64,
}

/// What each key has sealed.
///
/// # Errors
/// [`StoreError`].
pub async fn key_uses(store: &Store) -> Result<Vec<KeyUse>, StoreError> {
    let rows = sqlx::query(USES)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("vault.key_uses", source))?;
    Ok(rows
        .iter()
        .map(|row| KeyUse {
            key_id: row.get("key_id"),
            secrets: row.get("secrets"),
            tokens: row.get("tokens"),
        })
        .collect())
}

/// A sealed secret or token, with what it is bound to.
#[derive(Clone, Debug)]
pub struct SealedRow {
    /// Where it stands in the order of [`other_keys`].
    pub place: String,
    /// The account.
    pub account: AccountId,
    /// Its kind.
    pub kind: String,
    /// The tenant.
    pub tenant: TenantId,
    /// Request and person, for a token.
    pub person: Option<(Uuid, ObjectId)>,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// Up to `most` secrets and tokens that another key than `key_id` sealed, behind the place `after`; teams-sync only.
///
/// # Errors
/// [`StoreError`].
pub async fn other_keys(
    store: &Store,
    key_id: &str,
    after: &str,
    most: i64,
) -> Result<Vec<SealedRow>, StoreError> {
    let rows = sqlx::query(OTHER)
        .bind(key_id)
        .bind(after)
        .bind(most)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("vault.other_keys", source))?;
    Ok(rows
        .iter()
        .map(|row| SealedRow {
            place: row.get("place"),
            account: AccountId(row.get("account_id")),
            kind: row.get("kind"),
            tenant: TenantId(row.get("tenant_id")),
            person: row
                .get::<Option<Uuid>, _>("request_id")
                .zip(row.get::<Option<Uuid>, _>("oid").map(ObjectId)),
            sealed: row.get("sealed"),
        })
        .collect())
}

/// Puts a secret sealed anew in place; false when it was replaced, removed or erased in between. teams-sync only.
///
/// # Errors
/// [`StoreError`].
pub async fn resealed(
    store: &Store,
    row: &SealedRow,
    key_id: &str,
    sealed: &[u8],
) -> Result<bool, StoreError> {
    let query = match row.person {
        Some((request, _)) => sqlx::query(TOKEN).bind(request),
        None => sqlx::query(SECRET).bind(row.account.0).bind(&row.kind),
    };
    let done = query
        .bind(&row.sealed)
        .bind(key_id)
        .bind(sealed)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("vault.resealed", source))?;
    Ok(done.rows_affected() > 0)
}
