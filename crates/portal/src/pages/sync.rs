//! What the entries of the *Sync Now* menu send.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::see_other;
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
    if form.key.is_empty() || form.key.len() > 100 {
        return Err(Fault::FormStale);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, b"page").as_ref());
    let key = format!("page {}", form.key);
    work::ask_sync(&app, &inside, About::Everybody, (key.as_str(), &hash), "").await?;
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
