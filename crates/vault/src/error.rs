//! Why a secret could not be sealed or opened. No text holds a secret or a part of one.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::KeyId;

/// A secret could not be sealed or opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The keyring has no such key: dropped too early, not copied here, or lost.
    #[error("no key {key_id} in the keyring {}", keyring.display())]
    KeyMissing {
        /// The key that sealed the secret.
        key_id: KeyId,
        /// Where keys were looked for.
        keyring: PathBuf,
    },
    /// A key file, or the folder of key files, cannot be read.
    #[error("read {}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others on the machine can read a private key.
    #[error("others can read the private key in {}: chmod 0600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A key file does not hold what its name promises.
    #[error("{} holds no {wanted}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
    },
    /// The folder of key files is empty.
    #[error("there is no key in {}: make one with `tandem keys new`", keyring.display())]
    Empty {
        /// The folder.
        keyring: PathBuf,
    },
    /// The bytes are no sealed secret of a form that this version knows.
    #[error("the bytes are no sealed secret of a known form")]
    Form,
    /// It does not open: the bytes were changed, or they were sealed for something else.
    #[error("the sealed secret does not open: its bytes were changed, or it was sealed for something else")]
    DoesNotOpen,
    /// The cryptographic library failed to seal or to make a key.
    #[error("the cryptographic library failed")]
    Library,
}

impl VaultError {
    /// The stable code, see `docs/codes.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyMissing { .. } => "sealing_key_missing",
            Self::Unreadable { .. } | Self::Exposed { .. } | Self::NotAKey { .. } | Self::Empty { .. } => {
                "keyring_unusable"
            }
            Self::Form | Self::DoesNotOpen => "sealed_secret_unusable",
            Self::Library => "sealing_failed",
        }
    }
}
