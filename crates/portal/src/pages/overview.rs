//! How an account stands, with the *Sync Now* button.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::account_state::{self, MenuEntry};
use tandem_domain::authorization::AuthorizationState;
use tandem_domain::job::first_sync_takes;
use tandem_domain::roles::{Act, Roles};
use tandem_domain::window::Near;
use tandem_store::portal::overview::{Overview, ShortJob};
use time::OffsetDateTime;

use super::pause::PauseForm;
use super::{Layout, html};
use crate::chart::Chart;
use crate::extract::Query;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::live::{self, Look, Seen};
use crate::pausing::{self, Waits};
use crate::{App, view, work};

#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct OverviewPage {
    pub(crate) layout: Layout,
    pub(crate) shown: Shown,
    pub(crate) menu: Vec<Choice>,
    pub(crate) asked: bool,
    /// Key of the form that asks for a preview; none where this person may not, or nothing would come of it.
    pub(crate) preview: Option<String>,
    pub(crate) chart: Chart,
    /// The form of the pause, for whoever may pause the account.
    pub(crate) pause: Option<PauseForm>,
}

/// The part that is fetched anew.
#[derive(Template)]
#[template(path = "overview_live.html")]
pub(crate) struct Live {
    pub(crate) shown: Shown,
}

/// An entry of the menu.
pub(crate) struct Choice {
    pub(crate) label: &'static str,
    pub(crate) what: &'static str,
    pub(crate) about: &'static str,
    /// Why this person may not choose it.
    pub(crate) refused: Option<&'static str>,
    /// Makes two clicks on one button one request.
    pub(crate) key: String,
}

/// A job in a line.
pub(crate) struct JobLine {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) tone: &'static str,
}

/// Everything that is shown of an account.
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) button: &'static str,
    pub(crate) queued: i64,
    pub(crate) oldest: Option<String>,
    /// When a sync starts by itself, or why none does.
    pub(crate) starts: String,
    pub(crate) current: Option<JobLine>,
    pub(crate) last: Option<JobLine>,
    pub(crate) auto_sync: String,
    pub(crate) pause: Option<String>,
    /// What a pause keeps from being synced, what is said of the ten minutes, and whether they are nearly or quite over.
    pub(crate) kept: Option<(String, Option<(String, bool)>)>,
    pub(crate) authorization: String,
    pub(crate) authorization_tone: &'static str,
    pub(crate) remedy: Option<&'static str>,
    pub(crate) detail: Option<String>,
    pub(crate) admin: Option<String>,
    pub(crate) checked: Option<String>,
    pub(crate) bought: i32,
    pub(crate) mapped: i64,
    pub(crate) landed: i64,
    pub(crate) leaving: i64,
    pub(crate) issues: i64,
    pub(crate) landing: i64,
    pub(crate) held: bool,
    /// How long a first sync takes, before there was one.
    pub(crate) first: Option<String>,
    /// Stands for all of it.
    pub(crate) version: String,
}

fn line(job: &ShortJob, now: OffsetDateTime) -> JobLine {
    let (kind, state) = (view::word(job.job_type.as_str()), view::word(job.state.as_str()));
    let text = match (job.finished_at, &job.parked) {
        (Some(at), _) => format!("{kind}, {}, {} ago", state.to_lowercase(), view::span(now - at)),
        (None, Some(parked)) => format!("{kind}, waits: {}", view::word(parked).to_lowercase()),
        (None, None) => format!("{kind}, {}", state.to_lowercase()),
    };
    JobLine { id: job.job.to_string(), text, tone: view::job_tone(job.state) }
}

impl Shown {
    pub(crate) fn of(row: &Overview, waits: Option<Waits>, now: OffsetDateTime) -> Self {
        let state = account_state::state(&row.facts);
        let (authorization, authorization_tone) = authorization(row);
        let stored = row.authorization.as_ref();
        let reason = stored.and_then(|stored| stored.reason);
        Self {
            name: row.name.clone(),
            state: state.label(),
            tone: view::tone(state),
            button: account_state::button(row.facts.queued),
            queued: row.facts.queued,
            oldest: row.oldest.map(|oldest| view::span(now - oldest)),
            starts: starts(row, now),
            current: row.current.as_ref().map(|job| line(job, now)),
            last: row.last.as_ref().map(|job| line(job, now)),
            auto_sync: auto_sync(row).to_owned(),
            pause: row.pause.as_ref().map(|(until, why)| format!("until {}: {why}", view::full(*until))),
            kept: waits
                .map(|waits| (waits.what, waits.promise.map(|(near, text)| (text, near != Near::Fine)))),
            authorization,
            authorization_tone,
            remedy: reason.map(tandem_domain::authorization::Reason::remedy),
            detail: stored.and_then(|stored| stored.detail.clone()),
            admin: stored.and_then(|stored| stored.admin.clone()),
            checked: stored
                .and_then(|stored| stored.checked_at)
                .map(|at| format!("{} ago", view::span(now - at))),
            bought: row.licences,
            mapped: row.mapped,
            landed: row.landed,
            leaving: row.leaving,
            issues: row.facts.issues,
            landing: row.facts.landing,
            held: row.facts.held,
            first: first(row),
            version: live::version(row),
        }
    }
}

fn first(row: &Overview) -> Option<String> {
    let users = u32::try_from(row.mapped).ok().filter(|users| *users > 0)?;
    let (least, most) = first_sync_takes(users);
    let never = row.last.is_none() && row.landed == 0;
    never.then(|| {
        format!("A first sync of {users} users takes {} to {}.", view::span(least), view::span(most))
    })
}

/// Auto Sync is never shown as on beside an authorization that does not work.
fn auto_sync(row: &Overview) -> &'static str {
    match (row.facts.auto_sync, row.facts.healthy) {
        (false, _) => "off",
        (true, true) => "on",
        (true, false) => "waits for the authorization",
    }
}

fn authorization(row: &Overview) -> (String, &'static str) {
    let Some(stored) = &row.authorization else { return ("not connected".to_owned(), "warn") };
    let word = view::word(stored.state.as_str());
    match (stored.state, stored.reason) {
        (AuthorizationState::Healthy, _) => (word, "good"),
        (AuthorizationState::None, _) => ("none stored; each sync asks for a sign-in".to_owned(), "warn"),
        (_, Some(reason)) => (format!("{word}: {}", reason.text()), "bad"),
        (_, None) => (word, "bad"),
    }
}

fn starts(row: &Overview, now: OffsetDateTime) -> String {
    let Overview { facts, due_at, retry_at, pause, .. } = row;
    if facts.under_way {
        return "a sync is under way".to_owned();
    }
    if let Some((until, _)) = pause {
        return format!("not before {}, when the pause ends", view::clock(*until, now));
    }
    let next = due_at.iter().chain(retry_at.iter().filter(|_| facts.auto_sync)).min();
    match next {
        Some(at) if facts.auto_sync => {
            let left = view::span(*at - now);
            format!("by {}, in {left} at most", view::clock(*at, now))
        }
        _ if facts.queued > 0 && !facts.auto_sync => {
            "when somebody presses Sync Now: Auto Sync is off".to_owned()
        }
        _ if facts.queued > 0 => "as soon as the authorization works".to_owned(),
        _ => "nothing waits".to_owned(),
    }
}

pub(crate) fn menu(auto_sync: bool, roles: &Roles, key: &dyn Fn() -> String) -> Vec<Choice> {
    let entries = account_state::menu(auto_sync, roles).into_iter();
    let about = |entry| match entry {
        MenuEntry::ManualSync => "Asks for a Microsoft sign-in and works with it, once.",
        MenuEntry::Teams => "Works with the stored authorization and asks nothing.",
        MenuEntry::SyncLogs => "What syncs have done.",
    };
    entries
        .map(|(entry, refused)| Choice {
            label: entry.label(),
            what: entry.as_str(),
            about: about(entry),
            refused,
            key: key(),
        })
        .collect()
}

/// What a pause keeps from being synced, while there is one.
async fn waits(app: &App, inside: &InAccount, found: &Overview) -> Result<Option<Waits>, Fault> {
    if found.pause.is_none() && inside.visitor.paused.is_none() {
        return Ok(None);
    }
    pausing::waits(app, inside.id(), found.facts.auto_sync).await.map(Some)
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    asked: Option<String>,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let found = work::overview(&app, &inside).await?;
    let shown = Shown::of(&found, waits(&app, &inside, &found).await?, app.clock.now());
    let menu = menu(found.facts.auto_sync, &inside.roles, &|| app.ids.v4().to_string());
    let layout = Layout::inside(&nonce, &inside, "overview");
    let facts = &found.facts;
    let preview = facts.auto_sync && facts.healthy && inside.roles.may(Act::SyncStored);
    let preview = preview.then(|| app.ids.v4().to_string());
    let chart = work::chart(&app, &inside).await?;
    let pause = inside.roles.may(Act::Pause).then(|| PauseForm {
        action: format!("/accounts/{}/pause", inside.account.name),
        on: found.pause.is_some(),
    });
    html(&OverviewPage { layout, shown, menu, asked: asked.asked.is_some(), preview, chart, pause })
}

pub(crate) async fn part(State(app): State<Arc<App>>, inside: InAccount) -> Result<Response, Fault> {
    let found = work::overview(&app, &inside).await?;
    html(&Live { shown: Shown::of(&found, waits(&app, &inside, &found).await?, app.clock.now()) })
}

pub(crate) async fn events(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Query(seen): Query<Seen>,
) -> Response {
    live::changes(&app, inside.visitor.person, seen, move |app| {
        let inside = inside.clone();
        async move { Ok(Look { version: live::version(&work::overview(&app, &inside).await?), last: false }) }
    })
}
