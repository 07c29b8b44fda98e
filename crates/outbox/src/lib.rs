//! Announcements: built with the fact they announce, written into its transaction, published afterwards.
//!
//! A message is a hint that names a key. Publishing may fail, come twice or never happen: every role also sweeps
//! the table upstream of it, so a lost announcement costs seconds of latency and nothing else.

mod announcer;
mod dead;
mod relay;

pub use announcer::Announcer;
pub use dead::Letters;
pub use relay::{Bell, Relay};
