//! A database with accounts, a PBX, and detectors over them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use secrecy::SecretString;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Row};
use tandem_detector::{DetectorSettings, Parts, PushSettings, SourceSettings, Started};
use tandem_domain::AccountId;
use tandem_outbox::Bell;
use tandem_pbx::{Mapping, SqlSource, SqlSourceConfig, fixture};
use tandem_runtime::{Clock, Ctx, Ids};
use tandem_store::{DbConfig, Login, Store};
use tandem_testkit::{Db, Pg, TempDir, eventually};
use tandem_wire::Subjects;
use uuid::Uuid;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const SOURCE: &str = "main";
const PASSWORD: &str = "detector-of-a-test";
/// Longer than any test: a read or a second look happens only when the test asks for it.
pub(crate) const NEVER: Duration = Duration::from_secs(100_000);

/// A PBX of one small table, for what a real product would make hard to say.
pub(crate) const PEOPLE: &str = r#"
name = "people"
product = "people"
query = "select account_key, user_key, name, dids from people"
statement_timeout = "20s"
account_key = "account_key"
user_key = "user_key"
[columns]
display_name = { column = "name", kind = "text" }
did_numbers = { column = "dids", kind = "list" }
"#;

pub(crate) struct World {
    pub(crate) pg: Pg,
    /// The PBX's database.
    pub(crate) pbx: PgPool,
    /// Tandem's database, as its owner.
    pub(crate) db: PgPool,
    pub(crate) secrets: TempDir,
    source: SqlSource,
    _pbx_db: Db,
}

pub(crate) struct Detector {
    pub(crate) ctx: Ctx,
    pub(crate) push: Option<std::net::SocketAddr>,
}

impl Detector {
    /// Stops it and says whether everything ended as it should.
    pub(crate) async fn stop(self) {
        let in_time = self.ctx.drain(Duration::from_secs(20)).await;
        assert!(in_time, "the detector did not stop in time");
        assert_eq!(self.ctx.background_errors(), []);
    }
}

fn migrations_key() -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut hash = DefaultHasher::new();
    for file in files {
        std::fs::read(file.path())?.hash(&mut hash);
    }
    Ok(format!("detector-{:016x}", hash.finish()))
}

fn config(pg: &Pg) -> DbConfig {
    DbConfig::local(pg.server.port(), &pg.database)
}

async fn migrate(pg: &Pg) -> Result<()> {
    let user =
        pg.url.strip_prefix("postgres://").and_then(|rest| rest.split(':').next()).context("a user")?;
    let passwords = [(Login::Detector.name(), SecretString::from(PASSWORD.to_owned()))].into_iter().collect();
    tandem_store::migrate(&config(pg), user, pg.server.password(), &passwords).await?;
    Ok(())
}

impl World {
    /// A world over a PBX made by `schema` and read through `mapping`.
    pub(crate) async fn new(schema: &[&'static str], mapping: Mapping) -> Result<Self> {
        let pg = Pg::start_prepared(&migrations_key()?, async |pg: &Pg| migrate(pg).await).await?;
        let pbx_db = pg.fresh_db().await?;
        let pbx = PgPool::connect(&pbx_db.url).await?;
        for statements in schema {
            sqlx::raw_sql(*statements).execute(&pbx).await?;
        }
        let source = SqlSource::new(SqlSourceConfig::new(pbx_db.url.clone().into(), mapping))?;
        let db = PgPool::connect(&pg.url).await?;
        Ok(Self { pg, pbx, db, secrets: TempDir::new()?, source, _pbx_db: pbx_db })
    }

    /// The demo PBX, shaped like FusionPBX.
    pub(crate) async fn fusionpbx() -> Result<Self> {
        let mapping = Mapping::builtin("fusionpbx").context("the shipped mapping")?;
        Self::new(&[fixture::SCHEMA_5_5, fixture::DEMO], mapping).await
    }

    /// A PBX with one table `people` and an account `one` for its customer `one`.
    pub(crate) async fn people() -> Result<(Self, AccountId)> {
        let mapping = Mapping::parse(PEOPLE, |_| Err("no file".to_owned()))?;
        let table = "create table people (account_key text, user_key text, name text, dids text[])";
        let world = Self::new(&[table], mapping).await?;
        let account = world.account("one", Some("one")).await?;
        Ok((world, account))
    }

    /// An account, bound to a customer of the source.
    pub(crate) async fn account(&self, name: &str, key: Option<&str>) -> Result<AccountId> {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        sqlx::query("insert into admin.accounts (account_id, name, label, licences) values ($1, $2, $2, 10)")
            .bind(id)
            .bind(name)
            .execute(&self.db)
            .await?;
        sqlx::query("insert into change.generations (account_id) values ($1)")
            .bind(id)
            .execute(&self.db)
            .await?;
        if let Some(key) = key {
            sqlx::query("insert into pbx.bindings (source, account_key, account_id) values ($1, $2, $3)")
                .bind(SOURCE)
                .bind(key)
                .bind(id)
                .execute(&self.db)
                .await?;
        }
        Ok(AccountId(id))
    }

    pub(crate) fn store(&self) -> Store {
        Store::connect(&config(&self.pg), Login::Detector, &SecretString::from(PASSWORD.to_owned()))
    }

    /// Settings in which nothing happens by itself.
    pub(crate) fn settings(&self) -> DetectorSettings {
        let source = SourceSettings { name: SOURCE.to_owned(), source: self.source.clone(), poll: NEVER };
        DetectorSettings {
            sources: vec![source],
            second_look: NEVER,
            tick: Duration::from_millis(10),
            ..DetectorSettings::default()
        }
    }

    /// Settings of a push endpoint alone.
    pub(crate) fn push_settings(&self, rate_per_second: u32) -> DetectorSettings {
        let push = PushSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            secrets_dir: self.secrets.path().to_owned(),
            rate_per_second,
        };
        DetectorSettings { sources: Vec::new(), push: Some(push), ..self.settings() }
    }

    pub(crate) async fn detector(&self, seed: u64, settings: &DetectorSettings) -> Result<Detector> {
        let ctx = Ctx::quiet(Clock::system(), Ids::seeded(seed));
        let parts = Parts { store: self.store(), subjects: Subjects::new("")?, bell: Bell::default() };
        let Started { push } = tandem_detector::start(&ctx, &parts, settings).await?;
        Ok(Detector { ctx, push })
    }

    /// Has the source read, and waits for the end of it.
    pub(crate) async fn read(&self) -> Result<()> {
        let before: i64 = self.reads().await?;
        self.run("update pbx.sources set read_now = true").await?;
        self.read_after(before).await;
        Ok(())
    }

    /// How many microseconds after the epoch the last read ended; 0 for none.
    pub(crate) async fn reads(&self) -> Result<i64> {
        let ended =
            "select coalesce(max((extract(epoch from last_ended_at) * 1000000)::bigint), 0) from pbx.sources";
        Ok(sqlx::query_scalar(ended).fetch_one(&self.db).await?)
    }

    /// Waits for a read that ends after the time given.
    pub(crate) async fn read_after(&self, before: i64) {
        eventually(DEADLINE, || async { (self.reads().await.ok()? > before).then_some(()) }).await;
    }

    /// A statement on Tandem's database.
    pub(crate) async fn run(&self, statement: &'static str) -> Result<u64> {
        Ok(sqlx::query(statement).execute(&self.db).await?.rows_affected())
    }

    /// A statement on the PBX's database.
    pub(crate) async fn edit(&self, statement: impl Into<String>) -> Result<u64> {
        Ok(sqlx::query(AssertSqlSafe(statement.into())).execute(&self.pbx).await?.rows_affected())
    }

    pub(crate) async fn number(&self, query: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(query).fetch_one(&self.db).await?)
    }

    pub(crate) async fn text(&self, query: &'static str) -> Result<Option<String>> {
        Ok(sqlx::query_scalar(query).fetch_one(&self.db).await?)
    }

    /// Changes of an account above a generation, as "gen kind user fields before after".
    pub(crate) async fn changes(&self, account: AccountId, above: i64) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "select gen, kind, pbx_user_id, array_to_string(fields, ',') as fields, before::text, after::text
               from change.log where account_id = $1 and gen > $2 order by gen",
        )
        .bind(account.0)
        .bind(above)
        .fetch_all(&self.db)
        .await?;
        let text = |row: &sqlx::postgres::PgRow, column: &str| -> String {
            row.get::<Option<String>, _>(column).unwrap_or_default()
        };
        Ok(rows
            .iter()
            .map(|row| {
                let columns = ["kind", "pbx_user_id", "fields", "before", "after"].map(|c| text(row, c));
                format!("{} {}", row.get::<i64, _>("gen"), columns.join(" "))
                    .replace(": ", ":")
                    .replace(", \"", ",\"")
            })
            .collect())
    }

    /// The name stored for a user.
    pub(crate) async fn name_of(&self, account: AccountId, user: &str) -> Result<Option<String>> {
        let name =
            "select profile->>'display_name' from pbx.profiles where account_id = $1 and pbx_user_id = $2";
        Ok(sqlx::query_scalar(name).bind(account.0).bind(user).fetch_optional(&self.db).await?.flatten())
    }
}
