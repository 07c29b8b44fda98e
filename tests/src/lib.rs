//! The tester: a provider with its servers, a tenant simulator and the roles, driven by verbs of the domain.
//!
//! Tests change the world (a profile is saved, a fault is switched on, a worker dies) and look at what Tandem and the
//! simulator say. [`Tester::finish`] fails a test that leaves work, messages or background errors behind.

mod account;
mod rest;
mod roles;
mod tester;

pub use account::{Account, TeamsUser};
pub use roles::{Role, fast_sync};
pub use tester::Tester;
