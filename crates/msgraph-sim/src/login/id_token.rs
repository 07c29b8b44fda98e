//! Signing ID tokens, well or badly.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

use super::keys::{CONSUMERS, Keys, Ready};
use super::tokens::{header, sign, unsigned};
use crate::switchboard::actions::{IdTokenChange, Signature};
use crate::util::merge;

/// The ID token of a directory; `None` if there is no key to sign with.
pub(crate) fn make(keys: &Keys, tid: Uuid, mut claims: Value, change: &IdTokenChange) -> Option<String> {
    for (name, seconds) in &change.shift {
        if let Some(at) = claims[name].as_i64() {
            claims[name] = json!(at + seconds);
        }
    }
    if let Some(patch) = &change.claims {
        merge(&mut claims, patch.clone());
    }
    let with = |key: &Ready| signed(key, &claims, change);
    match change.sign {
        Signature::Stranger => keys.with_stranger(with),
        Signature::Consumer => keys.with(CONSUMERS, with),
        _ => keys.with(tid, with),
    }
}

fn signed(key: &Ready, claims: &Value, change: &IdTokenChange) -> Option<String> {
    let mut header = header(key);
    match change.sign {
        Signature::None => header["alg"] = json!("none"),
        Signature::PublicKey => header["alg"] = json!("HS256"),
        _ => {}
    }
    if change.embed_key {
        header["jwk"] = key.jwk.clone();
    }
    if let Some(patch) = &change.header {
        merge(&mut header, patch.clone());
    }
    match change.sign {
        Signature::None => Some(format!("{}.", unsigned(&header, claims))),
        Signature::PublicKey => {
            let text = unsigned(&header, claims);
            let secret = EncodingKey::from_secret(key.public_pem.as_bytes());
            let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &secret, Algorithm::HS256).ok()?;
            Some(format!("{text}.{signature}"))
        }
        _ => sign(key, &header, claims),
    }
}
