//! The portal over HTTP: real database, real roles, and a simulator that plays both issuers.

mod acts;
mod fleet;
mod live;
mod mappings;
mod pages;
mod pauses;
mod routes;
mod sessions;
mod settings;
mod users;
mod world;
