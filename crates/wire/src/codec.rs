//! Messages to bytes and back.

use serde::{Serialize, de::DeserializeOwned};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{Changed, Due, JobEvent, MAX_MESSAGE_BYTES, MAX_USERS, WireError, v1};

/// Writes the [`Changed`] of one message. The trace context of the first is for the headers.
pub fn encode_changed(first: &Changed, others: &[Changed]) -> Result<Vec<u8>, WireError> {
    user_count(first.users.len() + others.iter().map(|other| other.users.len()).sum::<usize>())?;
    let mut message = changed(first)?;
    message.others = others
        .iter()
        .map(|other| {
            Ok(v1::Changed { traceparent: other.traceparent.clone().unwrap_or_default(), ..changed(other)? })
        })
        .collect::<Result<_, WireError>>()?;
    write(&message)
}

fn changed(of: &Changed) -> Result<v1::Changed, WireError> {
    Ok(v1::Changed {
        account: of.account.to_string(),
        generation: from_one("gen", of.generation)?,
        users: of.users.clone(),
        first_detected_at: time_text("firstDetectedAt", of.first_detected_at)?,
        last_detected_at: time_text("lastDetectedAt", of.last_detected_at)?,
        others: vec![],
        traceparent: String::new(),
    })
}

/// Reads the [`Changed`] of one message, at least one.
pub fn decode_changed(body: &[u8]) -> Result<Vec<Changed>, WireError> {
    let mut first: v1::Changed = read(body)?;
    let others = std::mem::take(&mut first.others);
    let all = std::iter::once(first).chain(others);
    let all: Vec<Changed> = all.map(changed_read).collect::<Result<_, _>>()?;
    user_count(all.iter().map(|of| of.users.len()).sum())?;
    Ok(all)
}

fn changed_read(of: v1::Changed) -> Result<Changed, WireError> {
    Ok(Changed {
        account: id("account", &of.account)?,
        generation: from_one("gen", of.generation)?,
        users: of.users,
        first_detected_at: time("firstDetectedAt", &of.first_detected_at)?,
        last_detected_at: time("lastDetectedAt", &of.last_detected_at)?,
        traceparent: Some(of.traceparent).filter(|parent| !parent.is_empty()),
    })
}

/// Writes a [`Due`].
pub fn encode_due(message: &Due) -> Result<Vec<u8>, WireError> {
    write(&v1::Due {
        account: message.account.to_string(),
        job: message.job.to_string(),
        job_type: filled("jobType", message.job_type.clone())?,
    })
}

/// Reads a [`Due`].
pub fn decode_due(body: &[u8]) -> Result<Due, WireError> {
    let message: v1::Due = read(body)?;
    Ok(Due {
        account: id("account", &message.account)?,
        job: id("job", &message.job)?,
        job_type: filled("jobType", message.job_type)?,
    })
}

/// Writes a [`JobEvent`].
pub fn encode_event(message: &JobEvent) -> Result<Vec<u8>, WireError> {
    write(&v1::JobEvent {
        account: message.account.to_string(),
        job: message.job.to_string(),
        number: from_one("number", message.number)?,
        at: time_text("at", message.at)?,
        kind: filled("kind", message.kind.clone())?,
        data_json: message.data.to_string(),
    })
}

/// Reads a [`JobEvent`].
pub fn decode_event(body: &[u8]) -> Result<JobEvent, WireError> {
    let message: v1::JobEvent = read(body)?;
    let data = match message.data_json.as_str() {
        // proto3 does not tell an empty field from a missing one
        "" => serde_json::Value::Null,
        text => serde_json::from_str(text).map_err(WireError::BadData)?,
    };
    Ok(JobEvent {
        account: id("account", &message.account)?,
        job: id("job", &message.job)?,
        number: from_one("number", message.number)?,
        at: time("at", &message.at)?,
        kind: filled("kind", message.kind)?,
        data,
    })
}

fn write(message: &impl Serialize) -> Result<Vec<u8>, WireError> {
    let body = serde_json::to_vec(message).map_err(WireError::BadJson)?;
    size(&body)?;
    Ok(body)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    size(body)?;
    serde_json::from_slice(body).map_err(WireError::BadJson)
}

fn size(body: &[u8]) -> Result<(), WireError> {
    if body.len() > MAX_MESSAGE_BYTES { Err(WireError::TooBig { bytes: body.len() }) } else { Ok(()) }
}

fn user_count(users: usize) -> Result<(), WireError> {
    if users > MAX_USERS { Err(WireError::TooManyUsers { users }) } else { Ok(()) }
}

fn filled(field: &'static str, text: String) -> Result<String, WireError> {
    if text.is_empty() { Err(WireError::Missing { field }) } else { Ok(text) }
}

fn from_one(field: &'static str, number: i64) -> Result<i64, WireError> {
    if number < 1 { Err(WireError::BadNumber { field }) } else { Ok(number) }
}

fn id(field: &'static str, text: &str) -> Result<Uuid, WireError> {
    if text.is_empty() {
        return Err(WireError::Missing { field });
    }
    text.parse().map_err(|source| WireError::BadId { field, source })
}

fn time(field: &'static str, text: &str) -> Result<OffsetDateTime, WireError> {
    if text.is_empty() {
        return Err(WireError::Missing { field });
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|source| WireError::BadTime { field, source })?;
    Ok(at.to_offset(UtcOffset::UTC))
}

fn time_text(field: &'static str, at: OffsetDateTime) -> Result<String, WireError> {
    at.to_offset(UtcOffset::UTC)
        .format(&Rfc3339)
        .map_err(|source| WireError::UnwritableTime { field, source })
}
