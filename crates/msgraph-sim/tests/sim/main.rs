//! The simulator over real HTTP, as its users meet it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test by panicking, as the tests do")]

mod client;
mod consent;
mod docs;
mod faults;
mod login;
mod numbers;
mod person;
mod reading;
mod refusals;
mod sign_in;
mod switchboard;
mod tokens;
mod wire;
