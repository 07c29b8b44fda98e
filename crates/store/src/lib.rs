//! PostgreSQL, the truth: migrations, named transactions, one module per table group.
//!
//! Every statement on Tandem's own tables is a constant of this crate, listed in [`statements`], so that one test
//! can prepare them all against a migrated database. Fleet work goes through [`Store::begin`]; people-facing work
//! through [`Store::begin_for`], where row-level security shows the rows of one account only.

mod error;
mod login;
mod migrate;
mod pool;
mod sql;

pub mod admin;
pub mod authorizations;
pub mod bulk;
pub mod bulk_hand_in;
pub mod cancel;
pub mod change;
pub mod claims;
pub mod connect;
mod connect_begin;
mod connect_links;
pub mod connect_proof;
pub mod cut;
pub mod decisions;
pub mod fleet_jobs;
pub mod held;
pub mod intents;
pub mod log;
pub mod log_read;
pub mod log_rollups;
pub mod log_text;
pub mod looks;
pub mod mail;
pub mod microsoft_users;
pub mod ops;
pub mod outbox;
pub mod parking;
pub mod pbx;
pub mod portal;
pub mod previews;
pub mod quarantine;
pub mod rates;
pub mod retention;
pub mod settling;
pub mod standing;
pub mod undo;
pub mod users;
pub mod vault;
pub mod wanted;
pub mod windows;

pub use error::StoreError;
pub use login::Login;
pub use migrate::{applied_version, migrate, migrations_digest, newest_version};
pub use pool::{DbConfig, Store, Tx};

/// Every statement of this crate by name.
#[must_use]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    [
        admin::accounts::STATEMENTS,
        admin::jobs::STATEMENTS,
        admin::provider::STATEMENTS,
        admin::requests::STATEMENTS,
        admin::save::STATEMENTS,
        admin::server::STATEMENTS,
        admin::sources::STATEMENTS,
        authorizations::STATEMENTS,
        bulk::STATEMENTS,
        bulk_hand_in::STATEMENTS,
        cancel::STATEMENTS,
        change::STATEMENTS,
        connect::STATEMENTS,
        connect_begin::STATEMENTS,
        connect_links::STATEMENTS,
        connect_proof::STATEMENTS,
        cut::STATEMENTS,
        decisions::STATEMENTS,
        fleet_jobs::STATEMENTS,
        held::STATEMENTS,
        previews::STATEMENTS,
        undo::STATEMENTS,
        log::STATEMENTS,
        log_read::STATEMENTS,
        log_rollups::STATEMENTS,
        looks::STATEMENTS,
        mail::about::STATEMENTS,
        mail::accounts::STATEMENTS,
        mail::history::STATEMENTS,
        mail::notices::STATEMENTS,
        mail::invite::STATEMENTS,
        mail::outbox::STATEMENTS,
        mail::people::STATEMENTS,
        microsoft_users::STATEMENTS,
        ops::STATEMENTS,
        outbox::STATEMENTS,
        parking::STATEMENTS,
        quarantine::STATEMENTS,
        pbx::sources::STATEMENTS,
        pbx::spool::STATEMENTS,
        pbx::profiles::STATEMENTS,
        pbx::deletions::STATEMENTS,
        pbx::push::STATEMENTS,
        pbx::troubleshooting::STATEMENTS,
        portal::audit::STATEMENTS,
        portal::changes::STATEMENTS,
        portal::charts::STATEMENTS,
        portal::detector::STATEMENTS,
        portal::explain::STATEMENTS,
        portal::fleet::STATEMENTS,
        portal::idempotency::STATEMENTS,
        portal::imports::STATEMENTS,
        portal::names::STATEMENTS,
        portal::overview::STATEMENTS,
        portal::pause::STATEMENTS,
        portal::people::STATEMENTS,
        portal::proposals::STATEMENTS,
        portal::sessions::STATEMENTS,
        portal::users::STATEMENTS,
        portal::settings::STATEMENTS,
        portal::tokens::STATEMENTS,
        portal::visits::STATEMENTS,
        rates::STATEMENTS,
        claims::STATEMENTS,
        intents::STATEMENTS,
        retention::STATEMENTS,
        settling::STATEMENTS,
        standing::STATEMENTS,
        users::STATEMENTS,
        vault::keys::STATEMENTS,
        vault::secrets::STATEMENTS,
        vault::spent::STATEMENTS,
        vault::tokens::STATEMENTS,
        vault::who::STATEMENTS,
        wanted::STATEMENTS,
        windows::STATEMENTS,
    ]
    .concat()
}
