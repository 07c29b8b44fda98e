//! Section `portal`: where people come in, and what the provider's own issuer says of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tandem_domain::roles::Role;
use tandem_graph::IssuerConfig;
use tandem_portal::{
    ClaimRules, EmbedSettings, LONGEST_LIFE, Mailing, PortalSettings, SHORTEST_KEY, Windows,
};
use tandem_runtime::chain;
use tandem_runtime::config::{ConfigErrors, duration, secret_file};
use url::{Host, Url};

use super::{resolve, resolve_some};

/// Section `portal`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PortalSection {
    listen: SocketAddr,
    base: Option<Url>,
    provider: Option<ProviderSection>,
    embed: Option<EmbedSection>,
}

/// Section `portal.embed`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EmbedSection {
    key_file: PathBuf,
    origins: Vec<Url>,
    #[serde(with = "duration", default = "max_life")]
    max_life: Duration,
}

fn max_life() -> Duration {
    Duration::from_secs(600)
}

impl Default for PortalSection {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9460)), base: None, provider: None, embed: None }
    }
}

/// Section `portal.provider`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderSection {
    issuer: Url,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    #[serde(default = "scopes")]
    scopes: Vec<String>,
    role_claim: String,
    account_claim: String,
    /// Which text of the role claim is which role.
    roles: BTreeMap<String, String>,
    ca_file: Option<PathBuf>,
}

fn scopes() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl EmbedSection {
    fn check(&mut self, folder: &Path, errors: &mut ConfigErrors) {
        resolve(folder, &mut self.key_file);
        let hint = "https://voice.provider.example, without a path";
        if self.origins.is_empty() {
            errors.push_hint("portal.embed.origins", "are none", hint);
        }
        for origin in &self.origins {
            if !is_site(origin) || !origin.username().is_empty() || origin.password().is_some() {
                errors.push_hint("portal.embed.origins", format!("{origin} is no origin of a site"), hint);
            }
        }
        let most = Duration::try_from(LONGEST_LIFE).unwrap_or_default();
        if self.max_life.is_zero() || self.max_life > most {
            errors.push("portal.embed.max_life", "is not between 1s and 1h");
        }
    }
}

/// What an address of a site looks like.
pub(super) const SITE: &str = "https://portal.example; http is for this machine only";

/// Whether people could see a site there.
pub(super) fn is_site(url: &Url) -> bool {
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local(url));
    scheme && url.path() == "/" && url.query().is_none() && url.fragment().is_none()
}

impl PortalSection {
    pub(super) fn check(&mut self, folder: &Path, errors: &mut ConfigErrors) {
        match &self.base {
            None => errors.push_hint("portal.base", "is missing", SITE),
            Some(base) if !is_site(base) => {
                errors.push_hint("portal.base", "is no address of a site, without a path", SITE);
            }
            Some(_) => {}
        }
        if let Some(embed) = &mut self.embed {
            embed.check(folder, errors);
        }
        let Some(provider) = &mut self.provider else { return };
        resolve_some(folder, &mut provider.client_secret_file);
        resolve_some(folder, &mut provider.ca_file);
        let issuer = &provider.issuer;
        if issuer.scheme() != "https" && !(issuer.scheme() == "http" && local(issuer)) {
            errors.push("portal.provider.issuer", "is not https");
        }
        for (key, text) in [
            ("client_id", &provider.client_id),
            ("role_claim", &provider.role_claim),
            ("account_claim", &provider.account_claim),
        ] {
            if text.is_empty() {
                errors.push(format!("portal.provider.{key}"), "is empty");
            }
        }
        for (text, role) in &provider.roles {
            let known = Role::parse(role);
            if !matches!(known, Some(Role::Operator | Role::AccountManager | Role::AccountAdmin)) {
                let hint = "operator, account_manager or account_admin; Microsoft alone knows the others";
                errors.push_hint(
                    format!("portal.provider.roles.{text}"),
                    "is no role of the provider's",
                    hint,
                );
            }
        }
    }

    /// Where people see it.
    pub(crate) fn base(&self) -> Option<&Url> {
        self.base.as_ref()
    }

    /// Where it listens and how it is seen.
    pub(crate) fn settings(
        &self,
        windows: Windows,
        mail: Option<Mailing>,
        errors: &mut ConfigErrors,
    ) -> Option<PortalSettings> {
        let embed = self.embed(errors);
        let provider = self.provider.as_ref();
        let claims = provider.map_or_else(ClaimRules::default, |provider| ClaimRules {
            role: provider.role_claim.clone(),
            account: provider.account_claim.clone(),
            roles: provider
                .roles
                .iter()
                .filter_map(|(text, role)| Some((text.clone(), Role::parse(role)?)))
                .collect(),
        });
        Some(PortalSettings { listen: self.listen, base: self.base.clone()?, claims, windows, embed, mail })
    }

    /// The page for the PBX's own pages, its key read.
    pub(crate) fn embed(&self, errors: &mut ConfigErrors) -> Option<EmbedSettings> {
        let embed = self.embed.as_ref()?;
        let read = secret_file(&embed.key_file);
        let key = read.map_err(|error| errors.push("portal.embed.key_file", chain(&error))).ok()?;
        let key = key.expose_secret().trim();
        if key.chars().count() < SHORTEST_KEY {
            let hint = "openssl rand -base64 48";
            errors.push_hint("portal.embed.key_file", "holds fewer than 32 characters", hint);
            return None;
        }
        let (key, origins) = (SecretString::from(key.to_owned()), embed.origins.clone());
        Some(EmbedSettings { key, origins, max_life: embed.max_life.try_into().ok()? })
    }

    /// The provider's issuer, its secret read.
    pub(crate) fn issuer(&self, errors: &mut ConfigErrors) -> Option<IssuerConfig> {
        let provider = self.provider.as_ref()?;
        let secret = match &provider.client_secret_file {
            None => None,
            Some(file) => {
                let read = secret_file(file).map_err(|error| {
                    errors.push("portal.provider.client_secret_file", chain(&error));
                });
                Some(SecretString::from(read.ok()?.expose_secret().trim().to_owned()))
            }
        };
        let extra_root_pem = match &provider.ca_file {
            None => None,
            Some(file) => {
                let read = std::fs::read_to_string(file).map_err(|error| {
                    errors.push("portal.provider.ca_file", format!("read {}: {error}", file.display()));
                });
                Some(read.ok()?)
            }
        };
        Some(IssuerConfig {
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            client_secret: secret,
            scopes: provider.scopes.clone(),
            request_timeout: Duration::from_secs(20),
            extra_root_pem,
        })
    }
}
