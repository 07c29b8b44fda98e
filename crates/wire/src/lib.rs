//! The contract between the services: messages, subjects, and the settings of streams and consumers.
//!
//! A message is a hint that names a key; whoever gets it reads the truth again before acting. Messages are defined in
//! `proto/` and travel as proto3 JSON. Within a version only fields are added: readers ignore fields they do not know,
//! and everything that may grow is an open string, because an unknown enum value would be an error for older readers.
//! The code for `proto/` is generated while building, into the build folder.

mod codec;
mod error;
pub mod headers;
mod messages;
pub mod settings;
pub mod subjects;

/// The generated messages. Not public: outside, ids are ids and times are times.
#[expect(
    unused_qualifications,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod v1 {
    include!(concat!(env!("OUT_DIR"), "/tandem.sync.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/tandem.sync.v1.serde.rs"));
}

pub use codec::{decode_changed, decode_due, decode_event, encode_changed, encode_due, encode_event};
pub use error::WireError;
pub use headers::{EventType, Headers};
pub use messages::{Changed, Due, JobEvent};
pub use settings::{ConsumerSettings, StreamSettings};
pub use subjects::{Subject, Subjects, SubjectsError};

/// The most users that the [`Changed`] of one message name; more go into further messages.
pub const MAX_USERS: usize = 500;

/// The most accounts that one message tells of; more go into further messages.
pub const MAX_ACCOUNTS: usize = 200;

/// The largest body of a message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;
