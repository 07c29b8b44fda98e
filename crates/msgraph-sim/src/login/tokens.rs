//! Access tokens: issuing them and checking them again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys::Ready;
use crate::util::lock;

/// The audience of every token the simulator issues.
pub(crate) const GRAPH: &str = "https://graph.microsoft.com";

/// Checked tokens kept; a client uses one token for an hour, so checking each once is enough.
const KEPT: usize = 10_000;

/// Claims of an app-only access token for Graph.
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
    pub(crate) oid: Uuid,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) roles: Vec<String>,
    pub(crate) sub: Uuid,
    pub(crate) tid: Uuid,
    pub(crate) uti: String,
    pub(crate) ver: String,
    pub(crate) wids: Vec<String>,
}

/// Tokens whose signature was found good.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(Mutex<HashMap<String, Arc<Claims>>>);

impl TokenCache {
    /// The claims of a token that this simulator signed. Says nothing about its time.
    pub(crate) fn check(&self, key: &Ready, token: &str) -> Option<Arc<Claims>> {
        if let Some(claims) = lock(&self.0).get(token) {
            return Some(claims.clone());
        }
        let mut validation = Validation::new(Algorithm::RS256);
        // the caller compares times against the simulator's own clock, and the audience with its own words
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verify, &validation).ok()?.claims;
        let claims = Arc::new(claims);
        let mut cache = lock(&self.0);
        if cache.len() >= KEPT {
            cache.clear();
        }
        cache.insert(token.to_owned(), claims.clone());
        Some(claims)
    }
}

/// Signs claims.
pub(crate) fn sign(key: &Ready, claims: &Claims) -> Option<String> {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.id.clone());
    header.x5t = Some(key.id.clone());
    jsonwebtoken::encode(&header, claims, &key.sign).ok()
}
