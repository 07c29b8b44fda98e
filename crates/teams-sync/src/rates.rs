//! The budget of requests to Microsoft that all workers share: the books stand in PostgreSQL, on its clock.
//!
//! Promised: all processes together keep the rates of the app and of each tenant, and none of them sends to a scope
//! that Microsoft has shut to another one, but for what was under way already. A process that cannot reach the books
//! goes on with a small share of its own; little can happen without the database anyway.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tandem_graph::{
    CUT, EASE, EASE_PAUSE, FLOOR, Graph, Ledger, LocalLedger, Offer, RECOVERY_PER_S, ScopeId, Terms,
};
use tandem_runtime::{BoxError, chain};
use tandem_store::rates::{self, Adaptation, Bought, Gates, ShutGate};
use tandem_store::{Store, StoreError};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Part of a rate that every process may use by itself while it cannot reach the books.
const SAFE: f64 = 0.1;
/// After the books could not be reached they are left alone for so long.
const PAUSE: Duration = Duration::from_secs(2);
/// Wait before listening again after the connection was lost.
const RELISTEN: Duration = Duration::from_secs(1);

/// How rates fall and rise.
pub(crate) const ADAPTATION: Adaptation =
    Adaptation { cut: CUT, ease: EASE, ease_pause: EASE_PAUSE, floor: FLOOR, recovery_per_s: RECOVERY_PER_S };

/// The shared books.
#[derive(Debug)]
pub(crate) struct SharedLedger {
    store: Store,
    /// What is sold while the books cannot be reached, and the gates as this process knows them.
    own: LocalLedger,
    away_until: Mutex<Option<Instant>>,
}

impl SharedLedger {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, own: LocalLedger::default(), away_until: Mutex::default() }
    }

    fn is_away(&self) -> bool {
        let away = *self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|until| Instant::now() < until)
    }

    fn answered(&self) {
        let was_away = self.away_until.lock().unwrap_or_else(PoisonError::into_inner).take();
        if was_away.is_some() {
            tracing::info!("the shared budget of requests is back");
        }
    }

    fn failed(&self, error: &StoreError) {
        let until = Some(Instant::now() + PAUSE);
        let before =
            std::mem::replace(&mut *self.away_until.lock().unwrap_or_else(PoisonError::into_inner), until);
        if before.is_none() {
            tracing::warn!(error = %chain(error), "the shared budget of requests is away; going on with a small share");
        }
    }

    async fn sell_safely(&self, scope: &ScopeId, terms: Terms, requests: u32) -> Offer {
        let share = Terms { per_second: terms.per_second * SAFE, burst: 1 };
        self.own.buy(scope, share, requests).await
    }
}

impl Ledger for SharedLedger {
    fn buy<'a>(&'a self, scope: &'a ScopeId, terms: Terms, requests: u32) -> BoxFuture<'a, Offer> {
        async move {
            if self.is_away() {
                return self.sell_safely(scope, terms, requests).await;
            }
            let full = (terms.per_second, terms.burst);
            match rates::buy(&self.store, &scope.to_string(), full, requests, &ADAPTATION).await {
                Ok(bought) => {
                    self.answered();
                    match bought {
                        Bought::After(after) => Offer::Granted { after },
                        Bought::Shut(wait, parked) => Offer::Shut { wait, parked },
                    }
                }
                Err(error) => {
                    self.failed(&error);
                    self.sell_safely(scope, terms, requests).await
                }
            }
        }
        .boxed()
    }

    fn shut<'a>(&'a self, scope: &'a ScopeId, wait: Duration, parked: bool) -> BoxFuture<'a, ()> {
        async move {
            self.own.shut(scope, wait, parked).await;
            if let Err(error) = rates::shut(&self.store, &scope.to_string(), wait, parked, &ADAPTATION).await
            {
                self.failed(&error);
            }
        }
        .boxed()
    }

    fn ease<'a>(&'a self, scope: &'a ScopeId) -> BoxFuture<'a, ()> {
        async move {
            self.own.ease(scope).await;
            if let Err(error) = rates::ease(&self.store, &scope.to_string(), &ADAPTATION).await {
                self.failed(&error);
            }
        }
        .boxed()
    }
}

/// Shuts this process's gates when another one was throttled, until stopped.
pub(crate) async fn hear_until(store: Store, graph: Graph, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        let heard = tokio::select! {
            heard = hear(&store, &graph) => heard,
            () = stop.cancelled() => return Ok(()),
        };
        if let Err(error) = heard {
            tracing::warn!(error = %chain(&error), "news of throttling cannot be heard; trying again");
        }
        tokio::select! {
            () = sleep(RELISTEN) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn hear(store: &Store, graph: &Graph) -> Result<(), StoreError> {
    let (mut gates, shut) = Gates::listen(store).await?;
    for gate in &shut {
        obey(graph, gate);
    }
    loop {
        obey(graph, &gates.next().await?);
    }
}

fn obey(graph: &Graph, gate: &ShutGate) {
    if let Some(scope) = ScopeId::parse(&gate.scope) {
        graph.throttled_elsewhere(&scope, Duration::from_millis(gate.wait_ms), gate.parked);
    }
}
