//! One message at a time, several at once.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tandem_runtime::trace;
use tandem_wire::ConsumerSettings;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info_span};

use crate::{
    Bus, BusError, DeadLetters, Delivery, Outcome,
    feed::Feed,
    settle::{Settler, Taken},
};

impl Bus {
    /// Hands each message of a consumer to `handler`, at most `slots` at once, until `stop`; then finishes what was
    /// begun, gives back what was not, and returns. While a handler works, the broker is told that it does; a panic is a
    /// retry. The consumer is made when it is missing, now and later.
    pub async fn run_each<D, F, Fut>(
        &self,
        consumer: ConsumerSettings,
        slots: usize,
        dead_letters: Arc<D>,
        stop: CancellationToken,
        handler: F,
    ) -> Result<(), BusError>
    where
        D: DeadLetters,
        F: Fn(Delivery) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.announce(&consumer).await?;
        let slots = slots.max(1);
        let (handler, permits, tasks) =
            (Arc::new(handler), Arc::new(Semaphore::new(slots)), TaskTracker::new());
        let settler = Arc::new(Settler::new(self, &consumer, dead_letters));
        let mut feed = Feed::new(self, &consumer, slots / 4, &stop);
        loop {
            // a place first, a message second: what is taken is begun
            let permit = tokio::select! {
                () = stop.cancelled() => break,
                permit = permits.clone().acquire_owned() => permit,
            };
            let (Ok(permit), Some(message)) = (permit, feed.next().await) else { break };
            let (settler, handler) = (settler.clone(), handler.clone());
            tasks.spawn(async move {
                let _permit = permit;
                if let Some(taken) = settler.take(message).await {
                    handle(&settler, handler.as_ref(), taken).await;
                }
            });
        }
        self.wind_up(feed, tasks).await;
        Ok(())
    }

    /// Makes the consumer, and from now on looks after it. The broker being away is no error; one that is too old is.
    pub(crate) async fn announce(&self, consumer: &ConsumerSettings) -> Result<(), BusError> {
        match self.ensure_consumer(consumer).await {
            Err(error @ (BusError::OldServer { .. } | BusError::SettingIgnored { .. })) => Err(error),
            Err(error) => {
                tracing::info!(error = %tandem_runtime::chain(&error), "a consumer has to wait for the broker");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Gives back what was not begun, finishes what was, and makes sure the answers are on their way.
    pub(crate) async fn wind_up(&self, feed: Feed, tasks: TaskTracker) {
        feed.give_back().await;
        tasks.close();
        tasks.wait().await;
        if let Err(error) = self.flush().await {
            tracing::info!(error = %tandem_runtime::chain(&error), "the last answers may be lost; messages come again");
        }
    }
}

async fn handle<D, F, Fut>(settler: &Settler<D>, handler: &F, taken: Taken)
where
    D: DeadLetters,
    F: Fn(Delivery) -> Fut + Send + Sync,
    Fut: Future<Output = Outcome> + Send,
{
    let Delivery { subject, attempt, sequence, .. } = &taken.delivery;
    let attempt = *attempt;
    let span = info_span!(
        "bus.handle", otel.kind = "consumer", messaging.system = "nats",
        messaging.destination.name = %subject, sequence, attempt,
    );
    if let Some(sender) = taken.delivery.headers.traceparent() {
        trace::set_parent(&span, sender);
    }
    let delivery = taken.delivery.clone();
    // the handler is called within the guard too: it may panic before it returns its future
    let work = AssertUnwindSafe(async { handler(delivery).await }).catch_unwind().instrument(span);
    let outcome = tokio::select! {
        outcome = work => outcome.unwrap_or_else(|panic| settler.after_panic(panic.as_ref(), attempt)),
        () = settler.keep_alive(std::slice::from_ref(&taken)) => return,
    };
    settler.settle(&taken, outcome).await;
}
