//! Private servers on a disk, and an empty database on them for each run.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tandem_bus::{Auth, Bus, BusConfig};
use tandem_runtime::{Clock, Ctx, Ids};
use tandem_servers::{NatsOptions, NatsUser, PostgresOptions, PrivateNats, PrivatePostgres, Search};
use tandem_store::{DbConfig, Login, Store};
use tandem_wire::{StreamSettings, Subjects, settings};
use tempfile::TempDir;

use crate::report::say;

/// Password of every login here.
pub(crate) const PASSWORD: &str = "loopback-only";
const NATS_USER: &str = "tandem";
/// The most a stream keeps here; no run fills it.
const STREAM_BYTES: i64 = 256 * 1024 * 1024;

/// What is not the default of PostgreSQL: memory as for a small server, and room in the log, so that no checkpoint
/// falls into one run and not into another. Durability is as it comes: `fsync`, `synchronous_commit` and
/// `full_page_writes` are on.
pub(crate) const POSTGRES_SETTINGS: [(&str, &str); 4] = [
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "30min"),
    ("max_connections", "200"),
];

/// What `--statements` needs.
const STATEMENT_SETTINGS: [(&str, &str); 2] =
    [("shared_preload_libraries", "pg_stat_statements"), ("pg_stat_statements.track", "all")];

/// PostgreSQL and nats-server.
pub(crate) struct Servers {
    pub(crate) pg: PrivatePostgres,
    pub(crate) nats: PrivateNats,
    stages: AtomicU32,
    /// Whether what each statement costs is told.
    statements: bool,
    dir: TempDir,
}

impl Servers {
    /// Starts both under a new folder of `base`.
    pub(crate) async fn start(base: &Path, statements: bool) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("tandem-bench-")
            .tempdir_in(base)
            .with_context(|| format!("make a folder in {}", base.display()))?;
        // the servers run as another user when root measures
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
        let search = search();
        let mut settings = POSTGRES_SETTINGS.to_vec();
        if statements {
            settings.extend(STATEMENT_SETTINGS);
        }
        let settings =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let options = PostgresOptions { fast: false, settings };
        let programs = search.postgres().await?;
        let pg =
            PrivatePostgres::start(&programs, &dir.path().join("postgres"), options, &mut |_| ()).await?;
        let options = NatsOptions { users: vec![NatsUser::unlimited(NATS_USER)], sync_always: false };
        let program = search.nats().await?;
        let nats = PrivateNats::start(&program, &dir.path().join("nats"), options, &mut |_| ()).await?;
        say(&format!(
            "servers: PostgreSQL {} and nats-server {:?} in {}",
            programs.major,
            program.version,
            dir.path().display()
        ));
        Ok(Self { pg, nats, stages: AtomicU32::new(0), statements, dir })
    }

    /// The folder of the servers, for what belongs to a run.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Process ids of both.
    pub(crate) fn pids(&self) -> [u32; 2] {
        [self.pg.pid(), self.nats.pid()]
    }

    /// A migrated, empty database and subjects of its own.
    pub(crate) async fn stage(&self) -> Result<Stage> {
        let number = self.stages.fetch_add(1, Ordering::Relaxed);
        let database = format!("stage_{number}");
        self.create_database(&database).await?;
        let config = DbConfig {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(30),
            ..DbConfig::local(self.pg.port(), &database)
        };
        let passwords: BTreeMap<&'static str, SecretString> =
            Login::ALL.into_iter().map(|login| (login.name(), SecretString::from(PASSWORD))).collect();
        tandem_store::migrate(&config, "postgres", self.pg.password(), &passwords).await?;
        let url = self.pg.url(&database);
        let owner = PgPoolOptions::new().max_connections(8).connect(url.expose_secret()).await?;
        let nats = self.nats.url(NATS_USER).context("the NATS user")?;
        let prefix = format!("s{number}");
        let subjects = Subjects::new(&prefix)?;
        Ok(Stage { database, config, owner, nats, prefix, subjects })
    }

    /// An empty database; its URL for the superuser.
    pub(crate) async fn create_database(&self, name: &str) -> Result<SecretString> {
        self.admin(&format!("create database {name} template template0")).await?;
        Ok(self.pg.url(name))
    }

    /// Begins to count what statements cost, if that was asked for.
    pub(crate) async fn count_statements(&self, stage: &Stage) -> Result<()> {
        if self.statements {
            sqlx::raw_sql("create extension if not exists pg_stat_statements").execute(&stage.owner).await?;
            sqlx::raw_sql("select pg_stat_statements_reset()").execute(&stage.owner).await?;
        }
        Ok(())
    }

    /// Tells what statements have cost, nested ones apart.
    pub(crate) async fn tell_statements(&self, stage: &Stage) -> Result<()> {
        if !self.statements {
            return Ok(());
        }
        let most = "select total_exec_time, calls, rows, left(regexp_replace(query, '\\s+', ' ', 'g'), 120)
                      from pg_stat_statements order by total_exec_time desc limit 16";
        let found: Vec<(f64, i64, i64, String)> = sqlx::query_as(most).fetch_all(&stage.owner).await?;
        for (ms, calls, rows, statement) in found {
            say(&format!("    {ms:>8.0} ms {calls:>7} calls {rows:>8} rows  {statement}"));
        }
        Ok(())
    }

    /// Removes a stage, so that nothing of it is vacuumed or written during the next run.
    pub(crate) async fn clear(&self, stage: Stage) -> Result<()> {
        stage.owner.close().await;
        self.drop_database(&stage.database).await
    }

    /// Removes a database.
    pub(crate) async fn drop_database(&self, name: &str) -> Result<()> {
        self.admin(&format!("drop database {name} with (force)")).await?;
        self.admin("checkpoint").await
    }

    async fn admin(&self, statement: &str) -> Result<()> {
        let mut connection = PgConnection::connect(self.pg.url("postgres").expose_secret()).await?;
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Stops both.
    pub(crate) async fn stop(mut self) {
        self.pg.stop().await;
        self.nats.stop().await;
    }
}

/// Where the programs are: `.tools` of the checkout, PATH, Debian's folders.
pub(crate) fn search() -> Search {
    #[expect(clippy::disallowed_methods, reason = "a program of its own; PATH says what is installed")]
    let path = std::env::var_os("PATH");
    Search::near(&[Path::new(env!("CARGO_MANIFEST_DIR"))], path)
}

/// What one run works on.
pub(crate) struct Stage {
    pub(crate) database: String,
    pub(crate) config: DbConfig,
    /// The database as its owner, for seeding and looking behind the curtain.
    pub(crate) owner: PgPool,
    pub(crate) nats: SecretString,
    pub(crate) prefix: String,
    pub(crate) subjects: Subjects,
}

impl Stage {
    /// The stage of another process, which owns it.
    pub(crate) fn existing(config: DbConfig, nats: String, prefix: &str) -> Result<Self> {
        let config = DbConfig { max_connections: 16, ..config };
        // a child looks behind no curtain
        let owner = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1/none")?;
        let (database, subjects) = (config.name.clone(), Subjects::new(prefix)?);
        Ok(Self { database, config, owner, nats: nats.into(), prefix: prefix.to_owned(), subjects })
    }

    /// The database as one login.
    pub(crate) fn store(&self, login: Login) -> Store {
        Store::connect(&self.config, login, &SecretString::from(PASSWORD))
    }

    /// The broker.
    pub(crate) async fn bus(&self, ctx: &Ctx) -> Result<Bus> {
        let url = url::Url::parse(self.nats.expose_secret())?;
        let mut config = BusConfig::new(format!("nats://127.0.0.1:{}", url.port().context("a port")?));
        config.auth = Auth::UserPassword {
            user: url.username().to_owned(),
            password: SecretString::from(url.password().unwrap_or_default()),
        };
        // the broker sets aside what each stream may keep, and the streams of earlier stages stay with it
        let streams = settings::all_streams(&self.subjects, 1)
            .into_iter()
            .map(|stream| StreamSettings { max_bytes: STREAM_BYTES, ..stream })
            .collect();
        Ok(Bus::connect(ctx, config, streams).await?)
    }

    /// Statistics and visibility as after a night of production.
    pub(crate) async fn settle(&self) -> Result<()> {
        sqlx::raw_sql("vacuum analyze").execute(&self.owner).await?;
        Ok(())
    }

    /// One number from the database.
    pub(crate) async fn number(&self, query: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(query).fetch_one(&self.owner).await?)
    }
}

/// A context as a process of its own would have one.
pub(crate) fn context() -> Ctx {
    Ctx::quiet(Clock::system(), Ids::random())
}

/// Ends what runs in a context; errors that happened there are errors here.
pub(crate) async fn end(ctx: &Ctx) -> Result<()> {
    ctx.stop();
    let drained = ctx.drain(Duration::from_secs(20)).await;
    let errors = ctx.background_errors();
    anyhow::ensure!(errors.is_empty(), "background errors: {errors:?}");
    anyhow::ensure!(drained, "the roles did not end in time");
    Ok(())
}
