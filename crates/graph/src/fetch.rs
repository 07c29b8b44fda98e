//! What is fetched where people sign in: small JSON answers, each read whole, without redirects.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::{ConfigError, is_loopback};
use crate::sign_in::{PublishedKey, SignInError};

/// Largest answer accepted. Microsoft's own key sets have some 20 kB.
const BODY_LIMIT: usize = 256 * 1024;

/// The HTTP client of a sign-in.
#[derive(Debug, Clone)]
pub(crate) struct Fetch {
    http: reqwest::Client,
}

impl Fetch {
    /// Sets the client up for what is at `host`; sends nothing.
    pub(crate) fn new(
        host: &Url,
        timeout: Duration,
        extra_root_pem: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            .timeout(timeout)
            // people sign in rarely, and a connection that Microsoft is about to close must not cost them a sign-in
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        if is_loopback(host) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = extra_root_pem {
            let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|source| ConfigError::Http { source })?;
            builder = builder.tls_certs_merge(roots);
        }
        let http = builder.build().map_err(|source| ConfigError::Http { source })?;
        Ok(Self { http })
    }

    /// A form to be sent.
    pub(crate) fn post(&self, at: &Url, form: &impl Serialize) -> reqwest::RequestBuilder {
        self.http.post(at.clone()).form(form)
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        what: &'static str,
        url: Url,
        token: Option<&SecretString>,
    ) -> Result<T, SignInError> {
        let mut request = self.http.get(url).header(ACCEPT, "application/json");
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
                .map_err(|_| SignInError::Unreadable { what })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        self.send(what, request).await
    }

    /// The keys that an issuer publishes.
    pub(crate) async fn keys(&self, what: &'static str, at: &Url) -> Result<Vec<PublishedKey>, SignInError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<PublishedKey>,
        }
        Ok(self.get::<Set>(what, at.clone(), None).await?.keys)
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        what: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, SignInError> {
        // the address may hold what is nobody's business, and the error is logged
        let unreachable =
            |error: reqwest::Error| SignInError::Unreachable { what, source: error.without_url() };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            if body.len() + part.len() > BODY_LIMIT {
                return Err(SignInError::Unreadable { what });
            }
            body.extend_from_slice(&part);
        }
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| SignInError::Unreadable { what });
        }
        let told: Told = serde_json::from_slice(&body).unwrap_or_default();
        let error = match told.error {
            serde_json::Value::String(error) => error,
            graph => graph["code"].as_str().unwrap_or_default().to_owned(),
        };
        Err(SignInError::Refused { what, status: status.as_u16(), error, codes: told.error_codes })
    }
}

/// Login's error is a text, Graph's is an object with a code.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    error: serde_json::Value,
    error_codes: Vec<u32>,
}
