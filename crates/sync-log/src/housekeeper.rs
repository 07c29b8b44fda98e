//! Sweeping, pruning, and the months of the log.

use std::time::Duration;

use tandem_runtime::health::Check;
use tandem_runtime::{BoxError, chain};
use tandem_store::{StoreError, log};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::SyncLogSettings;
use crate::keeper::Keeper;

/// How often months are made and dropped. Two months are made ahead of need, so a missed day costs nothing.
const MONTHS_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Events removed by one statement.
const PRUNE: i64 = 10_000;

pub(crate) struct Housekeeper {
    keeper: Keeper,
    settings: SyncLogSettings,
    check: Check,
}

impl Housekeeper {
    pub(crate) fn new(keeper: Keeper, settings: SyncLogSettings, check: Check) -> Self {
        Self { keeper, settings, check }
    }

    pub(crate) async fn run_until(self, stop: CancellationToken) -> Result<(), BoxError> {
        let mut months_due = Instant::now();
        while !stop.is_cancelled() {
            // each on its own: a job that cannot be kept must not hold up the months
            let mut outcomes = vec![self.keeper.sweep().await, self.prune().await];
            if Instant::now() >= months_due {
                let turned = self.turn_months().await;
                if turned.is_ok() {
                    months_due = Instant::now() + MONTHS_EVERY;
                }
                outcomes.push(turned);
            }
            let errors: Vec<StoreError> = outcomes.into_iter().filter_map(Result::err).collect();
            for error in &errors {
                tracing::warn!(error = %chain(error), "sweep of job events failed; trying again");
            }
            match errors.first() {
                None => self.check.ok(),
                Some(error) => self.check.degraded(error.to_string()),
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings.sweep) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let age = self.settings.keep_events.as_secs_f64();
        loop {
            let pruned = log::prune(self.keeper.store(), age, PRUNE).await?;
            self.keeper.metrics().pruned(pruned);
            if pruned < PRUNE.unsigned_abs() {
                return Ok(());
            }
        }
    }

    async fn turn_months(&self) -> Result<(), StoreError> {
        let store = self.keeper.store();
        log::make_months(store).await?;
        let dropped =
            log::drop_months(store, self.settings.keep_job_months, self.settings.keep_step_days).await?;
        if !dropped.is_empty() {
            tracing::info!(partitions = dropped.join(" "), "records dropped whose time has come");
        }
        Ok(())
    }
}
