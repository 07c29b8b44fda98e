//! What a handler gets, and what it may say about it.

use std::time::Duration;

use bytes::Bytes;
use tandem_wire::Headers;
use time::OffsetDateTime;

/// A message, delivered. There is no way to answer the broker through it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub payload: Bytes,
    /// Which try this is, snoozed ones not counted. After a crash of the broker a second try may look like a first.
    pub attempt: u32,
    /// Its place in the stream.
    pub sequence: u64,
    /// When the broker stored it.
    pub published_at: OffsetDateTime,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has been handled, and what follows from it is recorded.
    Done,
    /// It failed and may succeed later. The last try makes it a dead letter.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Why it failed.
        cause: String,
    },
    /// It is too early for it. Not counted as a try.
    Snooze {
        /// How long to wait.
        after: Duration,
    },
    /// It can never succeed. It becomes a dead letter.
    Reject {
        /// A stable code.
        code: String,
        /// Why, in words.
        reason: String,
    },
}
