//! Accounts, licences, mappings, policy rules, what people asked for, and what operators look at.

pub mod accounts;
pub mod jobs;
pub mod provider;
pub mod requests;
pub mod save;
pub mod server;
pub mod sources;
