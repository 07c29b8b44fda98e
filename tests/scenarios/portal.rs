//! The portal over HTTP: real database, real roles, and a simulator that plays both issuers.

mod acts;
mod bulk;
mod embed;
mod fleet;
mod fleet_jobs;
mod imports;
mod live;
mod mail;
mod mappings;
mod pages;
mod pauses;
mod provider;
mod routes;
mod sessions;
mod settings;
mod stopping;
mod tokens;
mod users;
mod world;
