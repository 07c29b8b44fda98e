//! The configuration file: a common part and one section per role.
//!
//! Unknown keys are refused and every mistake is told at once, by key and never with a secret value. Secrets stand in
//! files of their own. Relative paths are relative to the folder of the configuration file.

pub(crate) mod check;
mod common;
mod lateness;
mod microsoft;
mod notifier;
mod portal;
mod roles;
mod sign_in;
mod vault;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tandem_debouncer::DebouncerSettings;
use tandem_detector::DetectorConfig;
use tandem_runtime::config::{self, ConfigErrors};
use tandem_sync_log::SyncLogSettings;
use tandem_teams_sync::TeamsSyncSettings;

pub(crate) use common::{BusSection, DatabaseSection, TelemetrySection};
pub(crate) use lateness::{after_due, longest_max_wait};
pub(crate) use microsoft::MicrosoftSection;
pub(crate) use notifier::NotifierSection;
pub(crate) use portal::PortalSection;
use roles::{DebouncerSection, SyncLogSection, TeamsSyncSection};
pub(crate) use sign_in::SignInSection;
pub(crate) use vault::VaultSection;

/// What the installation is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Environment {
    /// Customers depend on it.
    #[default]
    Production,
    /// Nobody does: client secrets, failpoints and faster ladders are accepted.
    Development,
}

impl Environment {
    /// Whether nobody depends on it.
    pub(crate) fn is_development(self) -> bool {
        self == Self::Development
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Top {
    environment: Environment,
}

/// A configuration without mistakes, as far as they show without reading secrets.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where it was read.
    pub(crate) file: PathBuf,
    /// What the installation is for.
    pub(crate) environment: Environment,
    /// PostgreSQL.
    pub(crate) database: DatabaseSection,
    /// NATS.
    pub(crate) bus: BusSection,
    /// Logs, metrics, traces and health.
    pub(crate) telemetry: TelemetrySection,
    /// Microsoft; none where no role and no command talks to it.
    pub(crate) microsoft: Option<MicrosoftSection>,
    /// Who people sign in to; none where nobody does.
    pub(crate) sign_in: Option<SignInSection>,
    /// Where the sealing keys are.
    pub(crate) vault: VaultSection,
    /// Where people come in; none where no portal runs.
    pub(crate) portal: Option<PortalSection>,
    /// Mail; none where nobody gets any.
    pub(crate) notifier: Option<NotifierSection>,
    /// The detector.
    pub(crate) detector: DetectorConfig,
    /// The debouncer.
    pub(crate) debouncer: DebouncerSettings,
    /// teams-sync.
    pub(crate) teams_sync: TeamsSyncSettings,
    /// sync-log.
    pub(crate) sync_log: SyncLogSettings,
}

const SECTIONS: [&str; 12] = [
    "database",
    "bus",
    "telemetry",
    "microsoft",
    "sign_in",
    "vault",
    "portal",
    "notifier",
    "detector",
    "debouncer",
    "teams_sync",
    "sync_log",
];

impl Config {
    /// Reads a configuration file; the error lists every mistake.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read the configuration {}", path.display()))?;
        let folder = std::path::absolute(path)?.parent().map(Path::to_owned).unwrap_or_default();
        Self::parse(&text, path, &folder).with_context(|| format!("use the configuration {}", path.display()))
    }

    /// Reads the text of a configuration that stands in `folder`.
    pub(crate) fn parse(text: &str, file: &Path, folder: &Path) -> Result<Self, ConfigErrors> {
        let mut table = config::table(text)?;
        let mut errors = ConfigErrors::new();
        let sections: toml::Table =
            SECTIONS.iter().filter_map(|name| Some(((*name).to_owned(), table.remove(*name)?))).collect();
        let top = top(table, &mut errors);
        let has_microsoft = sections.contains_key("microsoft");
        let mut database: Option<DatabaseSection> = config::section(&sections, "database", &mut errors);
        let mut bus: Option<BusSection> = config::section(&sections, "bus", &mut errors);
        let telemetry: Option<TelemetrySection> = config::section(&sections, "telemetry", &mut errors);
        let mut microsoft: Option<MicrosoftSection> =
            if has_microsoft { config::section(&sections, "microsoft", &mut errors) } else { None };
        let sign_in: Option<SignInSection> = if sections.contains_key("sign_in") {
            config::section(&sections, "sign_in", &mut errors)
        } else {
            None
        };
        let mut portal: Option<PortalSection> = if sections.contains_key("portal") {
            config::section(&sections, "portal", &mut errors)
        } else {
            None
        };
        let mut notifier: Option<NotifierSection> = if sections.contains_key("notifier") {
            config::section(&sections, "notifier", &mut errors)
        } else {
            None
        };
        let vault: Option<VaultSection> = config::section(&sections, "vault", &mut errors);
        let mut detector: Option<DetectorConfig> = config::section(&sections, "detector", &mut errors);
        let debouncer: Option<DebouncerSection> = config::section(&sections, "debouncer", &mut errors);
        let teams_sync: Option<TeamsSyncSection> = config::section(&sections, "teams_sync", &mut errors);
        let sync_log: Option<SyncLogSection> = config::section(&sections, "sync_log", &mut errors);
        // the rest of the file is checked even where a section could not be read
        let environment = top.environment;
        if let Some(database) = &mut database {
            database.check(folder, &mut errors);
        }
        if let Some(bus) = &mut bus {
            bus.check(folder, environment, &mut errors);
        }
        if let Some(microsoft) = &mut microsoft {
            microsoft.check(folder, environment, &mut errors);
        }
        if let Some(sign_in) = &sign_in {
            sign_in.check(has_microsoft, &mut errors);
        }
        if let Some(portal) = &mut portal {
            portal.check(folder, &mut errors);
        }
        if let Some(notifier) = &mut notifier {
            notifier.check(folder, sections.contains_key("portal"), &mut errors);
        }
        if let Some(detector) = &mut detector {
            roles::resolve_detector(detector, folder);
        }
        let debouncer = debouncer.map(|section| section.settings(&mut errors));
        let request_timeout = microsoft.as_ref().map(|microsoft| microsoft.request_timeout);
        let teams_sync =
            teams_sync.map(|section| section.settings(environment, request_timeout, &mut errors));
        let sync_log = sync_log.map(|section| section.settings(&mut errors));
        if let (Some(detector), Some(debouncer), Some(teams_sync)) = (&detector, &debouncer, &teams_sync) {
            lateness::check(detector, debouncer, teams_sync, &mut errors);
        }
        let complete = (database, bus, telemetry, vault, detector, debouncer, teams_sync, sync_log);
        let (
            Some(database),
            Some(bus),
            Some(telemetry),
            Some(mut vault),
            Some(detector),
            Some(debouncer),
            Some(teams_sync),
            Some(sync_log),
        ) = complete
        else {
            return Err(errors);
        };
        errors.into_result()?;
        vault.resolve(folder);
        let file = file.to_owned();
        Ok(Self {
            file,
            environment,
            database,
            bus,
            telemetry,
            microsoft,
            sign_in,
            vault,
            portal,
            notifier,
            detector,
            debouncer,
            teams_sync,
            sync_log,
        })
    }
}

/// The keys outside all sections; each bad one is told by its own name.
fn top(table: toml::Table, errors: &mut ConfigErrors) -> Top {
    let mut only = toml::Table::new();
    for (key, value) in table {
        let unknown = key != "environment";
        if unknown && value.is_table() {
            errors.push_hint(key, "is no section", format!("sections are {}", SECTIONS.join(", ")));
        } else if unknown {
            errors.push(key, "is not a key");
        } else {
            only.insert(key, value);
        }
    }
    toml::Value::Table(only).try_into().unwrap_or_else(|_| {
        errors.push("environment", "is \"production\" or \"development\"");
        Top::default()
    })
}

/// A path of the file as seen from everywhere.
fn resolve(folder: &Path, path: &mut PathBuf) {
    *path = folder.join(&*path);
}

/// The same for a path that may be absent.
fn resolve_some(folder: &Path, path: &mut Option<PathBuf>) {
    if let Some(path) = path {
        resolve(folder, path);
    }
}

#[cfg(test)]
mod tests;
