//! Tokens that have done their work are erased.

use sqlx::Row;
use tandem_domain::{AccountId, JobId, ObjectId, PbxUserId};

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Erases tokens that have expired, that their job is through with, or that no job came to use.
    ERASE = "delete from vault.job_tokens t
              where t.expires_at <= now()
                 or exists (select from queue.jobs j where j.token_request = t.request_id and j.finished_at is not null
                      and (exists (select from vault.authorizations v where v.account_id = t.account_id and v.state in ('healthy', 'weakened'))
                        or not exists (select from sync.users u where u.account_id = j.account_id and u.job_id = j.job_id and u.settle_next is not null)
                       and not exists (select from sync.intents i where i.account_id = j.account_id and i.job_id = j.job_id and i.ended_at is null)))
                 or exists (select from admin.requests r where r.request_id = t.request_id and r.job_id is not null
                      and not exists (select from queue.jobs j where j.token_request = t.request_id))";
    /// Stops looking at users whose job's token is gone, in accounts that nobody else can look into.
    NOT_RECHECKED = "with gone as (
                       select j.job_id, j.account_id from queue.jobs j
                        where j.token_request is not null and j.finished_at is not null and j.settled_at is null
                          and not exists (select from vault.job_tokens t where t.account_id = j.account_id and t.expires_at > now())
                          and not exists (select from vault.authorizations v
                                           where v.account_id = j.account_id and v.state in ('healthy', 'weakened'))
                     )
                     update sync.users u set settle_next = null, settle_issue = $1
                       from gone g where u.account_id = g.account_id and u.job_id = g.job_id and u.settle_next is not null
                     returning u.account_id, u.job_id, u.pbx_user_id, u.microsoft_user, u.settle_looks";
}

/// Erases spent tokens; how many.
///
/// # Errors
/// [`StoreError`].
pub async fn erase_spent(store: &Store) -> Result<u64, StoreError> {
    let done = sqlx::query(ERASE)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("vault.erase_spent", source))?;
    Ok(done.rows_affected())
}

/// A confirmed user that nobody can look at again.
#[derive(Clone, Debug)]
pub struct NotRechecked {
    /// Whose.
    pub account: AccountId,
    /// The job that confirmed it.
    pub job: JobId,
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// Settle checks that were made.
    pub looks: i32,
}

/// Stops looking at users whose job's token is gone, in accounts without a usable stored authorization.
///
/// # Errors
/// [`StoreError`].
pub async fn not_rechecked(tx: &mut Tx, text: &str) -> Result<Vec<NotRechecked>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(NOT_RECHECKED).bind(text).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| NotRechecked {
            account: AccountId(row.get("account_id")),
            job: JobId(row.get("job_id")),
            user: PbxUserId(row.get("pbx_user_id")),
            oid: ObjectId(row.get("microsoft_user")),
            looks: row.get("settle_looks"),
        })
        .collect())
}
