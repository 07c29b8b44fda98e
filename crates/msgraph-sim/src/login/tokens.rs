//! Access tokens: issuing them and checking them again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::keys::{Keys, Ready};
use crate::clock::Now;
use crate::switchboard::changes::TokenChange;
use crate::util::{b64url, from_b64url, lock, merge};

/// The audience of every access token the simulator issues.
pub(crate) const GRAPH: &str = "https://graph.microsoft.com";

/// Checked tokens kept; a client uses one token for an hour, so checking each once is enough.
const KEPT: usize = 10_000;

/// Claims of an access token for Graph: of an application (`idtyp` is `app`, permissions in `roles`) or of a person
/// (`user`, permissions in `scp`, directory roles in `wids`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: String,
    pub(crate) iss: String,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    pub(crate) app_displayname: String,
    pub(crate) appid: Uuid,
    pub(crate) appidacr: String,
    pub(crate) idp: String,
    pub(crate) idtyp: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) oid: Uuid,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scp: Option<String>,
    pub(crate) sub: String,
    pub(crate) tid: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upn: Option<String>,
    pub(crate) uti: String,
    pub(crate) ver: String,
    pub(crate) wids: Vec<Uuid>,
}

impl Claims {
    /// Microseconds since 1970 when the token was issued: `iat` counts seconds, and a token issued right after a
    /// revocation is as good as any.
    pub(crate) fn issued(&self) -> i64 {
        let head = from_b64url(&self.uti).and_then(|id| id.first_chunk().copied());
        head.map_or(self.iat * 1_000_000, i64::from_be_bytes)
    }

    /// Whether a person stands behind the token.
    pub(crate) fn delegated(&self) -> bool {
        self.idtyp == "user"
    }
}

/// The unique id of a token issued now; opaque to everybody else.
pub(crate) fn token_id(id: Uuid, now: Now) -> String {
    b64url([now.micros().to_be_bytes().as_slice(), id.as_bytes()].concat())
}

/// Tokens whose signature was found good.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(Mutex<HashMap<String, Arc<Claims>>>);

impl TokenCache {
    /// The claims of a token that this simulator signed. Says nothing about its time.
    pub(crate) fn check(&self, keys: &Keys, token: &str) -> Option<Arc<Claims>> {
        if let Some(claims) = lock(&self.0).get(token) {
            return Some(claims.clone());
        }
        let mut validation = Validation::new(Algorithm::RS256);
        // the caller compares times against the simulator's own clock, and the audience with its own words
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let decode = |key: &Ready| jsonwebtoken::decode::<Claims>(token, &key.verify, &validation).ok();
        let claims = Arc::new(keys.named(&kid, decode)?.claims);
        let mut cache = lock(&self.0);
        if cache.len() >= KEPT {
            cache.clear();
        }
        cache.insert(token.to_owned(), claims.clone());
        Some(claims)
    }
}

/// The header of a token signed by a key.
pub(crate) fn header(key: &Ready) -> Value {
    json!({ "typ": "JWT", "alg": "RS256", "kid": key.id, "x5t": key.id })
}

/// Header and claims, as the signature covers them.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", b64url(header.to_string()), b64url(claims.to_string()))
}

/// Signs with RS256.
pub(crate) fn sign(key: &Ready, header: &Value, claims: &Value) -> Option<String> {
    let text = unsigned(header, claims);
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key.sign, Algorithm::RS256).ok()?;
    Some(format!("{text}.{signature}"))
}

/// The access token of a directory, as a fault wants it; `None` if there is no key to sign with.
pub(crate) fn access(keys: &Keys, tid: Uuid, claims: &Claims, change: &TokenChange) -> Option<String> {
    let mut claims = json!(claims);
    if let Some(patch) = &change.claims {
        merge(&mut claims, patch.clone());
    }
    keys.with(tid, |key| sign(key, &header(key), &claims))
}
