//! What the push endpoint asks: who an account is, what it promises a sender, and which messages were taken already.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::{AccountId, Gen};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Accounts by id or name.
    ACCOUNTS = "select account_id, name from admin.accounts where account_id = any ($1) or name = any ($2)";
    /// What the answers to messages are made of, in one look. The users of all stand in one list, those of each message
    /// from one place to another; the limit keeps the look at mappings one by key.
    FACTS = "select i.n, g.gen, a.auto_sync, coalesce(a.paused_until > now(), false) or exists (select from admin.fleet_pause p where p.until > now()) as paused,
                    a.quiet_ms, a.max_wait_ms,
                    w.first_change_at,
                    (select true from admin.mappings m
                      where m.account_id = g.account_id and m.pbx_user_id = any (($5::text[])[i.first:i.last]) limit 1) is not null as mapped,
                    r.body_digest, r.gen as receipt_gen, r.changed, r.due_at, r.starts_by, r.waiting
               from unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[])
                      with ordinality as i (account_id, webhook_id, first, last, n)
               join change.generations g on g.account_id = i.account_id
               join admin.accounts a on a.account_id = g.account_id
               left join queue.windows w on w.account_id = g.account_id
               left join pbx.push_receipts r on r.account_id = g.account_id and r.webhook_id = i.webhook_id";
    /// Notes messages as taken, with their answers.
    RECEIPT = "insert into pbx.push_receipts
                 (account_id, webhook_id, body_digest, gen, changed, due_at, starts_by, waiting)
               select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bigint[], $5::integer[],
                                    $6::timestamptz[], $7::timestamptz[], $8::text[])";
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
    /// The account, or the fleet, is paused.
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

/// Accounts by id or name, with their names, in no order; those that do not exist are left out.
///
/// # Errors
/// [`StoreError`].
pub async fn accounts(
    store: &Store,
    ids: &[AccountId],
    names: &[&str],
) -> Result<Vec<(AccountId, String)>, StoreError> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(ACCOUNTS)
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(names)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("pbx.push.accounts", source))?;
    Ok(rows.into_iter().map(|(id, name)| (AccountId(id), name)).collect())
}

/// A message to look at.
#[derive(Clone, Debug)]
pub struct Asked<'m> {
    /// Whose.
    pub account: AccountId,
    /// Its id.
    pub webhook_id: &'m str,
    /// The users it changes.
    pub users: Vec<&'m str>,
}

/// What the answers to messages are made of, by the place of the message; `None` where the account is gone. Ask under the
/// accounts' locks.
///
/// # Errors
/// [`StoreError`].
pub async fn facts(tx: &mut Tx, asked: &[Asked<'_>]) -> Result<Vec<Option<Facts>>, StoreError> {
    let failed = tx.failed();
    let mut users: Vec<&str> = Vec::new();
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    let place = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    for message in asked {
        // places count from 1, and the last is included
        firsts.push(place(users.len() + 1));
        users.extend(&message.users);
        lasts.push(place(users.len()));
    }
    let rows = sqlx::query(FACTS)
        .bind(asked.iter().map(|message| message.account.0).collect::<Vec<_>>())
        .bind(asked.iter().map(|message| message.webhook_id).collect::<Vec<_>>())
        .bind(firsts)
        .bind(lasts)
        .bind(users)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    let mut found: Vec<Option<Facts>> = asked.iter().map(|_| None).collect();
    for row in &rows {
        let place = usize::try_from(row.get::<i64, _>("n") - 1).unwrap_or(usize::MAX);
        if let Some(slot) = found.get_mut(place) {
            *slot = Some(facts_of(row));
        }
    }
    Ok(found)
}

fn facts_of(row: &PgRow) -> Facts {
    Facts {
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
    }
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Receipt<'m> {
    /// Whose.
    pub account: AccountId,
    /// Its id.
    pub webhook_id: &'m str,
    /// What tells it from another message under the same id.
    pub tag: &'m [u8],
    /// What it was answered.
    pub answer: Answer,
}

/// Notes messages as taken, in the transaction of their effects.
///
/// # Errors
/// [`StoreError`].
pub async fn keep_receipts(tx: &mut Tx, receipts: &[Receipt<'_>]) -> Result<(), StoreError> {
    if receipts.is_empty() {
        return Ok(());
    }
    let failed = tx.failed();
    sqlx::query(RECEIPT)
        .bind(receipts.iter().map(|r| r.account.0).collect::<Vec<_>>())
        .bind(receipts.iter().map(|r| r.webhook_id).collect::<Vec<_>>())
        .bind(receipts.iter().map(|r| r.tag).collect::<Vec<_>>())
        .bind(receipts.iter().map(|r| r.answer.generation).collect::<Vec<_>>())
        .bind(receipts.iter().map(|r| r.answer.changed).collect::<Vec<_>>())
        .bind(receipts.iter().map(|r| r.answer.due_at).collect::<Vec<_>>())
        .bind(receipts.iter().map(|r| r.answer.starts_by).collect::<Vec<_>>())
        .bind(receipts.iter().map(|r| r.answer.waiting.as_deref()).collect::<Vec<_>>())
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
