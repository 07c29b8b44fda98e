//! Messages of one consumer, for as long as the process runs.
//!
//! A pull that reports an error, or stays silent although messages wait, is replaced; a consumer or stream that is gone
//! is made again.

use std::time::Duration;

use async_nats::jetstream::{AckKind, consumer::pull, message::Message};
use futures_util::{FutureExt, StreamExt};
use tandem_runtime::chain;
use tandem_wire::ConsumerSettings;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Bus;

/// After so long without a message it is asked whether any wait.
const SUSPICIOUS: Duration = Duration::from_secs(30);
const EXPIRES: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Given back at a stop: another instance may have it at once.
const GIVEN_BACK: Duration = Duration::from_millis(50);

pub(crate) struct Feed {
    bus: Bus,
    settings: ConsumerSettings,
    /// How many messages one pull asks for: those wait here while their `ack_wait` runs, so it should be few.
    ask: usize,
    stop: CancellationToken,
    pull: Option<pull::Stream>,
    pause: Duration,
}

impl Feed {
    pub(crate) fn new(bus: &Bus, settings: &ConsumerSettings, ask: usize, stop: &CancellationToken) -> Self {
        Self {
            bus: bus.clone(),
            settings: settings.clone(),
            ask: ask.max(1),
            stop: stop.clone(),
            pull: None,
            pause: FIRST_PAUSE,
        }
    }

    /// The next message; none after the stop. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            message = self.pulled() => Some(message),
        }
    }

    async fn pulled(&mut self) -> Message {
        loop {
            let Some(pull) = &mut self.pull else {
                self.open().await;
                continue;
            };
            match timeout(SUSPICIOUS, pull.next()).await {
                Ok(Some(Ok(message))) => {
                    self.pause = FIRST_PAUSE;
                    return message;
                }
                Ok(Some(Err(error))) => {
                    tracing::info!(consumer = %self.settings.name, error = %chain(&error), "pulling anew");
                    self.pull = None;
                    self.wait().await;
                }
                Ok(None) => {
                    self.pull = None;
                    self.wait().await;
                }
                Err(_) => {
                    if self.messages_wait().await {
                        tracing::warn!(consumer = %self.settings.name, "messages wait and none came; pulling anew");
                        self.pull = None;
                    }
                }
            }
        }
    }

    async fn open(&mut self) {
        match self.try_open().await {
            Ok(pull) => self.pull = Some(pull),
            Err(error) => {
                tracing::debug!(consumer = %self.settings.name, error, "cannot pull yet");
                self.wait().await;
            }
        }
    }

    async fn try_open(&self) -> Result<pull::Stream, String> {
        if !self.bus.connected() {
            return Err("the broker is away".to_owned());
        }
        let consumer = match self.bus.pull_consumer(&self.settings).await {
            Ok(consumer) => consumer,
            Err(_) => {
                self.bus.heal().await.map_err(|error| chain(&error))?;
                self.bus.pull_consumer(&self.settings).await.map_err(|error| chain(&error))?
            }
        };
        consumer
            .stream()
            .max_messages_per_batch(self.ask)
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| chain(&error))
    }

    async fn messages_wait(&self) -> bool {
        match self.bus.pull_consumer(&self.settings).await {
            Ok(consumer) => consumer.cached_info().num_pending > 0,
            // gone or unreachable: opening anew finds out which
            Err(_) => true,
        }
    }

    async fn wait(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Gives back what was pulled and not begun.
    pub(crate) async fn give_back(mut self) {
        let Some(pull) = &mut self.pull else { return };
        while let Some(Some(Ok(message))) = pull.next().now_or_never() {
            if let Err(error) = message.ack_with(AckKind::Nak(Some(GIVEN_BACK))).await {
                tracing::debug!(%error, "a message could not be given back; it comes again by itself");
                return;
            }
        }
    }
}
