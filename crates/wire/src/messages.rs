//! The messages as the services handle them.

use time::OffsetDateTime;
use uuid::Uuid;

/// "This account is now at generation n."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The account.
    pub account: Uuid,
    /// The account's `gen` after the changes. (`gen` itself is a reserved word in Rust.)
    pub generation: i64,
    /// The PBX users that changed, at most [`MAX_USERS`](crate::MAX_USERS); empty when a setting changed.
    pub users: Vec<String>,
    /// When the first of the changes was detected.
    pub first_detected_at: OffsetDateTime,
    /// When the last of the changes was detected.
    pub last_detected_at: OffsetDateTime,
    /// W3C trace context of the edit. That of the first of a message travels in its headers.
    pub traceparent: Option<String>,
}

/// "A job waits."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The account.
    pub account: Uuid,
    /// The job.
    pub job: Uuid,
    /// `auto` or `manual`; a newer sender may know more.
    pub job_type: String,
}

/// What happened to a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEvent {
    /// The account.
    pub account: Uuid,
    /// The job.
    pub job: Uuid,
    /// The event's number within the job, from 1.
    pub number: i64,
    /// When it happened.
    pub at: OffsetDateTime,
    /// What happened; a newer sender may know more kinds.
    pub kind: String,
    /// Details.
    pub data: serde_json::Value,
}
