//! The time in which changes of one account are gathered before a job is cut.

use time::{Duration, OffsetDateTime};

/// Quiet period and longest wait of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Nothing is cut before this long has passed since the last change, unless `max_wait` ends first.
    pub quiet: Duration,
    /// A window is cut this long after its first change, however many follow.
    pub max_wait: Duration,
}

impl Timing {
    /// 60 s of quiet, 4 min at most.
    pub const DEFAULT: Self = Self { quiet: Duration::seconds(60), max_wait: Duration::minutes(4) };

    /// When a window with these change times is due: `min(last + quiet, first + max_wait)`.
    #[must_use]
    pub fn due_at(self, first_change: OffsetDateTime, last_change: OffsetDateTime) -> OffsetDateTime {
        (last_change + self.quiet).min(first_change + self.max_wait)
    }
}

/// What can pass between a save and the start of its job when one thing goes wrong at the worst moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatenessBudget {
    /// How often a source is read.
    pub poll: Duration,
    /// Wait before a deletion is confirmed by a second look.
    pub second_look: Duration,
    /// Longest wait of a window.
    pub max_wait: Duration,
    /// How often each role looks at the table upstream of it.
    pub sweep: Duration,
    /// A running job gives way within this time once another is queued.
    pub hand_over: Duration,
    /// Life of a claim without heartbeat.
    pub lease: Duration,
    /// What a successor waits beyond the lease.
    pub wait_out: Duration,
    /// Time to claim a waiting job.
    pub claim: Duration,
}

impl LatenessBudget {
    /// The promise: a job starts within ten minutes of the save.
    pub const PROMISE: Duration = Duration::minutes(10);

    /// Sum of the worst single fault, counted from the save.
    #[must_use]
    pub fn worst(self) -> Duration {
        let taken_over = (self.lease + self.wait_out).max(self.hand_over);
        self.poll + self.second_look + self.max_wait + self.sweep + taken_over + self.claim
    }

    /// Whether the promise can be kept.
    #[must_use]
    pub fn keeps_promise(self) -> bool {
        self.worst() <= Self::PROMISE
    }
}

/// How near a waiting change is to the end of the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Near {
    /// There is time.
    Fine,
    /// It has waited for eight minutes.
    Warning,
    /// The ten minutes are over.
    Broken,
}

impl Near {
    /// After this long it is time to warn.
    pub const WARNING: Duration = Duration::minutes(8);

    /// How near a change is that waits since then.
    #[must_use]
    pub fn of(since: OffsetDateTime, now: OffsetDateTime) -> Self {
        match now - since {
            waited if waited >= LatenessBudget::PROMISE => Self::Broken,
            waited if waited >= Self::WARNING => Self::Warning,
            _ => Self::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_never_postpones_past_max_wait() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let mut last = start;
        for second in 0..3600 {
            last = start + Duration::seconds(second);
            let due = Timing::DEFAULT.due_at(start, last);
            assert!(due <= start + Timing::DEFAULT.max_wait);
        }
        assert_eq!(Timing::DEFAULT.due_at(last, last), last + Duration::seconds(60));
    }

    #[test]
    fn idea3_the_warning_comes_before_the_promise_breaks() {
        let since = OffsetDateTime::UNIX_EPOCH;
        let after = |minutes| Near::of(since, since + Duration::minutes(minutes));
        assert_eq!(
            [after(-1), after(7), after(8), after(9)],
            [Near::Fine, Near::Fine, Near::Warning, Near::Warning]
        );
        assert_eq!([after(10), after(600)], [Near::Broken, Near::Broken]);
    }

    #[test]
    fn the_default_numbers_sum_to_550_seconds() {
        let budget = LatenessBudget {
            poll: Duration::seconds(60),
            second_look: Duration::seconds(10),
            max_wait: Duration::minutes(4),
            sweep: Duration::seconds(60),
            hand_over: Duration::seconds(60),
            lease: Duration::seconds(60),
            wait_out: Duration::seconds(60),
            claim: Duration::seconds(60),
        };
        assert_eq!(budget.worst(), Duration::seconds(550));
        assert!(budget.keeps_promise());
    }
}
