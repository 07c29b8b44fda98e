//! The portal's API, as commands use it: with a token, over TLS unless the portal is on this machine.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tandem_runtime::Ids;
use url::{Host, Url};

use crate::login::Login;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer that is read.
const LONGEST: usize = 32 * 1024 * 1024;

/// The API of a portal.
pub(crate) struct Remote {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
}

impl Remote {
    /// Prepares it; nothing is sent yet.
    pub(crate) fn new(login: &Login) -> anyhow::Result<Self> {
        let here = match login.portal.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        anyhow::ensure!(
            login.portal.scheme() == "https" || login.portal.scheme() == "http" && here,
            "{} is no https address: a token would go over the network for everybody to read",
            login.portal
        );
        // an answer that leads elsewhere would take the token along
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { http, base: login.portal.join("/api/v1/")?, token: login.token.clone() })
    }

    /// Reads something; `reason` says why an operator looks into an account.
    pub(crate) async fn get(&self, path: &str, reason: Option<&str>) -> anyhow::Result<Value> {
        self.send(self.http.get(self.base.join(path)?), reason).await
    }

    /// Asks for something, once.
    pub(crate) async fn post(&self, path: &str, body: &Value, reason: Option<&str>) -> anyhow::Result<Value> {
        let key = Ids::random().v4().to_string();
        let request = self.http.post(self.base.join(path)?).header("idempotency-key", key).json(body);
        self.send(request, reason).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, reason: Option<&str>) -> anyhow::Result<Value> {
        let mut request = request.bearer_auth(self.token.expose_secret());
        if let Some(reason) = reason {
            let value = HeaderValue::from_bytes(reason.as_bytes()).context("--reason is not one line")?;
            request = request.header("tandem-reason", value);
        }
        let mut answer = request.send().await.map_err(|error| error.without_url())?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| error.without_url())? {
            anyhow::ensure!(body.len() + part.len() <= LONGEST, "the portal's answer has no end");
            body.extend_from_slice(&part);
        }
        let value: Value = serde_json::from_slice(&body)
            .with_context(|| format!("what answered with status {status} is no portal"))?;
        if status.is_success() {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or("unknown").to_owned();
        anyhow::bail!("{} ({})", text("detail"), text("code"))
    }
}
