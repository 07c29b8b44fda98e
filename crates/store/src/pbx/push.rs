//! What the push endpoint asks: who an account is, what it promises a sender, and which messages were taken already.

use sqlx::Row;
use tandem_domain::{AccountId, Gen};
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// An account by name or id.
    ACCOUNT = "select account_id, name from admin.accounts where account_id = $1 or name = $2";
    /// What the answer to a message is made of, in one look.
    FACTS = "select g.gen, a.auto_sync, coalesce(a.paused_until > now(), false) as paused, a.quiet_ms, a.max_wait_ms,
                    w.first_change_at,
                    exists (select 1 from admin.mappings m
                             where m.account_id = g.account_id and m.pbx_user_id = any ($3)) as mapped,
                    r.body_digest, r.gen as receipt_gen, r.changed, r.due_at, r.starts_by, r.waiting
               from change.generations g
               join admin.accounts a on a.account_id = g.account_id
               left join queue.windows w on w.account_id = g.account_id
               left join pbx.push_receipts r on r.account_id = g.account_id and r.webhook_id = $2
              where g.account_id = $1";
    /// Notes a message as taken, with its answer.
    RECEIPT = "insert into pbx.push_receipts
                 (account_id, webhook_id, body_digest, gen, changed, due_at, starts_by, waiting)
               values ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// Forgets receipts that no message can ask for any more.
    EXPIRE = "delete from pbx.push_receipts where (account_id, webhook_id) in
                (select account_id, webhook_id from pbx.push_receipts
                  where received_at < now() - make_interval(secs => $1) limit 10000)";
}

/// The answer to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The account's generation after it.
    pub generation: Gen,
    /// Users that changed.
    pub changed: i32,
    /// When the window is due, if one is.
    pub due_at: Option<OffsetDateTime>,
    /// When the job will have started at the latest, if one will.
    pub starts_by: Option<OffsetDateTime>,
    /// Why nothing will start by itself.
    pub waiting: Option<String>,
}

/// What the answer to a message is made of.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The account's generation.
    pub generation: Gen,
    /// Auto Sync is on.
    pub auto_sync: bool,
    /// The account is paused.
    pub paused: bool,
    /// The account's own quiet period.
    pub quiet_ms: Option<i32>,
    /// The account's own longest wait.
    pub max_wait_ms: Option<i32>,
    /// First change of the open window.
    pub first_change_at: Option<OffsetDateTime>,
    /// One of the users asked about has a mapping.
    pub mapped: bool,
    /// The message was taken already: digest of its body, and the answer it got.
    pub receipt: Option<(Vec<u8>, Answer)>,
}

/// An account by name or id, with its name.
///
/// # Errors
/// [`StoreError`].
pub async fn account(
    store: &Store,
    id: Option<AccountId>,
    name: Option<&str>,
) -> Result<Option<(AccountId, String)>, StoreError> {
    let row = sqlx::query(ACCOUNT)
        .bind(id.map(|id| id.0))
        .bind(name)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.push.account", source))?;
    Ok(row.map(|row| (AccountId(row.get("account_id")), row.get("name"))))
}

/// What the answer to a message is made of; `None` when the account is gone. Ask under the account's lock.
///
/// # Errors
/// [`StoreError`].
pub async fn facts(
    tx: &mut Tx,
    account: AccountId,
    webhook_id: &str,
    users: &[&str],
) -> Result<Option<Facts>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(FACTS)
        .bind(account.0)
        .bind(webhook_id)
        .bind(users)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(row.map(|row| Facts {
        generation: row.get("gen"),
        auto_sync: row.get("auto_sync"),
        paused: row.get("paused"),
        quiet_ms: row.get("quiet_ms"),
        max_wait_ms: row.get("max_wait_ms"),
        first_change_at: row.get("first_change_at"),
        mapped: row.get("mapped"),
        receipt: row.get::<Option<Vec<u8>>, _>("body_digest").map(|digest| {
            let answer = Answer {
                generation: row.get("receipt_gen"),
                changed: row.get("changed"),
                due_at: row.get("due_at"),
                starts_by: row.get("starts_by"),
                waiting: row.get("waiting"),
            };
            (digest, answer)
        }),
    }))
}

/// Notes a message as taken, in the transaction of its effect.
///
/// # Errors
/// [`StoreError`].
pub async fn keep_receipt(
    tx: &mut Tx,
    account: AccountId,
    webhook_id: &str,
    body_digest: &[u8],
    answer: &Answer,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(RECEIPT)
        .bind(account.0)
        .bind(webhook_id)
        .bind(body_digest)
        .bind(answer.generation)
        .bind(answer.changed)
        .bind(answer.due_at)
        .bind(answer.starts_by)
        .bind(answer.waiting.as_deref())
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Forgets receipts older than `seconds`; returns how many.
///
/// # Errors
/// [`StoreError`].
pub async fn expire_receipts(store: &Store, seconds: f64) -> Result<u64, StoreError> {
    let done = sqlx::query(EXPIRE)
        .bind(seconds)
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.push.expire", source))?;
    Ok(done.rows_affected())
}
