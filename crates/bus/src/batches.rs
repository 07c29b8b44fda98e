//! Many messages at a time.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tandem_runtime::trace;
use tandem_wire::ConsumerSettings;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info_span};

use crate::{
    Bus, BusError, DeadLetters, Delivery, Outcome,
    feed::Feed,
    settle::{Settler, Taken},
};

/// More links than this make a trace unreadable.
const MOST_LINKS: usize = 32;

/// How messages are gathered into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The most messages in a batch.
    pub max: usize,
    /// How long the first message of a batch waits for company.
    pub linger: Duration,
    /// How many batches are handled at once.
    pub slots: usize,
}

impl Default for Batches {
    fn default() -> Self {
        Self { max: 500, linger: Duration::from_millis(5), slots: 2 }
    }
}

impl Bus {
    /// Hands the messages of a consumer to `handler` in batches until `stop`; then finishes what was begun, gives back
    /// what was not, and returns. The handler returns one outcome per message, in the same order. When it panics over
    /// several messages, each is handed to it alone, so that one bad message cannot take the others down with it: a
    /// handler must bear seeing a message twice.
    pub async fn run_batches<D, F, Fut>(
        &self,
        consumer: ConsumerSettings,
        batches: Batches,
        dead_letters: Arc<D>,
        stop: CancellationToken,
        handler: F,
    ) -> Result<(), BusError>
    where
        D: DeadLetters,
        F: Fn(Vec<Delivery>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Outcome>> + Send + 'static,
    {
        self.announce(&consumer).await?;
        let Batches { max, linger, slots } = batches;
        let (handler, permits) = (Arc::new(handler), Arc::new(Semaphore::new(slots.max(1))));
        let tasks = TaskTracker::new();
        let settler = Arc::new(Settler::new(self, &consumer, dead_letters));
        let mut feed = Feed::new(self, &consumer, max, &stop);
        loop {
            let permit = tokio::select! {
                () = stop.cancelled() => break,
                permit = permits.clone().acquire_owned() => permit,
            };
            let (Ok(permit), Some(first)) = (permit, feed.next().await) else { break };
            let mut batch: Vec<Taken> = settler.take(first).await.into_iter().collect();
            let end = Instant::now() + linger;
            while batch.len() < max.max(1) {
                let Ok(Some(message)) = timeout_at(end, feed.next()).await else { break };
                batch.extend(settler.take(message).await);
            }
            if batch.is_empty() {
                continue;
            }
            let (settler, handler) = (settler.clone(), handler.clone());
            tasks.spawn(async move {
                let _permit = permit;
                handle(&settler, handler.as_ref(), batch).await;
            });
        }
        self.wind_up(feed, tasks).await;
        Ok(())
    }
}

async fn handle<D, F, Fut>(settler: &Settler<D>, handler: &F, batch: Vec<Taken>)
where
    D: DeadLetters,
    F: Fn(Vec<Delivery>) -> Fut + Send + Sync,
    Fut: Future<Output = Vec<Outcome>> + Send,
{
    let work = async {
        match attempt(handler, &batch).await {
            Ok(outcomes) => outcomes,
            Err(panic) if batch.len() == 1 => {
                let attempt = batch.first().map_or(1, |one| one.delivery.attempt);
                vec![settler.after_panic(panic.as_ref(), attempt)]
            }
            Err(_) => one_by_one(settler, handler, &batch).await,
        }
    };
    let outcomes = tokio::select! {
        outcomes = work => outcomes,
        () = settler.keep_alive(&batch) => return,
    };
    let mut outcomes = outcomes.into_iter();
    for one in &batch {
        let outcome = outcomes.next().unwrap_or_else(|| Outcome::Retry {
            after: settler.usual_pause(one.delivery.attempt),
            cause: "the handler did not say what became of it".to_owned(),
        });
        settler.settle(one, outcome).await;
    }
}

async fn one_by_one<D, F, Fut>(settler: &Settler<D>, handler: &F, batch: &[Taken]) -> Vec<Outcome>
where
    D: DeadLetters,
    F: Fn(Vec<Delivery>) -> Fut + Send + Sync,
    Fut: Future<Output = Vec<Outcome>> + Send,
{
    tracing::warn!(messages = batch.len(), "the handler of a batch panicked; trying its messages one by one");
    let mut outcomes = Vec::with_capacity(batch.len());
    for one in batch {
        outcomes.push(match attempt(handler, std::slice::from_ref(one)).await {
            Ok(said) => said.into_iter().next().unwrap_or_else(|| Outcome::Retry {
                after: settler.usual_pause(one.delivery.attempt),
                cause: "the handler did not say what became of it".to_owned(),
            }),
            Err(panic) => settler.after_panic(panic.as_ref(), one.delivery.attempt),
        });
    }
    outcomes
}

async fn attempt<F, Fut>(handler: &F, batch: &[Taken]) -> Result<Vec<Outcome>, Box<dyn std::any::Any + Send>>
where
    F: Fn(Vec<Delivery>) -> Fut + Send + Sync,
    Fut: Future<Output = Vec<Outcome>> + Send,
{
    let span = info_span!(
        "bus.handle_batch",
        otel.kind = "consumer",
        messaging.system = "nats",
        messages = batch.len()
    );
    let senders = batch.iter().filter_map(|one| one.delivery.headers.traceparent()).take(MOST_LINKS);
    for sender in senders {
        trace::link(&span, sender);
    }
    let deliveries = batch.iter().map(|one| one.delivery.clone()).collect();
    AssertUnwindSafe(async { handler(deliveries).await }).catch_unwind().instrument(span).await
}
