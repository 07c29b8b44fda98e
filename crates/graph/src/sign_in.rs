//! Signing a person in: what is fetched from Microsoft login, and what the person's own token tells.
//!
//! A public client (code and PKCE), so no credential of ours is needed where people are signed in. Nothing here
//! decides whether an answer is to be believed; addresses that lead away from the configured hosts are refused.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;
use url::Url;
use uuid::Uuid;

use crate::config::ConfigError;
use crate::fetch::Fetch;
use crate::open::null_as_default;

/// Where people sign in, and as which app.
#[derive(Debug, Clone)]
pub struct SignInConfig {
    /// Login host; no path.
    pub authority: Url,
    /// Graph host; no path and no version.
    pub graph: Url,
    /// Application (client) id of the registration that people sign in to, a public client.
    pub client_id: String,
    /// Graph permissions that show who somebody is and which directory roles are held.
    pub scopes: Vec<String>,
    /// Longest time of one request.
    pub request_timeout: Duration,
    /// Additional certificate authorities (PEM), for a private simulator behind TLS.
    pub extra_root_pem: Option<String>,
}

/// The client of the sign-in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SignIn {
    fetch: Fetch,
    config: SignInConfig,
}

/// What Microsoft login says about itself (OpenID Connect discovery).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Discovery {
    /// Who signs; holds `{tenantid}` where the address names no tenant.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: Url,
    /// Where codes are redeemed.
    pub token_endpoint: Url,
    /// Where the keys are.
    pub jwks_uri: Url,
}

/// A key as it is published (RFC 7517), with Microsoft's `issuer`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PublishedKey {
    /// Its name.
    pub kid: Option<String>,
    /// `RSA` for the keys that sign id tokens.
    pub kty: String,
    /// `sig` where it signs.
    #[serde(rename = "use")]
    pub usage: Option<String>,
    /// Modulus, base64url.
    pub n: Option<String>,
    /// Exponent, base64url.
    pub e: Option<String>,
    /// The only issuer that it may sign for; may hold `{tenantid}`.
    pub issuer: Option<String>,
}

/// What a code was redeemed for.
#[derive(Debug)]
pub struct Redeemed {
    /// Who signed in; to be validated.
    pub id_token: SecretString,
    /// For Graph, in the person's name.
    pub access_token: SecretString,
    /// Life of the access token from now.
    pub expires_in: Duration,
}

/// The person as Graph knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Object id.
    pub id: Uuid,
    /// Sign-in name, for display.
    #[serde(default, deserialize_with = "null_as_default")]
    pub user_principal_name: String,
    /// `Member` or `Guest`.
    pub user_type: Option<String>,
}

/// Why there is no answer to go by.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignInError {
    /// Microsoft could not be reached, or broke off.
    #[error("{what} could not be reached")]
    Unreachable {
        /// What was asked.
        what: &'static str,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// Microsoft refused.
    #[error("{what} answered {status} {error} {codes:?}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// OAuth error, or Graph's code.
        error: String,
        /// The numbers behind `AADSTS`.
        codes: Vec<u32>,
    },
    /// The answer cannot be read, or is far too long.
    #[error("the answer of {what} cannot be read")]
    Unreadable {
        /// What was asked.
        what: &'static str,
    },
    /// Microsoft login names an address of another host.
    #[error("Microsoft login names an address outside its own host: {url}")]
    ForeignAddress {
        /// The address.
        url: Url,
    },
}

impl SignIn {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// A root certificate that cannot be used.
    pub fn new(config: SignInConfig) -> Result<Self, ConfigError> {
        let fetch = Fetch::new(&config.authority, config.request_timeout, config.extra_root_pem.as_deref())?;
        Ok(Self { fetch, config })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &SignInConfig {
        &self.config
    }

    /// What Microsoft login says about itself. `tenant` is an id, a verified domain or `organizations`.
    ///
    /// # Errors
    /// [`SignInError`]; addresses of other hosts are refused.
    pub async fn discover(&self, tenant: &str) -> Result<Discovery, SignInError> {
        let what = "Microsoft login's description";
        let url = self.login(&[tenant, "v2.0", ".well-known", "openid-configuration"]);
        let found: Discovery = self.fetch.get(what, url, None).await?;
        for url in [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri] {
            if url.origin() != self.config.authority.origin() {
                return Err(SignInError::ForeignAddress { url: url.clone() });
            }
        }
        Ok(found)
    }

    /// The keys at an address that [`SignIn::discover`] gave.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn keys(&self, at: &Url) -> Result<Vec<PublishedKey>, SignInError> {
        self.fetch.keys("Microsoft login's keys", at).await
    }

    /// The address of the page on which an administrator consents to `app` in exactly this tenant.
    #[must_use]
    pub fn consent_address(&self, tenant: Uuid, app: &str, redirect: &Url, state: &str) -> Url {
        let mut url = self.login(&[&tenant.to_string(), "v2.0", "adminconsent"]);
        url.query_pairs_mut()
            .append_pair("client_id", app)
            .append_pair("scope", "https://graph.microsoft.com/.default")
            .append_pair("redirect_uri", redirect.as_str())
            .append_pair("state", state);
        url
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// [`SignInError::Refused`] for a code that was used, is too old, or belongs to another request.
    pub async fn redeem(
        &self,
        at: &Url,
        code: &SecretString,
        verifier: &SecretString,
        redirect: &Url,
    ) -> Result<Redeemed, SignInError> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: SecretString,
            access_token: SecretString,
            expires_in: u64,
        }
        let what = "Microsoft login";
        let form = [
            ("client_id", self.config.client_id.as_str()),
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("code_verifier", verifier.expose_secret()),
            ("redirect_uri", redirect.as_str()),
        ];
        let answer: Answer = self.fetch.send(what, self.fetch.post(at, &form)).await?;
        Ok(Redeemed {
            id_token: answer.id_token,
            access_token: answer.access_token,
            expires_in: Duration::from_secs(answer.expires_in),
        })
    }

    /// The person as Graph knows it, by the person's own token.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn me(&self, token: &SecretString) -> Result<Me, SignInError> {
        let mut url = self.graph("me");
        url.set_query(Some("$select=id,userPrincipalName,userType"));
        self.fetch.get("Microsoft Graph", url, Some(token)).await
    }

    /// Templates of the directory roles that the person holds now.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn role_templates(&self, token: &SecretString) -> Result<Vec<Uuid>, SignInError> {
        #[derive(Deserialize)]
        struct Roles {
            value: Vec<Role>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Role {
            role_template_id: Option<Uuid>,
        }
        let url = self.graph("me/transitiveMemberOf/microsoft.graph.directoryRole");
        let roles: Roles = self.fetch.get("Microsoft Graph", url, Some(token)).await?;
        Ok(roles.value.into_iter().filter_map(|role| role.role_template_id).collect())
    }

    fn login(&self, segments: &[&str]) -> Url {
        let mut url = self.config.authority.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(segments);
        }
        url
    }

    fn graph(&self, path: &str) -> Url {
        let mut url = self.config.graph.clone();
        url.set_path(&format!("v1.0/{path}"));
        url
    }
}
