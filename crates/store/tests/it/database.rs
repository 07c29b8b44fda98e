//! A migrated database for a test.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Result;
use secrecy::SecretString;
use sqlx::{Connection, PgConnection};
use tandem_store::{DbConfig, Login, Store};
use tandem_testkit::Pg;

/// Password of every login in tests.
const PASSWORD: &str = "of-tests-only";

/// A server with a migrated database; migrated once per set of migrations and copied from then on.
pub(crate) async fn migrated() -> Result<Pg> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file.path())?.hash(&mut hasher);
    }
    let key = format!("store-{:016x}", hasher.finish());
    Pg::start_prepared(&key, async |pg: &Pg| {
        let passwords: BTreeMap<&'static str, SecretString> =
            Login::ALL.iter().map(|login| (login.name(), SecretString::from(PASSWORD))).collect();
        let database = DbConfig::local(pg.server.port(), &pg.database);
        tandem_store::migrate(&database, "postgres", pg.server.password(), &passwords).await?;
        Ok(())
    })
    .await
}

/// The database as a login sees it.
pub(crate) fn store(pg: &Pg, login: Login) -> Store {
    Store::connect(&DbConfig::local(pg.server.port(), &pg.database), login, &SecretString::from(PASSWORD))
}

/// A migrated database with rows that its owner put there, and the database as its owner.
pub(crate) async fn seeded(rows: &'static str) -> Result<(Pg, PgConnection)> {
    let pg = migrated().await?;
    let mut owner = owner(&pg).await?;
    sqlx::raw_sql(rows).execute(&mut owner).await?;
    Ok((pg, owner))
}

/// The database as its owner.
pub(crate) async fn owner(pg: &Pg) -> Result<PgConnection> {
    Ok(PgConnection::connect(&pg.url).await?)
}
