//! Reading configuration: all mistakes at once, by key, never with a value that might be a secret.

pub mod duration;
mod errors;
mod secret;
mod section;

pub use duration::HumanDuration;
pub use errors::{ConfigError, ConfigErrors};
pub use secret::{Redacted, SecretFileError, secret_file};
pub use section::{section, table};
