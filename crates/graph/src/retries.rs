//! How much may be sent again: at most a tenth of what was sent, so that trouble at Microsoft is not made
//! worse by everybody asking twice.

use std::time::Duration;

/// Part of a retry that each first request earns.
const EARNED: f64 = 0.1;
/// A new tenant's credit, and the most that is saved up.
const MOST: f64 = 10.0;
/// So often one retry is earned by waiting, for tenants with few requests.
const TRICKLE: Duration = Duration::from_secs(60);

/// The retries that a tenant may still have. Pure; times are distances from some moment.
#[derive(Debug)]
pub(crate) struct Retries {
    left: f64,
    seen: Duration,
}

impl Retries {
    pub(crate) fn new() -> Self {
        Self { left: MOST, seen: Duration::ZERO }
    }

    fn catch_up(&mut self, now: Duration) {
        let waited = now.saturating_sub(self.seen).as_secs_f64() / TRICKLE.as_secs_f64();
        self.left = (self.left + waited).min(MOST);
        self.seen = now;
    }

    /// A request is sent for the first time.
    pub(crate) fn first(&mut self, now: Duration) {
        self.catch_up(now);
        self.left = (self.left + EARNED).min(MOST);
    }

    /// Takes the right to send something again, if there is one.
    pub(crate) fn again(&mut self, now: Duration) -> bool {
        self.catch_up(now);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i23_no_more_than_a_tenth_is_sent_again() {
        let mut retries = Retries::new();
        let now = Duration::ZERO;
        let mut again = 0;
        for _ in 0..1_000 {
            retries.first(now);
            // everything fails and wants three more tries
            again += (0..3).filter(|_| retries.again(now)).count();
        }
        assert!((100..=111).contains(&again), "{again} of 1000");
    }

    #[test]
    fn waiting_earns_a_little_and_nothing_is_hoarded() {
        let mut retries = Retries::new();
        let used = (0..100).filter(|_| retries.again(Duration::ZERO)).count();
        assert_eq!(used, 10);
        let later = Duration::from_secs(61);
        assert!(retries.again(later) && !retries.again(later));
        let much_later = Duration::from_secs(1_000_000);
        assert_eq!((0..100).filter(|_| retries.again(much_later)).count(), 10);
    }
}
