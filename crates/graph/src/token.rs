//! Tokens: fetched once per tenant, checked, kept while they are good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use crate::ledger::Ledger;
use crate::login_gate::LoginGate;
use crate::metrics::GraphMetrics;
use crate::token_error::{TokenError, TokenErrorKind};

/// A token is renewed when this much of its life is left (or a quarter of a short life).
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// After a renewal that failed for a passing reason, the old token is used this long before the next try.
const RENEW_PAUSE: Duration = Duration::from_secs(15);

/// A fresh token that was rejected as well is not replaced before this has passed, however many calls meet it.
const REPLACE_PAUSE: Duration = Duration::from_secs(60);

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
    /// Fetched in place of one that was rejected or thrown away.
    replaces: bool,
    fetched: Instant,
    /// Graph has taken it.
    taken: AtomicBool,
}

struct Kept {
    token: Arc<Token>,
    renew_at: Instant,
    ends_at: Instant,
}

/// The token of one tenant. The lock is held while fetching, so that many callers make one request.
#[derive(Default)]
pub(crate) struct TokenSlot(Mutex<Slot>);

#[derive(Default)]
struct Slot {
    kept: Option<Kept>,
    /// The next token takes the place of one that was rejected or thrown away.
    replaces: bool,
}

/// What a token is asked for with.
pub(crate) struct Ask<'a> {
    pub(crate) login: &'a Login,
    pub(crate) gate: &'a LoginGate,
    pub(crate) ledger: &'a dyn Ledger,
    pub(crate) metrics: &'a GraphMetrics,
    pub(crate) tenant: Uuid,
    pub(crate) now: &'a Now,
}

impl TokenSlot {
    pub(crate) async fn get(&self, ask: &Ask<'_>) -> Result<Arc<Token>, TokenError> {
        let mut slot = self.0.lock().await;
        if let Some(kept) = slot.kept.as_ref()
            && Instant::now() < kept.renew_at
        {
            return Ok(Arc::clone(&kept.token));
        }
        match fetch(ask, slot.replaces).await {
            Ok(kept) => {
                let token = Arc::clone(&kept.token);
                *slot = Slot { kept: Some(kept), replaces: false };
                Ok(token)
            }
            Err(error) => {
                let passing = error.kind() == TokenErrorKind::Transient;
                let soon = Instant::now() + RENEW_PAUSE;
                match slot.kept.as_mut().filter(|old| passing && soon < old.ends_at) {
                    Some(old) => {
                        old.renew_at = soon;
                        tracing::warn!(tenant = %ask.tenant, %error, "token not renewed, the old one is used on");
                        Ok(Arc::clone(&old.token))
                    }
                    None => {
                        slot.kept = None;
                        Err(error)
                    }
                }
            }
        }
    }

    /// Drops whatever token there is.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = Slot { kept: None, replaces: true };
    }

    /// Drops this token, unless another caller has replaced it already.
    pub(crate) async fn replace(&self, token: &Arc<Token>) {
        let mut slot = self.0.lock().await;
        if slot.kept.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.token, token)) {
            *slot = Slot { kept: None, replaces: true };
        }
    }

    /// Drops this token, which Graph has rejected. `false` when another one would fare no better: this one was fetched a
    /// moment ago, in place of one that was rejected, and Graph has never taken it.
    pub(crate) async fn reject(&self, token: &Arc<Token>) -> bool {
        let worth_it = token.taken.load(Ordering::Relaxed)
            || !token.replaces
            || token.fetched.elapsed() >= REPLACE_PAUSE;
        if worth_it {
            self.replace(token).await;
        }
        worth_it
    }
}

async fn fetch(ask: &Ask<'_>, replaces: bool) -> Result<Kept, TokenError> {
    let Ask { login, gate, ledger, metrics, tenant, now } = *ask;
    gate.pass(ledger).await?;
    let asked_at = Instant::now();
    let access = gate.answered(ledger, metrics, login.fetch(tenant).await).await?;
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
            replaces,
            ..Token::new(
                access.token.secret().to_owned().into(),
                TokenInfo { tid, roles: claims.roles, expires: access.expires_on },
            )
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
    pub(crate) fn new(secret: SecretString, info: TokenInfo) -> Self {
        Self { secret, info, replaces: false, fetched: Instant::now(), taken: AtomicBool::new(false) }
    }

    /// Graph has answered a request with it and not rejected it.
    pub(crate) fn taken(&self) {
        self.taken.store(true, Ordering::Relaxed);
    }

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
