//! What the portal keeps and looks up: people, their memberships and sessions, audit records, and how accounts stand.

pub mod audit;
pub mod changes;
pub mod charts;
pub mod detector;
pub mod explain;
pub mod fleet;
pub mod idempotency;
pub mod imports;
pub mod names;
pub mod overview;
pub mod pause;
pub mod people;
pub mod proposals;
pub mod sessions;
pub mod settings;
pub mod tokens;
pub mod users;
pub mod visits;
