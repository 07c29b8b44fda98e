//! Ids and other random values from a generator that is handed in and can be seeded.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::Clock;

/// Makes ids. Clones share one generator; [`Ids::stream`] gives an independent one, so that one more id of one kind
/// changes no id of another kind.
#[derive(Clone)]
pub struct Ids {
    seed: u64,
    rng: Arc<Mutex<StdRng>>,
}

impl Ids {
    /// Seeded by the operating system.
    #[must_use]
    pub fn random() -> Self {
        Self::seeded(StdRng::from_os_rng().next_u64())
    }

    /// The same ids for the same seed, in the same order of calls.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed, rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// An independent generator for one kind of id, derived from the seed and the name alone.
    #[must_use]
    pub fn stream(&self, kind: &str) -> Self {
        // FNV-1a: stable between releases, which the standard library's hasher does not promise
        let hash = kind.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::seeded(self.seed ^ hash.rotate_left(17))
    }

    /// A time-ordered id (RFC 9562, version 7), for rows.
    #[must_use]
    pub fn v7(&self, clock: &Clock) -> Uuid {
        let millis = clock.now().unix_timestamp_nanos() / 1_000_000;
        let mut random = [0_u8; 10];
        self.rng().fill_bytes(&mut random);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &random).into_uuid()
    }

    /// A random id (RFC 9562, version 4).
    #[must_use]
    pub fn v4(&self) -> Uuid {
        let mut random = [0_u8; 16];
        self.rng().fill_bytes(&mut random);
        uuid::Builder::from_random_bytes(random).into_uuid()
    }

    /// A number in `[0, 1)`, for jitter.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.rng().random::<f64>()
    }

    /// Random bytes, for example a nonce.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut random = [0_u8; N];
        self.rng().fill_bytes(&mut random);
        random
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        // the generator has no half-done state that a panic elsewhere could leave behind
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the seed would let a reader of the log guess every id
        f.write_str("Ids")
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::TestClock;

    #[test]
    fn same_seed_same_ids_and_kinds_do_not_disturb_each_other() {
        let clock = TestClock::at(datetime!(2026-03-01 12:00 UTC)).clock();
        let (a, b) = (Ids::seeded(7), Ids::seeded(7));
        let (jobs, steps) = (a.stream("job"), a.stream("step"));
        let _ = (steps.v7(&clock), a.v4());
        assert_eq!(jobs.v7(&clock), b.stream("job").v7(&clock));
        assert_ne!(jobs.v4(), steps.v4());
        assert_ne!(Ids::random().v4(), Ids::random().v4());
        assert!((0.0..1.0).contains(&a.fraction()));
        assert_ne!(a.bytes::<12>(), a.bytes::<12>());
    }

    #[test]
    fn v7_sorts_by_time() {
        let hand = TestClock::at(datetime!(2026-03-01 12:00 UTC));
        let ids = Ids::seeded(1);
        let first = ids.v7(&hand.clock());
        hand.advance(std::time::Duration::from_millis(1));
        assert!(first < ids.v7(&hand.clock()));
        assert_eq!((first.get_version_num(), ids.v4().get_version_num()), (7, 4));
    }
}
