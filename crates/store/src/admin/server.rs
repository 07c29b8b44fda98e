//! The database server itself: its version, its clock, the schema, the logins, further databases.

use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{DbConfig, Login, Store, StoreError, applied_version};

statements! {
    /// What the server says of itself and of the login.
    FACTS = "select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
                    clock_timestamp() as now, current_setting('synchronous_commit') as synchronous_commit,
                    r.rolsuper as superuser, r.rolbypassrls as bypasses
               from pg_roles r where r.rolname = current_user";
    /// Whether a database is there.
    DATABASE = "select exists (select from pg_database where datname = $1)";
    /// Tables that the login cannot read; a schema that it may not enter counts.
    UNREADABLE = "select t from unnest($1::text[]) t
                   where not has_schema_privilege(split_part(t, '.', 1), 'usage') or not has_table_privilege(t, 'select')";
    /// Tables with an account's rows that are not closed by row-level security.
    OPEN_TABLES = "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     join pg_attribute a on a.attrelid = c.oid and a.attname = 'account_id' and not a.attisdropped
                    where c.relkind in ('r', 'p') and n.nspname in ('admin', 'pbx', 'change', 'queue', 'sync', 'vault', 'log', 'ops', 'mail')
                      and not (c.relrowsecurity and c.relforcerowsecurity) order by 1";
}

/// What the server says of itself and of the login.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its version as text.
    pub version: String,
    /// Its version as a number, for example 150018.
    pub number: i32,
    /// Its clock.
    pub now: OffsetDateTime,
    /// Its setting `synchronous_commit`.
    pub synchronous_commit: String,
    /// The login is a superuser.
    pub superuser: bool,
    /// The login is not bound by row-level security.
    pub bypasses: bool,
}

/// What the server says of itself and of the store's login.
///
/// # Errors
/// [`StoreError`].
pub async fn facts(store: &Store) -> Result<Facts, StoreError> {
    let row = sqlx::query(FACTS)
        .fetch_one(store.pool())
        .await
        .map_err(|source| StoreError::of("server.facts", source))?;
    Ok(Facts {
        version: row.get("version"),
        number: row.get("number"),
        now: row.get("now"),
        synchronous_commit: row.get("synchronous_commit"),
        superuser: row.get("superuser"),
        bypasses: row.get("bypasses"),
    })
}

/// Version of the newest migration that the database has; 0 for an empty one.
///
/// # Errors
/// [`StoreError`] when the database does not answer, or does not let this login look.
pub async fn schema_version(store: &Store) -> Result<i64, StoreError> {
    let mut tx = store.begin("server.schema_version").await?;
    applied_version(&mut tx).await
}

/// Tables with an account's rows that are not closed by row-level security; there should be none.
///
/// # Errors
/// [`StoreError`].
pub async fn open_tables(store: &Store) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(OPEN_TABLES)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("server.open_tables", source))
}

/// Makes a database if there is none of the name. `server` names a database to connect to; `user` may create others.
///
/// # Errors
/// [`StoreError`].
pub async fn create_database(
    server: &DbConfig,
    user: &str,
    password: &SecretString,
    name: &str,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::of("server.create_database", source);
    let mut connection = PgConnection::connect_with(&server.options(user, password)).await.map_err(failed)?;
    let there: bool =
        sqlx::query_scalar(DATABASE).bind(name).fetch_one(&mut connection).await.map_err(failed)?;
    if !there {
        // `create database` takes no parameters
        let statement = format!("create database \"{}\"", name.replace('"', "\"\""));
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.map_err(failed)?;
    }
    connection.close().await.map_err(failed)
}

/// Tables that a login must be able to read for its work.
#[must_use]
pub fn needed_tables(login: Login) -> &'static [&'static str] {
    match login {
        Login::Detector => {
            &["pbx.sources", "pbx.profiles", "pbx.bindings", "change.generations", "admin.accounts"]
        }
        Login::Debouncer => &["queue.windows", "queue.jobs", "admin.requests", "change.log", "sync.deferred"],
        Login::TeamsSync => {
            &["queue.jobs", "sync.users", "sync.intents", "vault.authorizations", "admin.mappings"]
        }
        Login::SyncLog => &["queue.events", "log.jobs", "log.steps", "log.rollups"],
        Login::Portal => &["admin.accounts", "admin.mappings", "admin.sessions", "admin.people", "log.jobs"],
        Login::PortalFleet => &["admin.accounts", "admin.memberships", "vault.authorizations", "queue.jobs"],
        Login::PortalProvider => {
            &["admin.accounts", "admin.invitations", "pbx.bindings", "vault.authorizations", "sync.standing"]
        }
        Login::Notifier => &["admin.accounts", "change.log", "log.jobs", "mail.mails", "mail.deliveries"],
        Login::Operator => {
            &["admin.accounts", "admin.mappings", "vault.authorizations", "log.jobs", "pbx.sources"]
        }
    }
}

/// Tables that a login should be able to read and cannot.
///
/// # Errors
/// [`StoreError`].
pub async fn unreadable(store: &Store, tables: &[&'static str]) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(UNREADABLE)
        .bind(tables)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("server.unreadable", source))
}
