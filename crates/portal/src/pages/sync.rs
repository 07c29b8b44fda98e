//! What the entries of the *Sync Now* menu send.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::{form_key, see_other};
use crate::extract::Form;
use crate::fault::Fault;
use crate::guard::InAccount;
use crate::work::About;
use crate::{App, work};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredForm {
    /// Made with the page, so that a second click on the same button is the same request.
    pub(crate) key: String,
}

pub(crate) async fn stored(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<StoredForm>,
) -> Result<Response, Fault> {
    let key = form_key(&form.key)?;
    work::ask_sync(&app, &inside, About::Everybody, (&key, b"page"), "").await?;
    Ok(see_other(&format!("/accounts/{}?asked=1", inside.account.name)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManualForm {}

pub(crate) async fn manual(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(ManualForm {}): Form<ManualForm>,
) -> Result<Response, Fault> {
    Ok(see_other(&work::manual_sync(&app, &inside).await?))
}
