//! Letting go of what the log keeps: jobs, plans, previews, uploaded files, bulk acts and intents that nothing asks for any more.

use crate::sql::statements;
use crate::{Store, StoreError};

statements! {
    /// Jobs that are over and settled; their records live on in the log.
    JOBS = "delete from queue.jobs where job_id in
              (select j.job_id from queue.jobs j
                where j.finished_at < now() - make_interval(days => $1)
                  and (j.settled_at is not null or j.state in ('failed', 'cancelled'))
                  and not exists (select from queue.events e where e.job_id = j.job_id)
                limit 5000)";
    /// Plans of such jobs.
    RUNS = "delete from sync.runs where (job_id, epoch) in
              (select job_id, epoch from sync.runs where planned_at < now() - make_interval(days => $1) limit 5000)";
    /// Writes whose outcome has long been known.
    INTENTS = "delete from sync.intents where intent_id in
                 (select intent_id from sync.intents where ended_at < now() - make_interval(days => $1) limit 5000)";
    /// Plans that somebody looked at.
    PREVIEWS = "delete from sync.previews where preview_id in
                  (select preview_id from sync.previews where created_at < now() - make_interval(days => $1) limit 5000)";
    /// Questions whose answer nobody has read.
    LOOKS = "delete from sync.looks where look_id in
               (select look_id from sync.looks where created_at < now() - least(make_interval(days => $1), interval '1 day') limit 5000)";
    /// Bulk acts that are over, with their jobs.
    BULK_ACTS = "delete from admin.bulk_acts where bulk_id in
                   (select bulk_id from admin.bulk_acts where finished_at < now() - make_interval(days => $1) limit 50)";
    /// Uploaded files that can be saved no more.
    IMPORTS = "delete from admin.imports where import_id in
                 (select import_id from admin.imports where expires_at < now() - interval '1 hour' limit 5000)";
}

/// Deletes a portion of what is older than `days`; returns how many rows went.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(store: &Store, days: i32) -> Result<u64, StoreError> {
    let mut gone = 0;
    let failed = |source| StoreError::of("retention.prune", source);
    for statement in [JOBS, RUNS, INTENTS, PREVIEWS, LOOKS, BULK_ACTS] {
        let done = sqlx::query(statement).bind(days).execute(store.pool()).await.map_err(failed)?;
        gone += done.rows_affected();
    }
    gone += sqlx::query(IMPORTS).execute(store.pool()).await.map_err(failed)?.rows_affected();
    Ok(gone)
}
