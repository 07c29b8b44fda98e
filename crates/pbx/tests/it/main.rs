//! The sources against a real PostgreSQL, and pushed messages.

mod detect;
mod docs;
mod edits;
mod mapping;
mod push;
mod sql;
