//! Recording changes: the one function that detector, portal and command line share.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sqlx::Row;
use tandem_domain::{AccountId, Gen, PbxUserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Raises the counters and appends the rows.
    RECORD = "select account_id, gen
                from change.record($1, $2, $3, $4, $5, $6, $7, $8::text[]::json[], $9::text[]::json[], $10, $11, $12)";
    /// Changes of one account within a range, oldest first.
    RANGE = "select gen, pbx_user_id, kind, fields, before, after, source, detected_at, saved_at
               from change.log where account_id = $1 and gen > $2 and gen <= $3 order by gen";
    /// Integration licences given and taken, oldest first, with how many were in use after each.
    LEDGER = "select gen, pbx_user_id, difference, before, after, source, at, sum(difference) over (order by gen)::bigint as used
                from (select gen, pbx_user_id, before, after, source, coalesce(saved_at, detected_at) as at,
                             case when kind = 'unmapped' then -1 when before is null then 1 else 0 end as difference
                        from change.log where account_id = $1 and kind in ('mapped', 'unmapped')) c
               order by gen";
}

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A PBX user appeared.
    Created,
    /// Fields of a PBX user changed.
    Updated,
    /// A PBX user is gone, confirmed by a second look.
    Deleted,
    /// A mapping was made or altered.
    Mapped,
    /// A mapping was taken away.
    Unmapped,
    /// A setting of the account changed (policy rules, Auto Sync, windows ...).
    Settings,
}

impl ChangeKind {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Mapped => "mapped",
            Self::Unmapped => "unmapped",
            Self::Settings => "settings",
        }
    }

    /// Reads the stable name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Created, Self::Updated, Self::Deleted, Self::Mapped, Self::Unmapped, Self::Settings]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// One saved difference.
#[derive(Clone, Debug)]
pub struct NewChange {
    /// Whose.
    pub account: AccountId,
    /// Which user; `None` for settings.
    pub user: Option<PbxUserId>,
    /// What kind.
    pub kind: ChangeKind,
    /// Names of the fields that differ.
    pub fields: Vec<&'static str>,
    /// Those fields before, absent for a creation.
    pub before: Option<Map<String, Value>>,
    /// Those fields after, absent for a deletion.
    pub after: Option<Map<String, Value>>,
    /// When Tandem noticed.
    pub detected_at: OffsetDateTime,
    /// When it was saved, where the source tells.
    pub saved_at: Option<OffsetDateTime>,
}

/// An account's generation after a batch, and how many of the batch's changes are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Whose.
    pub account: AccountId,
    /// The generation of its last change in the batch.
    pub generation: Gen,
    /// Changes of the account in the batch.
    pub changes: i64,
}

fn text(fields: &Map<String, Value>) -> String {
    // a map of values always has a text
    serde_json::to_string(fields).unwrap_or_default()
}

/// Records a batch within the caller's transaction, so that it commits with the profiles it describes.
/// The caller announces the result through [`crate::outbox::put`] in the same transaction.
///
/// # Errors
/// [`StoreError::Constraint`] for an account without a counter (an unknown account), else database errors.
pub async fn record(tx: &mut Tx, source: &str, changes: &[NewChange]) -> Result<Vec<Recorded>, StoreError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let failed = tx.failed();
    let mut of_account: BTreeMap<Uuid, i32> = BTreeMap::new();
    let nths: Vec<i32> = changes
        .iter()
        .map(|change| {
            let count = of_account.entry(change.account.0).or_default();
            *count += 1;
            *count
        })
        .collect();
    let (own, counts): (Vec<Uuid>, Vec<i32>) =
        of_account.iter().map(|(account, count)| (*account, *count)).unzip();
    let place_of: BTreeMap<Uuid, i32> = own.iter().copied().zip(1..).collect();
    let places: Vec<i32> =
        changes.iter().filter_map(|change| place_of.get(&change.account.0).copied()).collect();
    let users: Vec<Option<&str>> = changes.iter().map(|c| c.user.as_ref().map(PbxUserId::as_str)).collect();
    let kinds: Vec<&str> = changes.iter().map(|c| c.kind.as_str()).collect();
    let fields: Vec<String> = changes.iter().map(|c| c.fields.join(",")).collect();
    // as text: the column keeps text, and the server would only take a parsed form apart again
    let befores: Vec<Option<String>> = changes.iter().map(|c| c.before.as_ref().map(text)).collect();
    let afters: Vec<Option<String>> = changes.iter().map(|c| c.after.as_ref().map(text)).collect();
    let detected: Vec<OffsetDateTime> = changes.iter().map(|c| c.detected_at).collect();
    let saved: Vec<Option<OffsetDateTime>> = changes.iter().map(|c| c.saved_at).collect();
    let rows = sqlx::query(RECORD)
        .bind(own)
        .bind(counts)
        .bind(places)
        .bind(nths)
        .bind(users)
        .bind(kinds)
        .bind(fields)
        .bind(befores)
        .bind(afters)
        .bind(source)
        .bind(detected)
        .bind(saved)
        .fetch_all(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(rows
        .iter()
        .map(|row| Recorded {
            account: AccountId(row.get("account_id")),
            generation: row.get("gen"),
            changes: of_account.get(&row.get("account_id")).copied().unwrap_or(0).into(),
        })
        .collect())
}

/// A recorded change.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    /// Its number within the account.
    pub generation: Gen,
    /// Which user; `None` for settings.
    pub user: Option<PbxUserId>,
    /// What kind.
    pub kind: ChangeKind,
    /// Names of the fields that differ.
    pub fields: Vec<String>,
    /// Those fields before.
    pub before: Option<Value>,
    /// Those fields after.
    pub after: Option<Value>,
    /// Name of the source.
    pub source: String,
    /// When Tandem noticed.
    pub detected_at: OffsetDateTime,
    /// When it was saved, where the source tells.
    pub saved_at: Option<OffsetDateTime>,
}

/// The changes of an account with `after < gen <= upto`, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn range(
    tx: &mut Tx,
    account: AccountId,
    after: Gen,
    upto: Gen,
) -> Result<Vec<ChangeRow>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let rows = sqlx::query(RANGE)
        .bind(account.0)
        .bind(after)
        .bind(upto)
        .fetch_all(&mut **tx)
        .await
        .map_err(&failed)?;
    rows.iter()
        .map(|row| {
            Ok(ChangeRow {
                generation: row.get("gen"),
                user: row.get::<Option<String>, _>("pbx_user_id").map(PbxUserId),
                kind: ChangeKind::parse(row.get("kind"))
                    .ok_or(StoreError::Inconsistent { work, column: "change.log.kind" })?,
                fields: row.get("fields"),
                before: row.get("before"),
                after: row.get("after"),
                source: row.get("source"),
                detected_at: row.get("detected_at"),
                saved_at: row.get("saved_at"),
            })
        })
        .collect()
}

/// An integration licence given, taken or altered.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    /// The change.
    pub generation: Gen,
    /// The PBX user.
    pub user: PbxUserId,
    /// 1 = given, -1 = taken, 0 = altered.
    pub difference: i32,
    /// Licences in use after it.
    pub used: i64,
    /// The mapping before, as far as it changed.
    pub before: Option<Value>,
    /// The mapping after, as far as it changed.
    pub after: Option<Value>,
    /// Who recorded it.
    pub source: String,
    /// When it was saved.
    pub at: OffsetDateTime,
}

/// The ledger of an account's integration licences, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn ledger(tx: &mut Tx, account: AccountId) -> Result<Vec<LedgerEntry>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(LEDGER).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows
        .iter()
        .map(|row| LedgerEntry {
            generation: row.get("gen"),
            user: PbxUserId(row.get("pbx_user_id")),
            difference: row.get("difference"),
            used: row.get("used"),
            before: row.get("before"),
            after: row.get("after"),
            source: row.get("source"),
            at: row.get("at"),
        })
        .collect())
}
