//! The grant `authorization_code`: a code and its proof key become tokens.

use aws_lc_rs::digest;

use super::client::{self, Form, required};
use super::codes::{Challenge, Grant};
use super::delegated::{self, Issue};
use super::errors::LoginError;
use super::people::Place;
use super::scopes::Scopes;
use super::{Asked, token};
use crate::clock::Now;
use crate::model::apps::App;
use crate::reply::Reply;
use crate::state::State;
use crate::util::{b64url, lock};

fn invalid(code: u32, text: impl Into<String>) -> LoginError {
    LoginError::new(400, "invalid_grant", code, text)
}

/// Redeems a code, once.
pub(crate) fn code(
    state: &State,
    asked: &Asked<'_>,
    tenant: &str,
    form: &Form,
    now: Now,
) -> Result<Reply, LoginError> {
    let place = Place::parse(state, tenant).ok_or_else(|| token::no_tenant(tenant))?;
    let app = client::registered(state, required(form, "client_id")?, tenant)?;
    let text = required(form, "code")?;
    let redirect_uri = required(form, "redirect_uri")?;
    let narrowed = form.get("scope").map(|scope| Scopes::parse(scope, asked.host)).transpose()?;
    let lifetime = state.settings().code_lifetime_seconds;
    let mut outstanding = lock(&state.outstanding);
    let known = outstanding.code(text).filter(|code| code.grant.app == app.spec.app_id);
    let code = known.ok_or_else(|| {
        let text = "The provided value for the input parameter 'code' is not valid.";
        invalid(70_000, text)
    })?;
    let proof = authenticated(&app, code.grant.public, form, asked, now)?;
    if !place.holds(code.grant.tid) {
        let text = "Provided Authorization Code is intended to use against other tenant, thus rejected.";
        return Err(invalid(700_005, text));
    }
    if code.redeemed {
        let text = "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an \
                    existing refresh token.";
        return Err(invalid(54_005, text));
    }
    if now.mono.duration_since(code.issued).as_secs() >= lifetime {
        let text =
            "The provided authorization code or refresh token has expired. Send a new interactive request.";
        return Err(invalid(70_008, text));
    }
    if code.redirect_uri != redirect_uri {
        let text = format!(
            "The reply address '{redirect_uri}' does not match the reply address '{}' provided when requesting \
             Authorization code.",
            code.redirect_uri
        );
        return Err(invalid(500_112, text));
    }
    check_verifier(code.challenge.as_ref(), form.get("code_verifier").map(String::as_str))?;
    let mut grant = code.grant.clone();
    narrow(&mut grant, narrowed)?;
    code.redeemed = true;
    let nonce = code.nonce.clone();
    drop(outstanding);
    delegated::issue(state, asked, &Issue { app: &app, grant: &grant, nonce, proof, form }, now)
}

/// Checks the application's credential, where its platform asks for one. Gives `appidacr`.
pub(crate) fn authenticated(
    app: &App,
    public: bool,
    form: &Form,
    asked: &Asked<'_>,
    now: Now,
) -> Result<&'static str, LoginError> {
    if !public {
        return client::authenticate(app, form, asked.path, now);
    }
    if client::brings_credential(form) {
        let text = "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.";
        return Err(LoginError::client(700_025, text));
    }
    Ok("0")
}

/// `scope` of a token request: none, or part of what was granted.
pub(crate) fn narrow(grant: &mut Grant, asked: Option<Scopes>) -> Result<(), LoginError> {
    let Some(asked) = asked.filter(|scopes| !scopes.default && !scopes.graph.is_empty()) else {
        return Ok(());
    };
    if !asked.graph.is_subset(&grant.scopes.graph) {
        let text = "The user or administrator has not consented to use the application. Send an interactive \
                    authorization request for this user and resource.";
        return Err(invalid(65_001, text));
    }
    grant.scopes.graph = asked.graph;
    Ok(())
}

fn check_verifier(challenge: Option<&Challenge>, verifier: Option<&str>) -> Result<(), LoginError> {
    let good = match (challenge, verifier) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(challenge), Some(verifier)) if challenge.hashed => {
            b64url(digest::digest(&digest::SHA256, verifier.as_bytes())) == challenge.text
        }
        (Some(challenge), Some(verifier)) => challenge.text == verifier,
    };
    if good {
        return Ok(());
    }
    let text =
        "The Code_Verifier does not match the code_challenge supplied in the authorization request for PKCE.";
    Err(invalid(501_481, text))
}
