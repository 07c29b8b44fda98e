//! When an account's people are reminded: a pure function of how the account stands, of the last reminder, and of now.
//!
//! One mail names every cause. The first comes soon after its cause, then one a day at the account's hour until a sync
//! succeeds; never two in one day of the account's time zone, and never two within [`LEAST_GAP`]. An account at rest is
//! left alone, and so is one that changed in Microsoft only: neither has a cause.

mod calendar;
#[cfg(test)]
mod tests;

pub use calendar::{Calendar, CalendarError, Chosen};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::authorization::AuthorizationState;
use crate::job::text_enum;

/// Quiet before the first reminder of an account that people sync by hand, so that no mail comes in the middle of work.
pub const QUIET: Duration = Duration::minutes(30);
/// A manual account whose edits never stop is reminded after so long; changes of an Auto account count from here on.
pub const UNSYNCED: Duration = Duration::hours(24);
/// Without success for so long, the second contact gets the mail as well.
pub const SECOND_CONTACT: Duration = Duration::days(3);
/// A day that begins soon after a mail waits at least so long for its own.
pub const LEAST_GAP: Duration = Duration::hours(12);

text_enum! {
    /// Why somebody is reminded, the worst first.
    Cause {
        /// Auto Sync is on beside an authorization that does not work.
        NotAuthorized = "not_authorized",
        /// The last sync failed.
        Failed = "failed",
        /// The last sync was partly done.
        Partly = "partly",
        /// Removals wait for a person.
        Held = "held",
        /// Saved changes wait for a sync.
        Waiting = "waiting",
    }
}

/// Saved changes that no sync has covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// When the oldest was noticed.
    pub first: OffsetDateTime,
    /// When the newest was.
    pub last: OffsetDateTime,
}

/// Syncs that ended without success, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When the first of them ended.
    pub since: OffsetDateTime,
    /// Whether the last of them was partly done at least.
    pub partly: bool,
}

/// What the tables say of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// It syncs by itself.
    pub auto_sync: bool,
    /// Saved changes.
    pub waiting: Option<Waiting>,
    /// Syncs without success.
    pub failing: Option<Failing>,
    /// Removals wait since then.
    pub held: Option<OffsetDateTime>,
    /// What the stored authorization is worth, and since when.
    pub authorization: Option<(AuthorizationState, OffsetDateTime)>,
}

/// One cause of a reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Why.
    pub cause: Cause,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// From when on it is worth a mail.
    #[serde(with = "time::serde::rfc3339")]
    pub ready: OffsetDateTime,
}

/// The last reminder that was sent, or may have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: OffsetDateTime,
    /// The day of the account that it was for.
    pub day: Date,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing gives cause.
    Rest,
    /// The next mail, if nothing changes until then.
    Wait(OffsetDateTime),
    /// A mail now.
    Send(Reminder),
}

/// A reminder to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// The day of the account; there is one mail for it.
    pub day: Date,
    /// Every cause that is worth a mail now, the worst first.
    pub reasons: Vec<Reason>,
    /// It goes to the second contact as well.
    pub second_contact: bool,
}

/// Every cause of an account, the worst first, also those that are not worth a mail yet.
#[must_use]
pub fn reasons(facts: &Facts) -> Vec<Reason> {
    // by hand, people may be at work on it right now; nobody is when it goes by itself
    let calm = if facts.auto_sync { Duration::ZERO } else { QUIET };
    let reason = |cause, since| Reason { cause, since, ready: since + calm };
    let mut found = Vec::new();
    let broken = facts.authorization.filter(|(state, _)| *state != AuthorizationState::Healthy);
    if let Some((_, since)) = broken.filter(|_| facts.auto_sync) {
        found.push(reason(Cause::NotAuthorized, since));
    }
    if let Some(failing) = facts.failing {
        found.push(reason(if failing.partly { Cause::Partly } else { Cause::Failed }, failing.since));
    }
    if let Some(since) = facts.held {
        found.push(reason(Cause::Held, since));
    }
    if let Some(Waiting { first, last }) = facts.waiting {
        let unsynced = first + UNSYNCED;
        let ready = if facts.auto_sync { unsynced } else { unsynced.min(last + QUIET) };
        found.push(Reason { cause: Cause::Waiting, since: first, ready });
    }
    found
}

/// What is to be done now.
#[must_use]
pub fn decide(facts: &Facts, last: Option<&Sent>, calendar: &Calendar, now: OffsetDateTime) -> Decision {
    let reasons = reasons(facts);
    let Some(ready) = reasons.iter().map(|reason| reason.ready).min() else { return Decision::Rest };
    let due = last.map_or(ready, |last| ready.max(next(&reasons, last, calendar)));
    if now < due {
        return Decision::Wait(due);
    }
    let reasons: Vec<Reason> = reasons.into_iter().filter(|reason| reason.ready <= now).collect();
    let second_contact = reasons.iter().any(|reason| reason.since + SECOND_CONTACT <= now);
    Decision::Send(Reminder { day: calendar.day(now), reasons, second_contact })
}

/// When there may be another mail: at the hour of the next day while a cause of the last mail lasts; on the next day
/// when all is new.
fn next(reasons: &[Reason], last: &Sent, calendar: &Calendar) -> OffsetDateTime {
    let lasts = reasons.iter().any(|reason| reason.since <= last.at);
    let day = last_day(last, calendar);
    let next = if lasts { calendar.hour_after(day) } else { calendar.begin_after(day) };
    next.max(last.at + LEAST_GAP)
}

/// Until when no mail can be due after one that goes out now, whatever happens.
#[must_use]
pub fn quiet_until(now: OffsetDateTime, calendar: &Calendar) -> OffsetDateTime {
    calendar.begin_after(calendar.day(now)).max(now + LEAST_GAP)
}

/// The account may have moved to another time zone since.
fn last_day(last: &Sent, calendar: &Calendar) -> Date {
    last.day.max(calendar.day(last.at))
}
