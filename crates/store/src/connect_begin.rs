//! Browsers that begin by a link.

use tandem_domain::AccountId;
use time::Duration;
use uuid::Uuid;

use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// A browser begins, unless too many have begun by the same link lately.
    BEGIN = "insert into admin.connect_attempts (attempt_id, account_id, link_hash, session_hash, step, authority, state_hash, state_until)
             select $1, $2, $3, $4, 'signing_in', $5, $6, now() + $7
              where (select count(*) from admin.connect_attempts
                      where link_hash = $3 and created_at > now() - interval '1 hour') < $8";
}

/// A browser that begins.
#[derive(Clone, Debug)]
pub struct NewAttempt<'a> {
    /// Its id.
    pub id: Uuid,
    /// For whom.
    pub account: AccountId,
    /// The link it came by.
    pub link_hash: SecretHash,
    /// Of the session's secret.
    pub session_hash: SecretHash,
    /// The tenant part of the address it is sent to.
    pub authority: &'a str,
    /// Of the state that goes with it.
    pub state_hash: SecretHash,
    /// How long that state is good.
    pub state_life: Duration,
}

/// Browsers that may begin by the same link within an hour.
const AN_HOUR: i64 = 100;

/// A browser begins; false when too many have begun by this link within the hour.
///
/// # Errors
/// [`StoreError::Constraint`] for an unknown link.
pub async fn begin(tx: &mut Tx, attempt: &NewAttempt<'_>) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(BEGIN)
        .bind(attempt.id)
        .bind(attempt.account.0)
        .bind(attempt.link_hash.as_slice())
        .bind(attempt.session_hash.as_slice())
        .bind(attempt.authority)
        .bind(attempt.state_hash.as_slice())
        .bind(attempt.state_life)
        .bind(AN_HOUR)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}
