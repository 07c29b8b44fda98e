//! Keys and their text form: one line with what it is, when it was made, and the key.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey as AgreementKey, X25519};
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::hpke::{HpkePrivateKey, HpkePublicKey};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::suite::{KEY_LEN, X25519_SHA256_AES256};

const PRIVATE: &str = "tandem-sealing-private-key-1";
const PUBLIC: &str = "tandem-sealing-public-key-1";

/// Which key sealed a secret: the first bytes of a digest over algorithm and public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; Self::LEN]);

impl KeyId {
    pub(crate) const LEN: usize = 8;

    fn of(public: &[u8; KEY_LEN]) -> Self {
        let mut input = vec![X25519_SHA256_AES256];
        input.extend_from_slice(public);
        let digest = digest::digest(&digest::SHA256, &input);
        let mut id = [0; Self::LEN];
        id.copy_from_slice(&digest.as_ref()[..Self::LEN]);
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key that seals. It is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; KEY_LEN],
    created: i64,
}

impl PublicKey {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.bytes)
    }

    /// When it was made, in Unix seconds.
    #[must_use]
    pub fn created(&self) -> i64 {
        self.created
    }

    pub(crate) fn hpke(&self) -> HpkePublicKey {
        HpkePublicKey(self.bytes.to_vec())
    }
}

impl fmt::Display for PublicKey {
    /// The line of a public key file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC} {} {}", self.created, STANDARD.encode(self.bytes))
    }
}

impl FromStr for PublicKey {
    type Err = VaultError;

    fn from_str(line: &str) -> Result<Self, VaultError> {
        let (created, bytes) = fields(line, PUBLIC)?;
        Ok(Self { bytes: *bytes, created })
    }
}

/// The key that opens. It does not print, and its memory is overwritten when it goes.
pub struct PrivateKey {
    bytes: Zeroizing<[u8; KEY_LEN]>,
    public: PublicKey,
}

impl PrivateKey {
    /// Makes a key; `created` is now, in Unix seconds.
    ///
    /// # Errors
    /// [`VaultError::Library`] when there is no randomness.
    pub fn generate(created: i64) -> Result<Self, VaultError> {
        let key = AgreementKey::generate(&X25519).map_err(|_| VaultError::Library)?;
        let seed: Curve25519SeedBin<'_> = key.as_be_bytes().map_err(|_| VaultError::Library)?;
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        bytes.copy_from_slice(seed.as_ref());
        Self::new(bytes, created)
    }

    fn new(bytes: Zeroizing<[u8; KEY_LEN]>, created: i64) -> Result<Self, VaultError> {
        let key = AgreementKey::from_private_key(&X25519, bytes.as_slice()).map_err(|_| VaultError::Form)?;
        let computed = key.compute_public_key().map_err(|_| VaultError::Form)?;
        let public = computed.as_ref().try_into().map_err(|_| VaultError::Form)?;
        Ok(Self { bytes, public: PublicKey { bytes: public, created } })
    }

    /// Reads the line of a private key file.
    ///
    /// # Errors
    /// [`VaultError::Form`].
    pub fn parse(line: &SecretString) -> Result<Self, VaultError> {
        let (created, bytes) = fields(line.expose_secret(), PRIVATE)?;
        Self::new(bytes, created)
    }

    /// The line of a private key file.
    #[must_use]
    pub fn line(&self) -> SecretString {
        let key = Zeroizing::new(STANDARD.encode(self.bytes.as_slice()));
        format!("{PRIVATE} {} {}", self.public.created, key.as_str()).into()
    }

    /// The key that seals for this one.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn hpke(&self) -> HpkePrivateKey {
        // overwritten when it is dropped
        HpkePrivateKey::from(self.bytes.to_vec())
    }
}

fn fields(line: &str, mark: &str) -> Result<(i64, Zeroizing<[u8; KEY_LEN]>), VaultError> {
    let mut words = line.split_whitespace();
    let (Some(first), Some(created), Some(key), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(VaultError::Form);
    };
    if first != mark {
        return Err(VaultError::Form);
    }
    let created = created.parse().map_err(|_| VaultError::Form)?;
    let decoded = Zeroizing::new(STANDARD.decode(key).map_err(|_| VaultError::Form)?);
    let bytes = Zeroizing::new(decoded.as_slice().try_into().map_err(|_| VaultError::Form)?);
    Ok((created, bytes))
}
