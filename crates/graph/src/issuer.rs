//! An OpenID Connect issuer other than Microsoft: the provider's own. What is fetched from it; nothing is believed here.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::config::{ConfigError, is_loopback};
use crate::fetch::Fetch;
use crate::sign_in::{Discovery, PublishedKey, SignInError};

/// Where people of the provider sign in.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// The issuer, exactly as its tokens name it.
    pub issuer: Url,
    /// Our client id there.
    pub client_id: String,
    /// Our secret there, where we are no public client.
    pub client_secret: Option<SecretString>,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// Longest time of one request.
    pub request_timeout: Duration,
    /// Additional certificate authorities (PEM).
    pub extra_root_pem: Option<String>,
}

/// The client of an issuer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Issuer {
    fetch: Fetch,
    config: IssuerConfig,
}

/// Issuers are compared as they are written, but for a slash at the end.
fn bare(issuer: &str) -> &str {
    issuer.trim_end_matches('/')
}

impl Issuer {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// A root certificate that cannot be used.
    pub fn new(config: IssuerConfig) -> Result<Self, ConfigError> {
        let fetch = Fetch::new(&config.issuer, config.request_timeout, config.extra_root_pem.as_deref())?;
        Ok(Self { fetch, config })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &IssuerConfig {
        &self.config
    }

    /// What the issuer says about itself (OpenID Connect Discovery 1.0).
    ///
    /// # Errors
    /// [`SignInError`]; another issuer's description, a page to sign in elsewhere, and plain HTTP are refused.
    pub async fn discover(&self) -> Result<Discovery, SignInError> {
        let what = "the provider's issuer";
        let text = format!("{}/.well-known/openid-configuration", bare(self.config.issuer.as_str()));
        let url = Url::parse(&text).map_err(|_| SignInError::Unreadable { what })?;
        let found: Discovery = self.fetch.get(what, url, None).await?;
        if bare(&found.issuer) != bare(self.config.issuer.as_str()) {
            return Err(SignInError::Unreadable { what });
        }
        let here = found.authorization_endpoint.origin() == self.config.issuer.origin();
        let foreign = (!here).then_some(&found.authorization_endpoint);
        let open = |url: &&Url| url.scheme() != "https" && !is_loopback(url);
        let others = [&found.token_endpoint, &found.jwks_uri].into_iter().find(open);
        match foreign.or(others) {
            Some(url) => Err(SignInError::ForeignAddress { url: url.clone() }),
            None => Ok(found),
        }
    }

    /// The keys at an address that [`Issuer::discover`] gave.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn keys(&self, at: &Url) -> Result<Vec<PublishedKey>, SignInError> {
        self.fetch.keys("the provider's keys", at).await
    }

    /// Redeems a code for an id token.
    ///
    /// # Errors
    /// [`SignInError::Refused`] for a code that was used, is too old, or belongs to another request.
    pub async fn redeem(
        &self,
        at: &Url,
        code: &SecretString,
        verifier: &SecretString,
        redirect: &Url,
    ) -> Result<SecretString, SignInError> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: SecretString,
        }
        let what = "the provider's issuer";
        let form = [
            ("client_id", self.config.client_id.as_str()),
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("code_verifier", verifier.expose_secret()),
            ("redirect_uri", redirect.as_str()),
        ];
        let mut request = self.fetch.post(at, &form);
        if let Some(secret) = &self.config.client_secret {
            let value = basic(&self.config.client_id, secret).ok_or(SignInError::Unreadable { what })?;
            request = request.header(AUTHORIZATION, value);
        }
        let answer: Answer = self.fetch.send(what, request).await?;
        Ok(answer.id_token)
    }
}

/// `client_secret_basic`: both parts are encoded as in a form first (RFC 6749, section 2.3.1).
fn basic(client: &str, secret: &SecretString) -> Option<HeaderValue> {
    use base64::Engine as _;
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client), encode(secret.expose_secret()));
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
