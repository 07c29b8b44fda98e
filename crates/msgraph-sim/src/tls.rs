//! TLS and development certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// Why TLS or certificates failed.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// Certificate and key do not work.
    #[error("cannot use certificate and key")]
    Use(#[from] rustls::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A file cannot be written.
    #[error("cannot write {0}")]
    Write(PathBuf, #[source] std::io::Error),
}

pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| TlsError::Read(certificate.to_owned(), e))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::Read(key.to_owned(), e))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Writes development certificates into a folder: `ca.pem` (to be trusted by clients), `tls-cert.pem` and
/// `tls-key.pem` (for `--tls`; localhost, 127.0.0.1 and ::1), and `app-cert.pem` and `app-key.pem` (RSA, for
/// an application that signs client assertions).
pub fn make_cert(folder: &Path) -> Result<(), TlsError> {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| TlsError::Write(path, e))
    };
    std::fs::create_dir_all(folder).map_err(|e| TlsError::Write(folder.to_owned(), e))?;
    let named = |names: Vec<String>, name: &str| {
        CertificateParams::new(names).map(|mut params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params
        })
    };
    let ca_key = KeyPair::generate()?;
    let mut ca = named(Vec::new(), "msgraph-sim development CA")?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate()?;
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let mut leaf = named(hosts, "msgraph-sim")?;
    leaf.use_authority_key_identifier_extension = true;
    let cert = leaf.signed_by(&key, &issuer)?;
    let app_key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let app_cert = named(Vec::new(), "msgraph-sim demo application")?.self_signed(&app_key)?;
    write("ca.pem", ca_cert.pem())?;
    write("tls-cert.pem", cert.pem())?;
    write("tls-key.pem", key.serialize_pem())?;
    write("app-cert.pem", app_cert.pem())?;
    write("app-key.pem", app_key.serialize_pem())
}
