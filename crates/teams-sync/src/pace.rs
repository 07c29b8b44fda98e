//! How long operations of a tenant take, so that the first poll of most comes when they have just ended.
//!
//! Microsoft does not tell when an operation ended, so the wait is felt for: as long as first polls find operations ended
//! it becomes shorter, quickly until one comes too early, slowly after that. Operations that began before the last
//! change say nothing about it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// The wait after first polls that came late enough, while none came too early yet.
const QUICKLY: f64 = 0.7;
/// The same after one did.
const SLOWLY: f64 = 0.97;
/// The wait after a first poll that came too early: a poll too late costs a moment, a poll too early costs a request.
const LONGER: f64 = 1.15;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
struct Learned {
    wait: Duration,
    changed: Instant,
    /// A first poll came too early once.
    met: bool,
}

/// What was learned per tenant.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<Uuid, Learned>>);

impl Pace {
    /// When to poll first.
    pub(crate) fn first_poll(&self, tenant: Uuid, unknown: Duration) -> Duration {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Learned { wait: unknown.clamp(SHORTEST, LONGEST), changed: Instant::now(), met: false };
        learned.entry(tenant).or_insert(start).wait
    }

    /// An operation that began at `began` was ended at its first poll, or was not yet.
    pub(crate) fn polled_first(&self, tenant: Uuid, began: Instant, ended: bool) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = learned.get_mut(&tenant).filter(|known| began >= known.changed) else { return };
        known.met |= !ended;
        let factor = match (ended, known.met) {
            (false, _) => LONGER,
            (true, true) => SLOWLY,
            (true, false) => QUICKLY,
        };
        known.wait = known.wait.mul_f64(factor).clamp(SHORTEST, LONGEST);
        known.changed = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls of 1,000 operations, 50 at once, beyond the one that each needs, and the wait at the end in ms.
    async fn run(takes: Duration) -> (u32, u128) {
        let (pace, tenant) = (Pace::default(), Uuid::nil());
        let mut more = 0;
        for _ in 0..20 {
            let began = Instant::now();
            let wait = pace.first_poll(tenant, Duration::from_secs(2));
            tokio::time::advance(wait).await;
            for _ in 0..50 {
                pace.polled_first(tenant, began, wait >= takes);
            }
            more += if wait >= takes { 0 } else { 50 };
        }
        (more, pace.first_poll(tenant, Duration::from_secs(2)).as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_comes_near_the_time_that_operations_take() {
        let (more, wait) = run(Duration::from_millis(800)).await;
        assert!((700..1000).contains(&wait) && more <= 200, "{wait} ms, {more} more polls");
        let (more, wait) = run(Duration::from_secs(6)).await;
        assert!((5500..7500).contains(&wait) && more <= 500, "{wait} ms, {more} more polls");
    }
}
