//! The portal over HTTP: real database, real roles, and a simulator that plays both issuers.

mod acts;
mod embed;
mod fleet;
mod imports;
mod live;
mod mappings;
mod mappings;
mod pages;
mod pages;
mod pauses;
mod provider;
mod routes;
mod sessions;
mod settings;
mod users;
mod world;
