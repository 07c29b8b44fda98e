//! Once an hour: what is long over is let go. The log has kept the records.

use std::sync::Arc;
use std::time::Duration;

use tandem_runtime::{BoxError, chain};
use tandem_store::{rates, retention};
use tokio_util::sync::CancellationToken;

use crate::Shared;

/// How often.
const EVERY: Duration = Duration::from_secs(3600);

/// Prunes until stopped.
pub(crate) async fn run_until(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        match retention::prune(&shared.store, shared.settings.keep_days).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old jobs, plans and intents let go"),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "old jobs could not be let go; trying again");
            }
        }
        if let Err(error) = rates::forget(&shared.store).await {
            tracing::warn!(error = %chain(&error), "budgets of old could not be let go; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}
