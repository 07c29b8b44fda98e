//! A configuration made into settings, secrets read, nothing connected.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use secrecy::SecretString;
use tandem_bus::BusConfig;
use tandem_debouncer::DebouncerSettings;
use tandem_detector::DetectorSettings;
use tandem_graph::GraphConfig;
use tandem_runtime::config::ConfigErrors;
use tandem_store::{DbConfig, Login, Store};
use tandem_sync_log::SyncLogSettings;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_vault::Opener;
use tandem_wire::Subjects;

use super::notifier::NotifierPrepared;
use super::portal::PortalPrepared;
use crate::config::{self, Config};

/// A role of the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Notices changes.
    Detector,
    /// Gathers them.
    Debouncer,
    /// Carries them into the tenant.
    TeamsSync,
    /// Keeps the record.
    SyncLog,
    /// Lets people in.
    Portal,
    /// Writes mail.
    Notifier,
}

impl Role {
    /// All roles.
    pub(crate) const ALL: [Self; 6] =
        [Self::Detector, Self::Debouncer, Self::TeamsSync, Self::SyncLog, Self::Portal, Self::Notifier];

    /// The roles that a configuration has sections for. A file without [microsoft] serves machines on which teams-sync
    /// does not run, one without [portal] those on which nobody signs in, and one without [notifier] those that send no mail.
    pub(crate) fn configured(config: &Config) -> Vec<Self> {
        let there = |role: &Self| match role {
            Self::TeamsSync => config.microsoft.is_some(),
            Self::Portal => config.portal.is_some(),
            Self::Notifier => config.notifier.is_some(),
            _ => true,
        };
        Self::ALL.into_iter().filter(there).collect()
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Debouncer => "debouncer",
            Self::TeamsSync => "teams-sync",
            Self::SyncLog => "sync-log",
            Self::Portal => "portal",
            Self::Notifier => "notifier",
        }
    }

    /// Who it is to the database.
    pub(crate) fn login(self) -> Login {
        match self {
            Self::Detector => Login::Detector,
            Self::Debouncer => Login::Debouncer,
            Self::TeamsSync => Login::TeamsSync,
            Self::SyncLog => Login::SyncLog,
            Self::Portal => Login::Portal,
            Self::Notifier => Login::Notifier,
        }
    }
}

/// Everything that the named roles need, secrets included.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(super) roles: Vec<Role>,
    pub(super) bus: BusConfig,
    pub(super) subjects: Subjects,
    pub(super) replicas: usize,
    pub(super) graph: Option<GraphConfig>,
    pub(super) vault: Option<Arc<Opener>>,
    pub(super) detector: Option<DetectorSettings>,
    pub(super) debouncer: DebouncerSettings,
    pub(super) teams_sync: TeamsSyncSettings,
    pub(super) sync_log: SyncLogSettings,
    pub(super) portal: Option<PortalPrepared>,
    pub(super) notifier: Option<NotifierPrepared>,
    database: DbConfig,
    passwords: Vec<(Login, SecretString)>,
}

impl Prepared {
    /// Reads the secrets that the roles need; the error lists every mistake.
    pub(crate) fn new(config: &Config, roles: &[Role]) -> anyhow::Result<Self> {
        let mut errors = ConfigErrors::new();
        let prepared = Self::collect(config, roles, &mut errors);
        let told = || format!("use the configuration {}", config.file.display());
        errors.into_result().with_context(told)?;
        prepared.with_context(told)
    }

    /// The same, with the mistakes in `errors`.
    pub(crate) fn collect(
        config: &Config,
        roles: &[Role],
        errors: &mut ConfigErrors,
    ) -> anyhow::Result<Self> {
        let client = match roles {
            [role] => format!("tandem-{}", role.name()),
            _ => "tandem".to_owned(),
        };
        let passwords = roles
            .iter()
            .filter_map(|role| Some((role.login(), config.database.password(role.login(), errors)?)))
            .collect();
        let detector = roles.contains(&Role::Detector).then(|| {
            let mut settings = config.detector.settings(errors);
            settings.timing = config.debouncer.timing;
            settings.after_due = config::after_due(config);
            settings
        });
        // nobody else may open what is sealed
        let (graph, vault) = if roles.contains(&Role::TeamsSync) {
            (graph(config, errors), config.vault.opener(errors))
        } else {
            (None, None)
        };
        let portal =
            if roles.contains(&Role::Portal) { PortalPrepared::collect(config, errors) } else { None };
        let notifier =
            if roles.contains(&Role::Notifier) { NotifierPrepared::collect(config, errors) } else { None };
        Ok(Self {
            roles: roles.to_vec(),
            bus: config.bus.config(&client, errors),
            subjects: config.bus.subjects()?,
            replicas: config.bus.replicas(),
            graph,
            vault,
            detector,
            debouncer: config.debouncer.clone(),
            teams_sync: config.teams_sync.clone(),
            sync_log: config.sync_log.clone(),
            portal,
            notifier,
            database: config.database.config(),
            passwords,
        })
    }

    /// A pool for each role, as its own login.
    pub(super) fn stores(&self) -> Vec<Store> {
        self.passwords
            .iter()
            .map(|(login, password)| Store::connect(&self.database, *login, password))
            .collect()
    }

    /// Where health and metrics are served.
    pub(super) fn health_address(&self, config: &Config) -> SocketAddr {
        let health = &config.telemetry.health;
        match self.roles.as_slice() {
            [Role::Detector] => health.detector,
            [Role::Debouncer] => health.debouncer,
            [Role::TeamsSync] => health.teams_sync,
            [Role::SyncLog] => health.sync_log,
            [Role::Portal] => health.portal,
            [Role::Notifier] => health.notifier,
            _ => health.all,
        }
    }
}

fn graph(config: &Config, errors: &mut ConfigErrors) -> Option<GraphConfig> {
    let Some(microsoft) = &config.microsoft else {
        errors.push_hint("microsoft", "the section is missing", "teams-sync talks to Microsoft");
        return None;
    };
    microsoft.config(errors)
}
