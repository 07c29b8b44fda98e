//! The page to sign in on, and the one after signing out.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::{Layout, html};
use crate::App;
use crate::extract::Query;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::sign_in::own_path;

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage<'a> {
    pub(crate) layout: Layout,
    pub(crate) next: &'a str,
    pub(crate) microsoft: bool,
    pub(crate) provider: bool,
    pub(crate) ended: bool,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    next: Option<String>,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let next = own_path(asked.next.as_deref());
    shown(&app, &nonce, next, false)
}

pub(crate) async fn signed_out(State(app): State<Arc<App>>, nonce: Nonce) -> Result<Response, Fault> {
    shown(&app, &nonce, "/", true)
}

fn shown(app: &App, nonce: &Nonce, next: &str, ended: bool) -> Result<Response, Fault> {
    let (microsoft, provider) = (app.microsoft.is_some(), app.provider.is_some());
    html(&SignInPage { layout: Layout::open(nonce), next, microsoft, provider, ended })
}
