//! An operator gives a reason and enters an account.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::roles::Act;
use tandem_store::portal::{audit, visits};
use time::Duration;

use super::{Layout, html, see_other};
use crate::extract::Form;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::{By, InAccount, of};
use crate::{App, acts};

/// How long a visit lasts.
const VISIT: Duration = Duration::hours(1);

#[derive(Template)]
#[template(path = "enter.html")]
pub(crate) struct EnterPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) label: String,
}

pub(crate) async fn page(nonce: Nonce, inside: InAccount) -> Result<Response, Fault> {
    let (name, label) = (inside.account.name.clone(), inside.account.label.clone());
    html(&EnterPage { layout: Layout::of(&nonce, &inside.visitor), name, label })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnterForm {
    reason: String,
}

pub(crate) async fn enter(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<EnterForm>,
) -> Result<Response, Fault> {
    let reason = acts::reason(&form.reason)?;
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let mut tx = app.store.begin_for("portal.enter", account).await?;
    let By::Session(session) = &visitor.by else { return Err(Fault::Internal) };
    visits::enter(&mut tx, account, session, reason, (now, now + VISIT)).await?;
    audit::append(&mut tx, &of(visitor, account, Act::EnterAccount, now, "", reason, true)).await?;
    tx.commit().await?;
    Ok(see_other(&format!("/accounts/{}", inside.account.name)))
}
