//! What the provider's operators do to accounts.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::{Layout, html, see_other};
use crate::extract::{Form, Query};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::{InAccount, Visitor};
use crate::work::invite::{self, Invite, Invited};
use crate::work::provider::{self as work, Stands};
use crate::{App, view};

#[derive(Template)]
#[template(path = "account_new.html")]
pub(crate) struct NewPage {
    pub(crate) layout: Layout,
}

pub(crate) async fn new(nonce: Nonce, visitor: Visitor) -> Result<Response, Fault> {
    html(&NewPage { layout: Layout::of(&nonce, &visitor) })
}

/// An account to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewForm {
    name: String,
    label: String,
    time_zone: String,
    tenant: String,
    licences: i32,
    reason: String,
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<NewForm>,
) -> Result<Response, Fault> {
    let NewForm { name, label, time_zone, tenant, licences, reason } = form;
    let new = work::New { name, label, time_zone, tenant, licences };
    work::create(&app, &visitor, &new, &reason).await?;
    Ok(see_other(&format!("/accounts/{}/administration", new.name.trim())))
}

#[derive(Template)]
#[template(path = "administration.html")]
pub(crate) struct AdministrationPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) shown: Shown,
    pub(crate) notice: Option<&'static str>,
    /// Whether this installation sends mail.
    pub(crate) mails: bool,
}

/// How an account is set up, for a page.
pub(crate) struct Shown {
    pub(crate) time_zone: String,
    pub(crate) tenant: String,
    pub(crate) licences: i32,
    pub(crate) mapped: usize,
    /// Source and key.
    pub(crate) binding: Option<(String, String)>,
    pub(crate) sources: Vec<String>,
    /// The tenant, and in which state.
    pub(crate) authorization: Option<(String, String)>,
    pub(crate) auto_sync: bool,
    /// Since when the integration is removed.
    pub(crate) removed: Option<String>,
    pub(crate) standing: i64,
    pub(crate) invitations: Vec<Invitation>,
}

/// An invitation of a list.
pub(crate) struct Invitation {
    pub(crate) invited: String,
    pub(crate) by: String,
    pub(crate) at: String,
    /// Until when its link is good; none while it has none.
    pub(crate) until: Option<String>,
    /// Where it goes by mail, and what became of that.
    pub(crate) mailed: Option<(String, &'static str)>,
}

impl Shown {
    pub(crate) fn of(found: Stands) -> Self {
        let account = found.account;
        let invitation = |one: tandem_store::admin::provider::Invitation| Invitation {
            invited: view::short(&one.invited),
            by: view::short(&one.invited_by),
            at: view::full(one.created_at),
            until: one.expires_at.map(view::full),
            mailed: one.mailed.map(|(address, outcome)| (address, outcome.label())),
        };
        Self {
            removed: found.details.removed_at.map(view::full),
            time_zone: found.details.time_zone.unwrap_or_default(),
            tenant: found.details.expected_tenant.unwrap_or_default(),
            licences: account.settings.licences,
            mapped: account.mappings.len(),
            binding: account.binding,
            sources: found.sources,
            authorization: account.authorization.map(|one| (one.tenant.to_string(), view::word(&one.state))),
            auto_sync: account.settings.auto_sync,
            standing: found.standing,
            invitations: found.invitations.into_iter().map(invitation).collect(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    saved: String,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let shown = Shown::of(work::read(&app, &inside).await?);
    let (layout, name) = (Layout::inside(&nonce, &inside, "administration"), inside.account.name.clone());
    let notice = match asked.saved.as_str() {
        "yes" => Some("Saved."),
        "mailed" => {
            Some("The invitation is on its way by mail. What becomes of it is below and on the page Mail.")
        }
        _ => None,
    };
    html(&AdministrationPage { layout, name, shown, notice, mails: app.mail.is_some() })
}

fn saved(inside: &InAccount) -> Response {
    see_other(&format!("/accounts/{}/administration?saved=yes", inside.account.name))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LicencesForm {
    licences: i32,
    reason: String,
}

pub(crate) async fn licences(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<LicencesForm>,
) -> Result<Response, Fault> {
    work::licences(&app, &inside, form.licences, &form.reason).await?;
    Ok(saved(&inside))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceForm {
    source: String,
    account_key: String,
    reason: String,
}

pub(crate) async fn source(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<SourceForm>,
) -> Result<Response, Fault> {
    work::bind(&app, &inside, (&form.source, &form.account_key), &form.reason).await?;
    Ok(saved(&inside))
}

#[derive(Template)]
#[template(path = "invited.html")]
pub(crate) struct InvitedPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) link: String,
    pub(crate) invited: String,
    pub(crate) tenant: String,
    pub(crate) until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteForm {
    invited: String,
    tenant: String,
    /// Where nothing sends mail there is no choice, and the link is shown.
    #[serde(default)]
    way: Way,
    #[serde(default)]
    mail_to: String,
    reason: String,
}

/// How somebody is invited.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Mail,
    #[default]
    Link,
}

/// The link stands on the answer alone: there is no address at which it could be seen again.
pub(crate) async fn invitation(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Form(form): Form<InviteForm>,
) -> Result<Response, Fault> {
    let mail_to = matches!(form.way, Way::Mail).then_some(form.mail_to.as_str());
    let wish = Invite { invited: &form.invited, tenant: &form.tenant, mail_to };
    let made = match invite::invite(&app, &inside, &wish, &form.reason).await? {
        Invited::Shown(link) => link,
        Invited::Mailed => {
            let page = format!("/accounts/{}/administration?saved=mailed", inside.account.name);
            return Ok(see_other(&page));
        }
    };
    html(&InvitedPage {
        layout: Layout::inside(&nonce, &inside, "administration"),
        name: inside.account.name.clone(),
        link: made.link,
        invited: form.invited.trim().to_owned(),
        tenant: made.tenant,
        until: view::full(made.until),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveForm {
    confirm: String,
    reason: String,
}

pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<RemoveForm>,
) -> Result<Response, Fault> {
    work::remove(&app, &inside, &form.confirm, &form.reason).await?;
    Ok(saved(&inside))
}
