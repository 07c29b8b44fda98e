//! Messages that could not be read, kept whole for an operator.

use std::collections::BTreeMap;

use sqlx::types::Json;

use crate::sql::statements;
use crate::{Store, StoreError};

statements! {
    /// Keeps a message once, however often the broker delivers it.
    KEEP = "insert into ops.dead_letters (stream, consumer, subject, sequence, attempts, headers, payload, code, reason)
            values ($1, $2, $3, $4, $5, $6::jsonb::json, $7, $8, $9)
            on conflict do nothing";
}

/// A message that could not be read, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Stream it came from.
    pub stream: String,
    /// Consumer that could not read it.
    pub consumer: String,
    /// Its subject.
    pub subject: String,
    /// Its number in the stream.
    pub sequence: u64,
    /// How often it was delivered.
    pub attempts: u32,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub payload: Vec<u8>,
    /// Stable code of the reason.
    pub code: String,
    /// The reason in words.
    pub reason: String,
}

/// PostgreSQL keeps no zero bytes in texts; a message that nobody could read may hold them anywhere.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Keeps a message that could not be read. Keeping it again changes nothing.
///
/// # Errors
/// [`StoreError`].
pub async fn keep_dead_letter(store: &Store, letter: &DeadLetter) -> Result<(), StoreError> {
    let headers: BTreeMap<String, String> =
        letter.headers.iter().map(|(name, value)| (clean(name), clean(value))).collect();
    sqlx::query(KEEP)
        .bind(clean(&letter.stream))
        .bind(clean(&letter.consumer))
        .bind(clean(&letter.subject))
        .bind(letter.sequence.cast_signed())
        .bind(letter.attempts.cast_signed())
        .bind(Json(headers))
        .bind(&letter.payload)
        .bind(clean(&letter.code))
        .bind(clean(&letter.reason))
        .execute(store.pool())
        .await
        .map_err(|source| StoreError::of("ops.keep_dead_letter", source))?;
    Ok(())
}
