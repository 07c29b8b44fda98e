//! Secrets at rest: sealed to teams-sync's public key, opened by teams-sync alone.
//!
//! Whoever takes a secret in (portal, consent flow, command line) holds a [`Sealer`], which is a public key and nothing
//! else: it can seal and cannot open, not even what it sealed itself. teams-sync holds an [`Opener`], the keyring with
//! the private keys. Between the two a secret exists only as [`Sealed`] bytes in the database.
//!
//! Promised: a sealed secret opens for exactly the [`Binding`] it was sealed for, so bytes moved to another row, account,
//! tenant or kind do not open; one flipped bit and they do not open; a key that is missing is an error with a code, and
//! never a reason to store plaintext. Keys rotate without downtime: the newest key seals, every key of the ring opens.
//! Not promised: protection from somebody who can read both the database and the keyring.
//!
//! The cipher is HPKE in base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Each seal makes a
//! fresh ephemeral key and with it a fresh AEAD key, so no nonce is ever used twice.

mod binding;
mod error;
mod key;
mod keyring;
mod opener;
mod sealed;
mod sealer;
mod suite;

pub use binding::{Binding, Kind};
pub use error::VaultError;
pub use key::{KeyId, PrivateKey, PublicKey};
pub use keyring::Keyring;
pub use opener::Opener;
pub use sealed::Sealed;
pub use sealer::Sealer;
