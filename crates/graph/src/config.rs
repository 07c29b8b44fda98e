//! Where Microsoft is, who we are there, and how hard we may press.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use url::{Host, Url};

use crate::certificate::CertificatePem;

/// The settings of the client.
#[derive(Debug, Clone)]
pub struct GraphConfig {
    /// Login host, for example `https://login.microsoftonline.com`; no path.
    pub authority: Url,
    /// Graph host, for example `https://graph.microsoft.com`; no path and no version.
    pub graph: Url,
    /// Application (client) id of the provider's app registration.
    pub client_id: String,
    /// How the app proves itself to Microsoft login.
    pub credential: AppCredential,
    /// Requests per second to one tenant.
    pub tenant_rate_per_s: u32,
    /// Requests per second to all tenants together.
    pub app_rate_per_s: u32,
    /// Requests, and separately asynchronous operations, under way in one tenant.
    pub tenant_operations_in_flight: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// First wait before a host that could not be reached several times in a row is tried again.
    pub host_pause: Duration,
    /// Longest time of one request, from its start to the last byte of the answer.
    pub request_timeout: Duration,
    /// Longest time one call waits for throttling and for its retries together.
    pub max_wait: Duration,
    /// How often and when a failed read is sent again.
    pub retry: RetryPolicy,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Additional certificate authorities (PEM), for a private simulator behind TLS.
    pub extra_root_pem: Option<String>,
}

/// When a read that failed for a passing reason is sent again: `first` doubled at random, then four
/// times as long each time, up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Shortest first delay.
    pub first: Duration,
    /// Longest delay before its random part.
    pub longest: Duration,
    /// Retries after the first attempt.
    pub times: usize,
}

impl Default for RetryPolicy {
    /// 2, 8 and 30 seconds on average: the random part adds up to the delay itself.
    fn default() -> Self {
        Self { first: Duration::from_millis(1_400), longest: Duration::from_secs(20), times: 3 }
    }
}

/// How the app proves itself to Microsoft login.
#[derive(Debug, Clone)]
pub enum AppCredential {
    /// Certificates registered with the app; Tandem signs assertions with their keys. Two are live while they are
    /// changed: the newest that is good is tried first, and another when Microsoft does not know it.
    Certificates(Vec<CertificatePem>),
    /// A workload identity: the file with the platform's token, read anew for every token request.
    Federated {
        /// Path of the token file.
        token_file: PathBuf,
    },
    /// A client secret; for development only.
    Secret(SecretString),
}

/// A setting that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The address is no plain `scheme://host[:port]`.
    #[error("{setting} `{url}` must be scheme://host[:port] with nothing after it")]
    NotAHost {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        url: Url,
    },
    /// Plain http towards a host that is not this machine.
    #[error("{setting} `{url}` must be https: plain http is accepted for loopback hosts only")]
    PlainHttp {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        url: Url,
    },
    /// A Microsoft cloud that has no Teams administration in Graph.
    #[error(
        "{setting} `{url}` belongs to a national cloud: Graph offers Teams administration in the global cloud only"
    )]
    OtherCloud {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        url: Url,
    },
    /// A number that must be above zero.
    #[error("{setting} must be above zero")]
    Zero {
        /// Which setting.
        setting: &'static str,
    },
    /// The app's certificate is not a PEM certificate.
    #[error("the certificate of the app registration is no X.509 certificate in PEM")]
    Certificate,
    /// Certificate and key do not belong together.
    #[error("the private key is not that of the certificate of the app registration")]
    KeyMismatch,
    /// There is no certificate at all.
    #[error("the app registration has no certificate")]
    NoCertificate,
    /// The app's private key cannot sign assertions.
    #[error("the private key of the app registration is not an RSA key in PEM")]
    Key {
        /// What the signer said.
        source: jsonwebtoken::errors::Error,
    },
    /// The HTTP client could not be built, for example because of a broken extra root certificate.
    #[error("the HTTP client could not be set up")]
    Http {
        /// What the client said.
        source: reqwest::Error,
    },
}

/// Hosts of the national clouds (Microsoft Graph "National cloud deployments").
const OTHER_CLOUDS: [&str; 6] = [
    "login.microsoftonline.us",
    "graph.microsoft.us",
    "dod-graph.microsoft.us",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "microsoftgraph.chinacloudapi.cn",
];

impl GraphConfig {
    /// Settings with the default figures.
    #[must_use]
    pub fn new(authority: Url, graph: Url, client_id: impl Into<String>, credential: AppCredential) -> Self {
        Self {
            authority,
            graph,
            client_id: client_id.into(),
            credential,
            tenant_rate_per_s: 5,
            app_rate_per_s: 100,
            tenant_operations_in_flight: 10,
            connect_timeout: Duration::from_secs(5),
            host_pause: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            max_wait: Duration::from_secs(60),
            retry: RetryPolicy::default(),
            user_agent: concat!("tandem/", env!("CARGO_PKG_VERSION")).to_owned(),
            extra_root_pem: None,
        }
    }

    /// Every mistake in the settings, not just the first.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigError> {
        let zeros = [
            ("tenant_rate_per_s", self.tenant_rate_per_s == 0),
            ("app_rate_per_s", self.app_rate_per_s == 0),
            ("tenant_operations_in_flight", self.tenant_operations_in_flight == 0),
            ("request_timeout", self.request_timeout.is_zero()),
        ];
        let hosts = [("authority", &self.authority), ("graph", &self.graph)];
        hosts
            .into_iter()
            .filter_map(|(setting, url)| check_host(setting, url).err())
            .chain(
                zeros.into_iter().filter(|(_, zero)| *zero).map(|(setting, _)| ConfigError::Zero { setting }),
            )
            .collect()
    }
}

fn check_host(setting: &'static str, url: &Url) -> Result<(), ConfigError> {
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let Some(host) = url.host_str().filter(|_| bare) else {
        return Err(ConfigError::NotAHost { setting, url: url.clone() });
    };
    if OTHER_CLOUDS.contains(&host) {
        return Err(ConfigError::OtherCloud { setting, url: url.clone() });
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        _ => Err(ConfigError::PlainHttp { setting, url: url.clone() }),
    }
}

/// Whether the address names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(authority: &str, graph: &str) -> GraphConfig {
        GraphConfig::new(
            authority.parse().unwrap(),
            graph.parse().unwrap(),
            "app",
            AppCredential::Secret("s".into()),
        )
    }

    #[test]
    fn hosts() {
        let good = "https://graph.microsoft.com";
        for (url, expected) in [
            ("https://login.microsoftonline.com", None),
            ("https://login.example:8443/", None),
            ("http://127.0.0.1:9000", None),
            ("http://[::1]:9000", None),
            ("http://localhost:9000", None),
            ("http://login.example", Some("must be https")),
            ("ftp://127.0.0.1", Some("must be https")),
            ("https://login.microsoftonline.us", Some("national cloud")),
            ("https://login.chinacloudapi.cn", Some("national cloud")),
            ("https://login.example/common", Some("nothing after it")),
            ("https://a:b@login.example", Some("nothing after it")),
        ] {
            let problems = config(url, good).problems();
            match expected {
                None => assert!(problems.is_empty(), "{url}: {problems:?}"),
                Some(text) => assert!(problems[0].to_string().contains(text), "{url}"),
            }
        }
    }

    #[test]
    fn every_mistake_is_reported() {
        let mut config = config("http://login.example", "https://graph.microsoft.us");
        config.tenant_rate_per_s = 0;
        assert_eq!(config.problems().len(), 3);
    }

    #[test]
    fn debug_hides_secrets() {
        let mut config = config("http://127.0.0.1", "http://127.0.0.1");
        config.credential = AppCredential::Secret("hush-hush".into());
        assert!(!format!("{config:?}").contains("hush-hush"));
    }
}
