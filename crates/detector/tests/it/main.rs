//! The detector against a real PostgreSQL, a real broker and real HTTP.

mod push;
mod push_refused;
mod snapshot;
mod snapshot_races;
mod snapshot_refused;
mod troubleshooting;
mod world;
