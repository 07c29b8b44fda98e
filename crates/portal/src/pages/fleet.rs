//! The fleet as operators see it: states, who waits longest, how late jobs are, what fails in many accounts.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::account_state::AccountState;
use tandem_domain::window::{LatenessBudget, Near};
use tandem_store::portal::fleet::{Count, FailureGroup, Lateness, Waiting};
use time::{Duration, OffsetDateTime};

use super::pause::PauseForm;
use super::{Layout, html};
use crate::chart::Chart;
use crate::extract::Query;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::Visitor;
use crate::work::fleet::{self as work, Behind, HOURS, Standing};
use crate::{App, view};

#[derive(Template)]
#[template(path = "fleet.html")]
pub(crate) struct FleetPage {
    pub(crate) layout: Layout,
    pub(crate) shown: Shown,
    pub(crate) hours: i64,
    pub(crate) charts: Vec<Chart>,
    pub(crate) late: Vec<LateRow>,
    pub(crate) failures: Vec<FailureRow>,
    pub(crate) pause: PauseForm,
    /// What the pause of the fleet keeps from being synced.
    pub(crate) kept: Option<String>,
}

/// The part that is fetched anew.
#[derive(Template)]
#[template(path = "fleet_part.html")]
pub(crate) struct Live {
    pub(crate) shown: Shown,
}

/// How accounts stand now.
pub(crate) struct Shown {
    pub(crate) states: Vec<StateRow>,
    pub(crate) accounts: i64,
    /// The oldest change of an account with Auto Sync that waits.
    pub(crate) oldest_auto: Option<String>,
    pub(crate) oldest: Option<String>,
    pub(crate) waiting: Vec<WaitingRow>,
    /// The address of this part.
    pub(crate) part: String,
    /// The address of the page of accounts that wait for less long.
    pub(crate) next: Option<String>,
}

/// A state with its accounts.
pub(crate) struct StateRow {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) accounts: i64,
    pub(crate) oldest: String,
}

/// An account that waits.
pub(crate) struct WaitingRow {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) changes: i64,
    pub(crate) waits: String,
    /// When its job starts, or why it does not.
    pub(crate) starts: String,
    /// When the ten minutes end.
    pub(crate) ends: String,
    pub(crate) near: &'static str,
    pub(crate) tone: &'static str,
}

/// The lateness of the accounts of a state.
pub(crate) struct LateRow {
    pub(crate) label: &'static str,
    pub(crate) jobs: i64,
    pub(crate) start: (String, String),
    pub(crate) settled: (String, String),
}

/// Jobs that failed by the same.
pub(crate) struct FailureRow {
    pub(crate) fingerprint: String,
    pub(crate) code: String,
    pub(crate) text: String,
    pub(crate) jobs: i64,
    pub(crate) accounts: i64,
    pub(crate) since: String,
    pub(crate) last: String,
}

/// As it is said how near something is to the end of the ten minutes.
pub(crate) fn near(near: Near) -> (&'static str, &'static str) {
    match near {
        Near::Fine => ("in time", "good"),
        Near::Warning => ("nearly late", "warn"),
        Near::Broken => ("late", "bad"),
    }
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "\u{2013}".to_owned(), |seconds| view::span(Duration::seconds_f64(seconds)))
}

impl StateRow {
    fn of((state, count): &(AccountState, Count), now: OffsetDateTime) -> Self {
        Self {
            name: state.as_str(),
            label: state.label(),
            tone: view::tone(*state),
            accounts: count.accounts,
            oldest: count.oldest.map_or_else(|| "\u{2013}".to_owned(), |oldest| view::span(now - oldest)),
        }
    }
}

impl WaitingRow {
    fn of(row: &Waiting, now: OffsetDateTime) -> Self {
        let (near, tone) = near(Near::of(row.since, now));
        let starts = match (row.paused_until, &row.parked, row.due_at) {
            (Some(until), ..) => format!("paused until {}", view::clock(until, now)),
            (None, Some(why), _) => format!("waits: {}", view::word(why).to_lowercase()),
            (None, None, Some(due)) => format!("by {}", view::clock(due, now)),
            (None, None, None) => "in a moment".to_owned(),
        };
        Self {
            name: row.name.clone(),
            label: row.label.clone(),
            changes: row.changes,
            waits: view::span(now - row.since),
            starts,
            ends: view::clock(row.since + LatenessBudget::PROMISE, now),
            near,
            tone,
        }
    }
}

impl LateRow {
    fn of(label: &'static str, lateness: &Lateness) -> Self {
        Self {
            label,
            jobs: lateness.started,
            start: (seconds(lateness.start_p50), seconds(lateness.start_p95)),
            settled: (seconds(lateness.settled_p50), seconds(lateness.settled_p95)),
        }
    }

    /// All accounts first, then each state.
    pub(crate) fn all(late: &work::Late) -> Vec<Self> {
        let states = AccountState::ALL.iter().map(|state| (state.label(), Some(*state)));
        std::iter::once(("All accounts", None))
            .chain(states)
            .map(|(label, state)| Self::of(label, &work::of_state(late, state)))
            .collect()
    }
}

impl FailureRow {
    pub(crate) fn of(group: &FailureGroup, now: OffsetDateTime) -> Self {
        Self {
            fingerprint: group.fingerprint.clone(),
            code: group.code.clone(),
            text: group.text.clone(),
            jobs: group.jobs,
            accounts: group.accounts,
            since: view::clock(group.since, now),
            last: view::clock(group.last, now),
        }
    }
}

impl Shown {
    pub(crate) fn of(found: &Standing, asked: &Asked, now: OffsetDateTime) -> Self {
        let span = |at: Option<OffsetDateTime>| at.map(|at| view::span(now - at));
        let all = found.all();
        let next = found.waiting.next.as_ref().map(|behind| {
            let (hours, after) = (asked.hours().unwrap_or(HOURS[0]), address(behind));
            format!("/fleet?hours={hours}&after={after}#waiting")
        });
        let part = if asked.after.is_empty() {
            "/fleet/live".to_owned()
        } else {
            format!("/fleet/live?after={}", view::segment(&asked.after))
        };
        Self {
            states: found.counts.iter().map(|count| StateRow::of(count, now)).collect(),
            accounts: all.accounts,
            oldest_auto: span(all.oldest_auto),
            oldest: span(all.oldest),
            waiting: found.waiting.rows.iter().map(|row| WaitingRow::of(row, now)).collect(),
            part,
            next,
        }
    }
}

/// Where a page begins, as it stands in an address: microseconds and a short name.
pub(crate) fn address((since, name): &Behind) -> String {
    format!("{}-{name}", since.unix_timestamp_nanos() / 1000)
}

/// What stands in the address. Empty is none.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    hours: String,
    after: String,
}

impl Asked {
    pub(crate) fn hours(&self) -> Result<i64, Fault> {
        match self.hours.as_str() {
            "" => Ok(HOURS[0]),
            hours => HOURS
                .into_iter()
                .find(|one| one.to_string() == hours)
                .ok_or(Fault::BadInput("hours", "is 24, 48 or 72")),
        }
    }

    pub(crate) fn after(&self) -> Result<Option<Behind>, Fault> {
        behind(&self.after)
    }
}

/// Where a page begins, read from an address.
pub(super) fn behind(text: &str) -> Result<Option<Behind>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = || {
        let (micros, name) = text.split_once('-')?;
        let micros: i128 = micros.parse().ok()?;
        let since = OffsetDateTime::from_unix_timestamp_nanos(micros.checked_mul(1000)?).ok()?;
        Some((since, name.to_owned()))
    };
    read().map(Some).ok_or(Fault::BadInput("after", "is the `next` of another page"))
}

/// How many accounts a pause keeps waiting, and when the ten minutes of the first end.
pub(crate) fn kept((accounts, since): (i64, Option<OffsetDateTime>), now: OffsetDateTime) -> String {
    let Some(since) = since else { return "No account with Auto Sync waits.".to_owned() };
    let end = view::clock(since + LatenessBudget::PROMISE, now);
    let said = match Near::of(since, now) {
        Near::Broken => "were over at",
        Near::Warning | Near::Fine => "end at",
    };
    format!("{accounts} accounts with Auto Sync wait. The ten minutes of the first {said} {end}.")
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let (hours, after, now) = (asked.hours()?, asked.after()?, app.clock.now());
    let found = work::standing(&app, after.as_ref()).await?;
    let (late, failures) = (work::late(&app, hours).await?, work::failures(&app, hours).await?);
    let kept = match &visitor.paused {
        Some(_) => Some(kept(work::kept(&app).await?, now)),
        None => None,
    };
    html(&FleetPage {
        layout: Layout::provider(&nonce, &visitor, "fleet"),
        pause: PauseForm { action: "/fleet/pause".to_owned(), on: visitor.paused.is_some() },
        kept,
        shown: Shown::of(&found, &asked, now),
        hours,
        charts: work::charts(&app, hours).await?,
        late: LateRow::all(&late),
        failures: failures.iter().map(|group| FailureRow::of(group, now)).collect(),
    })
}

pub(crate) async fn live(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Result<Response, Fault> {
    let found = work::standing(&app, asked.after()?.as_ref()).await?;
    html(&Live { shown: Shown::of(&found, &asked, app.clock.now()) })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn where_a_page_begins_is_read_as_it_was_written_and_nothing_else_is() {
        let behind = (datetime!(2026-03-01 14:07:09.123456 UTC), "alpha-2".to_owned());
        let asked = |after: &str| Asked { after: after.to_owned(), ..Asked::default() }.after();
        assert_eq!(asked(&address(&behind)), Ok(Some(behind)));
        assert_eq!(asked(""), Ok(None));
        for wrong in ["x", "1", "x-alpha", "99999999999999999999999999999999999999-alpha", "-"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
        let hours = |hours: &str| Asked { hours: hours.to_owned(), ..Asked::default() }.hours();
        assert_eq!((hours(""), hours("72")), (Ok(24), Ok(72)));
        assert!(hours("1000").is_err() && hours("-24").is_err());
    }
}
