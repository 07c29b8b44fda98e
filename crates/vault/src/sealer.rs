//! The half that seals.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::suite::{X25519_SHA256_AES256, info, suite};
use crate::{Binding, KeyId, PublicKey, Sealed, VaultError};

/// Seals secrets for teams-sync. It holds a public key only.
#[derive(Clone, Copy, Debug)]
pub struct Sealer {
    key: PublicKey,
}

impl Sealer {
    /// Seals to this key.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self { key }
    }

    /// Reads the public key file. Read it anew for every secret, or now and then: after a rotation it names the new key.
    ///
    /// # Errors
    /// [`VaultError`] when it cannot be read or holds no public key.
    pub fn load(file: &Path) -> Result<Self, VaultError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| VaultError::Unreadable { path: file.to_owned(), source })?;
        let key = text
            .trim()
            .parse()
            .map_err(|_| VaultError::NotAKey { path: file.to_owned(), wanted: "public sealing key" })?;
        Ok(Self { key })
    }

    /// The key it seals to.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key.id()
    }

    /// Seals a secret for exactly this binding.
    ///
    /// # Errors
    /// [`VaultError::Library`].
    pub fn seal(&self, binding: &Binding, secret: &SecretString) -> Result<Sealed, VaultError> {
        let suite = suite(X25519_SHA256_AES256).ok_or(VaultError::Library)?;
        let header = Sealed::header(self.key.id());
        let (encapsulated, ciphertext) = suite
            .seal(&info(&header), &binding.bytes(), secret.expose_secret().as_bytes(), &self.key.hpke())
            .map_err(|_| VaultError::Library)?;
        Ok(Sealed::new(header, &encapsulated.0, &ciphertext))
    }
}
