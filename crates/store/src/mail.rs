//! Mail: who may need one, what is to be sent, and what became of it.

pub mod about;
pub mod accounts;
pub mod history;
pub mod invite;
pub mod notices;
pub mod outbox;
pub mod people;
