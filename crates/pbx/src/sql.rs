//! A PBX database read through a mapping, as one complete snapshot.
//!
//! Each snapshot has its own connection and one read-only transaction at REPEATABLE READ, so that it shows one moment
//! and can never write. A connection of its own also means that nothing prepared before an upgrade of the PBX is used
//! after it. Rows stream: a slow reader slows the server down and memory stays the same.
//!
//! A snapshot is complete when [`Snapshot::next`] has returned `None`. Anything else, be it a lost connection, a
//! timeout or a cancelled statement on a standby, is an error and says nothing about any user.

mod decode;
mod error;
mod open;
mod pre_flight;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use error::SourceError;
pub use pre_flight::{Finding, PreFlight, Severity};
pub use read::{Batch, RowProblem, Snapshot, SourceRow};
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use tandem_runtime::Clock;

use crate::country::Country;
use crate::mapping::Mapping;

/// Where a PBX database is and how it is read.
#[derive(Clone, Debug)]
pub struct SqlSourceConfig {
    /// `postgres://user:password@host:port/database?sslmode=verify-full`.
    pub url: SecretString,
    /// The mapping to read it through.
    pub mapping: Mapping,
    /// Name under which the session shows in `pg_stat_activity`.
    pub application_name: String,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest run of the query; `None` takes the mapping's.
    pub statement_timeout: Option<Duration>,
    /// How numbers without `+` are written, by account key; these win over the mapping's.
    pub countries: BTreeMap<String, Country>,
    /// Certificate of the authority that signed the server's, if it is not a public one.
    pub root_certificate: Option<PathBuf>,
}

impl SqlSourceConfig {
    /// Everything but address and mapping at its default.
    #[must_use]
    pub fn new(url: SecretString, mapping: Mapping) -> Self {
        Self {
            url,
            mapping,
            application_name: "tandem".to_owned(),
            connect_timeout: Duration::from_secs(10),
            statement_timeout: None,
            countries: BTreeMap::new(),
            root_certificate: None,
        }
    }
}

/// A PBX database. Cheap to clone.
#[derive(Clone)]
pub struct SqlSource {
    inner: Arc<Inner>,
}

struct Inner {
    options: PgConnectOptions,
    mapping: Mapping,
    connect_timeout: Duration,
    statement_timeout: Duration,
    countries: BTreeMap<String, Country>,
}

impl Inner {
    fn country(&self, account_key: &str) -> Option<&Country> {
        self.countries.get(account_key).or_else(|| self.mapping.country(account_key))
    }
}

impl SqlSource {
    /// Takes the configuration. Nothing is connected yet: a PBX that is down must not keep a role from starting.
    ///
    /// # Errors
    /// [`SourceError::Url`] when the address cannot be understood.
    pub fn new(config: SqlSourceConfig) -> Result<Self, SourceError> {
        let options = open::options(&config)?;
        let statement_timeout =
            config.statement_timeout.unwrap_or_else(|| config.mapping.statement_timeout());
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                mapping: config.mapping,
                connect_timeout: config.connect_timeout,
                statement_timeout,
                countries: config.countries,
            }),
        })
    }

    /// The mapping that it is read through.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.inner.mapping
    }

    /// Begins a snapshot: connected, transaction begun, query started.
    ///
    /// # Errors
    /// [`SourceError`] when the PBX cannot be reached or refuses the session. What goes wrong later comes out of
    /// [`Snapshot::next`].
    pub async fn snapshot(&self, clock: &Clock) -> Result<Snapshot, SourceError> {
        let started_at = clock.now();
        let connection = open::session(&self.inner).await?;
        Ok(Snapshot::start(Arc::clone(&self.inner), connection, clock.clone(), started_at))
    }

    /// Looks whether the source can be read as it should, and whether the role can do more than it should.
    ///
    /// It never fails: what goes wrong is a finding.
    pub async fn pre_flight(&self, clock: &Clock) -> PreFlight {
        pre_flight::run(self, clock).await
    }
}
