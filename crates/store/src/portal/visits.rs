//! Looks of operators into accounts: each with a reason, each for a while.

use time::OffsetDateTime;

use tandem_domain::AccountId;

use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// An operator enters an account.
    ENTER = "insert into admin.visits (account_id, session_hash, reason, entered_at, ends_at) values ($1, $2, $3, $4, $5)
             on conflict (account_id, session_hash) do update
               set reason = excluded.reason, entered_at = excluded.entered_at, ends_at = excluded.ends_at";
    /// The reason of a visit that lasts.
    CURRENT = "select reason from admin.visits where account_id = $1 and session_hash = $2 and ends_at > $3";
}

/// An operator enters an account.
///
/// # Errors
/// [`StoreError`].
pub async fn enter(
    tx: &mut Tx,
    account: AccountId,
    session: &SecretHash,
    reason: &str,
    (now, until): (OffsetDateTime, OffsetDateTime),
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query =
        sqlx::query(ENTER).bind(account.0).bind(session.as_slice()).bind(reason).bind(now).bind(until);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// The reason that an operator gave for being in an account, while the visit lasts.
///
/// # Errors
/// [`StoreError`].
pub async fn current(
    tx: &mut Tx,
    account: AccountId,
    session: &SecretHash,
    now: OffsetDateTime,
) -> Result<Option<String>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(CURRENT).bind(account.0).bind(session.as_slice()).bind(now);
    query.fetch_optional(&mut **tx).await.map_err(failed)
}
