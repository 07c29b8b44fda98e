//! Section `notifier`: who writes mail, what takes it away, and when accounts get it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tandem_domain::mail::Address;
use tandem_domain::reminder::Calendar;
use tandem_letters::Office;
use tandem_notifier::{Carrier, NotifierSettings, Sender, Smtp, SmtpConfig, TlsMode};
use tandem_runtime::chain;
use tandem_runtime::config::{ConfigErrors, duration, secret_file};
use url::Url;

use super::common::is_local;
use super::portal::{SITE, is_site};
use super::resolve_some;

/// Section `notifier`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NotifierSection {
    from: String,
    from_name: String,
    bounce: Option<String>,
    support: Option<String>,
    portal: Option<Url>,
    operators: Vec<String>,
    time_zone: String,
    hour: i16,
    folder: Option<PathBuf>,
    smtp: Option<SmtpSection>,
    #[serde(with = "duration")]
    sweep: Duration,
    #[serde(with = "duration")]
    tick: Duration,
    keep_days: i64,
    incident_accounts: i64,
}

impl Default for NotifierSection {
    fn default() -> Self {
        Self {
            from: String::new(),
            from_name: String::new(),
            bounce: None,
            support: None,
            portal: None,
            operators: Vec::new(),
            time_zone: "UTC".to_owned(),
            hour: 8,
            folder: None,
            smtp: None,
            sweep: Duration::from_secs(60),
            tick: Duration::from_secs(5),
            keep_days: 396,
            incident_accounts: 3,
        }
    }
}

/// Section `notifier.smtp`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SmtpSection {
    host: String,
    port: u16,
    #[serde(default)]
    tls: Tls,
    user: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    hello: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tls {
    #[default]
    Implicit,
    Starttls,
    None,
}

impl NotifierSection {
    /// Checks everything that shows without reading secrets.
    pub(super) fn check(&mut self, folder: &Path, has_portal: bool, errors: &mut ConfigErrors) {
        resolve_some(folder, &mut self.folder);
        if let Some(smtp) = &mut self.smtp {
            resolve_some(folder, &mut smtp.password_file);
            resolve_some(folder, &mut smtp.ca_file);
            smtp.check(errors);
        }
        if self.folder.is_some() == self.smtp.is_some() {
            errors.push_hint(
                "notifier",
                "names one way for mail to leave",
                "[notifier.smtp], or folder for files",
            );
        }
        match &self.portal {
            Some(portal) if !is_site(portal) => {
                errors.push_hint("notifier.portal", "is no address of a site, without a path", SITE);
            }
            None if !has_portal => {
                let hint = "the section [portal], or notifier.portal where that has a file of its own";
                errors.push_hint("notifier", "does not say where the links of mails lead", hint);
            }
            _ => {}
        }
        if let Err(error) = Sender::new(&self.from_name, &self.from, None) {
            errors.push("notifier.from", error.to_string());
        }
        if self.from_name.trim().is_empty() {
            errors.push_hint("notifier.from_name", "is missing", "the provider's name, as customers know it");
        }
        if self.bounce.as_deref().is_some_and(|bounce| Address::parse(bounce).is_err()) {
            errors.push("notifier.bounce", "is no address");
        }
        if self.operators.iter().any(|operator| Address::parse(operator).is_err()) {
            errors.push("notifier.operators", "are addresses such as noc@provider.example");
        }
        if let Err(error) = Calendar::new(&self.time_zone, self.hour) {
            let key = if error.code() == "mail_hour" { "notifier.hour" } else { "notifier.time_zone" };
            errors.push(key, error.to_string());
        }
        for (key, value) in [("sweep", self.sweep), ("tick", self.tick)] {
            if value < Duration::from_millis(10) {
                errors.push(format!("notifier.{key}"), "must be at least 10ms");
            }
        }
        if self.keep_days < 30 {
            errors.push("notifier.keep_days", "must be at least 30");
        }
        if self.incident_accounts < 2 {
            errors.push("notifier.incident_accounts", "must be at least 2");
        }
    }

    /// Settings of the role; `base` is where the portal of this file is seen.
    pub(crate) fn settings(&self, base: Option<&Url>) -> Option<NotifierSettings> {
        Some(NotifierSettings {
            sweep: self.sweep,
            tick: self.tick,
            office: self.office(base)?,
            sender: Sender::new(&self.from_name, &self.from, self.bounce.as_deref()).ok()?,
            calendar: self.calendar()?,
            operators: self.operators.iter().filter_map(|operator| Address::parse(operator).ok()).collect(),
            keep: time::Duration::days(self.keep_days),
            claim: time::Duration::minutes(10),
            incident_accounts: self.incident_accounts,
        })
    }

    /// Who writes, and where the links of mails lead.
    pub(crate) fn office(&self, base: Option<&Url>) -> Option<Office> {
        let base = self.portal.as_ref().or(base)?.clone();
        Some(Office { base, provider: self.from_name.clone(), support: self.support.clone() })
    }

    /// Time zone and hour of accounts that set none.
    pub(crate) fn calendar(&self) -> Option<Calendar> {
        Calendar::new(&self.time_zone, self.hour).ok()
    }

    /// What takes mail away, its secret read.
    pub(crate) fn carrier(&self, errors: &mut ConfigErrors) -> Option<Carrier> {
        match (&self.smtp, &self.folder) {
            (Some(smtp), _) => smtp.carrier(errors).map(Carrier::Smtp),
            (None, folder) => folder.clone().map(Carrier::Folder),
        }
    }
}

impl SmtpSection {
    fn check(&self, errors: &mut ConfigErrors) {
        if self.host.is_empty() {
            errors.push("notifier.smtp.host", "is empty");
        }
        if self.tls == Tls::None && !is_local(&self.host) {
            let hint = "tls = \"implicit\" or \"starttls\"";
            errors.push_hint("notifier.smtp.tls", "must be on: the mail server is not on this machine", hint);
        }
        if self.user.is_some() != self.password_file.is_some() {
            errors.push("notifier.smtp.user", "user and password_file belong together");
        }
    }

    fn carrier(&self, errors: &mut ConfigErrors) -> Option<Smtp> {
        let login = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => {
                let read = secret_file(file).map_err(|error| {
                    errors.push("notifier.smtp.password_file", chain(&error));
                });
                let password = SecretString::from(read.ok()?.expose_secret().trim().to_owned());
                Some((user.clone(), password))
            }
            _ => None,
        };
        let ca_pem = match &self.ca_file {
            None => None,
            Some(file) => {
                let read = std::fs::read_to_string(file).map_err(|error| {
                    errors.push("notifier.smtp.ca_file", format!("read {}: {error}", file.display()));
                });
                Some(read.ok()?)
            }
        };
        let config = SmtpConfig {
            host: self.host.clone(),
            port: self.port,
            tls: match self.tls {
                Tls::Implicit => TlsMode::Implicit,
                Tls::Starttls => TlsMode::StartTls,
                Tls::None => TlsMode::None,
            },
            ca_pem,
            login,
            hello: self.hello.clone(),
            patience: Duration::from_secs(30),
            data_patience: Duration::from_secs(300),
        };
        Smtp::new(config).map_err(|error| errors.push("notifier.smtp", error.to_string())).ok()
    }
}
