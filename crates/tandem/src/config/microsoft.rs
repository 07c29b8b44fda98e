//! Section `microsoft`: where Microsoft is and who we are there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Deserialize;
use tandem_graph::{AppCredential, CertificatePem, GraphConfig, SignInConfig};
use tandem_runtime::chain;
use tandem_runtime::config::{ConfigErrors, duration, secret_file};
use url::Url;

use super::{Environment, SignInSection, resolve, resolve_some};

/// Section `microsoft`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MicrosoftSection {
    authority: Url,
    graph: Url,
    pub(crate) client_id: String,
    certificate: Option<Certificate>,
    /// Several, while they are changed.
    certificates: Vec<Certificate>,
    federated: Option<Federated>,
    /// Accepted in development only.
    secret_file: Option<PathBuf>,
    /// Requests per second to one tenant.
    tenant_rate_per_s: u32,
    /// Requests per second to all tenants.
    app_rate_per_s: u32,
    tenant_operations_in_flight: usize,
    #[serde(with = "duration")]
    pub(crate) request_timeout: Duration,
    #[serde(with = "duration")]
    max_wait: Duration,
    /// A private certificate authority, for a simulator behind TLS.
    ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    cert_file: PathBuf,
    key_file: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Federated {
    token_file: PathBuf,
}

impl Default for MicrosoftSection {
    fn default() -> Self {
        let host = |text: &str| Url::parse(text).unwrap_or_else(|_| unreachable!("{text} is an address"));
        let authority = host("https://login.microsoftonline.com");
        let graph = host("https://graph.microsoft.com");
        let defaults = GraphConfig::new(authority, graph, "", AppCredential::Secret("".into()));
        Self {
            authority: defaults.authority,
            graph: defaults.graph,
            client_id: String::new(),
            certificate: None,
            certificates: Vec::new(),
            federated: None,
            secret_file: None,
            tenant_rate_per_s: defaults.tenant_rate_per_s,
            app_rate_per_s: defaults.app_rate_per_s,
            tenant_operations_in_flight: defaults.tenant_operations_in_flight,
            request_timeout: defaults.request_timeout,
            max_wait: defaults.max_wait,
            ca_file: None,
        }
    }
}

impl MicrosoftSection {
    pub(super) fn check(&mut self, folder: &Path, environment: Environment, errors: &mut ConfigErrors) {
        for certificate in self.certificate.iter_mut().chain(&mut self.certificates) {
            resolve(folder, &mut certificate.cert_file);
            resolve(folder, &mut certificate.key_file);
        }
        if let Some(federated) = &mut self.federated {
            resolve(folder, &mut federated.token_file);
        }
        resolve_some(folder, &mut self.secret_file);
        resolve_some(folder, &mut self.ca_file);
        if self.client_id.is_empty() {
            errors.push("microsoft.client_id", "is missing");
        }
        let ways = [
            self.certificate.is_some(),
            !self.certificates.is_empty(),
            self.federated.is_some(),
            self.secret_file.is_some(),
        ];
        let hint = "certificate = { cert_file, key_file }, several of them in [[microsoft.certificates]], or federated = { token_file }";
        match ways.iter().filter(|given| **given).count() {
            1 => {}
            0 => errors.push_hint("microsoft", "names no credential of the app", hint),
            _ => errors.push_hint("microsoft", "names more than one credential of the app", hint),
        }
        if self.secret_file.is_some() && !environment.is_development() {
            let problem = "a client secret is accepted only with environment = \"development\"";
            errors.push_hint("microsoft.secret_file", problem, hint);
        }
        let probe = self.graph_config(AppCredential::Secret("".into()), None);
        for problem in probe.problems() {
            errors.push("microsoft", chain(&problem));
        }
    }

    fn graph_config(&self, credential: AppCredential, extra_root_pem: Option<String>) -> GraphConfig {
        GraphConfig {
            tenant_rate_per_s: self.tenant_rate_per_s,
            app_rate_per_s: self.app_rate_per_s,
            tenant_operations_in_flight: self.tenant_operations_in_flight,
            request_timeout: self.request_timeout,
            max_wait: self.max_wait,
            extra_root_pem,
            ..GraphConfig::new(self.authority.clone(), self.graph.clone(), self.client_id.clone(), credential)
        }
    }

    /// The settings of the client, credentials read from their files.
    pub(crate) fn config(&self, errors: &mut ConfigErrors) -> Option<GraphConfig> {
        let credential = self.credential(errors);
        let root = match &self.ca_file {
            None => None,
            Some(file) => Some(read(file, "microsoft.ca_file", errors)?),
        };
        Some(self.graph_config(credential?, root))
    }

    /// The settings of the sign-in of people to another app at the same place; reads no credential.
    pub(crate) fn sign_in(&self, section: &SignInSection, errors: &mut ConfigErrors) -> Option<SignInConfig> {
        let extra_root_pem = match &self.ca_file {
            None => None,
            Some(file) => Some(read(file, "microsoft.ca_file", errors)?),
        };
        Some(SignInConfig {
            authority: self.authority.clone(),
            graph: self.graph.clone(),
            client_id: section.client_id.clone(),
            scopes: section.scopes.clone(),
            request_timeout: self.request_timeout,
            extra_root_pem,
        })
    }

    fn credential(&self, errors: &mut ConfigErrors) -> Option<AppCredential> {
        let certificates: Vec<&Certificate> = self.certificate.iter().chain(&self.certificates).collect();
        if !certificates.is_empty() {
            let pems: Vec<_> = certificates.into_iter().map(|files| files.read(errors)).collect();
            return pems.into_iter().collect::<Option<_>>().map(AppCredential::Certificates);
        }
        let mut secret = |key: &str, file: &Path| {
            secret_file(file).map_err(|error| errors.push(format!("microsoft.{key}"), chain(&error))).ok()
        };
        if let Some(Federated { token_file }) = &self.federated {
            return Some(AppCredential::Federated { token_file: token_file.clone() });
        }
        let text = secret("secret_file", self.secret_file.as_ref()?)?;
        Some(AppCredential::Secret(text.expose_secret().trim().into()))
    }
}

impl Certificate {
    fn read(&self, errors: &mut ConfigErrors) -> Option<CertificatePem> {
        let key_pem = secret_file(&self.key_file)
            .map_err(|error| errors.push("microsoft.certificate.key_file", chain(&error)))
            .ok();
        let cert_pem = read(&self.cert_file, "microsoft.certificate.cert_file", errors);
        let pem = CertificatePem { cert_pem: cert_pem?, key_pem: key_pem? };
        let checked = pem.check().map_err(|error| errors.push("microsoft.certificate", chain(&error)));
        checked.is_ok().then_some(pem)
    }
}

fn read(file: &Path, key: &str, errors: &mut ConfigErrors) -> Option<String> {
    std::fs::read_to_string(file)
        .map_err(|error| errors.push(key, format!("read {}: {error}", file.display())))
        .ok()
}
