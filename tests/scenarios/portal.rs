//! The portal over HTTP: real database, real roles, and a simulator that plays both issuers.

mod acts;
mod bulk;
mod fleet_jobs;
mod mappings;
mod pages;
mod routes;
mod sessions;
mod settings;
mod stopping;
mod tokens;
mod users;
mod world;
