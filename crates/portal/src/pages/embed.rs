//! The page that the PBX's own pages show in a frame: how the account stands, and a button into the portal.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::account_state;
use tandem_store::portal::{overview, people};

use super::html;
use crate::embed::{NotGood, check};
use crate::extract::Query;
use crate::fault::Fault;
use crate::{App, view};

#[derive(Template)]
#[template(path = "embed.html")]
pub(crate) struct EmbedPage {
    pub(crate) state: &'static str,
    pub(crate) tone: &'static str,
    /// Changes that wait for a sync.
    pub(crate) queued: i64,
    /// The account's page in the portal.
    pub(crate) portal: String,
}

/// What is signed beside the account, and the signature.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signed {
    expires: i64,
    signature: String,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(signed): Query<Signed>,
) -> Result<Response, Fault> {
    let settings = app.embed.as_ref().ok_or(Fault::NotFound)?;
    let now = app.clock.now();
    check(settings, (&name, signed.expires), &signed.signature, now).map_err(|why| match why {
        NotGood::Forged => Fault::EmbedForged,
        NotGood::Expired => Fault::EmbedExpired,
        NotGood::TooLong => Fault::EmbedTooLong,
    })?;
    let mut fleet = app.fleet.begin("portal.embed").await?;
    let named = people::named(&mut fleet, std::slice::from_ref(&name)).await?;
    let account = named.into_iter().next().ok_or(Fault::NotFound)?.account;
    let stands = overview::stand(&mut fleet, &[account], now).await?;
    let facts = stands.into_iter().next().ok_or(Fault::NotFound)?.facts;
    let state = account_state::state(&facts);
    let portal = app.base.join(&format!("accounts/{name}")).map_err(|_| Fault::Internal)?;
    html(&EmbedPage {
        state: state.label(),
        tone: view::tone(state),
        queued: facts.queued,
        portal: portal.to_string(),
    })
}
