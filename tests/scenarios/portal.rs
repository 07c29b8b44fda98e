//! The portal over HTTP: real database, real roles, and a simulator that plays both issuers.

mod pages;
mod routes;
mod sessions;
mod world;
