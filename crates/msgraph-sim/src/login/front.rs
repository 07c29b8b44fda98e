//! What the pages of the browser have in common: reading the request, and the way back with a refusal.

use std::collections::HashMap;
use std::sync::Arc;

use super::errors::LoginError;
use super::people::Place;
use super::redirect::{self, Mode, Platform};
use super::{Asked, client, pages, token};
use crate::clock::Now;
use crate::model::apps::App;
use crate::reply::Reply;
use crate::state::State;

/// What the person at the browser did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Nothing yet: the page is asked for.
    None,
    /// Signs in, or accepts, as this person.
    Person(String),
    Deny,
}

/// A request whose application and redirect URI are good, so that a refusal may go back there.
pub(crate) struct Front {
    pub(crate) params: HashMap<String, String>,
    pub(crate) app: Arc<App>,
    pub(crate) place: Place,
    pub(crate) redirect_uri: String,
    pub(crate) platform: Platform,
    pub(crate) choice: Choice,
}

/// Why a request does not go on.
pub(crate) enum Stop {
    /// Told to the application.
    Back(LoginError),
    /// Told to the person, who may choose again.
    Again(LoginError),
}

impl Front {
    /// Reads a request. A refusal must be shown here and never be sent to the redirect URI.
    pub(crate) fn read(state: &State, asked: &Asked<'_>, tenant: &str) -> Result<Self, LoginError> {
        let mut params = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(asked.query.as_bytes()).into_owned() {
            if params.insert(name.clone(), value).is_some() {
                let text =
                    format!("The request is not properly formatted. The parameter '{name}' is duplicated.");
                return Err(LoginError::request(9_000_411, text));
            }
        }
        let place = Place::parse(state, tenant).ok_or_else(|| token::no_tenant(tenant))?;
        let app = client::registered(state, client::required(&params, "client_id")?, tenant)?;
        let redirect_uri = client::required(&params, "redirect_uri")?.to_owned();
        let platform = redirect::platform(&app, &redirect_uri).ok_or_else(|| {
            let text = format!(
                "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs \
                 configured for the application '{}'.",
                app.spec.app_id
            );
            LoginError::request(50_011, text)
        })?;
        let mut choice = Choice::None;
        if asked.post {
            for (name, value) in url::form_urlencoded::parse(asked.body).into_owned() {
                match name.as_str() {
                    "deny" => choice = Choice::Deny,
                    "person" if choice == Choice::None => choice = Choice::Person(value),
                    _ => {}
                }
            }
        }
        Ok(Self { params, app, place, redirect_uri, platform, choice })
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Sends the browser back with fields, and with `state`.
    pub(crate) fn back(&self, mode: Mode, mut fields: Vec<(&str, String)>) -> Reply {
        if let Some(state) = self.params.get("state") {
            fields.push(("state", state.clone()));
        }
        redirect::back(&self.redirect_uri, mode, &fields)
    }
}

/// The fields of a refusal.
pub(crate) fn refusal(error: &LoginError, asked: &Asked<'_>, now: Now) -> Vec<(&'static str, String)> {
    let description = error.description(now, asked.trace, asked.correlation);
    vec![("error", error.error.clone()), ("error_description", description)]
}

/// A refusal that is shown because there is no address to be trusted with it.
pub(crate) fn problem(error: &LoginError, asked: &Asked<'_>, now: Now) -> Reply {
    pages::problem(&error.description(now, asked.trace, asked.correlation))
}
