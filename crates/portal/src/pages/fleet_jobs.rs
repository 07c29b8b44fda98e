//! Looking for syncs over all accounts, for operators.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use tandem_domain::job::{JobState, JobType};
use tandem_domain::replay;
use tandem_store::fleet_jobs::FleetJob;
use time::OffsetDateTime;

use super::jobs::Row;
use super::{Layout, html};
use crate::extract::Query;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::Visitor;
use crate::work::fleet_jobs::{self, Asked, Found};
use crate::{App, view};

#[derive(Template)]
#[template(path = "fleet_jobs.html")]
pub(crate) struct FleetJobsPage {
    pub(crate) layout: Layout,
    pub(crate) rows: Vec<FleetRow>,
    pub(crate) asked: Asked,
    pub(crate) types: Vec<Choice>,
    pub(crate) states: Vec<Choice>,
    /// The address of the page of older jobs.
    pub(crate) older: Option<String>,
    /// How far the search came that found less than a page.
    pub(crate) looked_to: Option<String>,
    /// Where all that match are replayed; none without a filter.
    pub(crate) replay_all: Option<String>,
}

/// A choice of a filter.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

/// A job with its account.
pub(crate) struct FleetRow {
    /// Short name and label of the account, while there is one.
    pub(crate) account: Option<(String, String)>,
    pub(crate) job: Row,
    pub(crate) replayable: bool,
    /// Where the syncs are that failed by the same.
    pub(crate) same: Option<String>,
}

impl FleetRow {
    fn of(job: &FleetJob, now: OffsetDateTime) -> Self {
        let replayable = job.account.is_some() && replay::leaves_something(job.row.state);
        let same = job
            .row
            .failures
            .first()
            .map(|failure| format!("/fleet/jobs?fingerprint={}", view::segment(failure)));
        Self { account: job.account.clone(), job: Row::of(&job.row, now), replayable, same }
    }
}

impl FleetJobsPage {
    pub(crate) fn of(layout: Layout, asked: Asked, found: &Found, now: OffsetDateTime) -> Self {
        let choice = |value: &str, label: String, chosen: &str| Choice {
            value: value.to_owned(),
            label,
            chosen: value == chosen,
        };
        let one = |state: &JobState| choice(state.as_str(), view::word(state.as_str()), &asked.state);
        let mut states: Vec<Choice> = JobState::ALL.iter().map(one).collect();
        states.push(choice("failed,partly", "Failed or partly".to_owned(), &asked.state));
        let kind = |kind: &JobType| choice(kind.as_str(), view::word(kind.as_str()), &asked.job_type);
        let query = asked.query();
        Self {
            layout,
            rows: found.rows.iter().map(|job| FleetRow::of(job, now)).collect(),
            types: JobType::ALL.iter().map(kind).collect(),
            states,
            older: found.next.map(|after| asked.older(after)),
            looked_to: found.looked_to.map(|job| view::full(view::cut_at(job))),
            replay_all: (!query.is_empty()).then(|| format!("/fleet/bulk/new?{query}")),
            asked,
        }
    }
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let found = fleet_jobs::jobs(&app, &asked).await?;
    let layout = Layout::provider(&nonce, &visitor, "fleet jobs");
    html(&FleetJobsPage::of(layout, asked, &found, app.clock.now()))
}
