//! What can go wrong when a PBX database is read.

/// Why a PBX database could not be read. No variant says anything about a user.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address cannot be understood.
    #[error("read the address of the PBX database (write postgres://user:password@host:port/database)")]
    Url {
        /// What the parser says; it never repeats the address.
        source: sqlx::Error,
    },
    /// The address is not one of PostgreSQL.
    #[error("the address of the PBX database does not begin with postgres://")]
    Scheme,
    /// No connection.
    #[error("connect to the PBX database")]
    Connect {
        /// What the server or the network says.
        source: sqlx::Error,
    },
    /// No connection within the time given.
    #[error("connect to the PBX database: no answer within the time given")]
    ConnectTimeout,
    /// The read-only session could not be set up.
    #[error("begin a read-only transaction in the PBX database")]
    Session {
        /// What the server says.
        source: sqlx::Error,
    },
    /// The query failed, at its start or on the way.
    #[error("run the mapping's query in the PBX database")]
    Query {
        /// What the server says.
        source: sqlx::Error,
    },
    /// The query names a column for the mapping that it does not return.
    #[error("the mapping's query returns no column `{column}`")]
    MissingColumn {
        /// The column.
        column: String,
    },
    /// A column has a type that cannot be read.
    #[error(
        "column `{column}` has the type {sql_type}, which cannot be read as {wanted}; cast it in the query"
    )]
    ColumnType {
        /// The column.
        column: String,
        /// Its type in the PBX.
        sql_type: String,
        /// What the mapping wants to read.
        wanted: &'static str,
    },
    /// A value does not have the form its type promises.
    #[error("read column `{column}`")]
    Value {
        /// The column.
        column: String,
        /// What the decoder says.
        source: sqlx::error::BoxDynError,
    },
    /// A row has no account or user key.
    #[error(
        "row {row} has no key in column `{column}`; the query must return keys only that are never NULL or blank"
    )]
    NullKey {
        /// The key column.
        column: String,
        /// Number of the row, from 1.
        row: u64,
    },
    /// A user key is longer than any key may be.
    #[error("row {row} has a key of more than 200 bytes in column `{column}`")]
    LongKey {
        /// The key column.
        column: String,
        /// Number of the row, from 1.
        row: u64,
    },
    /// The reading ended before the snapshot did.
    #[error("read the PBX database: the reading stopped before its end")]
    Interrupted,
}

impl SourceError {
    /// Stable name of the kind of failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } | Self::Scheme => "source_url",
            Self::Connect { source } => match sqlstate(source).as_deref() {
                Some("28P01" | "28000") => "source_login",
                _ => "source_connect",
            },
            Self::ConnectTimeout => "source_connect",
            Self::Session { .. } => "source_session",
            Self::Query { source } => match sqlstate(source).as_deref() {
                Some("42501") => "source_denied",
                Some("57014") => "source_timeout",
                Some("40001" | "40P01") => "source_conflict",
                Some("0A000") => "source_plan_changed",
                Some(state) if state.starts_with("42") => "source_query",
                Some(_) => "source_failed",
                None => "source_lost",
            },
            Self::MissingColumn { .. } => "source_missing_column",
            Self::ColumnType { .. } => "source_column_type",
            Self::Value { .. } => "source_value",
            Self::NullKey { .. } => "source_null_key",
            Self::LongKey { .. } => "source_long_key",
            Self::Interrupted => "source_interrupted",
        }
    }
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}
