//! Tests of the store against a real PostgreSQL.

mod authorizations;
mod change;
mod database;
mod log;
mod microsoft_users;
mod ops;
mod prepare;
mod row_level_security;
