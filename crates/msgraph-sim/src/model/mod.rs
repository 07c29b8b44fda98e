//! The state of the simulated world: what is true, and what each read path shows of it.

pub(crate) mod apps;
mod consents;
pub(crate) mod numbers;
pub(crate) mod operations;
pub(crate) mod policies;
pub(crate) mod roles;
pub(crate) mod tenant;
pub(crate) mod users;
pub(crate) mod voice;

pub(crate) use tenant::Tenant;

use thiserror::Error;

/// Why the switchboard or a world file was refused.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A telephone number that no form accepts.
    #[error("telephone number {0:?} is malformed")]
    Number(String),
    /// A name that is no known enum member.
    #[error("{what} {text:?} is not known")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// What was given.
        text: String,
    },
    /// Something required is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An id or name is taken already.
    #[error("{0} is taken by another entry")]
    Taken(String),
    /// A certificate or key that cannot be read.
    #[error("key material of application {0} cannot be read")]
    Key(uuid::Uuid),
}
