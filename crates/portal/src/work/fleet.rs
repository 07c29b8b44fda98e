//! What operators see of all accounts together.

use tandem_domain::account_state::AccountState;
use tandem_store::portal::charts;
use tandem_store::portal::fleet::{self, Count, FailureGroup, Lateness, Waiting};
use tandem_store::portal::pause;
use time::{Duration, OffsetDateTime};

use super::{PAGE, Page};
use crate::chart::Chart;
use crate::fault::Fault;
use crate::{App, plots};

/// Groups of failures that are shown.
const GROUPS: i64 = 100;
/// Hours that a look may go back, the usual first.
pub(crate) const HOURS: [i64; 3] = [24, 48, 72];

/// Where a page of waiting accounts begins: behind this time and this name.
pub(crate) type Behind = (OffsetDateTime, String);

/// How accounts stand now.
pub(crate) struct Standing {
    pub(crate) counts: Vec<(AccountState, Count)>,
    pub(crate) waiting: Page<Waiting, Behind>,
}

impl Standing {
    /// All accounts together.
    pub(crate) fn all(&self) -> Count {
        self.counts.iter().fold(Count::default(), |all, (_, count)| all.and(*count))
    }
}

/// How late jobs were: by state of their accounts, and all together.
pub(crate) type Late = Vec<(Option<AccountState>, Lateness)>;

/// How the lateness of a state was, or that of all.
pub(crate) fn of_state(late: &Late, state: Option<AccountState>) -> Lateness {
    late.iter().find(|(of, _)| *of == state).map(|(_, lateness)| *lateness).unwrap_or_default()
}

/// States, and the accounts that have waited longest.
pub(crate) async fn standing(app: &App, after: Option<&Behind>) -> Result<Standing, Fault> {
    let mut tx = app.fleet.begin("portal.fleet").await?;
    let counts = fleet::counts(&mut tx).await?;
    let after = after.map(|(since, name)| (*since, name.as_str()));
    let rows = fleet::waiting(&mut tx, after, PAGE + 1).await?;
    Ok(Standing { counts, waiting: Page::cut(rows, PAGE, |row| (row.since, row.name.clone())) })
}

/// How late the jobs of the last hours were.
pub(crate) async fn late(app: &App, hours: i64) -> Result<Late, Fault> {
    let mut tx = app.fleet.begin("portal.lateness").await?;
    Ok(fleet::lateness(&mut tx, app.clock.now() - Duration::hours(hours)).await?)
}

/// What jobs of the last hours came to, and how late they started, as charts.
pub(crate) async fn charts(app: &App, hours: i64) -> Result<Vec<Chart>, Fault> {
    let mut tx = app.fleet.begin("portal.charts").await?;
    let now = app.clock.now();
    let since = now - Duration::hours(hours);
    let jobs = charts::throughput(&mut tx, None, since).await?;
    let late = charts::late(&mut tx, since).await?;
    Ok(vec![plots::throughput(&jobs, hours, now), plots::late(&late, hours, now)])
}

/// What jobs of the last hours failed by.
pub(crate) async fn failures(app: &App, hours: i64) -> Result<Vec<FailureGroup>, Fault> {
    let mut tx = app.fleet.begin("portal.failures").await?;
    Ok(fleet::failures(&mut tx, app.clock.now() - Duration::hours(hours), GROUPS).await?)
}

/// How many accounts with Auto Sync wait, and since when the first of them does.
pub(crate) async fn kept(app: &App) -> Result<(i64, Option<OffsetDateTime>), Fault> {
    let mut tx = app.fleet.begin("portal.kept").await?;
    Ok(pause::fleet_waiting(&mut tx).await?)
}
