//! Questions about a tenant that teams-sync alone can speak to, and the answers.

use serde_json::Value;
use sqlx::Row;
use tandem_domain::AccountId;
use uuid::Uuid;

use crate::admin::requests::{self, Ask};
use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Keeps a question.
    PUT = "insert into sync.looks (look_id, account_id, question) values ($1, $2, $3)";
    /// The question.
    QUESTION = "select question from sync.looks where look_id = $1";
    /// Keeps the answer.
    ANSWER = "update sync.looks set answer = $2 where look_id = $1";
    /// Takes the answer away: it names people, and is read once.
    TAKE = "delete from sync.looks where look_id = $1 returning answer";
}

/// Asks: in one transaction there is a request with its question, or neither.
///
/// # Errors
/// [`StoreError::Constraint`] for an unknown account.
pub async fn ask(
    tx: &mut Tx,
    id: Uuid,
    account: AccountId,
    person: &str,
    question: &Value,
) -> Result<(), StoreError> {
    requests::ask(tx, id, account, Ask::Look, person, None).await?;
    let failed = tx.failed();
    let query = sqlx::query(PUT).bind(id).bind(account.0).bind(question);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// The question; none when nobody waits for its answer any more.
///
/// # Errors
/// [`StoreError`].
pub async fn question(store: &Store, id: Uuid) -> Result<Option<Value>, StoreError> {
    let row = sqlx::query(QUESTION)
        .bind(id)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("looks.question", source))?;
    Ok(row.map(|row| row.get("question")))
}

/// Keeps the answer.
///
/// # Errors
/// [`StoreError`].
pub async fn answer(tx: &mut Tx, id: Uuid, answer: &Value) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(ANSWER).bind(id).bind(answer).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Takes question and answer away; none where there is no answer.
///
/// # Errors
/// [`StoreError`].
pub async fn take(store: &Store, id: Uuid) -> Result<Option<Value>, StoreError> {
    let row = sqlx::query(TAKE)
        .bind(id)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("looks.take", source))?;
    Ok(row.and_then(|row| row.get("answer")))
}
