//! The half that opens.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustls::crypto::hpke::EncapsulatedSecret;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::suite::{info, suite};
use crate::{Binding, Keyring, Sealed, Sealer, VaultError};

/// Opens sealed secrets; only teams-sync has one. A key that was added to the ring after the start is found when the
/// first secret comes that it sealed.
pub struct Opener {
    ring: Mutex<Keyring>,
}

impl Opener {
    /// Opens with the keys of this folder, or of this one key file.
    ///
    /// # Errors
    /// [`VaultError`] when there is no key, or one that cannot be used.
    pub fn load(keyring: &Path) -> Result<Self, VaultError> {
        Ok(Self { ring: Mutex::new(Keyring::load(keyring)?) })
    }

    /// Opens a secret that was sealed for exactly this binding.
    ///
    /// # Errors
    /// [`VaultError::KeyMissing`], [`VaultError::DoesNotOpen`], or what keeps the keyring from being read again.
    pub fn open(&self, binding: &Binding, sealed: &Sealed) -> Result<SecretString, VaultError> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let id = sealed.key_id();
        if ring.key(id).is_none() {
            *ring = Keyring::load(ring.path())?;
        }
        let key = ring
            .key(id)
            .ok_or_else(|| VaultError::KeyMissing { key_id: id, keyring: ring.path().to_owned() })?
            .hpke();
        drop(ring);
        let (header, encapsulated, ciphertext) = sealed.parts();
        let plain = suite(sealed.algorithm())
            .ok_or(VaultError::Form)?
            .open(
                &EncapsulatedSecret(encapsulated.to_vec()),
                &info(header),
                &binding.bytes(),
                ciphertext,
                &key,
            )
            .map(Zeroizing::new)
            .map_err(|_| VaultError::DoesNotOpen)?;
        let text = std::str::from_utf8(&plain).map_err(|_| VaultError::DoesNotOpen)?;
        // a copy of exactly this length: shortening the buffer could leave a part of the secret behind
        Ok(SecretString::from(text.to_owned()))
    }

    /// Seals with the newest key of the ring as it is on disk now.
    ///
    /// # Errors
    /// [`VaultError`] when the keyring cannot be read.
    pub fn newest(&self) -> Result<Sealer, VaultError> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        *ring = Keyring::load(ring.path())?;
        Ok(Sealer::new(ring.newest()))
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}
