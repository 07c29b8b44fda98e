//! Wall-clock time that is handed in.
//!
//! For waiting and measuring use `tokio::time`; this clock only says what time it is.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;

/// Tells the time, in UTC, cut to microseconds: the precision PostgreSQL keeps, so a time that went through the
/// database equals the one that was written.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Moved(TestClock),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        match &self.0 {
            Source::System => cut(system_now()),
            Source::Moved(hand) => hand.now(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock(system)"),
            Source::Moved(hand) => write!(f, "Clock({})", hand.now()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn system_now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn cut(at: OffsetDateTime) -> OffsetDateTime {
    at - time::Duration::nanoseconds(i64::from(at.nanosecond() % 1_000))
}

/// A clock that stands still until it is moved by hand. Clones and every [`Clock`] made from it share one hand.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Mutex<OffsetDateTime>>);

impl TestClock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn at(at: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(cut(at.to_offset(time::UtcOffset::UTC)))))
    }

    /// The clock to hand to the code under test.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Source::Moved(self.clone()))
    }

    /// Where the hand stands.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the hand forward.
    pub fn advance(&self, by: Duration) {
        let mut hand = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *hand = cut(*hand + by);
    }

    /// Puts the hand anywhere, also back.
    pub fn set(&self, at: OffsetDateTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cut(at.to_offset(time::UtcOffset::UTC));
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn clones_share_one_hand_and_nothing_finer_than_a_microsecond_shows() {
        let hand = TestClock::at(datetime!(2026-03-01 12:00:00.123456789 UTC));
        let clock = hand.clock();
        assert_eq!(clock.now(), datetime!(2026-03-01 12:00:00.123456 UTC));
        hand.clone().advance(Duration::from_secs(60));
        assert_eq!(clock.now(), datetime!(2026-03-01 12:01:00.123456 UTC));
        hand.set(datetime!(2026-03-01 01:00 +1));
        assert_eq!(clock.now(), datetime!(2026-03-01 00:00 UTC));
        assert_eq!(Clock::system().now().nanosecond() % 1_000, 0);
    }
}
