//! Tests of the store against a real PostgreSQL.

mod audit;
mod authorizations;
mod change;
mod database;
mod fleet;
mod log;
mod microsoft_users;
mod ops;
mod pauses;
mod plans;
mod prepare;
// clippy takes plain functions for test code, where `unwrap` is fine, only below `cfg(test)`
#[cfg(test)]
mod rates;
mod retention;
mod row_level_security;
mod tokens;
mod windows;
