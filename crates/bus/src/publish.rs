//! Publishing, many at a time.

use async_nats::jetstream::{
    context::{PublishAckFuture, PublishErrorKind},
    message::PublishMessage,
};
use bytes::Bytes;
use futures_util::future::join_all;
use tandem_wire::Headers;

use crate::{Bus, PublishError, convert::header_map};

/// How many messages may be on their way at once. The client library would let the 5,001st wait for a place that only
/// our looking at the first can free.
const IN_FLIGHT: usize = 1_000;

/// A message to publish.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub payload: Bytes,
    /// By what the broker knows a message that comes twice. None for a doorbell that is rung again on purpose.
    pub msg_id: Option<String>,
}

/// A message the broker has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its place in the stream.
    pub sequence: u64,
    /// Whether the broker had it already.
    pub duplicate: bool,
}

type Answer = Result<Published, PublishError>;

impl Bus {
    /// Publishes `messages` and waits until the broker has confirmed each; answers come in the order of the messages.
    /// When the broker is away, or did not answer lately, all fail at once and nothing is sent.
    pub async fn publish_batch(&self, messages: Vec<Outgoing>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(messages.len());
        for part in messages.chunks(IN_FLIGHT) {
            answers.extend(self.publish_part(part).await);
        }
        // a stream that is gone is made again, and what it missed is sent once more
        let missed: Vec<usize> = answers
            .iter()
            .enumerate()
            .filter_map(|(at, answer)| matches!(answer, Err(PublishError::NoStream { .. })).then_some(at))
            .collect();
        if !missed.is_empty() && self.heal().await.is_ok() {
            for part in missed.chunks(IN_FLIGHT) {
                let again: Vec<Outgoing> = part.iter().filter_map(|at| messages.get(*at).cloned()).collect();
                for (at, answer) in part.iter().zip(self.publish_part(&again).await) {
                    answers[*at] = answer;
                }
            }
        }
        for answer in &answers {
            self.0.instruments.published(answer.as_ref().map_or_else(PublishError::code, |_| "ok"), 1);
        }
        answers
    }

    async fn publish_part(&self, part: &[Outgoing]) -> Vec<Answer> {
        if part.is_empty() {
            return Vec::new();
        }
        if !self.connected() || !self.0.circuit.closed() {
            return part.iter().map(|_| Err(PublishError::Unavailable)).collect();
        }
        if self.check_version().is_err() {
            return part.iter().map(|_| Err(PublishError::OldServer)).collect();
        }
        let mut sent = Vec::with_capacity(part.len());
        for message in part {
            sent.push(self.send(message).await);
        }
        let answers =
            join_all(part.iter().zip(sent).map(async |(message, sent)| confirm(message, sent?).await)).await;
        if answers.iter().all(|answer| matches!(answer, Err(PublishError::Unknown { .. }))) {
            self.0.circuit.silent();
        } else {
            self.0.circuit.answered();
        }
        answers
    }

    async fn send(&self, message: &Outgoing) -> Result<PublishAckFuture, PublishError> {
        let Outgoing { subject, headers, payload, msg_id } = message;
        let invalid = |source| PublishError::Invalid { subject: subject.clone(), source };
        let mut publish = PublishMessage::build().payload(payload.clone());
        let mut map = header_map(headers).map_err(invalid)?;
        if let Some(id) = msg_id {
            let id: async_nats::HeaderValue = id.parse().map_err(|error| invalid(Box::new(error)))?;
            map.insert(async_nats::header::NATS_MESSAGE_ID, id);
        }
        if !map.is_empty() {
            publish = publish.headers(map);
        }
        let sent = self.0.jetstream.send_publish(subject.clone(), publish).await;
        sent.map_err(|error| match error.kind() {
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                PublishError::Unknown { subject: subject.clone() }
            }
            _ => invalid(error.into()),
        })
    }
}

async fn confirm(message: &Outgoing, sent: PublishAckFuture) -> Answer {
    let subject = message.subject.clone();
    match sent.await {
        Ok(ack) => Ok(Published { sequence: ack.sequence, duplicate: ack.duplicate }),
        Err(error) => Err(match error.kind() {
            PublishErrorKind::StreamNotFound => PublishError::NoStream { subject },
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => PublishError::Unknown { subject },
            _ => PublishError::Refused { subject, source: error.into() },
        }),
    }
}
