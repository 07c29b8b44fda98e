//! Who the application is, and whether it proves that.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::assertion;
use super::errors::LoginError;
use crate::clock::Now;
use crate::model::apps::App;
use crate::state::State;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A form of the token endpoint.
pub(crate) type Form = HashMap<String, String>;

/// A parameter that must be there.
pub(crate) fn required<'f>(form: &'f Form, name: &str) -> Result<&'f str, LoginError> {
    form.get(name).map(String::as_str).filter(|v| !v.is_empty()).ok_or_else(|| {
        let text = format!("The request body must contain the following parameter: '{name}'.");
        LoginError::request(900_144, text)
    })
}

/// The refusal of an application that the directory does not know.
pub(crate) fn not_found(client: &str, directory: &str) -> LoginError {
    let text = format!(
        "Application with identifier '{client}' was not found in the directory '{directory}'. This can happen if the \
         application has not been installed by the administrator of the tenant or consented to by any user in the \
         tenant."
    );
    LoginError::unauthorized(700_016, text)
}

/// The refusal of an application whose sign-in the tenant has switched off.
pub(crate) fn disabled(app: &App) -> LoginError {
    let text = format!("Application '{}'({}) is disabled.", app.spec.app_id, app.spec.display_name);
    LoginError::unauthorized(7_000_112, text)
}

/// The registered application.
pub(crate) fn registered(state: &State, client: &str, directory: &str) -> Result<Arc<App>, LoginError> {
    let known = Uuid::try_parse(client).ok().and_then(|id| state.app(id));
    known.ok_or_else(|| not_found(client, directory))
}

/// Checks the application's credential; gives `appidacr`: `1` for a secret, `2` for an assertion. `path` is the path of
/// the token endpoint.
pub(crate) fn authenticate(app: &App, form: &Form, path: &str, now: Now) -> Result<&'static str, LoginError> {
    if let Some(secret) = form.get("client_secret") {
        if app.spec.secrets.iter().any(|s| s == secret) {
            return Ok("1");
        }
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, \
             not the client secret ID, for a secret added to app '{}'.",
            app.spec.app_id
        );
        return Err(LoginError::client(7_000_215, text));
    }
    let assertion = form.get("client_assertion").ok_or_else(|| {
        let text =
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        LoginError::client(7_000_218, text)
    })?;
    if form.get("client_assertion_type").map(String::as_str) != Some(JWT_BEARER) {
        return Err(LoginError::request(900_144, "The client assertion type is not supported."));
    }
    assertion::verify(app, assertion, path, now)?;
    Ok("2")
}

/// Whether the request brings a credential, whatever it is worth.
pub(crate) fn brings_credential(form: &Form) -> bool {
    form.contains_key("client_secret") || form.contains_key("client_assertion")
}
