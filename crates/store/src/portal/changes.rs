//! Changes as people see them: which a job carried, and what waits.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::{AccountId, Gen};
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Changes of an account above one generation and up to another.
    RANGE = "select gen, pbx_user_id, kind, fields, before, after, source, detected_at from change.log
              where account_id = $1 and gen > $2 and gen <= $3 order by gen limit $4";
}

/// One saved change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number.
    pub generation: Gen,
    /// Which PBX user; none for a setting.
    pub user: Option<String>,
    /// What kind it is.
    pub kind: String,
    /// The fields that differ.
    pub fields: Vec<String>,
    /// Before.
    pub before: Option<Value>,
    /// After.
    pub after: Option<Value>,
    /// Where it came from.
    pub source: String,
    /// When it was noticed.
    pub detected_at: OffsetDateTime,
}

/// Changes above `from` and up to `to`, oldest first, `limit` at most.
///
/// # Errors
/// [`StoreError`].
pub async fn range(
    tx: &mut Tx,
    account: AccountId,
    (from, to): (Gen, Gen),
    limit: i64,
) -> Result<Vec<Change>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(RANGE).bind(account.0).bind(from).bind(to).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| Change {
        generation: row.get("gen"),
        user: row.get("pbx_user_id"),
        kind: row.get("kind"),
        fields: row.get("fields"),
        // `json` admits texts that are no Unicode; one such change must not hide the others
        before: row.try_get("before").unwrap_or(None),
        after: row.try_get("after").unwrap_or(None),
        source: row.get("source"),
        detected_at: row.get("detected_at"),
    };
    Ok(rows.iter().map(one).collect())
}
