//! When automatic work of an account stops, when it is tried again, and when it is given up.
//!
//! An account is in quarantine when its authorization is bad, or when a job failed for too many of its users. Then a
//! new change waits for the ladder as well; outside quarantine it does not. A person may start a Manual job at any
//! time, and the first success ends the quarantine.

use time::{Duration, OffsetDateTime};

use crate::authorization::Reason;
use crate::job::Counts;
use crate::ladder::account_retry;

/// Failed users of a job, in percent of those it looked at, from which on the account is in quarantine.
pub const FAILED_PERCENT: i32 = 40;
/// And at least so many.
pub const FAILED_LEAST: i32 = 10;
/// After so long in quarantine Auto Sync is switched off.
pub const OFF_AFTER: Duration = Duration::days(28);
/// Days after the begin on which the Global Administrator gets a mail about it.
pub const MAIL_DAYS: [i64; 3] = [1, 14, 27];

/// Why an account is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its authorization.
    Authorization(Reason),
    /// Too many users of a job failed.
    TooManyFailures,
}

impl Cause {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorization(reason) => reason.as_str(),
            Self::TooManyFailures => "too_many_failures",
        }
    }

    /// Reads the stable name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == Self::TooManyFailures.as_str() {
            return Some(Self::TooManyFailures);
        }
        Reason::parse(text).map(Self::Authorization)
    }

    /// In plain words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Authorization(reason) => reason.text(),
            Self::TooManyFailures => "a job failed for too many users",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Authorization(reason) => reason.remedy(),
            Self::TooManyFailures => "look at the failed users of the job; most fail for the same reason",
        }
    }
}

/// Where an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Tries that failed in a row.
    pub failures: u32,
    /// Why it is in quarantine, and for how long.
    pub quarantine: Option<(Cause, Duration)>,
}

/// How a try ended: a job, or a question in place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Well enough.
    Worked,
    /// As a whole, or for too many users; a cause puts the account in quarantine.
    Failed(Option<Cause>),
}

/// What becomes of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Tries that failed in a row.
    pub failures: u32,
    /// Wait before the next automatic try; none after a success.
    pub retry: Option<Duration>,
    /// Why it is in quarantine.
    pub cause: Option<Cause>,
    /// Its quarantine begins with this try.
    pub enters: bool,
    /// It was in quarantine for so long that Auto Sync is switched off.
    pub give_up: bool,
}

/// What a try makes of an account: 30 min, 6 h, 12 h, 24 h, then daily, and a last try when the time is up.
#[must_use]
pub fn next(before: &Standing, trial: Trial) -> Next {
    let Trial::Failed(found) = trial else {
        return Next { failures: 0, retry: None, cause: None, enters: false, give_up: false };
    };
    let failures = before.failures.saturating_add(1);
    let cause = found.or(before.quarantine.map(|(cause, _)| cause));
    let enters = cause.is_some() && before.quarantine.is_none();
    let left = before.quarantine.map(|(_, age)| OFF_AFTER - age);
    let give_up = left.is_some_and(|left| left <= Duration::ZERO);
    let ladder = account_retry(failures);
    let retry = match left {
        // the last try comes when the time is up, not up to a day later
        Some(left) if !give_up => ladder.min(left),
        _ => ladder,
    };
    Next { failures, retry: Some(retry), cause, enters, give_up }
}

/// Whether a job failed for too many users.
#[must_use]
pub fn too_many(counts: Counts) -> bool {
    counts.failed >= FAILED_LEAST && counts.failed * 100 >= counts.planned * FAILED_PERCENT
}

/// When mails about a quarantine are due, and when Auto Sync is switched off.
#[must_use]
pub fn dates(since: OffsetDateTime) -> ([OffsetDateTime; 3], OffsetDateTime) {
    (MAIL_DAYS.map(|days| since + Duration::days(days)), since + OFF_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVOKED: Cause = Cause::Authorization(Reason::Revoked);

    /// Runs `days` virtual days of an account, the first try at 0; tells when it was tried and when it was given up.
    fn live(days: i64, mut trial: impl FnMut(Duration) -> Trial) -> (Vec<Duration>, Option<Duration>) {
        let (mut now, mut standing, mut since) = (Duration::ZERO, Standing::default(), None);
        let mut tries = Vec::new();
        while now <= Duration::days(days) {
            tries.push(now);
            let next = next(&standing, trial(now));
            if next.give_up {
                return (tries, Some(now));
            }
            let Some(wait) = next.retry else { return (tries, None) };
            assert!(wait > Duration::ZERO);
            if next.enters {
                since = Some(now);
            }
            now += wait;
            let quarantine = next.cause.zip(since).map(|(cause, since)| (cause, now - since));
            standing = Standing { failures: next.failures, quarantine };
        }
        (tries, None)
    }

    #[test]
    fn i21_forty_days_without_consent_are_32_tries_and_then_off() {
        let (tries, off) = live(40, |_| Trial::Failed(Some(REVOKED)));
        let hours: Vec<f64> = tries.iter().map(|at| at.as_seconds_f64() / 3600.0).collect();
        assert_eq!(hours[..6], [0.0, 0.5, 6.5, 18.5, 42.5, 66.5]);
        // 42.5 h, then daily: 26 more until 666.5 h, and the last one at 28 days
        assert_eq!(hours.len(), 5 + 26 + 1);
        assert_eq!(off, Some(Duration::days(28)));
        assert_eq!(hours.last(), Some(&672.0));
    }

    #[test]
    fn i21_failures_that_are_no_quarantine_are_never_given_up() {
        let (tries, off) = live(40, |_| Trial::Failed(None));
        assert_eq!(off, None);
        // 0, 0.5, 6.5, 18.5, 42.5 h, then daily up to 40 days (960 h)
        assert_eq!(tries.len(), 5 + 38);
    }

    #[test]
    fn i21_the_first_success_ends_it() {
        let heals = Duration::days(10);
        let (tries, off) =
            live(40, |now| if now < heals { Trial::Failed(Some(REVOKED)) } else { Trial::Worked });
        assert_eq!((off, tries.last().is_some_and(|last| *last >= heals)), (None, true));
        let before = Standing { failures: 9, quarantine: Some((REVOKED, Duration::days(10))) };
        let next = next(&before, Trial::Worked);
        assert_eq!((next.failures, next.retry, next.cause), (0, None, None));
    }

    #[test]
    fn i21_a_quarantine_outlives_failures_of_other_kinds_and_follows_its_reason() {
        let before = Standing { failures: 1, quarantine: Some((Cause::TooManyFailures, Duration::HOUR)) };
        let passing = next(&before, Trial::Failed(None));
        assert_eq!((passing.cause, passing.enters), (Some(Cause::TooManyFailures), false));
        let worse = next(&before, Trial::Failed(Some(REVOKED)));
        assert_eq!((worse.cause, worse.enters, worse.failures), (Some(REVOKED), false, 2));
    }

    #[test]
    fn i21_forty_percent_and_ten_failures() {
        let counts = |planned, failed| Counts { planned, failed, ..Counts::default() };
        for (planned, failed, expected) in [
            (25, 10, true),
            (26, 10, false),
            (10, 10, true),
            (9, 9, false),
            (1000, 399, false),
            (1000, 400, true),
            (0, 0, false),
        ] {
            assert_eq!(too_many(counts(planned, failed)), expected, "{failed} of {planned}");
        }
    }

    #[test]
    fn mails_come_on_days_1_14_and_27() {
        let since = OffsetDateTime::UNIX_EPOCH;
        let (mails, off) = dates(since);
        assert_eq!(mails.map(|at| (at - since).whole_days()), [1, 14, 27]);
        assert_eq!((off - since).whole_days(), 28);
    }

    #[test]
    fn names_are_read_back() {
        let all = Reason::ALL.iter().map(|reason| Cause::Authorization(*reason));
        for cause in all.chain([Cause::TooManyFailures]) {
            assert_eq!(Cause::parse(cause.as_str()), Some(cause));
            assert!(!cause.text().is_empty() && !cause.remedy().is_empty());
        }
        assert_eq!(Cause::parse("nothing"), None);
    }
}
