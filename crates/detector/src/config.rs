//! Configuration of the role, and what it becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tandem_domain::guard::RemovalGuard;
use tandem_domain::window::Timing;
use tandem_pbx::{Country, Mapping, SqlSource, SqlSourceConfig};
use tandem_runtime::config::{ConfigErrors, duration, secret_file};

use crate::PUSH_SOURCE;

/// Section `detector` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorConfig {
    /// How often a source is read.
    #[serde(with = "duration")]
    pub poll: Duration,
    /// Wait before a second look confirms that a user is gone.
    #[serde(with = "duration")]
    pub second_look: Duration,
    /// So many users may vanish from an account at once without waiting for an operator.
    pub removal_floor: usize,
    /// Beyond the floor, this share of the account's users, in percent.
    pub removal_percent: usize,
    /// The sources.
    pub sources: Vec<SourceConfig>,
    /// The push endpoint, if there is to be one.
    pub push: Option<PushConfig>,
}

impl Default for DetectorConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(60),
            second_look: Duration::from_secs(10),
            removal_floor: RemovalGuard::DEFAULT.floor,
            removal_percent: RemovalGuard::DEFAULT.percent,
            sources: Vec::new(),
            push: None,
        }
    }
}

/// One PBX database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Its name in bindings, changes and logs; it must not change.
    pub name: String,
    /// File with the URL of the database, password included.
    pub url_file: PathBuf,
    /// Name of a shipped mapping, or path of a mapping file.
    pub mapping: String,
    /// How often it is read, if not like the others.
    #[serde(default, with = "duration::option")]
    pub poll: Option<Duration>,
    /// Longest run of its query, if not the mapping's.
    #[serde(default, with = "duration::option")]
    pub statement_timeout: Option<Duration>,
    /// Certificate of the authority that signed the server's, if it is not a public one.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How numbers without `+` are written, by account key.
    #[serde(default)]
    pub countries: BTreeMap<String, Country>,
}

/// The push endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushConfig {
    /// Where it listens. TLS is ended in front of it.
    pub listen: SocketAddr,
    /// Folder with one file for each account, named like it, with one or two secrets, a line each.
    pub secrets_dir: PathBuf,
    /// Messages that one account may send in a second.
    #[serde(default = "default_rate")]
    pub rate_per_second: u32,
}

fn default_rate() -> u32 {
    50
}

/// What the role runs with.
#[derive(Clone, Debug)]
pub struct DetectorSettings {
    /// The sources.
    pub sources: Vec<SourceSettings>,
    /// Wait before a second look confirms that a user is gone.
    pub second_look: Duration,
    /// When losses wait for an operator.
    pub guard: RemovalGuard,
    /// How often it is looked whether a read is due.
    pub tick: Duration,
    /// Life of the claim of a read; it is renewed at a third of it.
    pub lease: Duration,
    /// Quiet period and longest wait of accounts that set none, for the answers to pushes.
    pub timing: Timing,
    /// From the due time of a window to the start of its job at the latest, for the answers to pushes: sweep,
    /// hand-over or take-over, and claim.
    pub after_due: Duration,
    /// The push endpoint.
    pub push: Option<PushSettings>,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            second_look: Duration::from_secs(10),
            guard: RemovalGuard::DEFAULT,
            tick: Duration::from_secs(1),
            lease: Duration::from_secs(15),
            timing: Timing::DEFAULT,
            after_due: Duration::from_secs(240),
            push: None,
        }
    }
}

/// One source.
#[derive(Clone)]
pub struct SourceSettings {
    /// Its name.
    pub name: String,
    /// How it is read.
    pub source: SqlSource,
    /// How often.
    pub poll: Duration,
}

impl std::fmt::Debug for SourceSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceSettings")
            .field("name", &self.name)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}

/// The push endpoint.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Folder with the accounts' secrets.
    pub secrets_dir: PathBuf,
    /// Messages that one account may send in a second.
    pub rate_per_second: u32,
}

impl DetectorConfig {
    /// Reads the files that the section names and checks the rest; every mistake is added to `errors`.
    /// Nothing is connected: a PBX that is down does not keep the role from starting.
    pub fn settings(&self, errors: &mut ConfigErrors) -> DetectorSettings {
        if self.poll.is_zero() {
            errors.push("detector.poll", "must be longer than nothing");
        }
        let mut names = BTreeSet::new();
        let sources = self
            .sources
            .iter()
            .enumerate()
            .filter_map(|(index, source)| {
                let key = format!("detector.sources[{index}]");
                if !names.insert(source.name.as_str()) {
                    errors.push(format!("{key}.name"), "another source has this name");
                }
                source.settings(&key, self.poll, errors)
            })
            .collect();
        let push = self.push.as_ref().map(|push| push.settings(errors));
        DetectorSettings {
            sources,
            second_look: self.second_look,
            guard: RemovalGuard { floor: self.removal_floor, percent: self.removal_percent },
            push,
            ..DetectorSettings::default()
        }
    }
}

impl SourceConfig {
    fn settings(&self, key: &str, poll: Duration, errors: &mut ConfigErrors) -> Option<SourceSettings> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=63).contains(&self.name.len()) || !self.name.bytes().all(plain) || self.name == PUSH_SOURCE {
            let problem = "is 1 to 63 lower-case letters, digits and hyphens, and not \"push\"";
            errors.push(format!("{key}.name"), problem);
        }
        if self.poll.is_some_and(|poll| poll.is_zero()) {
            errors.push(format!("{key}.poll"), "must be longer than nothing");
        }
        let url = secret_file(&self.url_file)
            .map_err(|error| errors.push(format!("{key}.url_file"), tandem_runtime::chain(&error)))
            .ok();
        let mapping = self.mapping(key, errors);
        let source = SqlSource::new(SqlSourceConfig {
            countries: self.countries.clone(),
            statement_timeout: self.statement_timeout,
            root_certificate: self.ca_file.clone(),
            ..SqlSourceConfig::new(url?, mapping?)
        })
        .map_err(|error| errors.push(format!("{key}.url_file"), tandem_runtime::chain(&error)))
        .ok()?;
        Some(SourceSettings { name: self.name.clone(), source, poll: self.poll.unwrap_or(poll) })
    }

    fn mapping(&self, key: &str, errors: &mut ConfigErrors) -> Option<Mapping> {
        if let Some(mapping) = Mapping::builtin(&self.mapping) {
            return Some(mapping);
        }
        Mapping::load(Path::new(&self.mapping))
            .map_err(|problems| {
                for problem in problems.iter() {
                    let text = format!("{}: {} ({})", problem.key, problem.problem, problem.code);
                    errors.push_hint(format!("{key}.mapping"), text, problem.remedy.clone());
                }
            })
            .ok()
    }
}

impl PushConfig {
    fn settings(&self, errors: &mut ConfigErrors) -> PushSettings {
        if !self.secrets_dir.is_dir() {
            errors.push("detector.push.secrets_dir", "is not a folder");
        }
        if self.rate_per_second == 0 {
            errors.push("detector.push.rate_per_second", "must be at least 1");
        }
        PushSettings {
            listen: self.listen,
            secrets_dir: self.secrets_dir.clone(),
            rate_per_second: self.rate_per_second,
        }
    }
}
