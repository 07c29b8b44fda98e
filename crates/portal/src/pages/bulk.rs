//! Bulk acts: confirming one, all of them, and how far one is. Live while it is handed in or its jobs run.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use tandem_domain::job::JobState;
use tandem_store::bulk::{Bulk, BulkAccount, Count};
use url::form_urlencoded;
use uuid::Uuid;

use super::{Layout, form_key, html, see_other};
use crate::extract::{Form, Query, id};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::Visitor;
use crate::work::bulk::{self, Draft, New, Over, Seen};
use crate::work::fleet_jobs::Asked;
use crate::{App, view};

#[derive(Template)]
#[template(path = "bulk_new.html")]
pub(crate) struct NewPage {
    pub(crate) layout: Layout,
    /// The filter in words; none for a selection.
    pub(crate) filter: Vec<(String, String)>,
    /// The same for the form, by name.
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) jobs: usize,
    pub(crate) accounts: usize,
    pub(crate) left_out: usize,
    pub(crate) key: String,
}

#[derive(Template)]
#[template(path = "bulk_acts.html")]
pub(crate) struct ListPage {
    pub(crate) layout: Layout,
    pub(crate) rows: Vec<Head>,
    pub(crate) older: Option<String>,
}

#[derive(Template)]
#[template(path = "bulk.html")]
pub(crate) struct BulkPage {
    pub(crate) layout: Layout,
    pub(crate) shown: Shown,
}

/// The part that is fetched anew.
#[derive(Template)]
#[template(path = "bulk_live.html")]
pub(crate) struct Live {
    pub(crate) shown: Shown,
}

/// A bulk act in a line.
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) person: String,
    pub(crate) made: String,
    pub(crate) jobs: i64,
    pub(crate) state: &'static str,
    pub(crate) tone: &'static str,
}

/// Jobs and accounts in one state.
pub(crate) struct Line {
    pub(crate) state: String,
    pub(crate) tone: &'static str,
    pub(crate) jobs: i64,
    pub(crate) accounts: i64,
}

/// An account of it.
pub(crate) struct AccountLine {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) jobs: i64,
    pub(crate) state: String,
    pub(crate) tone: &'static str,
    pub(crate) job: Option<String>,
    pub(crate) why: String,
}

/// Everything that is shown of a bulk act.
pub(crate) struct Shown {
    pub(crate) head: Head,
    pub(crate) filter: Vec<(String, String)>,
    pub(crate) aborted: Option<(String, String)>,
    pub(crate) moves: bool,
    pub(crate) may_abort: bool,
    pub(crate) counts: Vec<Line>,
    pub(crate) accounts: Vec<AccountLine>,
    pub(crate) more: Option<String>,
    pub(crate) mark: String,
}

/// What became of jobs, for people.
fn words(state: &str, aborted: bool) -> (String, &'static str) {
    match (state, JobState::parse(state)) {
        (_, Some(job)) => (view::word(job.as_str()), view::job_tone(job)),
        ("refused", _) => ("Refused".to_owned(), "bad"),
        ("waiting", _) if aborted => ("Not replayed: aborted".to_owned(), "warn"),
        ("waiting", _) => ("Waits for its turn".to_owned(), "busy"),
        _ => ("Asked for, waits in the account's lane".to_owned(), "busy"),
    }
}

/// Why an account was refused, or why its new job waits.
fn why(account: &BulkAccount) -> String {
    match (account.refused.as_deref(), account.parked.as_deref()) {
        (Some("account_paused"), _) => {
            "The account is paused. Replay it when the pause has ended.".to_owned()
        }
        (Some("teams_needs_auto_sync"), _) => {
            "Auto Sync is off, so nothing may write by itself. Its Global Admin can start a Manual Sync."
                .to_owned()
        }
        (Some(code), _) => view::word(code),
        (None, Some(parked)) => format!("Waits: {}", view::word(parked).to_lowercase()),
        (None, None) => String::new(),
    }
}

impl Head {
    pub(crate) fn of(bulk: &Bulk) -> Self {
        let (state, tone) = match (&bulk.aborted, bulk.finished_at) {
            (Some(_), _) => ("Aborted", "warn"),
            (None, Some(_)) => ("Handed in", "good"),
            (None, None) => ("Running", "busy"),
        };
        Self {
            id: bulk.id.to_string(),
            name: bulk.name.clone(),
            reason: bulk.reason.clone(),
            person: bulk.person.clone(),
            made: view::full(bulk.created_at),
            jobs: bulk.jobs,
            state,
            tone,
        }
    }
}

/// A filter that is kept, in words.
fn filter(kept: Option<&Value>) -> Vec<(String, String)> {
    let fields = kept.and_then(Value::as_object).into_iter().flatten();
    let set = fields.filter_map(|(key, value)| Some((key, value.as_str().filter(|text| !text.is_empty())?)));
    set.map(|(key, value)| (label(key), value.to_owned())).collect()
}

fn label(key: &str) -> String {
    if key == "q" { "Text".to_owned() } else { view::word(key) }
}

impl Shown {
    pub(crate) fn of(seen: &Seen, mark: String) -> Self {
        let (bulk, aborted) = (&seen.bulk, seen.bulk.aborted.is_some());
        let line = |count: &Count| {
            let (state, tone) = words(&count.state, aborted);
            Line { state, tone, jobs: count.jobs, accounts: count.accounts }
        };
        let account = |account: &BulkAccount| {
            let (state, tone) = words(&account.state, aborted);
            AccountLine {
                name: account.name.clone(),
                label: account.label.clone(),
                jobs: account.jobs,
                state,
                tone,
                job: account.job.map(|job| job.to_string()),
                why: why(account),
            }
        };
        let open = |count: &Count| matches!(count.state.as_str(), "asked" | "queued" | "running");
        Self {
            head: Head::of(bulk),
            filter: filter(bulk.filter.as_ref()),
            aborted: bulk.aborted.as_ref().map(|(at, by)| (view::full(*at), by.clone())),
            moves: bulk.finished_at.is_none() || seen.counts.iter().any(open),
            may_abort: bulk.finished_at.is_none() && !aborted,
            counts: seen.counts.iter().map(line).collect(),
            accounts: seen.accounts.rows.iter().map(account).collect(),
            more: seen.accounts.next.map(|after| after.to_string()),
            mark,
        }
    }
}

impl NewPage {
    pub(crate) fn of(layout: Layout, draft: &Draft, key: String) -> Self {
        let fields: Vec<(&'static str, String)> = match &draft.filter {
            Some(asked) => asked.pairs().into_iter().map(|(key, value)| (key, value.to_owned())).collect(),
            None => {
                let jobs: Vec<String> = draft.jobs.iter().map(Uuid::to_string).collect();
                vec![("jobs", jobs.join(" "))]
            }
        };
        let filter = draft.filter.iter().flat_map(Asked::pairs);
        Self {
            layout,
            filter: filter.map(|(key, value)| (label(key), value.to_owned())).collect(),
            fields,
            jobs: draft.jobs.len(),
            accounts: draft.accounts,
            left_out: draft.left_out,
            key,
        }
    }
}

/// Jobs that are named one by one, or a filter.
fn over(query: &str) -> Result<Over, Fault> {
    let mut jobs = Vec::new();
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key == "job" {
            let job = Uuid::try_parse(&value).map_err(|_| Fault::BadInput("job", "is the id of a job"))?;
            jobs.push(job);
        } else {
            rest.append_pair(&key, &value);
        }
    }
    if !jobs.is_empty() {
        return Ok(Over::Chosen(jobs));
    }
    let asked: Result<axum::extract::Query<Asked>, _> = axum::extract::Query::try_from_uri(
        &format!("/?{}", rest.finish()).parse().map_err(|_| Fault::BadInput("The address", "is not one"))?,
    );
    let asked = asked.map_err(|_| Fault::BadInput("The address", "has a parameter that cannot be read"))?;
    Ok(Over::Filter(asked.0))
}

fn layout(nonce: &Nonce, visitor: &Visitor) -> Layout {
    Layout::provider(nonce, visitor, "bulk")
}

/// Shows what would be replayed, and asks for a name and a reason.
pub(crate) async fn new(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let draft = bulk::draft(&app, &over(&query.unwrap_or_default())?).await?;
    html(&NewPage::of(layout(&nonce, &visitor), &draft, app.ids.v4().to_string()))
}

/// A bulk act that is confirmed. Either jobs, with blanks between, or a filter.
#[derive(Deserialize)]
pub(crate) struct NewForm {
    key: String,
    name: String,
    reason: String,
    count: usize,
    #[serde(default)]
    jobs: String,
    #[serde(default)]
    state: String,
    #[serde(default, rename = "type")]
    job_type: String,
    #[serde(default)]
    account: String,
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    q: String,
}

pub(crate) async fn make(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<NewForm>,
) -> Result<Response, Fault> {
    let over = if form.jobs.is_empty() {
        let NewForm { state, job_type, account, fingerprint, from, to, q, .. } = form;
        Over::Filter(Asked { state, job_type, account, fingerprint, from, to, q, after: String::new() })
    } else {
        let jobs: Result<_, _> = form.jobs.split(' ').map(Uuid::try_parse).collect();
        Over::Chosen(jobs.map_err(|_| Fault::BadInput("jobs", "are ids of jobs with blanks between"))?)
    };
    let key = form_key(&form.key)?;
    let new = New { name: &form.name, reason: &form.reason, over: &over, count: form.count, key: &key };
    let id = bulk::make(&app, &visitor, &new).await?;
    Ok(see_other(&format!("/fleet/bulk/{id}")))
}

/// Where a page begins.
#[derive(Deserialize)]
pub(crate) struct After {
    pub(crate) after: Option<Uuid>,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
    Query(query): Query<After>,
) -> Result<Response, Fault> {
    let found = bulk::list(&app, query.after).await?;
    html(&ListPage {
        layout: layout(&nonce, &visitor),
        rows: found.rows.iter().map(Head::of).collect(),
        older: found.next.map(|after| format!("/fleet/bulk?after={after}")),
    })
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
    Path(bulk): Path<String>,
    Query(query): Query<After>,
) -> Result<Response, Fault> {
    let seen = bulk::seen(&app, id(&bulk)?, query.after).await?;
    html(&BulkPage { layout: layout(&nonce, &visitor), shown: Shown::of(&seen, visitor.mark) })
}

pub(crate) async fn live(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(bulk): Path<String>,
    Query(query): Query<After>,
) -> Result<Response, Fault> {
    let seen = bulk::seen(&app, id(&bulk)?, query.after).await?;
    html(&Live { shown: Shown::of(&seen, visitor.mark) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbortForm {
    reason: String,
}

pub(crate) async fn abort(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(bulk): Path<String>,
    Form(form): Form<AbortForm>,
) -> Result<Response, Fault> {
    let id = id(&bulk)?;
    bulk::abort(&app, &visitor, id, &form.reason).await?;
    Ok(see_other(&format!("/fleet/bulk/{id}")))
}
