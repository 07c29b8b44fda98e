//! Microsoft login (Entra): discovery, keys, and the client credentials grant.

pub(crate) mod assertion;
pub(crate) mod discovery;
pub(crate) mod errors;
pub(crate) mod keys;
pub(crate) mod token;
pub(crate) mod tokens;

use std::collections::HashMap;

use errors::LoginError;
use token::TokenRequest;

use crate::clock::Now;
use crate::reply::Reply;
use crate::state::State;
use crate::switchboard::faults::TokenChange;
use crate::util::lock;

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
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Discovery(_) | Self::Instance => "discovery",
            Self::Keys(_) => "keys",
        }
    }

    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::Token(t) | Self::Discovery(t) | Self::Keys(t) => Some(t),
            Self::Instance => None,
        }
    }
}

/// A login request as it arrived, and what a fault makes of it.
pub(crate) struct Asked<'a> {
    pub(crate) path: &'a str,
    pub(crate) base: &'a str,
    pub(crate) host: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) change: &'a TokenChange,
    pub(crate) error: Option<&'a LoginError>,
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
    let issuer = |name: &str| {
        if ["common", "organizations"].contains(&name) {
            return Ok("{tenantid}".to_owned());
        }
        let tenant = state.tenant_named(name).map(|t| lock(&t).tid.to_string());
        tenant.ok_or_else(|| LoginError::request(90_002, format!("Tenant '{name}' not found.")))
    };
    match route {
        LoginRoute::Token(tenant) => {
            if let Some(error) = asked.error {
                return Err(error.clone());
            }
            let form: HashMap<String, String> =
                url::form_urlencoded::parse(asked.body).into_owned().collect();
            let request = TokenRequest {
                tenant,
                path: asked.path,
                host: asked.host,
                form: &form,
                change: asked.change,
            };
            token::grant(state, &request, now)
        }
        LoginRoute::Instance => Ok(Reply::ok(discovery::instance(base, asked.host))),
        LoginRoute::Discovery(tenant) => Ok(Reply::ok(discovery::document(base, tenant, &issuer(tenant)?))),
        LoginRoute::Keys(tenant) => {
            Ok(Reply::ok(state.key.published(&format!("{base}/{}/v2.0", issuer(tenant)?))))
        }
    }
}
