//! What Microsoft can do to us, as a table over real HTTP. A row says how the simulator is switched for one account,
//! what its jobs and users must come to, and what the simulator's own request log must show. The rows of one fault run
//! side by side, an account each, so that one tenant's trouble would show at its neighbours.
//!
//! For every row: no call before its `Retry-After` had passed, no write that was not on record, none beside an open
//! one, no number given twice, nothing sent as a batch.

mod given_up;
mod login;
mod numbers;
mod replies;
mod stage;
mod tenant;
mod throttling;
mod users;

use stage::{Row, play};
