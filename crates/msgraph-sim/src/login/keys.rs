//! The key that signs the simulator's tokens.

use std::sync::{Arc, OnceLock};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

/// The key, or the wait for it: making an RSA key takes a moment, and the first request that needs it
/// usually comes after that moment.
#[derive(Clone)]
pub(crate) struct SigningKey(Arc<OnceLock<Option<Ready>>>);

/// A key pair ready for use.
pub(crate) struct Ready {
    pub(crate) id: String,
    pub(crate) sign: EncodingKey,
    pub(crate) verify: DecodingKey,
    jwk: Value,
}

impl SigningKey {
    /// Starts making a key on a thread of its own.
    pub(crate) fn generate() -> Self {
        let key = Self(Arc::new(OnceLock::new()));
        let other = key.clone();
        // if no thread can be had, the first request that needs the key makes it
        drop(std::thread::Builder::new().name("signing-key".to_owned()).spawn(move || {
            other.get();
        }));
        key
    }

    /// The key; waits for it if need be. `None` if the machine cannot make one.
    pub(crate) fn get(&self) -> Option<&Ready> {
        self.0.get_or_init(make).as_ref()
    }

    /// The body of the keys endpoint.
    pub(crate) fn published(&self, issuer: &str) -> Value {
        let mut keys = Vec::new();
        if let Some(ready) = self.get() {
            let mut jwk = ready.jwk.clone();
            jwk["issuer"] = json!(issuer);
            keys.push(jwk);
        }
        json!({ "keys": keys })
    }
}

fn make() -> Option<Ready> {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).ok()?;
    let sign = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).ok()?;
    let jwk = Jwk::from_encoding_key(&sign, Algorithm::RS256).ok()?;
    let verify = DecodingKey::from_jwk(&jwk).ok()?;
    let id = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).ok()?;
    let mut jwk = serde_json::to_value(&jwk).ok()?;
    for (name, value) in [("use", "sig"), ("alg", "RS256"), ("kid", &id), ("x5t", &id)] {
        jwk[name] = json!(value);
    }
    Some(Ready { id, sign, verify, jwk })
}
