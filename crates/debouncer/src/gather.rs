//! Gathering: windows are moved by what the change log says, never by what a message says.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tandem_domain::window::Timing;
use tandem_runtime::{BoxError, chain, failpoint, trace};
use tandem_store::windows::Named;
use tandem_store::{Store, StoreError, windows};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::metrics::Metrics;

/// Traces that the span of a batch is linked with, at most.
const LINKS: usize = 16;
/// Accounts gathered in one statement, in the order of their keys: the more, the more of them stand side by side in indexes.
const BATCH: usize = 2000;
/// Statements at once, of one batch of announcements.
const SIDE_BY_SIDE: usize = 2;

/// Moves windows. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gatherer {
    store: Store,
    timing: Timing,
    metrics: Metrics,
}

impl Gatherer {
    pub(crate) fn new(store: Store, timing: Timing, metrics: Metrics) -> Self {
        Self { store, timing, metrics }
    }

    /// Looks at the named accounts and moves their windows. When that fails for some, others may have been moved.
    pub(crate) async fn gather(&self, mut accounts: Vec<Named>) -> Result<(), StoreError> {
        let span = tracing::info_span!("debouncer.gather", accounts = accounts.len());
        // a batch has many parents: the window keeps the trace, here they are only linked
        for parent in accounts.iter().filter_map(|named| named.traceparent.as_deref()).take(LINKS) {
            trace::link(&span, parent);
        }
        failpoint::hit("deb.after_recv_before_due_saved");
        async {
            // an account once, so that no two statements wait for each other
            accounts.sort_by_key(|named| named.account);
            accounts.dedup_by_key(|named| named.account);
            stream::iter(accounts.chunks(BATCH))
                .map(Ok)
                .try_for_each_concurrent(SIDE_BY_SIDE, |chunk| self.chunk(chunk))
                .await
        }
        .instrument(span)
        .await
    }

    async fn chunk(&self, accounts: &[Named]) -> Result<(), StoreError> {
        let moved = self.store.retrying(|| windows::gather(&self.store, accounts, self.timing)).await?;
        self.metrics.gathered(moved.len());
        for window in moved.iter().filter(|w| w.due_at.is_some()) {
            tracing::debug!(account = %window.account, gen = window.generation, due_at = ?window.due_at, "window open");
        }
        Ok(())
    }

    /// Looks for changes whose announcement never came, and for those of cancelled jobs.
    pub(crate) async fn sweep_until(self, every: Duration, stop: CancellationToken) -> Result<(), BoxError> {
        while !stop.is_cancelled() {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = %chain(&error), "sweep of changes failed; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        loop {
            let behind = windows::behind(&self.store, 5000).await?;
            if behind.is_empty() {
                break;
            }
            tracing::info!(accounts = behind.len(), "gathering changes that were not announced");
            self.gather(behind.iter().copied().map(Named::from).collect()).await?;
            if behind.len() < 5000 {
                break;
            }
        }
        windows::reopen(&self.store).await
    }
}
