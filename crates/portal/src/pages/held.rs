//! Removals that wait for a person, to be approved or rejected.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::guard::HELD_DAYS;
use tandem_domain::roles::{Act, Roles};
use tandem_store::held::Held;
use tandem_store::portal::names::Names;
use time::Duration;

use super::plan::{self, PlanStep};
use super::request::followed_at;
use super::{Layout, form_key, html};
use crate::acts::{self, Wish};
use crate::extract::{Form, id};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::{App, view, work};

#[derive(Template)]
#[template(path = "held.html")]
pub(crate) struct HeldPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) list: Option<List>,
}

/// An open list.
pub(crate) struct List {
    pub(crate) id: String,
    pub(crate) job: String,
    pub(crate) since: String,
    pub(crate) until: String,
    pub(crate) expired: bool,
    pub(crate) steps: Vec<PlanStep>,
    /// Why this person may not decide.
    pub(crate) refused: Option<&'static str>,
    /// Make two clicks on one button one request.
    pub(crate) keys: (String, String),
}

impl List {
    pub(crate) fn of(held: &Held, names: &Names, roles: &Roles, key: &dyn Fn() -> String) -> Self {
        Self {
            id: held.id.to_string(),
            job: held.job.to_string(),
            since: view::full(held.created_at),
            until: view::full(held.created_at + Duration::days(i64::from(HELD_DAYS))),
            expired: held.expired,
            steps: plan::steps(&held.removals, names),
            refused: (!roles.may(Act::DecideHeld)).then(|| Act::DecideHeld.refusal()),
            keys: (key(), key()),
        }
    }
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
) -> Result<Response, Fault> {
    let found = acts::held(&app, &inside).await?;
    let users: Vec<&str> =
        found.iter().flat_map(|held| &held.removals).map(|step| step.user.as_str()).collect();
    let names = work::names(&app, &inside, &users).await?;
    let list = found.as_ref().map(|held| List::of(held, &names, &inside.roles, &|| app.ids.v4().to_string()));
    html(&HeldPage {
        layout: Layout::inside(&nonce, &inside, "jobs"),
        name: inside.account.name.clone(),
        list,
    })
}

/// A wish with its reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonForm {
    /// Made with the page, so that a second click on the same button is the same request.
    pub(super) key: String,
    pub(super) reason: String,
}

impl ReasonForm {
    /// Asks, and shows what becomes of it.
    pub(super) async fn asks(&self, app: &App, inside: &InAccount, wish: Wish) -> Result<Response, Fault> {
        let key = form_key(&self.key)?;
        let request = acts::ask(app, inside, wish, &key, acts::reason(&self.reason)?).await?;
        Ok(followed_at(inside, request))
    }
}

pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, held)): Path<(String, String)>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, Fault> {
    form.asks(&app, &inside, Wish::Approve(id(&held)?)).await
}

pub(crate) async fn reject(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Path((_, held)): Path<(String, String)>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, Fault> {
    form.asks(&app, &inside, Wish::Reject(id(&held)?)).await
}
