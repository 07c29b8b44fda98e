//! From what a handler said to an answer for the broker: the only place that answers.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{
    AckKind,
    message::{Acker, Message},
};
use tandem_wire::ConsumerSettings;
use tokio::time::{Instant, interval_at};

use crate::{
    Bus, DeadLetter, DeadLetters, Delivery, Outcome,
    convert::{LONGEST_DELAY, SHORTEST_DELAY, headers},
};

/// How long to wait when a dead letter could not be stored.
const LETTER_PAUSE: Duration = Duration::from_secs(30);

/// Beyond this many the memory of snoozed messages starts anew; they are then counted as tried.
const MOST_SNOOZED: usize = 10_000;

/// What settles the messages of one consumer.
pub(crate) struct Settler<D> {
    bus: Bus,
    settings: ConsumerSettings,
    dead_letters: Arc<D>,
    /// How often each message was snoozed here. The broker counts those as deliveries, and we do not. What another
    /// instance snoozed is not known here; that only brings the last try nearer.
    snoozed: Mutex<HashMap<u64, u32>>,
}

/// A message taken from the broker: what the handler sees, and the handle it does not.
pub(crate) struct Taken {
    pub(crate) delivery: Delivery,
    pub(crate) acker: Acker,
}

impl<D: DeadLetters> Settler<D> {
    pub(crate) fn new(bus: &Bus, settings: &ConsumerSettings, dead_letters: Arc<D>) -> Self {
        Self { bus: bus.clone(), settings: settings.clone(), dead_letters, snoozed: Mutex::default() }
    }

    /// Reads a message. None when it was settled here: it was delivered again and again without anybody saying what
    /// became of it, so the process probably died of it each time.
    pub(crate) async fn take(&self, message: Message) -> Option<Taken> {
        let (delivered, sequence, published_at) = match message.info() {
            Ok(info) => (info.delivered, info.stream_sequence, info.published),
            Err(error) => {
                tracing::warn!(%error, "a message without the broker's details is left alone");
                return None;
            }
        };
        let snoozed = self.snoozed.lock().unwrap_or_else(PoisonError::into_inner).get(&sequence).copied();
        let attempt =
            u32::try_from(delivered).unwrap_or(u32::MAX).saturating_sub(snoozed.unwrap_or(0)).max(1);
        let (message, acker) = message.split();
        let delivery = Delivery {
            subject: message.subject.to_string(),
            headers: headers(message.headers.as_ref()),
            payload: message.payload,
            attempt,
            sequence,
            published_at,
        };
        let taken = Taken { delivery, acker };
        if attempt > self.settings.max_attempts {
            let reason = "was delivered again and again and nobody said what became of it".to_owned();
            self.bury(&taken, "bus.never_answered".to_owned(), reason).await;
            return None;
        }
        Some(taken)
    }

    /// Answers the broker.
    pub(crate) async fn settle(&self, taken: &Taken, outcome: Outcome) {
        let Delivery { attempt, sequence, .. } = taken.delivery;
        match outcome {
            Outcome::Done => {
                self.forget(sequence);
                self.answer(taken, AckKind::Ack, "done").await;
            }
            Outcome::Retry { cause, .. } if attempt >= self.settings.max_attempts => {
                self.bury(taken, "bus.attempts_exhausted".to_owned(), cause).await;
            }
            Outcome::Retry { after, cause } => {
                tracing::info!(
                    consumer = %self.settings.name, sequence, attempt, cause, "a message failed and comes again"
                );
                // spread, so that what failed together does not come back together
                let after = after.mul_f64(0.9 + 0.2 * self.bus.0.ids.fraction());
                self.answer(taken, AckKind::Nak(Some(bounded(after))), "retry").await;
            }
            Outcome::Snooze { after } => {
                self.remember(sequence);
                self.answer(taken, AckKind::Nak(Some(bounded(after))), "snooze").await;
            }
            Outcome::Reject { code, reason } => self.bury(taken, code, reason).await,
        }
    }

    /// Says that work on these messages goes on, until dropped.
    pub(crate) async fn keep_alive(&self, taken: &[Taken]) {
        let every = self.settings.ack_wait / 3;
        let mut beat = interval_at(Instant::now() + every, every);
        loop {
            beat.tick().await;
            for one in taken {
                if let Err(error) = one.acker.ack_with(AckKind::Progress).await {
                    tracing::debug!(%error, "progress could not be told");
                }
            }
        }
    }

    /// What a panic of the handler counts as.
    pub(crate) fn after_panic(&self, panic: &(dyn Any + Send), attempt: u32) -> Outcome {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no text".to_owned());
        tracing::error!(consumer = %self.settings.name, panic = text, "the handler of a message panicked");
        Outcome::Retry { after: self.usual_pause(attempt), cause: format!("the handler panicked: {text}") }
    }

    pub(crate) fn usual_pause(&self, attempt: u32) -> Duration {
        let step = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let backoff = &self.settings.backoff;
        backoff.get(step).or(backoff.last()).copied().unwrap_or(self.settings.ack_wait)
    }

    async fn bury(&self, taken: &Taken, code: String, reason: String) {
        let ConsumerSettings { stream, name, .. } = &self.settings;
        let Delivery { subject, headers, payload, attempt, sequence, .. } = taken.delivery.clone();
        tracing::error!(consumer = %name, subject, sequence, code, reason, "a message becomes a dead letter");
        let letter = DeadLetter {
            stream: stream.clone(),
            consumer: name.clone(),
            subject,
            sequence,
            attempts: attempt,
            headers,
            payload,
            code,
            reason,
            at: self.bus.0.clock.now(),
        };
        match self.dead_letters.store(letter).await {
            Ok(()) => {
                self.forget(sequence);
                self.answer(taken, AckKind::Term, "dead").await;
            }
            Err(error) => {
                let error = tandem_runtime::chain(error.as_ref());
                tracing::error!(consumer = %name, sequence, error, "a dead letter could not be stored; it comes again");
                self.answer(taken, AckKind::Nak(Some(LETTER_PAUSE)), "letter_not_stored").await;
            }
        }
    }

    async fn answer(&self, taken: &Taken, kind: AckKind, outcome: &'static str) {
        self.bus.0.instruments.delivered(&self.settings.name, outcome);
        if let Err(error) = taken.acker.ack_with(kind).await {
            tracing::debug!(%error, "the broker could not be answered; the message comes again");
        }
    }

    fn remember(&self, sequence: u64) {
        let mut snoozed = self.snoozed.lock().unwrap_or_else(PoisonError::into_inner);
        if snoozed.len() >= MOST_SNOOZED && !snoozed.contains_key(&sequence) {
            snoozed.clear();
        }
        *snoozed.entry(sequence).or_default() += 1;
    }

    fn forget(&self, sequence: u64) {
        self.snoozed.lock().unwrap_or_else(PoisonError::into_inner).remove(&sequence);
    }
}

fn bounded(after: Duration) -> Duration {
    after.clamp(SHORTEST_DELAY, LONGEST_DELAY)
}
