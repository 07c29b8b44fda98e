//! What the detector keeps: sources, the stored profiles, spooled differences, deletions and push receipts.
//!
//! Every writer of `pbx.profiles` first takes [`profiles::lock`] on its accounts. Under that lock nobody else changes
//! the account's profiles or its generation, so that what was compared is still true when it is written.

pub mod deletions;
pub mod profiles;
pub mod push;
pub mod sources;
pub mod spool;
pub mod troubleshooting;
