//! Jobs as they stand in the queue, for looks that cannot wait until the log has caught up.

use tandem_domain::JobId;

use crate::log_read::JobRow;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// One job.
    JOB = "select j.*, null::text[] as failures from queue.jobs j where job_id = $1";
}

/// One job of the queue.
///
/// # Errors
/// [`StoreError`].
pub async fn job(tx: &mut Tx, job: JobId) -> Result<Option<JobRow>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let row = sqlx::query(JOB).bind(job.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    row.map(|row| JobRow::read(&row, work)).transpose()
}
