//! What every role of Tandem needs around its own work: a clock and ids that can be handed in, a context that owns
//! background tasks, an ordered stop, telemetry, a health listener and helpers for configuration.
//!
//! Promised: this crate is the only place that reads the wall clock, the operating system's randomness and (with the
//! binary) the environment. A background task that ends by itself never goes unseen: it stops the process with a
//! failing exit code.

pub mod batches;
pub mod clock;
pub mod config;
pub mod ctx;
mod error;
pub mod failpoint;
pub mod health;
pub mod ids;
pub mod lifecycle;
pub mod telemetry;
pub mod trace;

pub use batches::Batches;
pub use clock::{Clock, TestClock};
pub use ctx::{BackgroundError, Ctx, Stage, TaskEnd};
pub use error::{BoxError, chain};
pub use health::Health;
pub use ids::Ids;
