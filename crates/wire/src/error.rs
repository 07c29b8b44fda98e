//! Why a message cannot be written or read.

/// Why a message cannot be written or read. It never repeats what the message says: it may hold personal data.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The body is larger than [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES).
    #[error("a message of {bytes} bytes is too big")]
    TooBig {
        /// Its size.
        bytes: usize,
    },
    /// The body is not the JSON of this message.
    #[error("read the body of a message as JSON")]
    BadJson(#[source] serde_json::Error),
    /// A required field is missing or empty.
    #[error("a message lacks `{field}`")]
    Missing {
        /// The field, as in JSON.
        field: &'static str,
    },
    /// A field that should hold a UUID does not.
    #[error("read `{field}` as a UUID")]
    BadId {
        /// The field, as in JSON.
        field: &'static str,
        /// Why not.
        source: uuid::Error,
    },
    /// A field that should hold a time (RFC 3339) does not.
    #[error("read `{field}` as a time")]
    BadTime {
        /// The field, as in JSON.
        field: &'static str,
        /// Why not.
        source: time::error::Parse,
    },
    /// A time cannot be written: its year has more than four digits.
    #[error("write `{field}` as a time")]
    UnwritableTime {
        /// The field, as in JSON.
        field: &'static str,
        /// Why not.
        source: time::error::Format,
    },
    /// A number that counts from 1 does not.
    #[error("`{field}` is below 1")]
    BadNumber {
        /// The field, as in JSON.
        field: &'static str,
    },
    /// More than [`MAX_USERS`](crate::MAX_USERS) users.
    #[error("a message names {users} users, which is too many")]
    TooManyUsers {
        /// How many.
        users: usize,
    },
    /// The details of a job event are not JSON.
    #[error("read the details of a job event as JSON")]
    BadData(#[source] serde_json::Error),
}

impl WireError {
    /// A stable code, for dead letters and dashboards.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooBig { .. } => "wire.too_big",
            Self::BadJson(_) => "wire.bad_json",
            Self::Missing { .. } => "wire.missing",
            Self::BadId { .. } => "wire.bad_id",
            Self::BadTime { .. } | Self::UnwritableTime { .. } => "wire.bad_time",
            Self::BadNumber { .. } => "wire.bad_number",
            Self::TooManyUsers { .. } => "wire.too_many_users",
            Self::BadData(_) => "wire.bad_data",
        }
    }
}
