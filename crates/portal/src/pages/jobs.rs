//! The sync log: jobs of an account, with filters that live in the address.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::JobId;
use tandem_domain::job::{JobState, JobType};
use tandem_store::log_read::{JobFilter, JobRow};
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};
use url::form_urlencoded;
use uuid::Uuid;

use super::{Layout, html};
use crate::extract::Query;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::{App, view, work};

#[derive(Template)]
#[template(path = "jobs.html")]
pub(crate) struct JobsPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) asked: Asked,
    pub(crate) types: Vec<Choice>,
    pub(crate) states: Vec<Choice>,
    /// The address of the page of older jobs.
    pub(crate) older: Option<String>,
    pub(crate) type_shown: bool,
}

/// A choice of a filter.
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

/// A job of the list.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) job_type: String,
    pub(crate) state: String,
    pub(crate) tone: &'static str,
    pub(crate) started: String,
    pub(crate) took: String,
    pub(crate) counts: String,
    pub(crate) who: String,
    pub(crate) error: Option<String>,
}

impl Row {
    pub(crate) fn of(job: &JobRow, now: OffsetDateTime) -> Self {
        let took = job.started_at.map(|started| job.finished_at.unwrap_or(now) - started);
        Self {
            id: job.job.to_string(),
            job_type: view::word(job.job_type.as_str()),
            state: view::word(job.state.as_str()),
            tone: view::job_tone(job.state),
            started: view::maybe(job.started_at.or(Some(job.queued_at))),
            took: took.map_or_else(|| "\u{2013}".to_owned(), view::span),
            counts: view::counts(job.counts.as_ref()),
            who: job.person.clone().unwrap_or_else(|| "by itself".to_owned()),
            error: job.error_text.clone().or_else(|| job.error_code.clone()),
        }
    }
}

/// The filters, as they stand in the address. Empty ones are none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    #[serde(rename = "type")]
    pub(crate) job_type: String,
    pub(crate) state: String,
    pub(crate) since: String,
    pub(crate) until: String,
    /// `hide` hides the column Type.
    pub(crate) type_column: String,
    pub(crate) after: String,
}

pub(crate) fn read<T>(
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
    name: &'static str,
    why: &'static str,
) -> Result<Option<T>, Fault> {
    match text {
        "" => Ok(None),
        text => parse(text).map(Some).ok_or(Fault::BadInput(name, why)),
    }
}

pub(crate) fn day(text: &str) -> Option<OffsetDateTime> {
    let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    // far years would overflow where they are made into job ids
    (1970..=9000).contains(&date.year()).then(|| date.midnight().assume_utc())
}

impl Asked {
    pub(crate) fn filter(&self) -> Result<(JobFilter, Option<JobId>), Fault> {
        let since = read(&self.since, day, "since", "is a day such as 2026-03-01")?;
        let until = read(&self.until, day, "until", "is a day such as 2026-03-01")?;
        let filter = JobFilter {
            job_type: read(&self.job_type, JobType::parse, "type", "is auto or manual")?,
            state: read(&self.state, JobState::parse, "state", "is a state of a job")?,
            since,
            // the day itself counts
            until: until.map(|until| until + Duration::DAY),
            ..JobFilter::default()
        };
        let after = read(&self.after, |text| Uuid::try_parse(text).ok(), "after", "is the id of a job")?;
        Ok((filter, after.map(JobId)))
    }

    fn address(&self, name: &str, after: JobId) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let all = [
            ("type", &self.job_type),
            ("state", &self.state),
            ("since", &self.since),
            ("until", &self.until),
            ("type_column", &self.type_column),
        ];
        for (key, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(key, value);
        }
        query.append_pair("after", &after.to_string());
        format!("/accounts/{name}/jobs?{}", query.finish())
    }
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let (filter, after) = asked.filter()?;
    let found = work::jobs(&app, &inside, filter, after).await?;
    let now = app.clock.now();
    let name = inside.account.name.clone();
    html(&JobsPage {
        layout: Layout::inside(&nonce, &inside, "jobs"),
        rows: found.rows.iter().map(|job| Row::of(job, now)).collect(),
        older: found.next.map(|after| asked.address(&name, after)),
        type_shown: asked.type_column != "hide",
        ..JobsPage::filters(asked, name)
    })
}

impl JobsPage {
    /// The page with its filters and nothing else.
    pub(crate) fn filters(asked: Asked, name: String) -> Self {
        let choice = |value: &'static str, chosen: &str| Choice {
            value,
            label: view::word(value),
            chosen: value == chosen,
        };
        Self {
            layout: Layout::open(&Nonce(String::new())),
            name,
            rows: Vec::new(),
            types: JobType::ALL.iter().map(|kind| choice(kind.as_str(), &asked.job_type)).collect(),
            states: JobState::ALL.iter().map(|state| choice(state.as_str(), &asked.state)).collect(),
            older: None,
            type_shown: true,
            asked,
        }
    }
}
