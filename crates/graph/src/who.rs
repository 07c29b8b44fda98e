//! As whom a tenant is spoken to: as the provider's app, as an app of the customer's own, or as a person who has just
//! signed in. Each has tokens of its own, and none ever stands in for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::certificate::{AppCertificate, CertificatePem};
use crate::client::{Graph, Now, TenantClient};
use crate::config::ConfigError;
use crate::credential::{Login, Proof};
use crate::error::GraphError;
use crate::token::{Ask, Claims, Token, TokenInfo, TokenSlot};
use crate::token_error::TokenError;

/// Whose tokens a client sends.
#[derive(Clone)]
pub(crate) enum Who {
    Provider,
    OwnApp(OwnApp),
    Person(UserToken),
}

/// The app registration that a customer has made in its own tenant. It is good for that tenant and no other.
#[derive(Clone)]
pub struct OwnApp(Arc<OwnAppInner>);

struct OwnAppInner {
    tenant: Uuid,
    client_id: String,
    login: Login,
    token: TokenSlot,
}

impl OwnApp {
    /// Its client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }
}

impl std::fmt::Debug for OwnApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnApp")
            .field("tenant", &self.0.tenant)
            .field("client_id", &self.0.client_id)
            .finish()
    }
}

/// The delegated access token of a person. It is used as it is, never renewed; clones share its end.
#[derive(Clone)]
pub struct UserToken(Arc<UserTokenInner>);

struct UserTokenInner {
    token: Arc<Token>,
    person: Uuid,
    rejected: AtomicBool,
}

impl UserToken {
    /// Takes an access token that Microsoft login gave for a person. Its signature is Graph's to check.
    ///
    /// # Errors
    /// [`TokenError::Unreadable`] when it does not name tenant, person, end and delegated permissions.
    pub fn new(secret: SecretString) -> Result<Self, TokenError> {
        let claims = Claims::read(secret.expose_secret()).ok_or(TokenError::Unreadable)?;
        let (Ok(tid), Some(person), Some(expires), Some(scopes)) = (
            Uuid::try_parse(&claims.tid),
            claims.oid,
            claims.exp.and_then(|exp| OffsetDateTime::from_unix_timestamp(exp).ok()),
            claims.scp,
        ) else {
            return Err(TokenError::Unreadable);
        };
        let roles = scopes.split_whitespace().map(str::to_owned).collect();
        let info = TokenInfo { tid, roles, expires };
        let token = Arc::new(Token::new(secret, info));
        Ok(Self(Arc::new(UserTokenInner { token, person, rejected: AtomicBool::new(false) })))
    }

    /// The tenant it is for.
    #[must_use]
    pub fn tenant(&self) -> Uuid {
        self.0.token.info.tid
    }

    /// Whose it is: the object id in that tenant.
    #[must_use]
    pub fn person(&self) -> Uuid {
        self.0.person
    }

    /// When it ends by itself.
    #[must_use]
    pub fn expires(&self) -> OffsetDateTime {
        self.0.token.info.expires
    }

    fn is_over(&self, now: OffsetDateTime) -> bool {
        self.0.rejected.load(Ordering::Relaxed) || now >= self.expires()
    }
}

impl std::fmt::Debug for UserToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (tenant, person) = (self.tenant(), self.person());
        f.debug_struct("UserToken").field("tenant", &tenant).field("person", &person).finish_non_exhaustive()
    }
}

impl Graph {
    /// Makes a customer's own app ready for use; sends nothing.
    ///
    /// # Errors
    /// When certificate and key cannot be used.
    pub fn own_app(
        &self,
        tenant: Uuid,
        client_id: &str,
        certificate: &CertificatePem,
    ) -> Result<OwnApp, ConfigError> {
        let proof = Proof::certificates(vec![AppCertificate::read(certificate)?]);
        let inner = &self.inner;
        let (http, host, now) = (inner.http.clone(), Arc::clone(&inner.login_host), Arc::clone(&inner.now));
        let login = Login::with(&inner.config, client_id, proof, http, host, now);
        let client_id = client_id.to_owned();
        Ok(OwnApp(Arc::new(OwnAppInner { tenant, client_id, login, token: TokenSlot::default() })))
    }

    /// The view on the tenant of a customer's own app.
    #[must_use]
    pub fn as_own_app(&self, app: &OwnApp) -> TenantClient {
        TenantClient { who: Who::OwnApp(app.clone()), ..self.tenant(app.0.tenant) }
    }

    /// The view on the tenant of a person who has signed in, with that person's token.
    #[must_use]
    pub fn as_person(&self, token: &UserToken) -> TenantClient {
        TenantClient { who: Who::Person(token.clone()), ..self.tenant(token.tenant()) }
    }
}

impl TenantClient {
    /// Whether the customer's own app is at work, so that its credential is the customer's matter.
    #[must_use]
    pub fn is_own_app(&self) -> bool {
        matches!(self.who, Who::OwnApp(_))
    }

    /// Whether a person's token was at work and is over: nothing can be sent any more.
    #[must_use]
    pub fn sign_in_is_over(&self) -> bool {
        matches!(&self.who, Who::Person(token) if token.is_over((self.graph.inner.now)()))
    }

    /// The token in use, fetched if there is none.
    pub(crate) async fn current_token(&self) -> Result<Arc<Token>, GraphError> {
        let inner = &self.graph.inner;
        let now: &Now = &inner.now;
        let token = match &self.who {
            Who::Provider => self.state.token.get(&self.ask(&inner.login)).await,
            Who::OwnApp(app) => app.0.token.get(&self.ask(&app.0.login)).await,
            Who::Person(token) if token.is_over(now()) => Err(TokenError::SignInOver),
            Who::Person(token) => Ok(Arc::clone(&token.0.token)),
        };
        token.map_err(|source| GraphError::Token { tenant: self.tenant, source })
    }

    fn ask<'a>(&'a self, login: &'a Login) -> Ask<'a> {
        let inner = &self.graph.inner;
        Ask {
            login,
            gate: &self.state.login,
            ledger: inner.ledger(),
            metrics: &inner.metrics,
            tenant: self.tenant,
            now: &inner.now,
        }
    }

    /// Drops a token that Graph rejected; whether asking again makes sense. A person's cannot be replaced: it is over,
    /// and who asks again is told so.
    pub(crate) async fn reject_token(&self, token: &Arc<Token>) -> bool {
        match &self.who {
            Who::Provider => self.state.token.reject(token).await,
            Who::OwnApp(app) => app.0.token.reject(token).await,
            Who::Person(person) => {
                person.0.rejected.store(true, Ordering::Relaxed);
                true
            }
        }
    }

    /// Forgets the token at hand: the next request fetches one. A person's stays: nobody could fetch it again.
    pub async fn forget_token(&self) {
        match &self.who {
            Who::Provider => self.state.token.forget().await,
            Who::OwnApp(app) => app.0.token.forget().await,
            Who::Person(_) => {}
        }
    }

    /// Asks for another token than this one; a person's stays what it is.
    pub(crate) async fn renew_token(&self, token: &Arc<Token>) {
        match &self.who {
            Who::Provider => self.state.token.replace(token).await,
            Who::OwnApp(app) => app.0.token.replace(token).await,
            Who::Person(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn jwt(payload: &str) -> SecretString {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload)).into()
    }

    const TID: &str = "7e4a0000-0000-4000-8000-000000000001";
    const OID: &str = "5a8f0000-0000-4000-8000-000000000004";

    #[test]
    fn a_persons_token_says_whose_it_is() {
        let claims = format!(r#"{{"tid":"{TID}","oid":"{OID}","exp":90,"scp":"User.Read.All Other"}}"#);
        let token = UserToken::new(jwt(&claims)).unwrap();
        assert_eq!(
            (token.tenant().to_string(), token.person().to_string()),
            (TID.to_owned(), OID.to_owned())
        );
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        assert!(!token.is_over(at(89)) && token.is_over(at(90)));
        token.clone().0.rejected.store(true, Ordering::Relaxed);
        assert!(token.is_over(at(0)));
        assert!(!format!("{token:?}").contains("sig"));
    }

    #[test]
    fn an_apps_token_is_no_persons() {
        for claims in [
            format!(r#"{{"tid":"{TID}","oid":"{OID}","exp":90,"roles":["User.Read.All"]}}"#),
            format!(r#"{{"tid":"{TID}","exp":90,"scp":"User.Read"}}"#),
            format!(r#"{{"tid":"{TID}","oid":"{OID}","scp":"User.Read"}}"#),
            format!(r#"{{"tid":"common","oid":"{OID}","exp":90,"scp":"User.Read"}}"#),
            "no json".to_owned(),
        ] {
            assert!(matches!(UserToken::new(jwt(&claims)), Err(TokenError::Unreadable)), "{claims}");
        }
    }
}
