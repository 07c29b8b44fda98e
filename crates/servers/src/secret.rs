//! Generated passwords, each kept in a file of its own that only its owner reads.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// A password could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The machine gave no random bytes.
    #[error("generate a password")]
    Random,
    /// The file cannot be read or written.
    #[error("keep a password in {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// 192 random bits as hexadecimal digits, which need no escaping in URLs and config files.
pub(crate) fn random_hex() -> Result<String, SecretError> {
    let mut bytes = [0_u8; 24];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| SecretError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The password in the file; a missing file is filled with a new one.
pub(crate) fn kept_password(path: &Path) -> Result<SecretString, SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(SecretString::from(text.trim().to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => {
            let text = random_hex()?;
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(path)
                .map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
            Ok(SecretString::from(text))
        }
    }
}
