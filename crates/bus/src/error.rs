//! What can go wrong between us and the broker.

use tandem_runtime::BoxError;

/// Why the bus cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The address cannot be used.
    #[error("use the broker's address")]
    BadAddress(#[source] BoxError),
    /// The credentials cannot be used.
    #[error("read the credentials for the broker")]
    BadCredentials(#[source] std::io::Error),
    /// A client certificate without its key, or the other way round.
    #[error("a client certificate for the broker needs both its file and the file of its key")]
    HalfCertificate,
    /// The broker is too old.
    #[error("the broker is version {found}, and {} or newer is needed", oldest())]
    OldServer {
        /// Its version.
        found: String,
    },
    /// The broker is away.
    #[error("the broker cannot be reached")]
    Unavailable,
    /// The broker did not make or change a stream.
    #[error("make the stream {name}")]
    Stream {
        /// The stream.
        name: String,
        /// Why.
        source: BoxError,
    },
    /// The broker did not make or change a consumer.
    #[error("make the consumer {name} of the stream {stream}")]
    Consumer {
        /// The stream.
        stream: String,
        /// The consumer.
        name: String,
        /// Why.
        source: BoxError,
    },
    /// The broker took settings and did not keep them.
    #[error("the broker did not keep the setting {setting} of {name}")]
    SettingIgnored {
        /// The stream or consumer.
        name: String,
        /// The setting.
        setting: &'static str,
    },
    /// What was sent so far could not be handed to the broker.
    #[error("hand everything to the broker")]
    Flush(#[source] BoxError),
}

fn oldest() -> String {
    let (major, minor) = crate::OLDEST_SERVER;
    format!("{major}.{minor}")
}

/// Why a message was not published, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Nothing was sent: the broker is away, or did not answer lately.
    #[error("the broker cannot be reached")]
    Unavailable,
    /// Nothing was sent: the broker is too old.
    #[error("the broker is too old")]
    OldServer,
    /// No stream keeps this subject, and it could not be made.
    #[error("no stream keeps {subject}")]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// No confirmation came in time. The message may have been stored.
    #[error("the broker did not confirm a message on {subject}")]
    Unknown {
        /// The subject.
        subject: String,
    },
    /// The message can never be sent as it is: its subject or a header is not valid, or it is too large.
    #[error("a message on {subject} cannot be sent")]
    Invalid {
        /// The subject.
        subject: String,
        /// Why.
        source: BoxError,
    },
    /// The broker refused the message.
    #[error("the broker refused a message on {subject}")]
    Refused {
        /// The subject.
        subject: String,
        /// Why.
        source: BoxError,
    },
}

impl PublishError {
    /// Whether the same message may be sent again later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        !matches!(self, Self::Invalid { .. })
    }

    /// A stable code, for metrics and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable => "bus.unavailable",
            Self::OldServer => "bus.old_server",
            Self::NoStream { .. } => "bus.no_stream",
            Self::Unknown { .. } => "bus.unknown",
            Self::Invalid { .. } => "bus.invalid",
            Self::Refused { .. } => "bus.refused",
        }
    }
}
