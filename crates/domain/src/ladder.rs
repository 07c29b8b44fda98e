//! When a deferred user, a failed account or an unsettled field is looked at again.

use serde::{Deserialize, Serialize};
use time::Duration;

/// Why a user's steps could not be finished yet. The names are stable: tables, metrics and messages use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeferReason {
    /// The Phone System plan is not active yet.
    LicencePending,
    /// The user is not known to Teams yet.
    NotInTeamsYet,
    /// An accepted operation has not ended.
    OperationRunning,
    /// The reply to a write was lost; reading decides.
    OutcomeUnknown,
    /// Microsoft asked to wait.
    Throttled,
    /// A fault that is expected to pass.
    Transient,
    /// Another job was waiting, so this one gave way before starting the user.
    HandOver,
    /// A step it depends on did not finish.
    DependsOnDeferred,
    /// The authorization ended while the job ran.
    NotAuthorized,
    /// The token of the person who signed in ended first; only a new sign-in, or Auto Sync, goes on.
    TokenExpired,
}

impl DeferReason {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LicencePending => "licence_pending",
            Self::NotInTeamsYet => "not_in_teams_yet",
            Self::OperationRunning => "operation_running",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::HandOver => "hand_over",
            Self::DependsOnDeferred => "depends_on_deferred",
            Self::NotAuthorized => "not_authorized",
            Self::TokenExpired => "token_expired",
        }
    }

    /// Reads the stable name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "licence_pending" => Self::LicencePending,
            "not_in_teams_yet" => Self::NotInTeamsYet,
            "operation_running" => Self::OperationRunning,
            "outcome_unknown" => Self::OutcomeUnknown,
            "throttled" => Self::Throttled,
            "transient" => Self::Transient,
            "hand_over" => Self::HandOver,
            "depends_on_deferred" => Self::DependsOnDeferred,
            "not_authorized" => Self::NotAuthorized,
            "token_expired" => Self::TokenExpired,
            _ => return None,
        })
    }
}

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// How long to wait before look number `looks + 1` at a user deferred for `reason`, `waited` after the first time.
/// `None` = give up and call it failed.
///
/// Licence and directory waits: 5, 15, 30, 60 min, hourly to 24 h, daily to 7 d. Transient faults: 2, 5, 15, 60 min,
/// hourly. Unknown outcomes: ten minutes, the distance of the two equal reads that settle them. Authorization gone: 30 min,
/// hourly; a new consent does not wait for that.
#[must_use]
pub fn next_look(reason: DeferReason, looks: u32, waited: Duration) -> Option<Duration> {
    let step = |ladder: &[i64], then: i64| {
        let index = usize::try_from(looks).unwrap_or(usize::MAX);
        Duration::seconds(ladder.get(index).copied().unwrap_or(then))
    };
    match reason {
        DeferReason::HandOver | DeferReason::TokenExpired => Some(Duration::ZERO),
        DeferReason::LicencePending | DeferReason::NotInTeamsYet => {
            if waited >= Duration::seconds(7 * DAY) {
                None
            } else if waited >= Duration::seconds(DAY) {
                Some(Duration::seconds(DAY))
            } else {
                Some(step(&[5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR], HOUR))
            }
        }
        DeferReason::OperationRunning | DeferReason::DependsOnDeferred => {
            Some(step(&[MINUTE, 2 * MINUTE, 5 * MINUTE], 15 * MINUTE))
        }
        DeferReason::OutcomeUnknown => Some(Duration::seconds(10 * MINUTE)),
        DeferReason::NotAuthorized => Some(step(&[30 * MINUTE], HOUR)),
        DeferReason::Throttled | DeferReason::Transient => {
            Some(step(&[2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR], HOUR))
        }
    }
}

/// How long a wait for this reason lasts at most as a rule, counted from its begin: a licence and a new user take up to a
/// day to reach Teams, an operation is given up after a day, a lost reply is settled by two reads ten minutes apart.
/// `None` = nobody can say, because it is for people to do something.
#[must_use]
pub fn expected_within(reason: DeferReason) -> Option<Duration> {
    match reason {
        DeferReason::LicencePending | DeferReason::NotInTeamsYet | DeferReason::OperationRunning => {
            Some(Duration::seconds(DAY))
        }
        DeferReason::OutcomeUnknown => Some(Duration::seconds(20 * MINUTE)),
        DeferReason::Throttled | DeferReason::Transient => Some(Duration::seconds(HOUR)),
        DeferReason::HandOver => Some(Duration::seconds(10 * MINUTE)),
        DeferReason::DependsOnDeferred | DeferReason::NotAuthorized | DeferReason::TokenExpired => None,
    }
}

/// Wait before the next automatic try of an account whose last job failed as a whole, after `failures` in a row:
/// 30 min, 6 h, 12 h, 24 h, then daily.
#[must_use]
pub fn account_retry(failures: u32) -> Duration {
    let hours_in_minutes = [30, 6 * 60, 12 * 60, 24 * 60];
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::minutes(hours_in_minutes.get(index).copied().unwrap_or(24 * 60))
}

/// Wait before settle check number `looks + 1`, `waited` after the confirmation: 1, 5, 15, 60 min after it, then
/// hourly, at most 24 h. `None` = it never agreed: a sync issue.
#[must_use]
pub fn settle_look(looks: u32, waited: Duration) -> Option<Duration> {
    const AT: [i64; 4] = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR];
    if waited >= Duration::seconds(DAY) {
        return None;
    }
    let index = usize::try_from(looks).unwrap_or(usize::MAX);
    Some(match AT.get(index) {
        Some(at) => (Duration::seconds(*at) - waited).max(Duration::seconds(1)),
        None => Duration::seconds(HOUR),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders_follow_the_default_numbers() {
        let minutes = |reason, looks| next_look(reason, looks, Duration::ZERO).unwrap().whole_minutes();
        assert_eq!(
            [0, 1, 2, 3, 4, 9].map(|n| minutes(DeferReason::LicencePending, n)),
            [5, 15, 30, 60, 60, 60]
        );
        assert_eq!([0, 1, 2, 3, 4].map(|n| minutes(DeferReason::Transient, n)), [2, 5, 15, 60, 60]);
        assert_eq!(
            next_look(DeferReason::LicencePending, 30, Duration::hours(30)),
            Some(Duration::hours(24))
        );
        assert_eq!(next_look(DeferReason::LicencePending, 40, Duration::days(7)), None);
        assert_eq!([1, 2, 3, 4, 5].map(|n| account_retry(n).whole_minutes()), [30, 360, 720, 1440, 1440]);
    }

    #[test]
    fn settle_checks_come_at_1_5_15_60_minutes_then_hourly() {
        let mut waited = Duration::ZERO;
        let mut at = vec![];
        let mut looks = 0;
        while let Some(wait) = settle_look(looks, waited) {
            waited += wait;
            looks += 1;
            at.push(waited.whole_minutes());
        }
        assert_eq!(at[..6], [1, 5, 15, 60, 120, 180]);
        assert_eq!(*at.last().unwrap(), 24 * 60);
    }
}
