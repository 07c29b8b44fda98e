//! A PostgreSQL of one test.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tandem_servers::{PostgresOptions, PrivatePostgres};

use crate::{TempDir, template};

/// Raised with every change of how clusters are made, so that older templates are not used again.
const LAYOUT: u32 = 2;

/// The template of a key for the programs of this version.
fn template_name(major: u32, key: &str) -> String {
    format!("pg{major}-{LAYOUT}-{key}")
}

/// Removes what [`Pg::start_prepared`] keeps for a key; for keys that only one test run uses.
///
/// # Errors
/// When there is no PostgreSQL or the files cannot be removed.
pub async fn forget_prepared(key: &str) -> Result<()> {
    let programs = crate::search().postgres().await?;
    template::Template::lock(&template_name(programs.major, key))?.remove()
}

/// A PostgreSQL that belongs to one test, with a database to use.
#[derive(Debug)]
pub struct Pg {
    /// The URL of the database for the superuser, password included.
    pub url: String,
    /// The name of the database.
    pub database: String,
    /// The server: kill, restart, port.
    pub server: PrivatePostgres,
    databases: AtomicU32,
    _dir: TempDir,
}

/// One database of a [`Pg`].
#[derive(Debug, Clone)]
pub struct Db {
    /// The URL of the database for the superuser, password included.
    pub url: String,
    /// The name of the database.
    pub name: String,
}

impl Pg {
    /// Starts a server with an empty database; about 0.2 s, because the cluster is copied from a template.
    ///
    /// # Errors
    /// When there is no PostgreSQL or it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_prepared("empty", async |_| Ok(())).await
    }

    /// Like [`start`](Self::start), with a database that `prepare` has worked on. The result is kept under
    /// `target/` and `prepare` runs only when there is none for this key: the key must change with whatever
    /// `prepare` does (a hash of the migrations, say).
    ///
    /// # Errors
    /// When there is no PostgreSQL, it does not start, or `prepare` fails.
    pub async fn start_prepared(key: &str, prepare: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<Self> {
        let programs = crate::search().postgres().await?;
        let template = template::Template::lock(&template_name(programs.major, key))?;
        if !template.exists() {
            let dir = TempDir::new()?;
            let mut first = Self::on(&programs, dir).await?;
            first.create_database("test").await?;
            prepare(&first).await?;
            first.server.stop().await;
            template.keep(&first._dir.path().join("postgres"))?;
        }
        let dir = TempDir::new()?;
        template.copy(&dir.path().join("postgres"))?;
        drop(template);
        Self::on(&programs, dir).await
    }

    async fn on(programs: &tandem_servers::PostgresPrograms, dir: TempDir) -> Result<Self> {
        let options = PostgresOptions { fast: true, settings: Vec::new() };
        let server =
            PrivatePostgres::start(programs, &dir.path().join("postgres"), options, &mut |_| ()).await?;
        let database = "test".to_owned();
        let url = server.url(&database).expose_secret().to_owned();
        Ok(Self { url, database, server, databases: AtomicU32::new(0), _dir: dir })
    }

    /// The URL of a database of this server for a user.
    #[must_use]
    pub fn url_for(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.server.port())
    }

    /// A new empty database on this server; about 0.05 s.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn fresh_db(&self) -> Result<Db> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.create_database(&name).await?;
        Ok(Db { url: self.server.url(&name).expose_secret().to_owned(), name })
    }

    async fn create_database(&self, name: &str) -> Result<()> {
        let admin = self.server.url("postgres");
        let mut connection =
            PgConnection::connect(admin.expose_secret()).await.context("connect as superuser")?;
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.context("create a database")?;
        connection.close().await.context("close the superuser's connection")
    }
}
