//! As whom an account's tenant can be spoken to.

use std::collections::BTreeMap;

use sqlx::Row;
use tandem_domain::AccountId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError};

statements! {
    /// Whether the stored authorizations are usable, whether the accounts have apps of their own, and tokens that jobs
    /// of theirs use or still settle with.
    AUTHORITIES = "select a.account_id, coalesce(v.state in ('healthy', 'weakened'), false) as usable, s.created_at as own_app,
                          t.request_id as token
                     from unnest($1::uuid[]) as a (account_id)
                     left join vault.authorizations v on v.account_id = a.account_id
                     left join vault.secrets s on s.account_id = a.account_id and s.kind = 'app_credential'
                     left join lateral (
                       select k.request_id from vault.job_tokens k
                        where k.account_id = a.account_id and k.expires_at > now()
                          and exists (select from queue.jobs j where j.token_request = k.request_id and j.state <> 'queued')
                        order by k.expires_at desc limit 1) t on true";
}

/// As whom an account's tenant can be spoken to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Authority {
    /// The stored authorization is usable.
    pub usable: bool,
    /// The account has an app registration of its own; when its credential was given.
    pub own_app: Option<OffsetDateTime>,
    /// The request whose token a job of the account uses or still settles with.
    pub token: Option<Uuid>,
}

/// As whom the tenants of accounts can be spoken to.
///
/// # Errors
/// [`StoreError`].
pub async fn authorities(
    store: &Store,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Authority>, StoreError> {
    let rows = sqlx::query(AUTHORITIES)
        .bind(accounts.iter().map(|account| account.0).collect::<Vec<_>>())
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("vault.authorities", source))?;
    Ok(rows
        .iter()
        .map(|row| {
            let authority =
                Authority { usable: row.get("usable"), own_app: row.get("own_app"), token: row.get("token") };
            (AccountId(row.get("account_id")), authority)
        })
        .collect())
}
