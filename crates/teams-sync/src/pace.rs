//! How long operations of a tenant take, so that the first poll of most comes when they have just ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

/// Share of the newest operation in what is learned.
const NEWEST: f64 = 0.3;
/// Room above what was learned: a poll too late costs a moment, a poll too early costs a request.
const ROOM: f64 = 1.15;

/// What was learned per tenant.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<Uuid, Duration>>);

impl Pace {
    /// When to poll first.
    pub(crate) fn first_poll(&self, tenant: Uuid, unknown: Duration) -> Duration {
        let learned = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied();
        learned
            .map_or(unknown, |learned| learned.mul_f64(ROOM))
            .clamp(Duration::from_millis(50), Duration::from_secs(30))
    }

    /// An operation was seen to have ended after so long.
    pub(crate) fn took(&self, tenant: Uuid, elapsed: Duration) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        learned
            .entry(tenant)
            // an operation is seen ended at a poll, never before it: without the decay the wait could only grow
            .and_modify(|known| *known = known.mul_f64(1.0 - NEWEST) + elapsed.mul_f64(NEWEST / ROOM))
            .or_insert(elapsed);
    }
}
