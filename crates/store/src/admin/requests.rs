//! What people asked for; the debouncer carries it out.

use sqlx::Row;
use tandem_domain::job::JobScope;
use tandem_domain::{AccountId, JobId};
use uuid::Uuid;

use crate::sql::statements;
use crate::vault::{NewJobToken, keep_job_token};
use crate::{Store, StoreError, Tx};

statements! {
    /// Asks for a sync.
    ASK = "insert into admin.requests (request_id, account_id, kind, scope, person, reason) values ($1, $2, 'sync', $3, $4, $5)";
    /// Asks for a sync with the token of a person who has just signed in.
    ASK_SIGNED_IN = "insert into admin.requests (request_id, account_id, kind, scope, person, reason, signed_in_oid)
                     values ($1, $2, 'sync', $3, $4, $5, $6)";
    /// The job that carries out a request.
    JOB = "select job_id from admin.requests where request_id = $1";
}

/// Asks for a Manual job of an account.
///
/// # Errors
/// [`StoreError::Constraint`] for an unknown account.
pub async fn ask(
    tx: &mut Tx,
    request: Uuid,
    account: AccountId,
    scope: JobScope,
    person: &str,
    reason: &str,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(ASK)
        .bind(request)
        .bind(account.0)
        .bind(scope.as_str())
        .bind(person)
        .bind(reason)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Asks for a Manual job that works with the token of a person who has just signed in, and keeps the token: in one
/// transaction there is a request with its token, or neither.
///
/// # Errors
/// [`StoreError::Constraint`] for an unknown account.
pub async fn ask_signed_in(
    tx: &mut Tx,
    token: &NewJobToken<'_>,
    scope: JobScope,
    person: &str,
    reason: &str,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(ASK_SIGNED_IN)
        .bind(token.request)
        .bind(token.account.0)
        .bind(scope.as_str())
        .bind(person)
        .bind(reason)
        .bind(token.oid.0)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    keep_job_token(tx, token).await
}

/// The job that carries out a request, once the debouncer has taken it.
///
/// # Errors
/// [`StoreError`].
pub async fn job(store: &Store, request: Uuid) -> Result<Option<JobId>, StoreError> {
    let row = sqlx::query(JOB)
        .bind(request)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("requests.job", source))?;
    Ok(row.and_then(|row| row.get::<Option<Uuid>, _>("job_id")).map(JobId))
}
