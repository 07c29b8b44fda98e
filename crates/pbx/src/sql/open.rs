//! Connections to a PBX: one for each look, read-only.

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::error::SourceError;
use super::{Inner, SqlSourceConfig};

pub(super) fn options(config: &SqlSourceConfig) -> Result<PgConnectOptions, SourceError> {
    let url = config.url.expose_secret();
    // the client would take any scheme and ask a server that is something else
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(SourceError::Scheme);
    }
    let options: PgConnectOptions = url.parse().map_err(|source| SourceError::Url { source })?;
    let options = match &config.root_certificate {
        Some(path) => options.ssl_root_cert(path),
        None => options,
    };
    // The client would log statements that take long as warnings, with their text. How long a look takes is told
    // by those who asked for it.
    Ok(options.application_name(&config.application_name).disable_statement_logging())
}

/// A connection that can only read, without a transaction.
pub(super) async fn connection(inner: &Inner) -> Result<PgConnection, SourceError> {
    let connecting = PgConnection::connect_with(&inner.options);
    let mut connection = tokio::time::timeout(inner.connect_timeout, connecting)
        .await
        .map_err(|_| SourceError::ConnectTimeout)?
        .map_err(|source| SourceError::Connect { source })?;
    let timeout = inner.statement_timeout.as_millis().max(1);
    for statement in [
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY".to_owned(),
        format!("SET statement_timeout = {timeout}"),
        "SET idle_in_transaction_session_timeout = 60000".to_owned(),
        // compiling the mapping's query costs more than it saves
        "SET jit = off".to_owned(),
    ] {
        run(&mut connection, statement).await?;
    }
    Ok(connection)
}

/// A connection inside the one transaction of a snapshot.
pub(super) async fn session(inner: &Inner) -> Result<PgConnection, SourceError> {
    let mut connection = connection(inner).await?;
    run(&mut connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()).await?;
    Ok(connection)
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), SourceError> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(|source| SourceError::Session { source })
}
