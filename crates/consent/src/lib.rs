//! The pages on which a Global Administrator connects the tenant of an account, or asks for a sync as a person.
//!
//! Whoever serves them mounts [`router`]: the portal, and `tandem accounts connect` on the loopback of a terminal. The way
//! through them: a link that names one account, the sign-in at Microsoft (code, PKCE S256, state and nonce, bound to the
//! browser's session), the id token and the directory's word for the role Global Administrator, the consent in exactly
//! that tenant, and then a row that asks teams-sync for the proof. No credential of the app is here; the browser's word
//! counts for nothing that is stored.
//!
//! Promised: an answer of Microsoft's is used once, within ten minutes, by the browser that asked for it; whatever ends a
//! way is told with a stable code and what to do next; nothing is half done, since the authorization is stored in one
//! transaction elsewhere. A process that dies in between costs the person another sign-in.

mod answer;
mod fault;
mod flow;
mod guard;
pub mod id_token;
mod judge;
mod keys;
mod links;
mod pages;
mod routes;
mod secret;
mod way;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use tandem_graph::SignIn;
use tandem_runtime::{Clock, Ids};
use tandem_store::Store;
use url::Url;

pub use keys::Keys;
pub use links::{LinkError, NewLink, Progress, close_link, make_link, make_link_in, progress};
pub use secret::{LinkCode, NoRandom, Secret, challenge};

/// Longest form that is read.
const FORM_BYTES: usize = 8 * 1024;

/// What the pages work with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database, as people-facing work or as an operator.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// Ids of rows.
    pub ids: Ids,
    /// Microsoft's sign-in.
    pub sign_in: SignIn,
    /// Client id of the app that the tenant consents to; its credential is teams-sync's alone.
    pub app: String,
    /// The public key that tokens are sealed to; needed for links that ask for a sync.
    pub sealing_key: Option<PathBuf>,
    /// Where the pages are seen from outside, without a path; `https` but on a loopback.
    pub base: Url,
}

/// What every page shares.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) sign_in: SignIn,
    pub(crate) app: String,
    pub(crate) sealing_key: Option<PathBuf>,
    pub(crate) base: Url,
    pub(crate) keys: Keys,
}

/// The pages, below `/connect`.
pub fn router(parts: Parts) -> Router {
    let Parts { store, clock, ids, sign_in, app, sealing_key, base } = parts;
    let ids = ids.stream("consent");
    let app = Arc::new(App { store, clock, ids, sign_in, app, sealing_key, base, keys: Keys::default() });
    Router::new()
        .route("/connect/style.css", get(pages::style))
        .route("/connect/signed-in", get(routes::signed_in))
        .route("/connect/consented", get(routes::consented))
        .route("/connect/consent", post(routes::consent))
        .route("/connect/status", get(routes::status))
        .route("/connect/{link}", get(routes::start))
        .route("/connect/{link}/sign-in", post(routes::sign_in))
        .method_not_allowed_fallback(routes::method_not_allowed)
        .fallback(routes::nothing_here)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::check))
        .with_state(app)
}

/// The address of a link below `base`.
#[must_use]
pub fn address(base: &Url, link: &LinkCode) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("/connect/{}", link.text()));
    url
}
