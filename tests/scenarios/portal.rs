//! The portal over HTTP: real database, real roles, and a simulator that plays both issuers.

mod acts;
mod mail;
mod mappings;
mod pages;
mod routes;
mod sessions;
mod settings;
mod users;
mod world;
