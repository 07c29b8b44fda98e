//! The stored form: version, algorithm, key id, encapsulated key, ciphertext.

use std::fmt;

use crate::suite::{KEY_LEN, TAG_LEN, X25519_SHA256_AES256, suite};
use crate::{KeyId, VaultError};

/// The form that this version writes.
const VERSION: u8 = 1;

/// Version, algorithm, key id.
const HEADER_LEN: usize = 2 + KeyId::LEN;

/// A sealed secret as it is stored. Its bytes are no secret by themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Takes stored bytes.
    ///
    /// # Errors
    /// [`VaultError::Form`] when they are too short, or of a version or algorithm that this release does not know.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, VaultError> {
        let known =
            bytes.len() >= HEADER_LEN + KEY_LEN + TAG_LEN && bytes[0] == VERSION && suite(bytes[1]).is_some();
        if known { Ok(Self(bytes)) } else { Err(VaultError::Form) }
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key that sealed it.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        let mut id = [0; KeyId::LEN];
        id.copy_from_slice(&self.0[2..HEADER_LEN]);
        KeyId(id)
    }

    pub(crate) fn header(key: KeyId) -> Vec<u8> {
        let mut header = vec![VERSION, X25519_SHA256_AES256];
        header.extend_from_slice(&key.0);
        header
    }

    pub(crate) fn new(header: Vec<u8>, encapsulated: &[u8], ciphertext: &[u8]) -> Self {
        let mut bytes = header;
        bytes.extend_from_slice(encapsulated);
        bytes.extend_from_slice(ciphertext);
        Self(bytes)
    }

    pub(crate) fn algorithm(&self) -> u8 {
        self.0[1]
    }

    /// Header, encapsulated key, ciphertext.
    pub(crate) fn parts(&self) -> (&[u8], &[u8], &[u8]) {
        let (header, rest) = self.0.split_at(HEADER_LEN);
        let (encapsulated, ciphertext) = rest.split_at(KEY_LEN);
        (header, encapsulated, ciphertext)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("key_id", &self.key_id()).field("bytes", &self.0.len()).finish()
    }
}
