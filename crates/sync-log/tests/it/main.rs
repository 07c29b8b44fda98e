//! Tests of the log against a real PostgreSQL and a real nats-server.

mod keeping;
mod kinds;
mod role;
mod text;
mod world;
