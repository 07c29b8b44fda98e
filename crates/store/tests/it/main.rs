//! Tests of the store against a real PostgreSQL.

mod database;
mod log;
mod ops;
mod prepare;
mod row_level_security;
