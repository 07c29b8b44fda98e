//! The settings of every stream and consumer, as plain values; the bus crate hands them to the broker.
//!
//! All streams are files with limits retention: losing a message is harmless (the sweeps find the work), so the oldest
//! goes when a limit is met, and nobody who reads can hold up anybody who writes.

use std::time::Duration;

use crate::{MAX_MESSAGE_BYTES, Subjects};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const GIB: i64 = 1024 * 1024 * 1024;

/// Room for headers beside the largest body.
const HEADER_BYTES: usize = 16 * 1024;

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Its name.
    pub name: String,
    /// What it is for, shown by the broker's tools.
    pub description: String,
    /// The subjects it keeps.
    pub subjects: Vec<String>,
    /// How long a message is kept.
    pub max_age: Duration,
    /// How much is kept; beyond it the oldest messages go.
    pub max_bytes: i64,
    /// The largest message, with headers.
    pub max_message_bytes: i32,
    /// On how many servers it is kept: 1 on a laptop, 3 in production.
    pub replicas: usize,
    /// How long a message id is remembered.
    pub duplicate_window: Duration,
}

/// A durable pull consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// The stream it reads.
    pub stream: String,
    /// Its durable name: all instances of a role share it, and with it the work.
    pub name: String,
    /// What it is for, shown by the broker's tools.
    pub description: String,
    /// What it wants of the stream.
    pub filter_subject: String,
    /// How long a message may stay unanswered. Long work says in between that it goes on.
    pub ack_wait: Duration,
    /// After how many tries that failed a message becomes a dead letter. Ours, and below `max_deliver`, because a
    /// message that the broker gives up on is stranded silently.
    pub max_attempts: u32,
    /// After how many deliveries, snoozed ones included, the broker gives up.
    pub max_deliver: i64,
    /// How long the broker waits before it delivers again what was not answered at all; the first is `ack_wait`.
    pub backoff: Vec<Duration>,
    /// How many messages may be with workers at once.
    pub max_ack_pending: i64,
}

/// Announcements that accounts changed.
#[must_use]
pub fn changed_stream(subjects: &Subjects, replicas: usize) -> StreamSettings {
    stream(subjects, replicas, "CHANGED", "changed.*", "An account is now at generation n", DAY, GIB)
}

/// Announcements that jobs wait.
#[must_use]
pub fn due_stream(subjects: &Subjects, replicas: usize) -> StreamSettings {
    stream(subjects, replicas, "DUE", "due.*.*", "A job waits", DAY, GIB / 4)
}

/// What happened to jobs. Kept longer than the others, so that a new reader can look back.
#[must_use]
pub fn events_stream(subjects: &Subjects, replicas: usize) -> StreamSettings {
    stream(subjects, replicas, "EVENTS", "event.*.*", "What happened to a job", DAY * 7, GIB * 2)
}

/// All streams.
#[must_use]
pub fn all_streams(subjects: &Subjects, replicas: usize) -> Vec<StreamSettings> {
    vec![
        changed_stream(subjects, replicas),
        due_stream(subjects, replicas),
        events_stream(subjects, replicas),
    ]
}

/// Moves windows, in batches: many messages at a time, each quickly.
#[must_use]
pub fn debouncer(subjects: &Subjects) -> ConsumerSettings {
    consumer(
        subjects,
        "CHANGED",
        "debouncer",
        "changed.*",
        "Moves the windows of accounts that changed",
        5_000,
    )
}

/// Claims Auto jobs.
#[must_use]
pub fn due_auto(subjects: &Subjects) -> ConsumerSettings {
    consumer(subjects, "DUE", "teams-sync-auto", "due.auto.*", "Claims Auto jobs", 1_000)
}

/// Claims Manual jobs: apart from the Auto jobs, so that a person never waits behind a bulk.
#[must_use]
pub fn due_manual(subjects: &Subjects) -> ConsumerSettings {
    consumer(subjects, "DUE", "teams-sync-manual", "due.manual.*", "Claims Manual jobs", 1_000)
}

/// Keeps job records and steps, in batches.
#[must_use]
pub fn sync_log(subjects: &Subjects) -> ConsumerSettings {
    consumer(subjects, "EVENTS", "sync-log", "event.*.*", "Keeps the record of every job", 5_000)
}

/// All consumers.
#[must_use]
pub fn all_consumers(subjects: &Subjects) -> Vec<ConsumerSettings> {
    vec![debouncer(subjects), due_auto(subjects), due_manual(subjects), sync_log(subjects)]
}

fn stream(
    subjects: &Subjects,
    replicas: usize,
    name: &str,
    pattern: &str,
    description: &str,
    max_age: Duration,
    max_bytes: i64,
) -> StreamSettings {
    StreamSettings {
        name: subjects.stream(name),
        description: description.to_owned(),
        subjects: vec![subjects.under(pattern)],
        max_age,
        max_bytes,
        max_message_bytes: i32::try_from(MAX_MESSAGE_BYTES + HEADER_BYTES).unwrap_or(i32::MAX),
        replicas,
        duplicate_window: MINUTE * 2,
    }
}

fn consumer(
    subjects: &Subjects,
    stream: &str,
    name: &str,
    pattern: &str,
    description: &str,
    max_ack_pending: i64,
) -> ConsumerSettings {
    let ack_wait = Duration::from_secs(30);
    ConsumerSettings {
        stream: subjects.stream(stream),
        name: name.to_owned(),
        description: description.to_owned(),
        filter_subject: subjects.under(pattern),
        ack_wait,
        max_attempts: 8,
        max_deliver: 64,
        backoff: vec![ack_wait, MINUTE, MINUTE * 2, MINUTE * 5],
        max_ack_pending,
    }
}
