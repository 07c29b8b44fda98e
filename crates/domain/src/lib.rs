//! Pure types and decisions of Tandem: no async, no I/O, no clock, no logging.
//!
//! Every decision here is a function of `(state, event or snapshot, now)` that returns a value the services carry
//! out. What is *not* here: anything that waits, reads a table or talks to Microsoft.

pub mod account_state;
pub mod audit;
pub mod authorization;
pub mod coverage;
pub mod eligible;
pub mod failure;
pub mod guard;
pub mod ids;
pub mod job;
pub mod ladder;
pub mod mail;
pub mod mask;
pub mod number;
pub mod permission;
pub mod plan;
pub mod policy;
pub mod profile;
pub mod proposal;
pub mod quarantine;
pub mod reminder;
pub mod replay;
pub mod roles;
pub mod snapshot;
pub mod user_state;
pub mod wanted;
pub mod window;

pub use ids::{AccountId, Gen, JobId, ObjectId, PbxUserId, TenantId};
pub use number::{Number, NumberError};
pub use profile::Profile;
