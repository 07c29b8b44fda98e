//! As whom a tenant is spoken to: as the provider's app, as an app of the customer's own, or, for one job, as the person
//! who signed in for it. Sealed credentials are opened here and nowhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tandem_domain::{AccountId, TenantId};
use tandem_graph::{CertificatePem, ConfigError, OwnApp, TenantClient, TokenError, UserToken};
use tandem_store::StoreError;
use tandem_store::vault::{self, Authority, JobTokenRow};
use tandem_vault::{Binding, Sealed, VaultError};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Shared;

/// Why a tenant cannot be spoken to, before anything was asked of Microsoft.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    #[error("read sealed secrets")]
    Store(#[from] StoreError),
    #[error("open a sealed secret")]
    Vault(#[from] VaultError),
    #[error("this teams-sync has no keyring: set vault.keyring")]
    NoKeyring,
    #[error("the credential of the account's own app cannot be used")]
    App(#[source] ConfigError),
    #[error("the credential of the account's own app cannot be read")]
    AppForm,
    #[error("the credential of the account's own app is for another tenant than the bound one")]
    AppTenant,
    #[error("the sign-in is over before the job could use it; sign in again")]
    SignInOver,
    #[error("the person's token cannot be read")]
    Token(#[source] TokenError),
    #[error("the person signed in to the tenant {got}, and the account is bound to {bound}; sign in there")]
    OtherTenant { bound: TenantId, got: Uuid },
    #[error("the token is of another person than the one who signed in; sign in again")]
    OtherPerson,
}

impl NoClient {
    /// The stable code, see `docs/codes.md`; none where the database is at fault, which decides nothing.
    pub(crate) fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Store(_) => return None,
            Self::Vault(error) => error.code(),
            Self::NoKeyring => "keyring_unusable",
            Self::App(_) | Self::AppForm | Self::AppTenant => "app_credential_unusable",
            Self::SignInOver => "sign_in_over",
            Self::Token(_) | Self::OtherPerson => "sign_in_refused",
            Self::OtherTenant { .. } => "wrong_tenant",
        })
    }
}

/// Customers' own apps whose credentials were opened, with the time at which each was given.
#[derive(Debug, Default)]
pub(crate) struct OwnApps(Mutex<HashMap<AccountId, (OffsetDateTime, OwnApp)>>);

#[derive(Deserialize)]
struct Packed {
    client_id: String,
    cert_pem: String,
    key_pem: SecretString,
}

/// The text in which the credential of an own app is sealed.
#[must_use]
pub fn pack_app_credential(client_id: &str, certificate: &CertificatePem) -> SecretString {
    let text = json!({
        "client_id": client_id,
        "cert_pem": certificate.cert_pem,
        "key_pem": certificate.key_pem.expose_secret(),
    });
    text.to_string().into()
}

impl Shared {
    /// The same for one account.
    pub(crate) async fn account_client(
        &self,
        account: AccountId,
        tenant: TenantId,
    ) -> Result<TenantClient, NoClient> {
        let authorities = vault::authorities(&self.store, &[account]).await?;
        let authority = authorities.get(&account).copied().unwrap_or_default();
        self.stored_client(account, tenant, &authority).await
    }

    /// The client that uses the stored authorization: with the account's own app where it has one.
    pub(crate) async fn stored_client(
        &self,
        account: AccountId,
        tenant: TenantId,
        authority: &Authority,
    ) -> Result<TenantClient, NoClient> {
        let Some(given_at) = authority.own_app else { return Ok(self.graph.tenant(tenant.0)) };
        if let Some((at, app)) = self.own_apps.get(account)
            && at == given_at
        {
            return Ok(self.graph.as_own_app(&app));
        }
        let opened = self.open_own_app(account, tenant).await;
        let (at, app) = opened.inspect_err(|error| self.alarm(account, error))?;
        self.own_apps.put(account, at, app.clone());
        Ok(self.graph.as_own_app(&app))
    }

    async fn open_own_app(
        &self,
        account: AccountId,
        tenant: TenantId,
    ) -> Result<(OffsetDateTime, OwnApp), NoClient> {
        let row = vault::app_credential(&self.store, account).await?.ok_or(NoClient::AppForm)?;
        if row.tenant != tenant {
            return Err(NoClient::AppTenant);
        }
        let secret = self.open(&Binding::app_credential(account, tenant), row.sealed)?;
        let packed: Packed = serde_json::from_str(secret.expose_secret()).map_err(|_| NoClient::AppForm)?;
        let certificate = CertificatePem { cert_pem: packed.cert_pem, key_pem: packed.key_pem };
        let app = self.graph.own_app(tenant.0, &packed.client_id, &certificate).map_err(NoClient::App)?;
        tracing::info!(%account, client_id = %packed.client_id, "the account's own app is in use");
        Ok((row.created_at, app))
    }

    /// The client that uses the token of the person who signed in with this request.
    pub(crate) async fn signed_in_client(
        &self,
        account: AccountId,
        tenant: TenantId,
        request: Uuid,
    ) -> Result<TenantClient, NoClient> {
        let row = vault::job_token(&self.store, request).await?.ok_or(NoClient::SignInOver)?;
        let token = self.open_token(account, tenant, row).inspect_err(|error| self.alarm(account, error))?;
        let client = self.graph.as_person(&token);
        if client.sign_in_is_over() { Err(NoClient::SignInOver) } else { Ok(client) }
    }

    /// Opens a token and believes nothing: it must be for the bound tenant, and of the person who signed in.
    fn open_token(
        &self,
        account: AccountId,
        tenant: TenantId,
        row: JobTokenRow,
    ) -> Result<UserToken, NoClient> {
        if row.tenant != tenant {
            return Err(NoClient::OtherTenant { bound: tenant, got: row.tenant.0 });
        }
        let binding = Binding::job_token(account, tenant, row.request, row.oid);
        let token = UserToken::new(self.open(&binding, row.sealed)?).map_err(NoClient::Token)?;
        if token.tenant() != tenant.0 {
            return Err(NoClient::OtherTenant { bound: tenant, got: token.tenant() });
        }
        if token.person() != row.oid.0 {
            return Err(NoClient::OtherPerson);
        }
        Ok(token)
    }

    fn open(&self, binding: &Binding, sealed: Vec<u8>) -> Result<SecretString, NoClient> {
        let opener = self.vault.as_ref().ok_or(NoClient::NoKeyring)?;
        Ok(opener.open(binding, &Sealed::parse(sealed)?)?)
    }

    /// The client for looking after what jobs of an account have left open: with the stored authorization, else with
    /// the token that one of its jobs still has.
    pub(crate) async fn looking_client(
        &self,
        account: AccountId,
        tenant: TenantId,
        authority: &Authority,
    ) -> Result<TenantClient, NoClient> {
        match authority.token {
            Some(request) if !authority.usable => self.signed_in_client(account, tenant, request).await,
            _ => self.stored_client(account, tenant, authority).await,
        }
    }

    /// A secret that does not open is somebody's work to do at once; a database that is away is not.
    fn alarm(&self, account: AccountId, error: &NoClient) {
        let Some(code) = error.code() else { return };
        self.metrics.sealed_secret_failed(code);
        tracing::error!(%account, error.code = code, error = %tandem_runtime::chain(error), "a sealed secret cannot be used");
    }
}

impl OwnApps {
    fn get(&self, account: AccountId) -> Option<(OffsetDateTime, OwnApp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&account).cloned()
    }

    fn put(&self, account: AccountId, at: OffsetDateTime, app: OwnApp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account, (at, app));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let certificate = CertificatePem { cert_pem: "cert\n\"".to_owned(), key_pem: "key\n".into() };
        let packed: Packed =
            serde_json::from_str(pack_app_credential("client", &certificate).expose_secret()).unwrap();
        assert_eq!((packed.client_id.as_str(), packed.cert_pem.as_str()), ("client", "cert\n\""));
        assert_eq!(packed.key_pem.expose_secret(), "key\n");
    }
}
