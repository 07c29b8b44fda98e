//! The tester: a provider with its servers, a tenant simulator and the roles, driven by verbs of the domain.
//!
//! Tests change the world (a profile is saved, a fault is switched on, a worker dies) and look at what Tandem and the
//! simulator say. [`Tester::finish`] fails a test that leaves work, messages or background errors behind.

mod account;
mod browser;
mod edits;
mod look;
mod mortal;
mod people;
mod process;
mod rest;
mod roles;
mod sign_in;
mod tester;

pub use account::{Account, TeamsUser};
pub use browser::{Browser, Page};
pub use mortal::{Mortal, hasty_sync};
pub use people::Over;
pub use process::{Process, program};
pub use roles::{Role, fast_sync};
pub use sign_in::HandedIn;
pub use tester::{PASSWORD, Tester};
