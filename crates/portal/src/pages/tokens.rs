//! Bearer tokens of one's own: made, shown once, and revoked.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tandem_consent::Secret;
use tandem_domain::audit::PROVIDER;
use tandem_domain::roles::Act;
use tandem_store::portal::audit;
use tandem_store::portal::tokens::{self, NewToken, TokenRow};
use time::{Duration, OffsetDateTime};

use super::{Layout, html, see_other};
use crate::extract::{Form, id, is_line};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::{Visitor, of};
use crate::{App, bearer, view};

#[derive(Template)]
#[template(path = "tokens.html")]
pub(crate) struct TokensPage {
    pub(crate) layout: Layout,
    pub(crate) rows: Vec<Row>,
    /// The token that was made just now; it is never shown again.
    pub(crate) made: Option<SecretString>,
    pub(crate) key: String,
    pub(crate) operator: bool,
}

/// A token in a line.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) made: String,
    pub(crate) until: String,
    pub(crate) used: String,
    pub(crate) state: &'static str,
    pub(crate) tone: &'static str,
}

impl Row {
    pub(crate) fn of(token: &TokenRow, now: OffsetDateTime) -> Self {
        let (state, tone) = match token.revoked_at {
            Some(_) => ("Revoked", "bad"),
            None if token.expires_at <= now => ("Ended", "warn"),
            None => ("Good", "good"),
        };
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            made: view::full(token.created_at),
            until: view::full(token.expires_at),
            used: view::maybe(token.used_at),
            state,
            tone,
        }
    }
}

async fn shown(
    app: &App,
    nonce: &Nonce,
    visitor: &Visitor,
    made: Option<SecretString>,
) -> Result<Response, Fault> {
    let mut tx = app.store.begin("portal.tokens").await?;
    let found = tokens::list(&mut tx, visitor.person).await?;
    let now = app.clock.now();
    html(&TokensPage {
        layout: Layout::of(nonce, visitor),
        rows: found.iter().map(|token| Row::of(token, now)).collect(),
        made,
        key: app.ids.v4().to_string(),
        operator: visitor.operator,
    })
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
) -> Result<Response, Fault> {
    shown(&app, &nonce, &visitor, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewForm {
    /// Becomes the id of the token: a form that is sent twice makes one.
    key: String,
    name: String,
    days: i64,
}

pub(crate) async fn make(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
    Form(form): Form<NewForm>,
) -> Result<Response, Fault> {
    let name = form.name.trim();
    if !is_line(name, 100) {
        return Err(Fault::BadInput("name", "is one line of 1 to 100 characters"));
    }
    if !(1..=tokens::LONGEST.whole_days()).contains(&form.days) {
        return Err(Fault::BadInput("days", "is a number from 1 to 90"));
    }
    let (secret, now) = (Secret::new()?, app.clock.now());
    let until = now + Duration::days(form.days);
    let key = id(&form.key).map_err(|_| Fault::FormStale)?;
    let new = NewToken { id: key, person: visitor.person, hash: secret.hash(), name, now, until };
    let mut tx = app.store.begin_for("portal.token_made", PROVIDER).await?;
    if !tokens::make(&mut tx, &new).await? {
        return Err(Fault::BadInput("The form", "was sent before, or there are 50 tokens of yours"));
    }
    let subject = format!("make {key} until {}", view::full(until));
    audit::append(&mut tx, &of(&visitor, PROVIDER, Act::OwnTokens, now, &subject, name, true)).await?;
    tx.commit().await?;
    tracing::info!(token = %key, "a bearer token was made");
    shown(&app, &nonce, &visitor, Some(bearer::text(&secret))).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeForm {}

pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(token): Path<String>,
    Form(RevokeForm {}): Form<RevokeForm>,
) -> Result<Response, Fault> {
    let (token, now) = (id(&token)?, app.clock.now());
    let mut tx = app.store.begin_for("portal.token_revoked", PROVIDER).await?;
    let name = tokens::revoke(&mut tx, token, visitor.person, now).await?.ok_or(Fault::NotFound)?;
    let subject = format!("revoke {token}");
    audit::append(&mut tx, &of(&visitor, PROVIDER, Act::OwnTokens, now, &subject, &name, true)).await?;
    tx.commit().await?;
    Ok(see_other("/tokens"))
}
