//! Finished jobs by hour, for dashboards.

use serde::Serialize;
use sqlx::Row;
use tandem_domain::AccountId;
use tandem_domain::job::{JobState, JobType};
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Finished jobs by hour.
    ROLLUPS = "select r.* from log.rollups r
                where r.hour >= $1 and r.hour < $2 and ($3::uuid is null or r.account_id = $3)
                order by r.hour, r.account_id, r.job_type, r.state";
}

/// Jobs of an account that ended within an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RollupRow {
    /// Whose.
    #[serde(rename = "account_id")]
    pub account: AccountId,
    /// Begin of the hour, UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub hour: OffsetDateTime,
    /// Auto or Manual.
    pub job_type: JobType,
    /// How they ended.
    pub state: JobState,
    /// How many.
    pub jobs: i64,
}

/// Finished jobs by hour, `since <= hour < until`, of one account or of all that the reader may see.
///
/// # Errors
/// [`StoreError`].
pub async fn rollups(
    tx: &mut Tx,
    account: Option<AccountId>,
    since: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Vec<RollupRow>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let odd = |column| StoreError::Inconsistent { work, column };
    let rows = sqlx::query(ROLLUPS)
        .bind(since)
        .bind(until)
        .bind(account.map(|a| a.0))
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(RollupRow {
                account: AccountId(row.get("account_id")),
                hour: row.get("hour"),
                job_type: JobType::parse(row.get("job_type")).ok_or(odd("log.rollups.job_type"))?,
                state: JobState::parse(row.get("state")).ok_or(odd("log.rollups.state"))?,
                jobs: row.get("jobs"),
            })
        })
        .collect()
}
