//! Sealed secrets: kept by whoever takes them in, read by teams-sync alone.
//!
//! This crate neither seals nor opens: it takes and gives bytes and the id of the key that sealed them.

pub(crate) mod keys;
pub(crate) mod secrets;
pub(crate) mod spent;
pub(crate) mod tokens;
pub(crate) mod who;

pub use keys::{KeyUse, SealedRow, key_uses, other_keys, resealed};
pub use secrets::{
    AppCredentialRow, NewSecret, SecretRow, app_credential, ending, keep_secret, remove_secret, secret,
};
pub use spent::{NotRechecked, erase_spent, not_rechecked};
pub use tokens::{JobTokenRow, NewJobToken, job_token, keep_job_token};
pub use who::{Authority, authorities};
