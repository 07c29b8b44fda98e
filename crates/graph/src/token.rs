//! Tokens: fetched once per tenant, checked, kept while they are good.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::Now;
use crate::credential::Login;
use crate::token_error::{TokenError, TokenErrorKind};

/// A token is renewed when this much of its life is left (or a quarter of a short life).
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// After a renewal that failed for a passing reason, the old token is used this long before the next try.
const RENEW_PAUSE: Duration = Duration::from_secs(15);

/// What a token says about itself, for diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// The tenant it is for.
    pub tid: Uuid,
    /// The permissions in it: those of the app, or those delegated by a person. Empty when they were all taken back.
    pub roles: Vec<String>,
    /// When it ends.
    pub expires: OffsetDateTime,
}

impl TokenInfo {
    /// Those of the given permissions that the token lacks.
    #[must_use]
    pub fn missing<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        wanted.iter().filter(|role| !self.roles.iter().any(|have| have == *role)).copied().collect()
    }
}

pub(crate) struct Token {
    pub(crate) secret: SecretString,
    pub(crate) info: TokenInfo,
}

struct Kept {
    token: Arc<Token>,
    renew_at: Instant,
    ends_at: Instant,
}

/// The token of one tenant. The lock is held while fetching, so that many callers make one request.
#[derive(Default)]
pub(crate) struct TokenSlot(Mutex<Option<Kept>>);

impl TokenSlot {
    pub(crate) async fn get(&self, login: &Login, tenant: Uuid, now: &Now) -> Result<Arc<Token>, TokenError> {
        let mut slot = self.0.lock().await;
        if let Some(kept) = slot.as_ref()
            && Instant::now() < kept.renew_at
        {
            return Ok(Arc::clone(&kept.token));
        }
        match fetch(login, tenant, now).await {
            Ok(kept) => {
                let token = Arc::clone(&kept.token);
                *slot = Some(kept);
                Ok(token)
            }
            Err(error) => {
                let passing = error.kind() == TokenErrorKind::Transient;
                let soon = Instant::now() + RENEW_PAUSE;
                match slot.as_mut().filter(|old| passing && soon < old.ends_at) {
                    Some(old) => {
                        old.renew_at = soon;
                        tracing::warn!(%tenant, %error, "token not renewed, the old one is used on");
                        Ok(Arc::clone(&old.token))
                    }
                    None => {
                        *slot = None;
                        Err(error)
                    }
                }
            }
        }
    }

    /// Drops whatever token there is.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }

    /// Drops this token, unless another caller has replaced it already.
    pub(crate) async fn reject(&self, token: &Arc<Token>) {
        let mut slot = self.0.lock().await;
        if slot.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.token, token)) {
            *slot = None;
        }
    }
}

async fn fetch(login: &Login, tenant: Uuid, now: &Now) -> Result<Kept, TokenError> {
    let asked_at = Instant::now();
    let access = login.fetch(tenant).await?;
    let claims = Claims::read(access.token.secret()).ok_or(TokenError::Unreadable)?;
    let tid = Uuid::try_parse(&claims.tid)
        .ok()
        .filter(|tid| *tid == tenant)
        .ok_or(TokenError::WrongTenant { asked: tenant, got: claims.tid })?;
    let left = (access.expires_on - now()).as_seconds_f64();
    let life = Duration::try_from_secs_f64(left).unwrap_or_default();
    Ok(Kept {
        renew_at: asked_at + life.saturating_sub(RENEW_BEFORE.min(life / 4)),
        ends_at: asked_at + life,
        token: Arc::new(Token {
            secret: access.token.secret().to_owned().into(),
            info: TokenInfo { tid, roles: claims.roles, expires: access.expires_on },
        }),
    })
}

/// The claims that concern us. The signature is Graph's to check, not ours; the tenant is looked at so
/// that a mix-up can never write into a foreign tenant.
#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) tid: String,
    #[serde(default)]
    roles: Vec<String>,
    /// In a person's token: who, until when, and the delegated permissions.
    pub(crate) oid: Option<Uuid>,
    pub(crate) exp: Option<i64>,
    pub(crate) scp: Option<String>,
}

impl Claims {
    pub(crate) fn read(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

impl Token {
    /// The `Authorization` header; marked so that no log prints it.
    pub(crate) fn header(&self) -> Option<reqwest::header::HeaderValue> {
        let text = format!("Bearer {}", self.secret.expose_secret());
        let mut value = reqwest::header::HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn claims() {
        let read = Claims::read(&jwt(r#"{"tid":"t","roles":["A"],"more":1}"#)).unwrap();
        assert_eq!((read.tid.as_str(), read.roles), ("t", vec!["A".to_owned()]));
        assert!(Claims::read(&jwt(r#"{"tid":"t"}"#)).unwrap().roles.is_empty());
        for bad in ["", "opaque", "a.!.c", &jwt("{}"), &jwt("no json")] {
            assert!(Claims::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn missing_permissions() {
        let info = TokenInfo {
            tid: Uuid::nil(),
            roles: vec!["User.Read.All".to_owned()],
            expires: OffsetDateTime::UNIX_EPOCH,
        };
        assert_eq!(info.missing(&["User.Read.All", "Other"]), ["Other"]);
    }
}
