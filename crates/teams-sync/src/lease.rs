//! What a worker may believe about its claim.
//!
//! The database's clock decides when a lease ends. The local clock is used only to stop sooner: trust is counted from
//! the moment before the heartbeat was sent, and ends a margin before the lease does. The monotonic clock goes on
//! while the process is stopped, so a worker that was frozen finds its trust gone when it wakes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A claim as its holder sees it.
#[derive(Debug)]
pub(crate) struct Lease {
    trusted_until: Mutex<Instant>,
    give_way: AtomicBool,
    forbidden: AtomicBool,
    /// Fires when the claim was taken over.
    pub(crate) lost: CancellationToken,
}

impl Lease {
    /// `asked_at` is the moment before the claim was sent.
    pub(crate) fn new(asked_at: Instant, lease: Duration, margin: Duration) -> Self {
        Self {
            trusted_until: Mutex::new(asked_at + lease.saturating_sub(margin)),
            give_way: AtomicBool::new(false),
            forbidden: AtomicBool::new(false),
            lost: CancellationToken::new(),
        }
    }

    /// A heartbeat sent at `asked_at` was confirmed.
    pub(crate) fn renewed(&self, asked_at: Instant, lease: Duration, margin: Duration, give_way: bool) {
        *self.trusted_until.lock().unwrap_or_else(PoisonError::into_inner) =
            asked_at + lease.saturating_sub(margin);
        if give_way {
            self.give_way.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a request may start now.
    pub(crate) fn may_start(&self) -> bool {
        !self.lost.is_cancelled()
            && Instant::now() < *self.trusted_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing new should be started: a successor waits, or the process is asked to stop.
    pub(crate) fn ask_to_give_way(&self) {
        self.give_way.store(true, Ordering::Relaxed);
    }

    /// Nothing may be written any more: Auto Sync was switched off, or the authorization is gone.
    pub(crate) fn forbid_writes(&self) {
        self.forbidden.store(true, Ordering::Relaxed);
        self.ask_to_give_way();
    }

    /// Whether writing was forbidden.
    pub(crate) fn writes_forbidden(&self) -> bool {
        self.forbidden.load(Ordering::Relaxed)
    }

    /// Whether a write may start now.
    pub(crate) fn may_write(&self) -> bool {
        self.may_start() && !self.writes_forbidden()
    }

    /// Whether users that have not been started should be left to the next job.
    pub(crate) fn must_give_way(&self) -> bool {
        self.give_way.load(Ordering::Relaxed)
    }
}
