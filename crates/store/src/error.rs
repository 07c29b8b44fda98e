//! What can go wrong with the database, as far as callers can act on it.

use std::sync::Arc;

/// A failed piece of database work. Display names the work, the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be had in time.
    #[error("{work}: no database connection")]
    Unavailable {
        /// Name of the transaction.
        work: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The transaction lost a race (serialization failure, deadlock, lock timeout): the same work may be tried again.
    #[error("{work}: lost a race with another transaction")]
    Conflict {
        /// Name of the transaction.
        work: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A constraint refused the data.
    #[error("{work}: refused by constraint {constraint}")]
    Constraint {
        /// Name of the transaction.
        work: &'static str,
        /// Name of the constraint, as in the migrations.
        constraint: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The lease or claim that the work names is not ours any more.
    #[error("{work}: the claim was taken over")]
    Superseded {
        /// Name of the transaction.
        work: &'static str,
    },
    /// A stored value does not have the form the code expects.
    #[error("{work}: column {column} holds an unexpected value")]
    Inconsistent {
        /// Name of the transaction.
        work: &'static str,
        /// Table and column.
        column: &'static str,
    },
    /// Anything else.
    #[error("{work}: database error")]
    Other {
        /// Name of the transaction.
        work: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// It was one transaction with other work, and that failed.
    #[error("{work}: failed as part of a transaction")]
    Together {
        /// Name of the work.
        work: &'static str,
        /// Why the transaction failed.
        #[source]
        source: Arc<StoreError>,
    },
    /// The schema could not be brought up to date.
    #[error("migrating the database")]
    Migrate(#[source] Box<sqlx::migrate::MigrateError>),
}

impl StoreError {
    /// Sorts an error of the driver.
    pub(crate) fn of(work: &'static str, source: sqlx::Error) -> Self {
        match &source {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_) => Self::Unavailable { work, source },
            sqlx::Error::Database(db) => match db.code().as_deref() {
                Some("40001" | "40P01" | "55P03") => Self::Conflict { work, source },
                Some(code) if code.starts_with("23") => {
                    let constraint = db.constraint().unwrap_or("unnamed").to_owned();
                    Self::Constraint { work, constraint, source }
                }
                Some(code) if code.starts_with("57P") || code.starts_with("08") || code.starts_with("53") => {
                    Self::Unavailable { work, source }
                }
                _ => Self::Other { work, source },
            },
            _ => Self::Other { work, source },
        }
    }

    /// Whether the same work may succeed when tried again soon.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Conflict { .. } => true,
            Self::Together { source, .. } => source.retryable(),
            _ => false,
        }
    }

    /// The constraint that refused the data, if one did.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { constraint, .. } => Some(constraint),
            _ => None,
        }
    }
}
