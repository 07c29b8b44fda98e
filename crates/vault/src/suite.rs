//! The one HPKE suite in use, under the number that stored secrets carry. A second one would get the next number and
//! open beside it; what seals is the newest key's matter.

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::Hpke;

/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
pub(crate) const X25519_SHA256_AES256: u8 = 1;

/// Bytes of an encapsulated key, of a public and of a private key (RFC 9180, table 2).
pub(crate) const KEY_LEN: usize = 32;

/// Bytes of the tag of AES-256-GCM.
pub(crate) const TAG_LEN: usize = 16;

/// Separates these uses of a key from all others, with the header that follows.
const PURPOSE: &[u8] = b"tandem-vault/1";

/// The suite of a number.
pub(crate) fn suite(algorithm: u8) -> Option<&'static dyn Hpke> {
    (algorithm == X25519_SHA256_AES256).then_some(DH_KEM_X25519_HKDF_SHA256_AES_256 as &dyn Hpke)
}

/// The `info` of HPKE: the purpose and the header, so that the header is authenticated as well.
pub(crate) fn info(header: &[u8]) -> Vec<u8> {
    [PURPOSE, header].concat()
}
