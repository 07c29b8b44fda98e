//! Application registrations and consents.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Application permissions that a registration asks for, and a consent grants, when it names none.
pub const DEFAULT_ROLES: [&str; 6] = [
    "User.Read.All",
    "TeamsUserConfiguration.Read.All",
    "TeamsTelephoneNumber.ReadWrite.All",
    "TeamsPolicyUserAssign.ReadWrite.All",
    "LicenseAssignment.Read.All",
    "Organization.Read.All",
];

/// Which proof key (RFC 7636) an authorization request has to bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pkce {
    /// `S256`, and nothing else.
    #[default]
    S256,
    /// `S256` or `plain`.
    Plain,
    /// Any or none.
    Optional,
}

/// Which memberships go into ID tokens: `wids` appears with `DirectoryRole` and `All` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipClaims {
    /// Directory roles.
    DirectoryRole,
    /// Roles and groups; there are no groups here.
    All,
    /// Groups alone.
    SecurityGroup,
}

/// An application registration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AppSpec {
    /// Client id.
    pub app_id: Uuid,
    /// Name, for pages and error texts.
    pub display_name: String,
    /// Client secrets in clear; any of them is accepted.
    pub secrets: Vec<String>,
    /// PEM certificates, or bare PEM public keys, whose RSA keys may sign client assertions.
    pub certificates: Vec<String>,
    /// Federated identity credentials.
    pub federated: Vec<FederatedSpec>,
    /// Redirect URIs of the platform *Web*: a code is redeemed with a credential of the application.
    pub redirect_uris: Vec<String>,
    /// Redirect URIs of the platform *Mobile and desktop*: a code is redeemed without one.
    pub public_redirect_uris: Vec<String>,
    /// See [`Pkce`].
    pub pkce: Pkce,
    /// See [`MembershipClaims`].
    pub group_membership_claims: Option<MembershipClaims>,
    /// Optional claims of ID tokens: `acct`, `auth_time`, `email`.
    pub optional_claims: Vec<String>,
    /// Application permissions that the registration asks for; [`DEFAULT_ROLES`] if left out.
    pub roles: Option<Vec<String>>,
    /// Delegated permissions that the registration asks for.
    pub scopes: Vec<String>,
}

impl AppSpec {
    /// The application permissions that admin consent grants.
    pub(crate) fn wanted_roles(&self) -> Vec<String> {
        self.roles.clone().unwrap_or_else(|| DEFAULT_ROLES.map(str::to_owned).to_vec())
    }
}

/// A federated identity credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedSpec {
    /// Exact issuer of the assertion.
    pub issuer: String,
    /// Exact subject of the assertion.
    pub subject: String,
    /// Audience of the assertion.
    #[serde(default = "exchange")]
    pub audience: String,
    /// PEM public key or certificate of the issuer.
    #[serde(default)]
    pub public_key: Option<String>,
    /// JSON web key set of the issuer.
    #[serde(default)]
    pub jwks: Option<serde_json::Value>,
}

fn exchange() -> String {
    "api://AzureADTokenExchange".to_owned()
}

/// Admin consent to an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsentSpec {
    /// Client id.
    pub app_id: Uuid,
    /// Application permissions; [`DEFAULT_ROLES`] if left out.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
    /// Delegated permissions, for everybody in the tenant.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether the service principal may sign in.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Default for ConsentSpec {
    fn default() -> Self {
        Self { app_id: Uuid::nil(), roles: None, scopes: Vec::new(), enabled: true }
    }
}

fn yes() -> bool {
    true
}
