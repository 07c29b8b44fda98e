//! The doorbell: NATS JetStream. The only crate that names its client library.
//!
//! Promised:
//! - A message is delivered at least once while the broker keeps it, and never more than that: the truth is in the
//!   database, and every role finds its work there too when messages are lost.
//! - The broker being away, wiped or slow stops nobody: connecting succeeds without it, publishing fails fast, and
//!   streams and consumers are made again by themselves.
//! - A handler says what became of a message and cannot answer the broker itself. A message that cannot be handled goes
//!   whole, with the reason, to the dead letters before it is ended.
//!
//! Not promised: order, exactly-once delivery, or that `attempt == 1` means "for the first time".

mod batches;
mod circuit;
mod config;
mod connection;
mod convert;
mod dead;
mod delivery;
mod each;
mod error;
mod feed;
mod heal;
mod instruments;
mod probe;
mod publish;
mod settle;

pub use batches::Batches;
pub use config::{Auth, BusConfig, TlsConfig};
pub use connection::{Bus, ServerFacts};
pub use dead::{DeadLetter, DeadLetters};
pub use delivery::{Delivery, Outcome};
pub use error::{BusError, PublishError};
pub use probe::{Probe, probe_anonymous};
pub use publish::{Outgoing, Published};

/// The oldest broker that is accepted: older ones silently ignore settings that are relied upon.
pub const OLDEST_SERVER: (u64, u64) = (2, 12);
