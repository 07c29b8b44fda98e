//! Proving to Microsoft login who we are, through `azure_identity`.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand;
use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{AccessToken, Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::{
    AsyncRawResponse, ClientMethodOptions, ClientOptions, HttpClient, Request, RetryOptions, Transport,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::certificate::{AppCertificate, CertificateInfo};
use crate::circuit::Circuit;
use crate::client::Now;
use crate::config::{AppCredential, ConfigError, GraphConfig, is_loopback};
use crate::token_error::{TokenError, TokenErrorKind, innermost};

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
    host: Arc<Circuit>,
    timeout: Duration,
    now: Now,
}

/// How the app proves itself.
pub(crate) enum Proof {
    Certificates(Vec<Registered>),
    Federated(PathBuf),
    Secret(SecretString),
}

/// A certificate, and until when it rests because Microsoft did not know it (Unix seconds).
pub(crate) struct Registered {
    certificate: AppCertificate,
    rests_until: AtomicI64,
}

/// A certificate that Microsoft refused is tried again after so many seconds, as long as another one works.
const REST: i64 = 300;

impl Proof {
    /// Certificates, the newest first.
    pub(crate) fn certificates(mut certificates: Vec<AppCertificate>) -> Self {
        certificates.sort_by_key(|c| Reverse((c.info.not_before, c.info.not_after)));
        let registered = |certificate| Registered { certificate, rests_until: AtomicI64::new(0) };
        Self::Certificates(certificates.into_iter().map(registered).collect())
    }
}

/// Every certificate has ended, or none has begun.
#[derive(Debug, thiserror::Error)]
#[error("no certificate of the app is good now; the last one ended at {0}")]
struct NoneIsGood(OffsetDateTime);

impl Login {
    pub(crate) fn new(
        config: &GraphConfig,
        http: reqwest::Client,
        host: Arc<Circuit>,
        now: Now,
    ) -> Result<Self, ConfigError> {
        let proof = match &config.credential {
            AppCredential::Certificates(pems) if pems.is_empty() => return Err(ConfigError::NoCertificate),
            AppCredential::Certificates(pems) => {
                Proof::certificates(pems.iter().map(AppCertificate::read).collect::<Result<_, _>>()?)
            }
            AppCredential::Federated { token_file } => Proof::Federated(token_file.clone()),
            AppCredential::Secret(secret) => Proof::Secret(secret.clone()),
        };
        Ok(Self::with(config, &config.client_id, proof, http, host, now))
    }

    pub(crate) fn with(
        config: &GraphConfig,
        client_id: &str,
        proof: Proof,
        http: reqwest::Client,
        host: Arc<Circuit>,
        now: Now,
    ) -> Self {
        Self {
            authority: config.authority.clone(),
            client_id: client_id.to_owned(),
            proof,
            http,
            host,
            timeout: config.request_timeout,
            now,
        }
    }

    /// The certificates, the newest first.
    pub(crate) fn certificates(&self) -> Vec<CertificateInfo> {
        match &self.proof {
            Proof::Certificates(all) => all.iter().map(|r| r.certificate.info.clone()).collect(),
            Proof::Federated(_) | Proof::Secret(_) => Vec::new(),
        }
    }

    /// One token, by the first certificate that Microsoft takes, or by the one credential there is.
    pub(crate) async fn fetch(&self, tenant: Uuid) -> Result<AccessToken, TokenError> {
        let Proof::Certificates(all) = &self.proof else { return self.request(tenant, None).await };
        let now = (self.now)();
        let rests = |r: &Registered| r.rests_until.load(Ordering::Relaxed) > now.unix_timestamp();
        let mut good: Vec<&Registered> = all.iter().filter(|r| r.certificate.info.is_good(now)).collect();
        // one that was refused a moment ago comes last, but it does come
        good.sort_by_key(|r| rests(r));
        let ended = all.iter().map(|r| r.certificate.info.not_after).max().unwrap_or(now);
        let mut refused = own(NoneIsGood(ended));
        for registered in good {
            match self.request(tenant, Some(&registered.certificate)).await {
                Err(error) if error.kind() == TokenErrorKind::OwnCredential => {
                    registered.rests_until.store(now.unix_timestamp() + REST, Ordering::Relaxed);
                    let thumbprint = &registered.certificate.info.thumbprint;
                    tracing::warn!(certificate = %thumbprint, %error, "Microsoft login does not take this certificate");
                    refused = error;
                }
                outcome => return outcome,
            }
        }
        Err(refused)
    }

    /// One token request. A credential object lives for one request only: its cache could not be told
    /// that Graph rejected a token, and it would not fall back to a still valid one.
    async fn request(
        &self,
        tenant: Uuid,
        certificate: Option<&AppCertificate>,
    ) -> Result<AccessToken, TokenError> {
        let options = self.options();
        let tenant_id = tenant.to_string();
        let credential: Arc<dyn TokenCredential> = match (&self.proof, certificate) {
            (Proof::Secret(secret), _) => ClientSecretCredential::new(
                &tenant_id,
                self.client_id.clone(),
                Secret::new(secret.expose_secret().to_owned()),
                Some(ClientSecretCredentialOptions { client_options: options }),
            )
            .map_err(own)?,
            (Proof::Certificates(_), None) => return Err(own(NoneIsGood((self.now)()))),
            (_, Some(certificate)) => {
                let assertion = self.sign(&tenant_id, certificate)?;
                self.with_assertion(tenant_id, assertion, options)?
            }
            (Proof::Federated(file), None) => {
                let text = tokio::fs::read_to_string(file).await.map_err(own)?;
                let assertion = Assertion(text.trim().to_owned().into());
                self.with_assertion(tenant_id, assertion, options)?
            }
        };
        let leave = self.host.enter().map_err(TokenError::HostAway)?;
        let answer = tokio::time::timeout(self.timeout, credential.get_token(&[SCOPE], None))
            .await
            .map_err(|_| TokenError::Timeout)?;
        match answer.as_ref().map_err(|error| innermost(error).kind()) {
            Err(ErrorKind::Connection) => leave.failed(),
            // it broke off on the way
            Err(ErrorKind::Io) => drop(leave),
            _ => leave.reached(),
        }
        answer.map_err(|error| TokenError::from_azure(error, (self.now)()))
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
    fn sign(&self, tenant: &str, certificate: &AppCertificate) -> Result<Assertion, TokenError> {
        let mut nonce = [0; 16];
        rand::fill(&mut nonce).map_err(own)?;
        let now = (self.now)().unix_timestamp();
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(certificate.info.thumbprint.clone());
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
        let signed = jsonwebtoken::encode(&header, &claims, &certificate.key).map_err(own)?;
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
