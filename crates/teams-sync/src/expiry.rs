//! Once a day: certificates that end soon are told while there is time to change them.

use std::sync::Arc;
use std::time::Duration;

use tandem_runtime::{BoxError, chain};
use tandem_store::vault;
use tokio_util::sync::CancellationToken;

use crate::Shared;

/// How often.
const EVERY: Duration = Duration::from_secs(86_400);

/// A certificate is told this many days before it ends.
pub const CERTIFICATE_WARNING_DAYS: i32 = 30;

/// Tells until stopped.
pub(crate) async fn run_until(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        tell(&shared).await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn tell(shared: &Shared) {
    let now = shared.clock.now();
    let certificates = shared.graph.certificates();
    // the newest is what counts: an older one ends while they are changed
    if let Some(newest) = certificates.iter().max_by_key(|certificate| certificate.not_after) {
        let days = (newest.not_after - now).whole_days();
        if days < i64::from(CERTIFICATE_WARNING_DAYS) {
            tracing::warn!(certificate = %newest.thumbprint, not_after = %newest.not_after, days, "the app's certificate ends soon: register a new one and add it to the configuration");
        }
    }
    match vault::ending(&shared.store, CERTIFICATE_WARNING_DAYS).await {
        Ok(ending) => {
            for (account, client_id, not_after) in ending {
                tracing::warn!(%account, %client_id, %not_after, "the certificate of the account's own app ends soon: ask the customer for a new one");
            }
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), "certificates of own apps could not be looked at");
        }
    }
}
