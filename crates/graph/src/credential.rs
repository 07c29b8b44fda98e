//! Proving to Microsoft login who we are, through `azure_identity`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::{digest, rand};
use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{AccessToken, Secret, TokenCredential};
use azure_core::http::{
    AsyncRawResponse, ClientMethodOptions, ClientOptions, HttpClient, Request, RetryOptions, Transport,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::client::Now;
use crate::config::{AppCredential, ConfigError, GraphConfig, is_loopback};
use crate::token_error::TokenError;

/// Everything the app registration was given for Graph. The scope names the global cloud's Graph also
/// where the host is a simulator, as it would for an app behind a proxy.
const SCOPE: &str = "https://graph.microsoft.com/.default";

/// How long a signed assertion is good, in seconds.
const ASSERTION_LIFE: i64 = 300;

/// Fetches app-only tokens.
pub(crate) struct Login {
    authority: Url,
    client_id: String,
    proof: Proof,
    http: reqwest::Client,
    timeout: Duration,
    now: Now,
}

enum Proof {
    Certificate { key: EncodingKey, thumbprint: String },
    Federated(PathBuf),
    Secret(SecretString),
}

impl Login {
    pub(crate) fn new(config: &GraphConfig, http: reqwest::Client, now: Now) -> Result<Self, ConfigError> {
        let proof = match &config.credential {
            AppCredential::Certificate { cert_pem, key_pem } => Proof::Certificate {
                key: EncodingKey::from_rsa_pem(key_pem.expose_secret().as_bytes())
                    .map_err(|source| ConfigError::Key { source })?,
                thumbprint: thumbprint(cert_pem).ok_or(ConfigError::Certificate)?,
            },
            AppCredential::Federated { token_file } => Proof::Federated(token_file.clone()),
            AppCredential::Secret(secret) => Proof::Secret(secret.clone()),
        };
        Ok(Self {
            authority: config.authority.clone(),
            client_id: config.client_id.clone(),
            proof,
            http,
            timeout: config.request_timeout,
            now,
        })
    }

    /// One token request. A credential object lives for one request only: its cache could not be told
    /// that Graph rejected a token, and it would not fall back to a still valid one.
    pub(crate) async fn fetch(&self, tenant: Uuid) -> Result<AccessToken, TokenError> {
        let options = self.options();
        let tenant_id = tenant.to_string();
        let credential: Arc<dyn TokenCredential> = match &self.proof {
            Proof::Secret(secret) => ClientSecretCredential::new(
                &tenant_id,
                self.client_id.clone(),
                Secret::new(secret.expose_secret().to_owned()),
                Some(ClientSecretCredentialOptions { client_options: options }),
            )
            .map_err(own)?,
            Proof::Certificate { key, thumbprint } => {
                let assertion = self.sign(&tenant_id, key, thumbprint)?;
                self.with_assertion(tenant_id, assertion, options)?
            }
            Proof::Federated(file) => {
                let text = tokio::fs::read_to_string(file).await.map_err(own)?;
                let assertion = Assertion(text.trim().to_owned().into());
                self.with_assertion(tenant_id, assertion, options)?
            }
        };
        tokio::time::timeout(self.timeout, credential.get_token(&[SCOPE], None))
            .await
            .map_err(|_| TokenError::Timeout)?
            .map_err(TokenError::from_azure)
    }

    fn with_assertion(
        &self,
        tenant: String,
        assertion: Assertion,
        client_options: ClientOptions,
    ) -> Result<Arc<dyn TokenCredential>, TokenError> {
        let options = ClientAssertionCredentialOptions { client_options };
        let credential =
            ClientAssertionCredential::new(tenant, self.client_id.clone(), assertion, Some(options))
                .map_err(own)?;
        Ok(credential)
    }

    /// An assertion as Entra's "certificate credentials" page describes it.
    fn sign(&self, tenant: &str, key: &EncodingKey, thumbprint: &str) -> Result<Assertion, TokenError> {
        let mut nonce = [0; 16];
        rand::fill(&mut nonce).map_err(own)?;
        let now = (self.now)().unix_timestamp();
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(thumbprint.to_owned());
        let authority = self.authority.as_str().trim_end_matches('/');
        let claims = json!({
            "aud": format!("{authority}/{tenant}/oauth2/v2.0/token"),
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": URL_SAFE_NO_PAD.encode(nonce),
            "nbf": now - 5,
            "iat": now,
            "exp": now + ASSERTION_LIFE,
        });
        let signed = jsonwebtoken::encode(&header, &claims, key).map_err(own)?;
        Ok(Assertion(signed.into()))
    }

    /// Retries are this crate's own business, so `azure_core` gets none.
    fn options(&self) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        let transport: Arc<dyn HttpClient> = if self.authority.scheme() == "https" {
            cloud.authority_host = self.authority.to_string();
            Arc::new(self.http.clone())
        } else {
            // azure_identity insists on https, so it gets a name that the transport takes back
            "https://login.invalid".clone_into(&mut cloud.authority_host);
            Arc::new(LoopbackHttp { inner: self.http.clone(), real: self.authority.clone() })
        };
        ClientOptions {
            cloud: Some(Arc::new(cloud.into())),
            transport: Some(Transport::new(transport)),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        }
    }
}

fn own(error: impl std::error::Error + Send + Sync + 'static) -> TokenError {
    TokenError::OwnCredential(Box::new(error))
}

/// SHA-256 thumbprint of the first certificate, as the header `x5t#S256` wants it (RFC 7515).
fn thumbprint(pem: &str) -> Option<String> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    Some(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &der)))
}

/// A ready assertion.
struct Assertion(SecretString);

impl std::fmt::Debug for Assertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Assertion")
    }
}

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.expose_secret().to_owned())
    }
}

/// Sends requests for the stand-in host to the real one, which is on this machine.
#[derive(Debug)]
struct LoopbackHttp {
    inner: reqwest::Client,
    real: Url,
}

#[async_trait]
impl HttpClient for LoopbackHttp {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut request = request.clone();
        let url = request.url_mut();
        let mut real = self.real.clone();
        real.set_path(url.path());
        real.set_query(url.query());
        *url = real;
        self.inner.execute_request(&request).await
    }
}

/// The HTTP client for login and Graph alike.
pub(crate) fn http_client(config: &GraphConfig) -> Result<reqwest::Client, ConfigError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .connect_timeout(config.connect_timeout)
        // a connection that Microsoft is about to close must not meet a write
        .pool_idle_timeout(Duration::from_secs(20))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    if is_loopback(&config.graph) {
        builder = builder.no_proxy();
    }
    if let Some(pem) = &config.extra_root_pem {
        let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|source| ConfigError::Http { source })?;
        builder = builder.tls_certs_merge(roots);
    }
    builder.build().map_err(|source| ConfigError::Http { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints() {
        let pem = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
        // SHA-256 of "abc" (FIPS 180-4)
        assert_eq!(thumbprint(pem).as_deref(), Some("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"));
        assert_eq!(thumbprint("no certificate"), None);
        assert_eq!(thumbprint("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"), None);
    }
}
