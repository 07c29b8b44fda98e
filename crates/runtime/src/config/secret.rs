//! Secrets from files, and personal data that must not be logged.

use std::{
    fmt, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Larger than any certificate chain with its key, small enough to refuse a wrong path early.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Why a file with a secret was not taken. It names the file, never what it holds.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read.
    #[error("read the secret in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is empty.
    #[error("the secret in {} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is far too large to be a secret.
    #[error("{} is larger than 64 KiB, so it is hardly the secret", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Everybody on the machine can read it.
    #[error("everybody on the machine can read the secret in {}: chmod o-rwx it", path.display())]
    WorldReadable {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a secret from a file, without the line break at its end.
pub fn secret_file(path: &Path) -> Result<SecretString, SecretFileError> {
    let read = |source| SecretFileError::Read { path: path.to_owned(), source };
    let about = std::fs::metadata(path).map_err(read)?;
    if about.permissions().mode() & 0o007 != 0 {
        return Err(SecretFileError::WorldReadable { path: path.to_owned() });
    }
    if about.len() > MAX_SECRET_BYTES {
        return Err(SecretFileError::TooLarge { path: path.to_owned() });
    }
    let mut text = std::fs::read_to_string(path).map_err(read)?;
    if text.ends_with('\n') {
        text.truncate(text.len() - 1);
    }
    if text.ends_with('\r') {
        text.truncate(text.len() - 1);
    }
    if text.is_empty() {
        return Err(SecretFileError::Empty { path: path.to_owned() });
    }
    Ok(text.into())
}

/// Personal data: it can be stored and sent, but `Debug` and `Display` do not show it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redacted<T>(pub T);

impl<T> Redacted<T> {
    /// The value, asked for on purpose.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, asked for on purpose.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
