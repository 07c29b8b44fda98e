//! Tests of the notifier against a real PostgreSQL, with virtual time, and mail servers that behave in every way.

mod maildev;
mod notices;
mod outbox;
mod reminders;
mod server;
mod world;
