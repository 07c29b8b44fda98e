//! Posts under a key of the sender's: sent twice, they are done once.

use sqlx::Row;
use tandem_domain::AccountId;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Forgets keys of long ago.
    FORGET = "delete from admin.idempotency where account_id = $1 and created_at < $2";
    /// Claims a key.
    CLAIM = "insert into admin.idempotency (account_id, person_id, key, digest, request_id, created_at) values ($1, $2, $3, $4, $5, $6)
             on conflict do nothing";
    /// What a key was used for.
    USED = "select digest, request_id from admin.idempotency where account_id = $1 and person_id = $2 and key = $3";
}

/// How long a key is known.
pub const KEEP: Duration = Duration::days(1);

/// What a key turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// New: the caller does the work in the same transaction.
    New,
    /// The same was asked before, by this request.
    Same(Uuid),
    /// Something else was asked under it.
    Other,
}

/// Claims a key for a request. Two at the same time wait for each other here.
///
/// # Errors
/// [`StoreError`].
pub async fn claim(
    tx: &mut Tx,
    (account, person): (AccountId, Uuid),
    key: &str,
    digest: &SecretHash,
    request: Uuid,
    now: OffsetDateTime,
) -> Result<Key, StoreError> {
    let failed = tx.failed();
    sqlx::query(FORGET).bind(account.0).bind(now - KEEP).execute(&mut **tx).await.map_err(&failed)?;
    let query = sqlx::query(CLAIM).bind(account.0).bind(person).bind(key).bind(digest.as_slice());
    let done = query.bind(request).bind(now).execute(&mut **tx).await.map_err(&failed)?;
    if done.rows_affected() == 1 {
        return Ok(Key::New);
    }
    let query = sqlx::query(USED).bind(account.0).bind(person).bind(key);
    let row = query.fetch_one(&mut **tx).await.map_err(failed)?;
    let same = row.get::<Vec<u8>, _>("digest") == digest.as_slice();
    Ok(if same { Key::Same(row.get("request_id")) } else { Key::Other })
}
