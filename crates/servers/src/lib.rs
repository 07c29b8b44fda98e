//! Private servers: finds nats-server and PostgreSQL on the machine and runs them for one owner.
//!
//! Meant for `tandem demo`, for `tandem up` and for tests; a larger installation brings its own servers.
//!
//! Promised: each server listens on 127.0.0.1 only and refuses whoever has no password; passwords are made
//! here and kept in files that only the owner reads; nothing keeps running when the process that owns the
//! handle ends, however it ends; a server started by root runs as user `nobody`, because PostgreSQL refuses
//! root. Not promised: anything but Linux, and any time while the tokio clock of the caller is paused.

mod files;
mod find;
mod nats;
mod nats_config;
mod ports;
mod postgres;
mod postgres_cluster;
mod process;
mod secret;
mod user;

pub use files::{DataError, demo_data_dir};
pub use find::{FindError, NatsProgram, PostgresPrograms, Search};
pub use nats::{NatsError, NatsOptions, PrivateNats};
pub use nats_config::NatsUser;
pub use ports::{PortError, free_port};
pub use postgres::{PostgresError, PostgresOptions, PrivatePostgres};
pub use secret::SecretError;

/// Receives one line for each thing that takes a moment.
pub type Progress<'a> = &'a mut (dyn FnMut(&str) + Send);
