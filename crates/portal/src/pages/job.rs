//! One job: what it did for whom, its log as text, and the changes that it carried. Live while it runs.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use tandem_domain::job::JobState;
use tandem_domain::roles::Act;
use tandem_domain::{JobId, PbxUserId};
use tandem_store::log_read::{JobRow, StepRow};
use tandem_store::log_text;
use tandem_store::portal::changes::Change;
use tandem_store::portal::names::Names;
use time::OffsetDateTime;

use super::jobs::Row;
use super::{Layout, html};
use crate::extract::{Query, id};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::live::{self, Look, Seen};
use crate::{App, acts, bundle, view, work};

#[derive(Template)]
#[template(path = "job.html")]
pub(crate) struct JobPage {
    pub(crate) layout: Layout,
    pub(crate) shown: Shown,
}

/// The part that is fetched anew.
#[derive(Template)]
#[template(path = "job_live.html")]
pub(crate) struct Live {
    pub(crate) shown: Shown,
}

/// A step about a user.
pub(crate) struct Step {
    pub(crate) user: String,
    pub(crate) action: String,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) outcome: String,
    pub(crate) why: String,
    pub(crate) request: Option<String>,
}

/// A change that the job carried.
pub(crate) struct Carried {
    pub(crate) generation: i64,
    pub(crate) user: String,
    pub(crate) kind: String,
    pub(crate) fields: String,
    pub(crate) at: String,
}

/// What somebody may do about the job now.
#[derive(Default)]
pub(crate) struct Can {
    pub(crate) replay: bool,
    pub(crate) undo: bool,
    pub(crate) cancel: bool,
    pub(crate) bundle: bool,
    /// Removals that this job held wait for a person.
    pub(crate) held: bool,
    pub(crate) mark: String,
    pub(crate) key: String,
}

/// Everything that is shown of a job.
pub(crate) struct Shown {
    pub(crate) account: String,
    pub(crate) row: Row,
    /// Whether something of it may still change.
    pub(crate) live: bool,
    /// Stands for what may.
    pub(crate) version: String,
    pub(crate) queued: String,
    pub(crate) finished: String,
    pub(crate) settled: String,
    pub(crate) cause: String,
    pub(crate) reason: Option<String>,
    pub(crate) linked: Option<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) log: String,
    pub(crate) more: Option<i64>,
    pub(crate) carried: Vec<Carried>,
    pub(crate) can: Can,
}

fn step(step: &StepRow, names: &Names) -> Option<Step> {
    if !matches!(step.kind.as_str(), "step" | "user") {
        return None;
    }
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "\u{2013}".to_owned());
    let why: Vec<&str> = [&step.reason, &step.detail].into_iter().flatten().map(String::as_str).collect();
    Some(Step {
        user: step.pbx_user.as_ref().map_or("\u{2013}", |user| names.of(user.as_str())).to_owned(),
        action: step.action.as_deref().map_or_else(|| "Outcome".to_owned(), view::word),
        before: or_none(&step.before),
        after: or_none(&step.after),
        outcome: step.outcome.as_deref().map_or_else(|| "\u{2013}".to_owned(), view::word),
        why: why.join(": "),
        request: step.request_id.clone(),
    })
}

/// Which fields of a change differ, with the values of small ones.
fn fields(change: &Change) -> String {
    let value = |side: &Option<Value>, field: &str| -> Option<String> {
        match side.as_ref()?.get(field)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    };
    let one = |field: &String| {
        let none = || "nothing".to_owned();
        let (before, after) = (value(&change.before, field), value(&change.after, field));
        match (&before, &after) {
            (None, None) => view::word(field),
            _ => {
                let (before, after) = (before.unwrap_or_else(none), after.unwrap_or_else(none));
                format!("{}: {before} \u{2192} {after}", view::word(field))
            }
        }
    };
    change.fields.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Whether a job still runs, or what it did has not settled.
fn live(job: &JobRow) -> bool {
    let landing = matches!(job.state, JobState::Succeeded | JobState::Partly) && job.settled_at.is_none();
    !job.state.is_final() || landing
}

impl Shown {
    pub(crate) fn of(
        account: &str,
        job: &JobRow,
        steps: &[StepRow],
        changes: &[Change],
        names: &Names,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            account: account.to_owned(),
            row: Row::of(job, now),
            live: live(job),
            version: live::version(job),
            queued: view::full(job.queued_at),
            finished: view::maybe(job.finished_at),
            settled: view::maybe(job.settled_at),
            cause: job.cause.as_deref().map_or_else(|| "\u{2013}".to_owned(), view::word),
            reason: job.reason.clone(),
            linked: job.linked_job.map(|job| job.to_string()),
            steps: steps.iter().filter_map(|row| step(row, names)).collect(),
            log: log_text::render(job, steps),
            more: None,
            can: Can::default(),
            carried: changes
                .iter()
                .map(|change| Carried {
                    generation: change.generation,
                    user: change.user.as_deref().map_or("the account", |user| names.of(user)).to_owned(),
                    kind: view::word(&change.kind),
                    fields: fields(change),
                    at: view::full(change.detected_at),
                })
                .collect(),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    from: Option<String>,
}

async fn shown(app: &App, inside: &InAccount, job: &str, asked: &Asked) -> Result<Shown, Fault> {
    let job = JobId(id(job)?);
    let from = asked.from.as_deref().unwrap_or("0");
    let from: i64 = from
        .parse()
        .ok()
        .filter(|from| *from >= 0)
        .ok_or(Fault::BadInput("from", "is the number of a step"))?;
    let row = work::job(app, inside, job).await?;
    let steps = work::steps(app, inside, job, from).await?;
    let changes = work::carried(app, inside, &row).await?;
    let users = steps.rows.iter().filter_map(|step| step.pbx_user.as_ref()).map(PbxUserId::as_str);
    let users: Vec<&str> = users.chain(changes.iter().filter_map(|change| change.user.as_deref())).collect();
    let names = work::names(app, inside, &users).await?;
    let mut shown = Shown::of(&inside.account.name, &row, &steps.rows, &changes, &names, app.clock.now());
    shown.more = steps.next;
    let held = acts::held(app, inside).await?.is_some_and(|held| held.job == job);
    shown.can = Can {
        replay: acts::may_replay(&row) && inside.roles.may(Act::Replay),
        undo: acts::may_undo(&row) && inside.roles.may(Act::Undo),
        cancel: acts::may_cancel(&row) && inside.roles.may(Act::Cancel),
        bundle: inside.roles.may(Act::SupportBundle),
        held,
        mark: inside.visitor.mark.clone(),
        key: app.ids.v4().to_string(),
    };
    Ok(shown)
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let shown = shown(&app, &inside, &job, &asked).await?;
    html(&JobPage { layout: Layout::inside(&nonce, &inside, "jobs"), shown })
}

pub(crate) async fn part(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    html(&Live { shown: shown(&app, &inside, &job, &asked).await? })
}

pub(crate) async fn events(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
    Query(seen): Query<Seen>,
) -> Result<Response, Fault> {
    let job = JobId(id(&job)?);
    work::job(&app, &inside, job).await?;
    Ok(live::changes(&app, inside.visitor.person, seen, move |app| {
        let inside = inside.clone();
        async move {
            let row = work::job(&app, &inside, job).await?;
            Ok(Look { version: live::version(&row), last: !live(&row) })
        }
    }))
}

/// All that is known of the job, to be taken along.
pub(crate) async fn support_bundle(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, job)): Path<(String, String)>,
) -> Result<Response, Fault> {
    bundle::make(&app, &inside, JobId(id(&job)?)).await
}
