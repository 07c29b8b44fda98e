//! One scope's budget as arithmetic: a bucket of requests whose rate falls when Microsoft throttles and
//! rises again by itself, and a gate. Pure; times are distances from some moment of the caller's clock.
//!
//! The bucket is a virtual schedule (GCRA): `booked` is where the schedule stands. Each request moves it
//! on by one interval, and may go once it is no more than `burst` intervals ahead of the clock.
//! `sync.buy` does the same arithmetic in PostgreSQL for all processes together.

use std::time::Duration;

use crate::ledger::{CUT, EASE, EASE_PAUSE, FLOOR, Offer, RECOVERY_PER_S, Terms};

/// A budget; a new one is full.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    booked: Duration,
    /// Share of the full rate, as of `changed`.
    share: f64,
    changed: Duration,
    shut_until: Option<Duration>,
    parked: bool,
}

impl Bucket {
    pub(crate) fn new() -> Self {
        let zero = Duration::ZERO;
        Self { booked: zero, share: 1.0, changed: zero, shut_until: None, parked: false }
    }

    /// Share of the full rate in force: it comes back by a fixed part of the full rate each second.
    fn share_at(&self, now: Duration) -> f64 {
        (self.share + RECOVERY_PER_S * now.saturating_sub(self.changed).as_secs_f64()).min(1.0)
    }

    /// Books requests, or says how long the gate stays shut.
    pub(crate) fn buy(&mut self, now: Duration, terms: Terms, requests: u32) -> Offer {
        let interval = Duration::from_secs_f64(1.0 / (terms.per_second * self.share_at(now)));
        if let Some(until) = self.shut_until {
            if until > now {
                return Offer::Shut { wait: until - now, parked: self.parked };
            }
            // behind a gate that was shut there is one request, not a burst
            self.booked = self.booked.max(until + interval * terms.burst.saturating_sub(1));
            self.shut_until = None;
            self.parked = false;
        }
        self.booked = self.booked.max(now) + interval * requests;
        Offer::Granted { after: self.booked.saturating_sub(now + interval * terms.burst) }
    }

    /// Shuts the gate. Answers that arrive while it is shut belong to the same event and cut nothing more.
    pub(crate) fn shut(&mut self, now: Duration, wait: Duration, parked: bool) {
        if self.shut_until.is_none_or(|until| until <= now) {
            self.cut(now, CUT);
            self.parked = false;
        }
        self.shut_until = self.shut_until.max(Some(now + wait));
        self.parked |= parked;
    }

    /// Slows down a little before Microsoft has to say so.
    pub(crate) fn ease(&mut self, now: Duration) {
        if self.share >= 1.0 || now.saturating_sub(self.changed) >= EASE_PAUSE {
            self.cut(now, EASE);
        }
    }

    fn cut(&mut self, now: Duration, factor: f64) {
        self.share = (self.share_at(now) * factor).max(FLOOR);
        self.changed = now;
    }

    /// Whether it is as good as a new one, so that it can be forgotten.
    pub(crate) fn is_rested(&self, now: Duration) -> bool {
        self.booked <= now && self.shut_until.is_none_or(|until| until <= now) && self.share_at(now) >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { per_second: 10.0, burst: 5 };

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn after(offer: Offer) -> f64 {
        match offer {
            Offer::Granted { after } => (after.as_secs_f64() * 1000.0).round() / 1000.0,
            Offer::Shut { .. } => panic!("shut"),
        }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new();
        assert_eq!(after(bucket.buy(secs(100.0), TERMS, 5)), 0.0);
        assert_eq!(after(bucket.buy(secs(100.0), TERMS, 1)), 0.1);
        assert_eq!(after(bucket.buy(secs(100.0), TERMS, 10)), 1.1);
        assert_eq!(after(bucket.buy(secs(101.6), TERMS, 5)), 0.0, "rested, but no more than a burst");
    }

    #[test]
    fn i23_each_event_halves_once_and_the_rate_comes_back_evenly() {
        let mut bucket = Bucket::new();
        let share = |bucket: &Bucket, at: f64| (bucket.share_at(secs(at)) * 1000.0).round() / 1000.0;
        bucket.shut(secs(10.0), secs(2.0), false);
        bucket.shut(secs(10.1), secs(1.0), false);
        assert_eq!(share(&bucket, 10.0), 0.5);
        assert_eq!(bucket.buy(secs(11.0), TERMS, 1), Offer::Shut { wait: secs(1.0), parked: false });
        let half = RECOVERY_PER_S.recip() / 2.0;
        assert!(share(&bucket, 10.0 + half - 0.1) < 1.0 && share(&bucket, 10.0 + half) == 1.0);
        for _ in 0..9 {
            let now = secs(13.0);
            bucket.shut(now, Duration::ZERO, false);
        }
        assert_eq!(bucket.share, FLOOR, "never to a standstill");
    }

    #[test]
    fn behind_a_gate_there_is_one_request_and_no_burst() {
        let mut bucket = Bucket::new();
        bucket.shut(secs(10.0), secs(2.0), true);
        assert_eq!(bucket.buy(secs(10.5), TERMS, 1), Offer::Shut { wait: secs(1.5), parked: true });
        let half = TERMS.per_second * bucket.share_at(secs(12.0));
        assert_eq!(after(bucket.buy(secs(12.0), TERMS, 1)), 0.0);
        let second = after(bucket.buy(secs(12.0), TERMS, 1));
        assert!((second - 1.0 / half).abs() < 0.002, "{second}");
    }

    #[test]
    fn near_the_limit_it_slows_once_a_second() {
        let mut bucket = Bucket::new();
        bucket.ease(secs(5.0));
        bucket.ease(secs(5.2));
        assert_eq!(bucket.share, EASE);
        bucket.ease(secs(6.1));
        assert!(bucket.share < EASE);
        assert!(!bucket.is_rested(secs(6.1)) && bucket.is_rested(secs(600.0)));
    }
}
