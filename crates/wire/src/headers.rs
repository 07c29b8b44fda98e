//! Message headers: CloudEvents 1.0 attributes in binary mode (NATS protocol binding) and W3C trace context.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// The header that carries W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// [`Changed`](crate::Changed).
    Changed,
    /// [`Due`](crate::Due).
    Due,
    /// [`JobEvent`](crate::JobEvent).
    JobEvent,
}

impl EventType {
    /// The value of `ce-type`: the full name of the message in `proto/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "tandem.sync.v1.Changed",
            Self::Due => "tandem.sync.v1.Due",
            Self::JobEvent => "tandem.sync.v1.JobEvent",
        }
    }
}

/// Header names, kept in lower case, with one value each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a header; the name's case does not matter.
    pub fn insert(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_ascii_lowercase(), value.into());
    }

    /// The value of a header; the name's case does not matter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sender's trace context.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.get(TRACEPARENT)
    }
}

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.as_ref().to_ascii_lowercase(), value.into()))
                .collect(),
        )
    }
}

/// The headers of one of our messages. `source` names the sending role as a URI reference, for example
/// `/tandem/detector`; `id` names the event for good, so a message sent twice has the same one.
#[must_use]
pub fn cloud_event(
    kind: EventType,
    source: &str,
    id: Uuid,
    at: OffsetDateTime,
    traceparent: Option<&str>,
) -> Headers {
    let mut headers = Headers::from_iter([
        ("ce-specversion", "1.0".to_owned()),
        ("ce-type", kind.name().to_owned()),
        ("ce-source", source.to_owned()),
        ("ce-id", id.to_string()),
        ("content-type", "application/json".to_owned()),
    ]);
    // optional in CloudEvents, so a year beyond 9999 is left out rather than made an error
    if let Ok(text) = at.to_offset(UtcOffset::UTC).format(&Rfc3339) {
        headers.insert("ce-time", text);
    }
    if let Some(text) = traceparent {
        headers.insert(TRACEPARENT, text);
    }
    headers
}
