//! The portal as one of the roles: its three logins, the issuers, and where it listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use tandem_graph::{Issuer, IssuerConfig, SignIn, SignInConfig};
use tandem_portal::{Mailing, Parts, PortalSettings, Windows};
use tandem_runtime::Ctx;
use tandem_runtime::config::ConfigErrors;
use tandem_store::{DbConfig, Login, Store};
use tandem_wire::Subjects;

use crate::config::{Config, longest_max_wait};

/// Everything that the portal needs, secrets read, nothing connected.
#[derive(Debug)]
pub(super) struct PortalPrepared {
    settings: PortalSettings,
    database: DbConfig,
    fleet: SecretString,
    operators: SecretString,
    microsoft: Option<SignInConfig>,
    provider: Option<IssuerConfig>,
    app: String,
    sealing_key: Option<PathBuf>,
    subjects: Subjects,
}

/// How mail is written, for previews of it.
fn mailing(config: &Config) -> Option<Mailing> {
    let (notifier, base) = (config.notifier.as_ref()?, config.portal.as_ref()?.base());
    Some(Mailing { office: notifier.office(base)?, calendar: notifier.calendar()? })
}

impl PortalPrepared {
    pub(super) fn collect(config: &Config, errors: &mut ConfigErrors) -> Option<Self> {
        let Some(section) = &config.portal else {
            errors.push_hint("portal", "the section is missing", "it says where people come in");
            return None;
        };
        let microsoft = match (&config.microsoft, &config.sign_in) {
            (Some(microsoft), Some(sign_in)) => microsoft.sign_in(sign_in, errors),
            _ => None,
        };
        let provider = section.issuer(errors);
        if microsoft.is_none() && provider.is_none() {
            let hint =
                "[sign_in] beside [microsoft] for customers, [portal.provider] for the provider's people";
            errors.push_hint("portal", "nobody can sign in", hint);
        }
        let longest = time::Duration::try_from(longest_max_wait(config)).ok()?;
        let windows = Windows { usual: config.debouncer.timing, longest };
        Some(Self {
            settings: section.settings(windows, mailing(config), errors)?,
            database: config.database.config(),
            fleet: config.database.password(Login::PortalFleet, errors)?,
            operators: config.database.password(Login::PortalProvider, errors)?,
            microsoft,
            provider,
            app: config.microsoft.as_ref().map(|microsoft| microsoft.client_id.clone()).unwrap_or_default(),
            sealing_key: config.vault.public_key_file.clone(),
            // a prefix that cannot be used is told by who connects the bus
            subjects: config.bus.subjects().ok()?,
        })
    }

    /// Starts it with `store` as its first login.
    pub(super) async fn start(&self, ctx: &Ctx, store: Store) -> anyhow::Result<SocketAddr> {
        let parts = Parts {
            store,
            fleet: Store::connect(&self.database, Login::PortalFleet, &self.fleet),
            operators: Store::connect(&self.database, Login::PortalProvider, &self.operators),
            microsoft: self.microsoft.clone().map(SignIn::new).transpose()?,
            provider: self.provider.clone().map(Issuer::new).transpose()?,
            app: self.app.clone(),
            sealing_key: self.sealing_key.clone(),
            subjects: self.subjects.clone(),
        };
        let address = tandem_portal::start(ctx, parts, &self.settings).await?;
        tracing::info!(address = %address, "the portal listens");
        Ok(address)
    }
}
