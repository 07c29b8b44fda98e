//! Forms with which an operator pauses an account or the fleet.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::see_other;
use crate::App;
use crate::extract::Form;
use crate::fault::Fault;
use crate::guard::{InAccount, Visitor};
use crate::pausing::{self, Wish};

/// A form that sets or lifts a pause.
pub(crate) struct PauseForm {
    pub(crate) action: String,
    /// Whether there is a pause now.
    pub(crate) on: bool,
}

pub(crate) async fn account(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(wish): Form<Wish>,
) -> Result<Response, Fault> {
    pausing::account(&app, &inside, &wish, None).await?;
    Ok(see_other(&format!("/accounts/{}", inside.account.name)))
}

pub(crate) async fn fleet(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(wish): Form<Wish>,
) -> Result<Response, Fault> {
    pausing::fleet(&app, &visitor, &wish).await?;
    Ok(see_other("/fleet"))
}
