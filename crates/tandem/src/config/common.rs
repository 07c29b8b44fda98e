//! What every role needs: PostgreSQL, NATS, telemetry.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use tandem_bus::{Auth, BusConfig, TlsConfig};
use tandem_runtime::chain;
use tandem_runtime::config::{ConfigErrors, secret_file};
use tandem_runtime::telemetry::LogFormat;
use tandem_store::{DbConfig, Login};
use tandem_wire::Subjects;
use url::Url;

use super::{Environment, resolve_some};

/// Section `database`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DatabaseSection {
    host: String,
    port: u16,
    name: String,
    /// Off only where the database is on this machine.
    tls: bool,
    ca_file: Option<PathBuf>,
    /// A file for each login, named like it.
    passwords_dir: Option<PathBuf>,
    /// Who owns the schema; `tandem migrate` alone works as it.
    owner: String,
    owner_password_file: Option<PathBuf>,
    /// Connections of one role at most.
    max_connections: u32,
    #[serde(with = "tandem_runtime::config::duration")]
    statement_timeout: Duration,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 5432,
            name: "tandem".to_owned(),
            tls: false,
            ca_file: None,
            passwords_dir: None,
            owner: "tandem_owner".to_owned(),
            owner_password_file: None,
            max_connections: 8,
            statement_timeout: Duration::from_secs(30),
        }
    }
}

pub(super) fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl DatabaseSection {
    pub(super) fn check(&mut self, folder: &Path, errors: &mut ConfigErrors) {
        resolve_some(folder, &mut self.ca_file);
        resolve_some(folder, &mut self.passwords_dir);
        resolve_some(folder, &mut self.owner_password_file);
        if self.host.is_empty() {
            errors.push("database.host", "is empty");
        }
        if self.name.is_empty() {
            errors.push("database.name", "is empty");
        }
        if !self.tls && !is_local(&self.host) {
            errors.push_hint(
                "database.tls",
                "must be true: the database is not on this machine",
                "tls = true",
            );
        }
        if self.max_connections < 2 {
            errors.push("database.max_connections", "must be at least 2");
        }
        if self.statement_timeout < Duration::from_secs(1) {
            errors.push("database.statement_timeout", "must be at least 1s");
        }
        if self.passwords_dir.is_none() {
            errors.push_hint(
                "database.passwords_dir",
                "is missing",
                "name the folder with a password file for each login",
            );
        }
    }

    /// Where the database is.
    pub(crate) fn config(&self) -> DbConfig {
        DbConfig {
            tls: self.tls,
            ca_file: self.ca_file.clone(),
            host: self.host.clone(),
            max_connections: self.max_connections,
            statement_timeout: self.statement_timeout,
            ..DbConfig::local(self.port, &self.name)
        }
    }

    /// The password of a login.
    pub(crate) fn password(&self, login: Login, errors: &mut ConfigErrors) -> Option<SecretString> {
        let file = self.passwords_dir.as_ref()?.join(login.name());
        let hint = format!("the folder needs a file {} with the password of that login", login.name());
        secret_file(&file)
            .map_err(|error| errors.push_hint("database.passwords_dir", chain(&error), hint))
            .ok()
    }

    /// The owner of the schema and its password.
    pub(crate) fn owner(&self, errors: &mut ConfigErrors) -> Option<(&str, SecretString)> {
        let Some(file) = &self.owner_password_file else {
            errors.push("database.owner_password_file", "is missing; `tandem migrate` works as the owner");
            return None;
        };
        let password = secret_file(file)
            .map_err(|error| errors.push("database.owner_password_file", chain(&error)))
            .ok()?;
        Some((&self.owner, password))
    }
}

/// Section `bus`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BusSection {
    url: String,
    user: Option<String>,
    password_file: Option<PathBuf>,
    creds_file: Option<PathBuf>,
    nkey_file: Option<PathBuf>,
    tls: bool,
    ca_file: Option<PathBuf>,
    client_cert_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    /// Lets several installations share one broker.
    prefix: String,
    replicas: usize,
}

impl Default for BusSection {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            user: None,
            password_file: None,
            creds_file: None,
            nkey_file: None,
            tls: false,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            prefix: String::new(),
            replicas: 1,
        }
    }
}

impl BusSection {
    pub(super) fn check(&mut self, folder: &Path, environment: Environment, errors: &mut ConfigErrors) {
        for file in [
            &mut self.password_file,
            &mut self.creds_file,
            &mut self.nkey_file,
            &mut self.ca_file,
            &mut self.client_cert_file,
            &mut self.client_key_file,
        ] {
            resolve_some(folder, file);
        }
        self.check_addresses(errors);
        let ways = [self.password_file.is_some(), self.creds_file.is_some(), self.nkey_file.is_some()];
        match ways.iter().filter(|given| **given).count() {
            0 if !environment.is_development() => errors.push_hint(
                "bus",
                "names no credentials",
                "give user and password_file, or creds_file, or nkey_file",
            ),
            0 | 1 => {}
            _ => errors.push("bus", "names more than one of password_file, creds_file and nkey_file"),
        }
        if self.user.is_some() != self.password_file.is_some() {
            errors.push("bus.user", "user and password_file belong together");
        }
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            errors.push("bus.client_cert_file", "client_cert_file and client_key_file belong together");
        }
        if Subjects::new(&self.prefix).is_err() {
            errors.push("bus.prefix", "is lower-case letters, digits and hyphens, in words joined by dots");
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            errors.push("bus.replicas", "is 1, 3 or 5");
        }
    }

    fn check_addresses(&self, errors: &mut ConfigErrors) {
        for address in self.url.split(',') {
            let Ok(url) = address.trim().parse::<Url>() else {
                errors.push("bus.url", "is not an address such as nats://host:4222");
                continue;
            };
            if !matches!(url.scheme(), "nats" | "tls") {
                errors.push("bus.url", "begins with nats:// or tls://");
            }
            if !url.username().is_empty() || url.password().is_some() {
                errors.push("bus.url", "holds credentials; give user and password_file");
            }
            let local = url.host_str().is_some_and(is_local);
            if !local && url.scheme() != "tls" && !self.tls {
                errors.push_hint(
                    "bus.url",
                    "is not on this machine and not encrypted",
                    "use tls:// or tls = true",
                );
            }
        }
    }

    /// How to reach the broker, credentials read from their files.
    pub(crate) fn config(&self, client: &str, errors: &mut ConfigErrors) -> BusConfig {
        let mut read = |key: &str, file: &Path| {
            secret_file(file).map_err(|error| errors.push(format!("bus.{key}"), chain(&error))).ok()
        };
        let auth = if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            read("password_file", file).map(|password| Auth::UserPassword { user: user.clone(), password })
        } else if let Some(file) = &self.creds_file {
            read("creds_file", file).map(Auth::Creds)
        } else if let Some(file) = &self.nkey_file {
            read("nkey_file", file).map(Auth::Nkey)
        } else {
            None
        };
        BusConfig {
            auth: auth.unwrap_or(Auth::None),
            tls: TlsConfig {
                required: self.tls,
                ca_file: self.ca_file.clone(),
                client_cert_file: self.client_cert_file.clone(),
                client_key_file: self.client_key_file.clone(),
            },
            client_name: client.to_owned(),
            ..BusConfig::new(self.url.clone())
        }
    }

    /// Names of subjects and streams.
    pub(crate) fn subjects(&self) -> anyhow::Result<Subjects> {
        Ok(Subjects::new(&self.prefix)?)
    }

    /// On how many servers a stream is kept.
    pub(crate) fn replicas(&self) -> usize {
        self.replicas
    }
}

/// Section `telemetry`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetrySection {
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Where traces go.
    pub(crate) otlp_endpoint: Option<Url>,
    /// Where health and metrics are served.
    pub(crate) health: HealthSection,
}

/// Where each role serves `/healthz`, `/readyz` and `/metrics`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HealthSection {
    /// All roles in one process.
    pub(crate) all: SocketAddr,
    /// The detector alone.
    pub(crate) detector: SocketAddr,
    /// The debouncer alone.
    pub(crate) debouncer: SocketAddr,
    /// teams-sync alone.
    pub(crate) teams_sync: SocketAddr,
    /// sync-log alone.
    pub(crate) sync_log: SocketAddr,
    /// The portal alone.
    pub(crate) portal: SocketAddr,
    /// The notifier alone.
    pub(crate) notifier: SocketAddr,
}

impl Default for HealthSection {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            all: local(9464),
            detector: local(9471),
            debouncer: local(9472),
            teams_sync: local(9473),
            sync_log: local(9474),
            portal: local(9475),
            notifier: local(9476),
        }
    }
}
