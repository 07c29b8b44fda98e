//! Figures of the last days by hour: what jobs came to, and how late they were.

use std::collections::BTreeMap;

use sqlx::Row;
use tandem_domain::AccountId;
use tandem_domain::job::JobState;
use time::OffsetDateTime;

use super::fleet::MOST_JOBS;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Finished jobs of all accounts.
    JOBS = "select hour, state, sum(jobs)::bigint as jobs from log.rollups where hour >= date_trunc('hour', $1, 'UTC') group by hour, state";
    /// Finished jobs of one account.
    JOBS_OF_ACCOUNT = "select hour, state, sum(jobs)::bigint as jobs from log.rollups
                        where account_id = $2 and hour >= date_trunc('hour', $1, 'UTC') group by hour, state";
    /// How late Auto jobs started, by the hour of their start.
    LATE = "select date_trunc('hour', j.started_at, 'UTC') as hour,
                   percentile_disc(0.5) within group (order by extract(epoch from j.started_at - j.first_change_at)::float8) as p50,
                   percentile_disc(0.95) within group (order by extract(epoch from j.started_at - j.first_change_at)::float8) as p95
              from (select * from log.jobs where job_id >= log.uuid_at($1) order by job_id desc limit $2) j
             where j.job_type = 'auto' and j.first_change_at is not null and not j.excused and j.started_at is not null
             group by 1";
}

/// Finished jobs by hour and state.
pub type Throughput = BTreeMap<(OffsetDateTime, JobState), i64>;

/// What jobs came to since then, of one account or of all.
///
/// # Errors
/// [`StoreError`].
pub async fn throughput(
    tx: &mut Tx,
    account: Option<AccountId>,
    since: OffsetDateTime,
) -> Result<Throughput, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = match account {
        Some(account) => sqlx::query(JOBS_OF_ACCOUNT).bind(since).bind(account.0),
        None => sqlx::query(JOBS).bind(since),
    };
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let state = JobState::parse(row.get("state"));
            let state = state.ok_or(StoreError::Inconsistent { work, column: "log.rollups.state" })?;
            Ok(((row.get("hour"), state), row.get("jobs")))
        })
        .collect()
}

/// Seconds within which half, and nineteen of twenty, of the jobs that started in an hour had started.
pub type Late = BTreeMap<OffsetDateTime, (f64, f64)>;

/// How late the Auto jobs of all accounts started since then.
///
/// # Errors
/// [`StoreError`].
pub async fn late(tx: &mut Tx, since: OffsetDateTime) -> Result<Late, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(LATE).bind(since).bind(MOST_JOBS);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.iter().map(|row| (row.get("hour"), (row.get("p50"), row.get("p95")))).collect())
}
