//! The grant `refresh_token`.

use super::client::{self, Form, required};
use super::delegated::{self, Issue};
use super::errors::LoginError;
use super::people::Place;
use super::redeem;
use super::scopes::Scopes;
use super::{Asked, token};
use crate::clock::Now;
use crate::reply::Reply;
use crate::state::State;
use crate::util::lock;

/// Gives new tokens for a refresh token; the old one stays good, as it does at Entra.
pub(crate) fn token(
    state: &State,
    asked: &Asked<'_>,
    tenant: &str,
    form: &Form,
    now: Now,
) -> Result<Reply, LoginError> {
    let invalid = |code: u32, text: &str| LoginError::new(400, "invalid_grant", code, text);
    let place = Place::parse(state, tenant).ok_or_else(|| token::no_tenant(tenant))?;
    let app = client::registered(state, required(form, "client_id")?, tenant)?;
    let found = lock(&state.outstanding).refresh(required(form, "refresh_token")?);
    let mut grant = found
        .filter(|grant| grant.app == app.spec.app_id && place.holds(grant.tid))
        .ok_or_else(|| invalid(70_000, "Provided grant is invalid or malformed."))?;
    let proof = redeem::authenticated(&app, grant.public, form, asked, now)?;
    let revoked =
        state.tenant(grant.tid).is_none_or(|t| grant.auth_time * 1_000_000 <= lock(&t).tokens_revoked);
    if revoked {
        let text = "The provided grant has expired due to it being revoked, a fresh auth token is needed.";
        return Err(invalid(50_173, text));
    }
    let narrowed = form.get("scope").map(|scope| Scopes::parse(scope, asked.host)).transpose()?;
    redeem::narrow(&mut grant, narrowed)?;
    delegated::issue(state, asked, &Issue { app: &app, grant: &grant, nonce: None, proof, form }, now)
}
