//! Connections and named transactions.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{Connection, Executor, PgConnection};
use tandem_domain::AccountId;

use crate::{Login, StoreError};

/// A connection that was idle for longer is tested before it is used.
const TESTED: Duration = Duration::from_secs(1);

/// Where the database is.
#[derive(Clone, Debug)]
pub struct DbConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database name.
    pub name: String,
    /// Whether TLS with a checked host name is demanded; off only for loopback.
    pub tls: bool,
    /// Private certificate authority of the server.
    pub ca_file: Option<PathBuf>,
    /// Connections of one role at most.
    pub max_connections: u32,
    /// Longest wait for a connection.
    pub acquire_timeout: Duration,
    /// Longest a statement may run.
    pub statement_timeout: Duration,
}

impl DbConfig {
    /// A database on this machine, without TLS.
    #[must_use]
    pub fn local(port: u16, name: &str) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port,
            name: name.to_owned(),
            tls: false,
            ca_file: None,
            max_connections: 8,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }

    pub(crate) fn options(&self, user: &str, password: &SecretString) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.name)
            .username(user)
            .password(password.expose_secret())
            .application_name("tandem")
            .ssl_mode(if self.tls { PgSslMode::VerifyFull } else { PgSslMode::Disable });
        if let Some(ca) = &self.ca_file {
            options = options.ssl_root_cert(ca);
        }
        let statement = format!("{}ms", self.statement_timeout.as_millis());
        options.options([
            ("statement_timeout", statement.as_str()),
            ("idle_in_transaction_session_timeout", "30s"),
            ("lock_timeout", "10s"),
            ("timezone", "UTC"),
            // the rollback of a returned connection would warn each time that there is nothing to roll back
            ("client_min_messages", "error"),
        ])
    }
}

/// The database, as one login sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    login: Login,
}

impl Store {
    /// Prepares a pool; connections are made when they are needed, so a database that is away is no error yet.
    #[must_use]
    pub fn connect(config: &DbConfig, login: Login, password: &SecretString) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .idle_timeout(Duration::from_secs(300))
            // one that was in use a moment ago is as good as one that answered a moment ago
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TESTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .max_lifetime(Duration::from_secs(1800))
            // a cancelled `begin` may leave a transaction open on the connection; the next borrower must not get it
            .after_release(|connection, _| {
                Box::pin(async move {
                    connection.execute("rollback").await?;
                    Ok(true)
                })
            })
            .connect_lazy_with(config.options(login.name(), password));
        Self { pool, login }
    }

    /// The same database with `connections` of its own, for work that must never queue behind the rest: renewing a lease
    /// while thousands of jobs ask for connections.
    #[must_use]
    pub fn apart(&self, connections: u32) -> Self {
        let options = self.pool.options().clone().max_connections(connections);
        let pool = options.connect_lazy_with(self.pool.connect_options().as_ref().clone());
        Self { pool, login: self.login }
    }

    /// The login of this store.
    #[must_use]
    pub fn login(&self) -> Login {
        self.login
    }

    /// Starts a transaction over many accounts. `work` names it in errors and in the statement log.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection is to be had.
    #[expect(clippy::disallowed_methods, reason = "this is the one helper that the ban points to")]
    pub async fn begin(&self, work: &'static str) -> Result<Tx, StoreError> {
        let inner = self.pool.begin().await.map_err(|source| StoreError::of(work, source))?;
        Ok(Tx { inner, work })
    }

    /// Starts a transaction in the context of one account: row-level security shows the rows of that account only.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection is to be had.
    pub async fn begin_for(&self, work: &'static str, account: AccountId) -> Result<Tx, StoreError> {
        let mut tx = self.begin(work).await?;
        sqlx::query("select set_config('tandem.account', $1, true)")
            .bind(account.to_string())
            .execute(&mut *tx)
            .await
            .map_err(|source| StoreError::of(work, source))?;
        Ok(tx)
    }

    /// Runs `work` again, up to three times with backoff, while it loses races.
    ///
    /// # Errors
    /// The last error.
    pub async fn retrying<T, F, Fut>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(10))
            .with_max_times(3)
            .with_jitter();
        work.retry(backoff).when(|error| matches!(error, StoreError::Conflict { .. })).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.pool.execute("select 1").await.map(|_| ()).map_err(|source| StoreError::of("ping", source))
    }

    /// Connections open and connections idle.
    #[must_use]
    pub fn pool_size(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// A connection that listens, for callers that wait for another session's commit.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A named transaction. Dropped without [`Tx::commit`] it is rolled back.
#[derive(Debug)]
pub struct Tx {
    inner: sqlx::Transaction<'static, sqlx::Postgres>,
    work: &'static str,
}

impl Tx {
    /// Commits.
    ///
    /// # Errors
    /// [`StoreError`]; after [`StoreError::Unavailable`] the outcome is unknown and must be read again.
    pub async fn commit(self) -> Result<(), StoreError> {
        let work = self.work;
        self.inner.commit().await.map_err(|source| StoreError::of(work, source))
    }

    /// Turns an error of the driver into one that names this transaction.
    pub(crate) fn failed(&self) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        let work = self.work;
        move |source| StoreError::of(work, source)
    }

    /// Name of the transaction.
    #[must_use]
    pub fn work(&self) -> &'static str {
        self.work
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}
