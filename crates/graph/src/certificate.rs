//! Certificates of an app registration: read, matched with their keys, and judged by their dates.

use aws_lc_rs::digest;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use x509_parser::pem::Pem;

use crate::config::ConfigError;

/// A certificate with its private key, as they stand in files.
#[derive(Debug, Clone)]
pub struct CertificatePem {
    /// The certificate as PEM.
    pub cert_pem: String,
    /// Its RSA private key as PEM.
    pub key_pem: SecretString,
}

/// What may be said of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// SHA-256 thumbprint, in the form of the header `x5t#S256`.
    pub thumbprint: String,
    /// From when on it is good.
    pub not_before: OffsetDateTime,
    /// Until when.
    pub not_after: OffsetDateTime,
}

impl CertificateInfo {
    /// Whether it is good at this moment.
    #[must_use]
    pub fn is_good(&self, now: OffsetDateTime) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

/// A certificate that can sign assertions.
pub(crate) struct AppCertificate {
    pub(crate) key: EncodingKey,
    pub(crate) info: CertificateInfo,
}

impl CertificatePem {
    /// Reads both and checks that they belong together.
    ///
    /// # Errors
    /// What is wrong with them; their dates are not judged.
    pub fn check(&self) -> Result<CertificateInfo, ConfigError> {
        Ok(AppCertificate::read(self)?.info)
    }
}

impl AppCertificate {
    pub(crate) fn read(pem: &CertificatePem) -> Result<Self, ConfigError> {
        let broken = || ConfigError::Certificate;
        let block = blocks(&pem.cert_pem).find(|block| block.label == "CERTIFICATE").ok_or_else(broken)?;
        let certificate = block.parse_x509().map_err(|_| broken())?;
        let key = EncodingKey::from_rsa_pem(pem.key_pem.expose_secret().as_bytes())
            .map_err(|source| ConfigError::Key { source })?;
        let public = public_key(&pem.key_pem).ok_or(ConfigError::KeyMismatch)?;
        if *certificate.public_key().subject_public_key.data != *public {
            return Err(ConfigError::KeyMismatch);
        }
        let validity = certificate.validity();
        Ok(Self {
            key,
            info: CertificateInfo {
                thumbprint: thumbprint(&block.contents),
                not_before: validity.not_before.to_datetime(),
                not_after: validity.not_after.to_datetime(),
            },
        })
    }
}

fn blocks(text: &str) -> impl Iterator<Item = Pem> {
    Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok)
}

/// The public half of an RSA private key (RFC 8017 `RSAPublicKey`).
fn public_key(pem: &SecretString) -> Option<Vec<u8>> {
    let mut block = blocks(pem.expose_secret()).find(|block| block.label.ends_with("PRIVATE KEY"))?;
    let pair = KeyPair::from_pkcs8(&block.contents).or_else(|_| KeyPair::from_der(&block.contents));
    block.contents.fill(0);
    Some(pair.ok()?.public_key().as_ref().to_vec())
}

/// SHA-256 over the certificate, as the header `x5t#S256` wants it (RFC 7515).
fn thumbprint(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, der))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};

    use super::*;

    fn pair(days: i64) -> CertificatePem {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.not_before = OffsetDateTime::UNIX_EPOCH;
        params.not_after = OffsetDateTime::UNIX_EPOCH + time::Duration::days(days);
        CertificatePem {
            cert_pem: params.self_signed(&key).unwrap().pem(),
            key_pem: key.serialize_pem().into(),
        }
    }

    #[test]
    fn dates_and_keys() {
        let good = pair(30);
        let info = good.check().unwrap();
        assert_eq!(info.not_after, OffsetDateTime::UNIX_EPOCH + time::Duration::days(30));
        assert!(info.is_good(OffsetDateTime::UNIX_EPOCH) && !info.is_good(info.not_after));
        let other = CertificatePem { key_pem: pair(30).key_pem, ..good.clone() };
        assert!(matches!(other.check(), Err(ConfigError::KeyMismatch)));
        for cert_pem in
            ["", "no certificate", "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"]
        {
            let broken = CertificatePem { cert_pem: cert_pem.to_owned(), ..good.clone() };
            assert!(matches!(broken.check(), Err(ConfigError::Certificate)), "{cert_pem}");
        }
        let keyless = CertificatePem { key_pem: "no key".into(), ..good };
        assert!(matches!(keyless.check(), Err(ConfigError::Key { .. })));
    }

    #[test]
    fn thumbprints() {
        // SHA-256 of "abc" (FIPS 180-4)
        assert_eq!(thumbprint(b"abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }
}
