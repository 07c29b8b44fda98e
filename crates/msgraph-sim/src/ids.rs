//! Identifiers and random choices from one generator.

use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use uuid::{Builder, Uuid};

use crate::util::lock;

/// A shared generator; seeded, so that a run can be repeated.
#[derive(Debug)]
pub(crate) struct Ids(Mutex<StdRng>);

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A random (version 4) identifier.
    pub(crate) fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        lock(&self.0).fill_bytes(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A number between both ends, ends included.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        if low >= high { low } else { lock(&self.0).random_range(low..=high) }
    }
}

/// The identifier of a named thing inside another: the same in every run, so that callers can compute it.
pub(crate) fn named(space: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&space, name.to_ascii_lowercase().as_bytes())
}
