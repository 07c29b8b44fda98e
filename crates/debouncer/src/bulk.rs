//! Replays of many jobs: each account's turn comes at the pace of the bulk act, and becomes a request like any other.

use std::time::Duration;

use tandem_domain::replay;
use tandem_domain::roles::Act;
use tandem_runtime::health::Check;
use tandem_runtime::{BoxError, Clock, Ctx, Ids, chain};
use tandem_store::admin::requests::{self, Ask};
use tandem_store::bulk_hand_in::{self, Next, Running};
use tandem_store::portal::audit::{self, Entry};
use tandem_store::{Store, StoreError, Tx};
use tokio_util::sync::CancellationToken;

pub(crate) struct Bulk {
    store: Store,
    clock: Clock,
    ids: Ids,
    check: Check,
}

impl Bulk {
    pub(crate) fn new(ctx: &Ctx, store: Store) -> Self {
        let check = ctx.health.register("debouncer.bulk");
        Self { store, clock: ctx.clock.clone(), ids: ctx.ids.stream("bulk"), check }
    }

    pub(crate) async fn run_until(self, tick: Duration, stop: CancellationToken) -> Result<(), BoxError> {
        while !stop.is_cancelled() {
            match self.portion().await {
                Ok(()) => self.check.ok(),
                Err(error) => {
                    self.check.degraded(chain(&error));
                    tracing::warn!(error = %chain(&error), "a bulk act does not move on; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Hands in one portion of the bulk act that runs, if it is due.
    async fn portion(&self) -> Result<(), StoreError> {
        let mut tx = self.store.begin("bulk.hand_in").await?;
        let Some(running) = bulk_hand_in::take(&mut tx).await? else { return Ok(()) };
        let next = if running.aborted { Vec::new() } else { bulk_hand_in::next(&mut tx, running.id).await? };
        for account in &next {
            self.hand_in(&mut tx, &running, account).await?;
        }
        if next.is_empty() {
            bulk_hand_in::finish(&mut tx, &running).await?;
        } else {
            bulk_hand_in::moved(&mut tx, running.id).await?;
        }
        tx.commit().await?;
        tracing::info!(bulk = %running.id, accounts = next.len(), aborted = running.aborted, "bulk act moved on");
        Ok(())
    }

    async fn hand_in(&self, tx: &mut Tx, running: &Running, next: &Next) -> Result<(), StoreError> {
        let (now, request) = (self.clock.now(), self.ids.v7(&self.clock));
        let refused = replay::refused(next.admission);
        let reason = format!("{}: {}", running.name, running.reason);
        if refused.is_none() {
            let ask = Ask::Replay(next.job, next.scope);
            requests::ask(tx, request, next.account, ask, &running.person.1, Some(&reason)).await?;
        }
        let subject = format!("replay {} in bulk {}", next.job, running.id);
        let entry = Entry {
            account: next.account,
            at: now,
            person: Some(running.person.0),
            name: &running.person.1,
            act: Act::BulkReplay.as_str(),
            allowed: refused.is_none(),
            subject: &subject,
            reason: refused.unwrap_or(&reason),
        };
        audit::append(tx, &entry).await?;
        bulk_hand_in::handed_in(tx, running.id, next.account, refused.map_or(Ok(request), Err)).await
    }
}
