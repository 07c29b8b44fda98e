//! Application registrations and the service principals that consent creates.

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::digest;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use uuid::Uuid;

use super::ModelError;
use crate::util::b64url;
use crate::world::{AppSpec, FederatedSpec};

/// An application registration with its keys read.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) spec: AppSpec,
    pub(crate) keys: Vec<AppKey>,
    pub(crate) federated: Vec<Federated>,
}

/// A key that may sign client assertions.
#[derive(Clone)]
pub(crate) struct AppKey {
    /// Base64url SHA-1 and SHA-256 of the certificate; absent for a bare public key.
    pub(crate) thumbprints: Option<[String; 2]>,
    pub(crate) key: DecodingKey,
}

/// A federated identity credential with its keys read.
#[derive(Clone)]
pub(crate) struct Federated {
    pub(crate) spec: FederatedSpec,
    /// Key id, if the key set names one, and key.
    pub(crate) keys: Vec<(Option<String>, DecodingKey)>,
}

/// The service principal of an application in a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) object_id: Uuid,
    /// Application permissions.
    pub(crate) roles: BTreeSet<String>,
    /// Delegated permissions, for everybody.
    pub(crate) scopes: BTreeSet<String>,
    /// Delegated permissions that single people allowed for themselves.
    own: HashMap<Uuid, BTreeSet<String>>,
    pub(crate) enabled: bool,
}

impl Principal {
    pub(crate) fn new(object_id: Uuid) -> Self {
        let (roles, scopes) = (BTreeSet::new(), BTreeSet::new());
        Self { object_id, roles, scopes, own: HashMap::new(), enabled: true }
    }

    /// Delegated permissions with which the application may act for a person.
    pub(crate) fn delegated(&self, oid: Uuid) -> BTreeSet<String> {
        self.scopes.iter().chain(self.own.get(&oid).into_iter().flatten()).cloned().collect()
    }

    /// A person allows delegated permissions for himself.
    pub(crate) fn allow(&mut self, oid: Uuid, scopes: BTreeSet<String>) {
        self.own.entry(oid).or_default().extend(scopes);
    }
}

impl App {
    pub(crate) fn new(spec: AppSpec) -> Result<Self, ModelError> {
        let bad = || ModelError::Key(spec.app_id);
        let keys = spec.certificates.iter().map(|pem| app_key(pem)).collect::<Option<_>>().ok_or_else(bad)?;
        let federated = spec
            .federated
            .iter()
            .map(|f| federated_keys(f).map(|keys| Federated { spec: f.clone(), keys }))
            .collect::<Option<_>>()
            .ok_or_else(bad)?;
        Ok(Self { spec, keys, federated })
    }
}

fn app_key(pem: &str) -> Option<AppKey> {
    if !pem.contains("BEGIN CERTIFICATE") {
        return Some(AppKey { thumbprints: None, key: DecodingKey::from_rsa_pem(pem.as_bytes()).ok()? });
    }
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let print = |algorithm| b64url(digest::digest(algorithm, &der));
    Some(AppKey {
        thumbprints: Some([print(&digest::SHA1_FOR_LEGACY_USE_ONLY), print(&digest::SHA256)]),
        key: DecodingKey::from_rsa_der(rsa_public_key(&der)?),
    })
}

fn federated_keys(spec: &FederatedSpec) -> Option<Vec<(Option<String>, DecodingKey)>> {
    let mut keys = Vec::new();
    if let Some(pem) = &spec.public_key {
        keys.push((None, app_key(pem)?.key));
    }
    if let Some(jwks) = &spec.jwks {
        let set: JwkSet = serde_json::from_value(jwks.clone()).ok()?;
        for jwk in &set.keys {
            keys.push((jwk.common.key_id.clone(), DecodingKey::from_jwk(jwk).ok()?));
        }
    }
    Some(keys)
}

/// The RSA public key (RFC 8017, `RSAPublicKey`) inside a certificate (RFC 5280).
fn rsa_public_key(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    let (_, certificate, _) = der(certificate)?;
    let (_, mut fields, _) = der(certificate)?;
    if fields.first() == Some(&0xa0) {
        fields = der(fields)?.2; // version
    }
    for _ in 0..5 {
        fields = der(fields)?.2; // serial, algorithm, issuer, validity, subject
    }
    let (tag, info, _) = der(fields)?;
    let (_, _, after_algorithm) = der(info)?;
    let (_, bits, _) = der(after_algorithm)?;
    (tag == SEQUENCE && bits.first() == Some(&0)).then(|| &bits[1..])
}

/// Splits one DER element off: tag, content, rest.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count > 4 || rest.len() < count {
            return None;
        }
        (rest[..count].iter().fold(0, |n, b| (n << 8) | usize::from(*b)), &rest[count..])
    };
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}
