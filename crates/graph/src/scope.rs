//! One scope of throttling as this process sees it: the gate that Microsoft shuts, and the requests that
//! were bought and not sent yet.
//!
//! After a throttling answer the scope goes in single file until one request has passed, so that a crowd
//! of waiters does not run into the same wall again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use crate::ledger::{EASE_PAUSE, Ledger, Offer, ScopeId, Terms};
use crate::retry_after::{LONGEST, Wait};

/// Shortest wait after a throttling answer, whatever its header says.
const SHORTEST: Duration = Duration::from_secs(1);
/// What was bought is sent within this time or lost: nobody hoards requests that others could send.
const KEEPS: Duration = Duration::from_millis(500);
/// Longest stretch of the rate bought at once.
const LARGEST_S: f64 = 0.25;

/// A tenant, or the whole app.
pub(crate) struct Scope {
    id: ScopeId,
    terms: Terms,
    gate: Mutex<Gate>,
    purse: Mutex<Purse>,
    buying: AsyncMutex<()>,
    eased: Mutex<Option<Instant>>,
    pub(crate) turn: Arc<AsyncMutex<()>>,
}

#[derive(Debug, Default)]
struct Gate {
    shut_until: Option<Instant>,
    /// Whether Microsoft asked for longer than the gate is ever shut.
    parked: bool,
    /// Throttling answers in a row.
    strikes: usize,
    /// Whether requests go in single file.
    single_file: bool,
}

/// Requests bought ahead. How many are bought at once follows what is used: twice as many after a lot
/// that was used up, and no more than was used after one that was not.
#[derive(Debug)]
struct Purse {
    left: u32,
    lot: u32,
    good_until: Instant,
}

impl Scope {
    pub(crate) fn new(id: ScopeId, terms: Terms) -> Self {
        Self {
            id,
            terms,
            gate: Mutex::default(),
            purse: Mutex::new(Purse { left: 0, lot: 0, good_until: Instant::now() }),
            buying: AsyncMutex::default(),
            eased: Mutex::default(),
            turn: Arc::default(),
        }
    }

    pub(crate) fn id(&self) -> &ScopeId {
        &self.id
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn purse(&self) -> MutexGuard<'_, Purse> {
        self.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the wait, and whether it is parked.
    pub(crate) fn shut_until(&self) -> Option<(Instant, bool)> {
        let gate = self.gate();
        let until = gate.shut_until.filter(|until| *until > Instant::now())?;
        Some((until, gate.parked))
    }

    /// Whether requests of this scope have to wait now.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut_until().is_some()
    }

    pub(crate) fn is_single_file(&self) -> bool {
        self.gate().single_file
    }

    /// Takes the right to send one request, bought from the ledger where none is left. `false` when the
    /// ledger knows of a shut gate: the scope's own is shut then.
    pub(crate) async fn take(&self, ledger: &dyn Ledger) -> bool {
        if self.purse().take() {
            return true;
        }
        let _one_buyer = self.buying.lock().await;
        if self.purse().take() {
            return true;
        }
        let lot = self.purse().next_lot(self.terms);
        match ledger.buy(&self.id, self.terms, lot).await {
            Offer::Granted { after } => {
                tokio::time::sleep(after).await;
                self.purse().fill(lot - 1);
                true
            }
            Offer::Shut { wait, parked } => {
                self.told_elsewhere(wait, parked);
                false
            }
        }
    }

    /// The wait where a throttling answer names none.
    pub(crate) fn fallback(&self) -> Wait {
        let delay = ExponentialBuilder::new()
            .with_min_delay(Duration::from_secs(2))
            .with_factor(4.0)
            .with_max_delay(Duration::from_secs(60))
            .with_max_times(usize::MAX)
            .with_jitter()
            .build()
            .nth(self.gate().strikes.min(4))
            .unwrap_or(SHORTEST);
        Wait { delay, parked: false }
    }

    /// Shuts the gate; gives the wait as it is kept.
    pub(crate) fn throttled(&self, wait: Wait) -> Wait {
        let wait = Wait { delay: wait.delay.max(SHORTEST), ..wait };
        self.shut(wait);
        self.gate().strikes += 1;
        wait
    }

    /// Shuts the gate because another process was throttled.
    pub(crate) fn told_elsewhere(&self, wait: Duration, parked: bool) {
        self.shut(Wait { delay: wait.min(LONGEST), parked });
    }

    fn shut(&self, wait: Wait) {
        let until = Instant::now() + wait.delay;
        let mut gate = self.gate();
        gate.shut_until = gate.shut_until.max(Some(until));
        gate.parked |= wait.parked;
        gate.single_file = true;
        self.purse().left = 0;
    }

    /// Notes an answer that was no throttling.
    pub(crate) fn passed(&self) {
        let mut gate = self.gate();
        // an answer to a request from before the gate was shut says nothing
        if gate.shut_until.is_none_or(|until| until <= Instant::now()) {
            *gate = Gate::default();
        }
    }

    /// Whether the ledger should hear that a limit is near; not more often than it would act on it.
    pub(crate) fn should_ease(&self) -> bool {
        let mut eased = self.eased.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = eased.is_none_or(|at| now.duration_since(at) >= EASE_PAUSE);
        if due {
            *eased = Some(now);
        }
        due
    }
}

impl Purse {
    fn take(&mut self) -> bool {
        let may = self.left > 0 && Instant::now() <= self.good_until;
        if may {
            self.left -= 1;
        }
        may
    }

    fn next_lot(&mut self, terms: Terms) -> u32 {
        let used = self.lot.saturating_sub(self.left);
        let in_use = self.left == 0 && Instant::now() <= self.good_until;
        let wanted = f64::from(if in_use { self.lot.saturating_mul(2) } else { used });
        let largest = (terms.per_second * LARGEST_S).min(f64::from(terms.burst)).max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and burst")]
        let lot = wanted.clamp(1.0, largest) as u32;
        self.lot = lot;
        self.left = 0;
        lot
    }

    fn fill(&mut self, left: u32) {
        self.left = left;
        self.good_until = Instant::now() + KEEPS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LocalLedger;

    fn scope() -> Scope {
        Scope::new(ScopeId::App("a".to_owned()), Terms { per_second: 100.0, burst: 100 })
    }

    fn wait(seconds: u64) -> Wait {
        Wait { delay: Duration::from_secs(seconds), parked: false }
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_answer_does_not_open_the_gate() {
        let scope = scope();
        scope.throttled(wait(10));
        scope.passed();
        assert!(scope.shut_until().is_some() && scope.is_single_file());
        tokio::time::advance(Duration::from_secs(10)).await;
        scope.passed();
        assert!(scope.shut_until().is_none() && !scope.is_single_file());
    }

    /// Counts what is bought.
    #[derive(Debug, Default)]
    struct Counting(LocalLedger, Mutex<Vec<u32>>);

    impl Ledger for Counting {
        fn buy<'a>(
            &'a self,
            scope: &'a ScopeId,
            terms: Terms,
            requests: u32,
        ) -> futures_util::future::BoxFuture<'a, Offer> {
            self.1.lock().unwrap().push(requests);
            self.0.buy(scope, terms, requests)
        }

        fn shut<'a>(
            &'a self,
            scope: &'a ScopeId,
            wait: Duration,
            parked: bool,
        ) -> futures_util::future::BoxFuture<'a, ()> {
            self.0.shut(scope, wait, parked)
        }

        fn ease<'a>(&'a self, scope: &'a ScopeId) -> futures_util::future::BoxFuture<'a, ()> {
            self.0.ease(scope)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lots_grow_with_use_and_shrink_without() {
        let (scope, ledger) = (scope(), Counting::default());
        for _ in 0..200 {
            assert!(scope.take(&ledger).await);
        }
        let lots = std::mem::take(&mut *ledger.1.lock().unwrap());
        assert_eq!(lots[..6], [1, 2, 4, 8, 16, 25], "{lots:?}");
        assert!(lots.iter().all(|lot| *lot <= 25));
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(5)).await;
            assert!(scope.take(&ledger).await);
        }
        assert_eq!(ledger.1.lock().unwrap().last(), Some(&1), "one at a time is bought one at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_process_was_told_shuts_this_gate_and_empties_the_purse() {
        let (scope, ledger) = (scope(), LocalLedger::default());
        for _ in 0..4 {
            assert!(scope.take(&ledger).await);
        }
        assert!(scope.purse().left > 0);
        scope.told_elsewhere(Duration::from_secs(4), false);
        assert_eq!(scope.purse().left, 0);
        assert!(scope.is_shut() && scope.is_single_file());
        ledger.shut(scope.id(), Duration::from_secs(9), false).await;
        assert!(!scope.take(&ledger).await, "the ledger knows more");
        assert_eq!(scope.shut_until().unwrap().0, Instant::now() + Duration::from_secs(9));
        scope.told_elsewhere(Duration::MAX, true);
        assert!(scope.shut_until().unwrap().0 <= Instant::now() + LONGEST, "nobody shuts it for ever");
    }
}
