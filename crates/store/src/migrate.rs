//! Bringing the schema up to date.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::{DbConfig, Login, StoreError};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

const WORK: &str = "migrate";

/// Applies the migrations that are missing, as the owner of the database, and sets the logins' passwords.
///
/// # Errors
/// [`StoreError::Migrate`] when a migration fails (it is rolled back), or when the database is newer than the binary.
pub async fn migrate(
    owner: &DbConfig,
    user: &str,
    password: &SecretString,
    passwords: &BTreeMap<&'static str, SecretString>,
) -> Result<(), StoreError> {
    let mut connection = PgConnection::connect_with(&owner.options(user, password))
        .await
        .map_err(|source| StoreError::Unavailable { work: WORK, source })?;
    MIGRATOR.run(&mut connection).await.map_err(|source| StoreError::Migrate(Box::new(source)))?;
    for login in Login::ALL {
        if let Some(password) = passwords.get(login.name()) {
            set_password(&mut connection, login, password).await?;
        }
    }
    connection.close().await.map_err(|source| StoreError::of(WORK, source))
}

async fn set_password(
    connection: &mut PgConnection,
    login: Login,
    password: &SecretString,
) -> Result<(), StoreError> {
    // `alter role` takes no parameters, so the server quotes the text for us first
    let quoted: String = sqlx::query_scalar("select quote_literal($1)")
        .bind(password.expose_secret())
        .fetch_one(&mut *connection)
        .await
        .map_err(|source| StoreError::of(WORK, source))?;
    let statement = format!("alter role {} password {quoted}", login.name());
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await.map_err(|_| {
        // the driver's error may quote the statement, password and all
        StoreError::Inconsistent { work: WORK, column: "pg_authid.rolpassword" }
    })?;
    Ok(())
}

/// Version of the newest migration that this binary knows.
#[must_use]
pub fn newest_version() -> i64 {
    MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0)
}

/// Version of the newest migration that the database has; 0 for an empty one.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn applied_version(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let row = sqlx::query("select to_regclass('public._sqlx_migrations') is not null as there")
        .fetch_one(&mut *connection)
        .await
        .map_err(|source| StoreError::of(WORK, source))?;
    if !row.get::<bool, _>("there") {
        return Ok(0);
    }
    sqlx::query_scalar("select coalesce(max(version), 0) from public._sqlx_migrations where success")
        .fetch_one(&mut *connection)
        .await
        .map_err(|source| StoreError::of(WORK, source))
}

/// A digest of all migrations: it changes when one is added or edited.
#[must_use]
pub fn migrations_digest() -> String {
    let sums = MIGRATOR.iter().flat_map(|m| m.checksum.iter().copied());
    let folded = sums.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{folded:016x}")
}
