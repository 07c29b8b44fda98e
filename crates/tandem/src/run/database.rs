//! The database before and while roles run.

use std::time::Duration;

use tandem_runtime::{Ctx, chain};
use tandem_store::admin::server;
use tandem_store::{Store, StoreError, newest_version};

/// How often the database is asked whether it is there.
const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(3);

/// Waits until the database answers, then compares its schema with what this binary was built for. A newer one is
/// accepted: migrations work under the release before them.
pub(super) async fn ready(ctx: &Ctx, store: &Store) -> anyhow::Result<()> {
    let mut wait = Duration::from_millis(250);
    loop {
        match server::schema_version(store).await {
            Ok(version) if version >= newest_version() => return Ok(()),
            Ok(version) => anyhow::bail!(
                "the schema of the database is at version {version}, this program needs {}: run `tandem migrate`",
                newest_version()
            ),
            Err(error @ StoreError::Unavailable { .. }) => {
                tracing::warn!(error = %chain(&error), "the database does not answer; trying again");
            }
            Err(error) => {
                let hint =
                    "the database lets nobody in as this login, or has no schema yet: run `tandem migrate`";
                return Err(anyhow::Error::new(error).context(hint));
            }
        }
        let stopped = ctx.shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none();
        anyhow::ensure!(!stopped, "stopped before the database answered");
        wait = (wait * 2).min(EVERY);
    }
}

/// Keeps the health check `database` true.
pub(super) fn watch(ctx: &Ctx, store: &Store) {
    let check = ctx.health.register("database");
    check.ok();
    let (store, stop) = (store.clone(), ctx.shutdown.clone());
    ctx.spawn("database.watch", async move {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            match tokio::time::timeout(PATIENCE, store.ping()).await {
                Ok(Ok(())) => check.ok(),
                Ok(Err(error)) => check.failed(chain(&error)),
                Err(_) => check.failed("no answer in time"),
            }
        }
        Ok(())
    });
}
