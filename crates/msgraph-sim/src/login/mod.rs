//! Microsoft login (Entra): discovery, keys, sign-in and consent pages, and the token endpoint.

pub(crate) mod aadsts;
pub(crate) mod assertion;
pub(crate) mod authorize;
pub(crate) mod client;
pub(crate) mod codes;
pub(crate) mod consent;
pub(crate) mod delegated;
pub(crate) mod discovery;
pub(crate) mod errors;
mod front;
mod id_token;
pub(crate) mod keys;
mod keyset;
mod logout;
pub(crate) mod pages;
mod people;
mod redeem;
mod redirect;

mod refresh;
pub(crate) mod scopes;
pub(crate) mod token;
pub(crate) mod tokens;

use consent::Version;
use errors::LoginError;
use keys::CONSUMERS;
use serde_json::json;
use uuid::Uuid;

use crate::clock::Now;
use crate::reply::Reply;
use crate::state::State;
use crate::switchboard::changes::LoginChange;
use crate::util::lock;

/// Whether a redirect URI is the registered one, or covered by it.
pub(crate) fn redirect_matches(registered: &str, uri: &str) -> bool {
    redirect::matches(registered, uri)
}

/// Sends the browser back to an address that was compared with a registered one.
pub(crate) fn send_back(uri: &str, fields: &[(&str, String)]) -> Reply {
    redirect::back(uri, redirect::Mode::Query, fields)
}

/// What a login address stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoginRoute {
    /// `/{tenant}/oauth2/v2.0/token`
    Token(String),
    /// `/{tenant}/v2.0/.well-known/openid-configuration`
    Discovery(String),
    /// `/{tenant}/discovery/v2.0/keys`
    Keys(String),
    /// `/common/discovery/instance`
    Instance,
    /// `/{tenant}/oauth2/v2.0/authorize`
    Authorize(String),
    /// `/{tenant}/v2.0/adminconsent` and `/{tenant}/adminconsent`
    Consent(String, Version),
    /// `/{tenant}/oauth2/v2.0/logout`
    Logout,
}

impl LoginRoute {
    pub(crate) fn parse(segments: &[String]) -> Option<Self> {
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [_, "discovery", "instance"] => Some(Self::Instance),
            [tenant, "oauth2", "v2.0", "token"] => Some(Self::Token((*tenant).to_owned())),
            [tenant, "v2.0", ".well-known", "openid-configuration"] => {
                Some(Self::Discovery((*tenant).to_owned()))
            }
            [tenant, "discovery", "v2.0", "keys"] => Some(Self::Keys((*tenant).to_owned())),
            [tenant, "oauth2", "v2.0", "authorize"] => Some(Self::Authorize((*tenant).to_owned())),
            [tenant, "v2.0", "adminconsent"] => Some(Self::Consent((*tenant).to_owned(), Version::V2)),
            [tenant, "adminconsent"] => Some(Self::Consent((*tenant).to_owned(), Version::V1)),
            [_, "oauth2", "v2.0", "logout"] => Some(Self::Logout),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Discovery(_) | Self::Instance => "discovery",
            Self::Keys(_) => "keys",
            Self::Authorize(_) => "authorize",
            Self::Consent(..) => "adminconsent",
            Self::Logout => "logout",
        }
    }

    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::Token(t)
            | Self::Discovery(t)
            | Self::Keys(t)
            | Self::Authorize(t)
            | Self::Consent(t, _) => Some(t),
            Self::Instance | Self::Logout => None,
        }
    }
}

/// A login request as it arrived, and what a fault makes of it.
pub(crate) struct Asked<'a> {
    pub(crate) post: bool,
    pub(crate) path: &'a str,
    /// Path and query.
    pub(crate) address: &'a str,
    pub(crate) query: &'a str,
    pub(crate) base: &'a str,
    pub(crate) host: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) trace: Uuid,
    pub(crate) correlation: Uuid,
    pub(crate) change: &'a LoginChange,
}

/// Answers one request.
pub(crate) fn answer(
    state: &State,
    asked: &Asked<'_>,
    route: &LoginRoute,
    now: Now,
) -> Result<Reply, LoginError> {
    let base = asked.base;
    // the shared addresses leave the tenant open, everywhere the issuer is named
    let issuer = |name: &str| match name {
        "common" | "organizations" => Ok("{tenantid}".to_owned()),
        "consumers" => Ok(CONSUMERS.to_string()),
        _ => {
            let tenant = state.tenant_named(name).map(|t| lock(&t).tid.to_string());
            tenant.ok_or_else(|| LoginError::request(90_002, format!("Tenant '{name}' not found.")))
        }
    };
    match route {
        LoginRoute::Token(tenant) => match &asked.change.error {
            Some(error) => Err(error.clone()),
            None => token::grant(state, asked, tenant, now),
        },
        LoginRoute::Instance => Ok(Reply::ok(discovery::instance(base, asked.host))),
        LoginRoute::Discovery(tenant) => Ok(Reply::ok(discovery::document(base, tenant, &issuer(tenant)?))),
        LoginRoute::Keys(tenant) => {
            let keys = keyset::answer(&state.keys, base, &issuer(tenant)?, asked.change.keys);
            Ok(Reply::ok(json!({ "keys": keys })))
        }
        LoginRoute::Authorize(tenant) => Ok(authorize::answer(state, asked, tenant, now)),
        LoginRoute::Consent(tenant, version) => Ok(consent::answer(state, asked, tenant, *version, now)),
        LoginRoute::Logout => Ok(logout::answer(state, asked)),
    }
}
