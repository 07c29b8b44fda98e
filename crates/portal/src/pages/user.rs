//! One user explained: what is wanted, what stands in Teams, what happened, and what comes next.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::ladder::{DeferReason, expected_within};
use tandem_domain::roles::{Act, Field};
use tandem_domain::user_state;
use tandem_domain::wanted::{WantedNumber, WantedUser};
use tandem_store::portal::explain::Stands;
use time::OffsetDateTime;

use super::sync::StoredForm;
use super::users::{Row, microsoft};
use super::{Layout, form_key, html, jobs, see_other};
use crate::extract::{Form, Query};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::work::About;
use crate::work::users::{self as work, Explained};
use crate::{App, view};

#[derive(Template)]
#[template(path = "user.html")]
pub(crate) struct UserPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) shown: Shown,
    /// This person sees who is mapped to whom.
    pub(crate) sees: bool,
    /// This person saves mappings.
    pub(crate) saves: bool,
    /// Why this person may not sync.
    pub(crate) refused: Option<&'static str>,
    /// Makes two clicks on the button one request.
    pub(crate) key: String,
    pub(crate) asked: bool,
}

/// Everything that is shown of a user.
pub(crate) struct Shown {
    pub(crate) row: Row,
    pub(crate) gone: bool,
    /// There is something that a sync could do.
    pub(crate) managed: bool,
    pub(crate) email: String,
    pub(crate) microsoft: String,
    pub(crate) number: String,
    pub(crate) policies: Vec<(String, String)>,
    pub(crate) stands: Vec<Standing>,
    pub(crate) confirmed: String,
    pub(crate) settled: String,
    pub(crate) seen: String,
    pub(crate) wait: Option<Wait>,
    pub(crate) next: &'static str,
    pub(crate) jobs: Vec<jobs::Row>,
}

/// What stands on a Microsoft user.
pub(crate) struct Standing {
    pub(crate) number: String,
    pub(crate) policies: String,
    pub(crate) since: String,
}

/// Why and until when a user waits.
pub(crate) struct Wait {
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) since: String,
    pub(crate) next_look: String,
    pub(crate) expected: Option<String>,
}

fn dash() -> String {
    "\u{2013}".to_owned()
}

fn number(wanted: Option<&WantedUser>) -> String {
    match wanted.map(|wanted| &wanted.number) {
        Some(WantedNumber::Number(number)) => number.to_string(),
        Some(WantedNumber::Unusable { text, why }) => format!("{}: {why}", view::short(text)),
        Some(WantedNumber::None) => "no number".to_owned(),
        None => "nothing: the user is not mapped".to_owned(),
    }
}

fn standing(stands: &Stands) -> Standing {
    let policies = stands.policies.as_object().into_iter().flatten();
    let policies: Vec<String> = policies
        .map(|(kind, name)| format!("{}: {}", view::word(kind), name.as_str().unwrap_or_default()))
        .collect();
    Standing {
        number: stands.number.clone().unwrap_or_else(|| "no number".to_owned()),
        policies: if policies.is_empty() { "no policies".to_owned() } else { policies.join(", ") },
        since: view::full(stands.since),
    }
}

impl Shown {
    pub(crate) fn of(found: &Explained, now: OffsetDateTime) -> Self {
        let row = &found.row;
        let reason = row.wait.as_ref().and_then(|wait| DeferReason::parse(&wait.reason));
        let wanted = found.wanted.as_ref();
        let policies = wanted.into_iter().flat_map(|wanted| &wanted.policies);
        let email = row.profile.as_ref().and_then(|profile| profile.email.as_deref());
        Self {
            gone: row.gone,
            managed: row.facts.mapped || row.facts.standing,
            email: email.map_or_else(dash, view::short),
            microsoft: microsoft(row).unwrap_or_else(dash),
            number: number(wanted),
            policies: policies.map(|(kind, name)| (kind.to_string(), name.clone())).collect(),
            stands: found.stands.iter().map(standing).collect(),
            confirmed: view::maybe(row.confirmed_at),
            settled: view::maybe(row.settled_at),
            seen: view::maybe(row.seen_at),
            wait: row.wait.as_ref().map(|wait| Wait {
                reason: view::word(&wait.reason),
                detail: wait.detail.clone(),
                since: view::full(wait.since),
                next_look: view::full(wait.next_look),
                expected: reason.and_then(expected_within).map(|within| view::full(wait.since + within)),
            }),
            next: user_state::state(&row.facts).next_step(reason),
            jobs: found.jobs.iter().map(|job| jobs::Row::of(job, now)).collect(),
            row: Row::of(row, now),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    asked: Option<String>,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    path: Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let Path((_, user)) = path;
    let found = work::explain(&app, &inside, &work::key(&user)?).await?;
    html(&UserPage {
        layout: Layout::inside(&nonce, &inside, "users"),
        name: inside.account.name.clone(),
        shown: Shown::of(&found, app.clock.now()),
        sees: inside.roles.sees(Field::Mapping),
        saves: inside.roles.may(Act::SaveMapping),
        refused: (!inside.roles.may(Act::SyncStored)).then(|| Act::SyncStored.refusal()),
        key: app.ids.v4().to_string(),
        asked: asked.asked.is_some(),
    })
}

pub(crate) async fn sync(
    State(app): State<Arc<App>>,
    inside: InAccount,
    path: Path<(String, String)>,
    Form(form): Form<StoredForm>,
) -> Result<Response, Fault> {
    let Path((_, user)) = path;
    let user = work::key(&user)?;
    let (key, what) = (form_key(&form.key)?, format!("page user {user}"));
    crate::work::ask_sync(&app, &inside, About::User(&user), (&key, what.as_bytes()), "").await?;
    let (name, user) = (&inside.account.name, view::segment(user.as_str()));
    Ok(see_other(&format!("/accounts/{name}/users/{user}?asked=1")))
}
