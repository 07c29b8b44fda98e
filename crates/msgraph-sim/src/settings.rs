//! What the switchboard can turn while the simulator runs.

use serde::{Deserialize, Serialize};

use crate::ids::Ids;

/// A time in milliseconds: one number, or a range `[low, high]` of which each use draws one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Span {
    /// Always the same.
    Fixed(u64),
    /// Between both, ends included.
    Range([u64; 2]),
}

impl Span {
    pub(crate) fn draw(self, ids: &Ids) -> u64 {
        match self {
            Self::Fixed(ms) => ms,
            Self::Range([low, high]) => ids.between(low, high),
        }
    }
}

/// How long after its effect a write becomes visible on a read path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Landing {
    /// `numberAssignments`.
    pub inventory_ms: u64,
    /// Numbers in `userConfigurations`.
    pub user_configuration_ms: u64,
    /// Policies in `userConfigurations`.
    pub policy_ms: u64,
    /// A service principal that admin consent created.
    pub principal_ms: u64,
    /// Permissions that admin consent gave.
    pub permissions_ms: u64,
}

/// A budget of requests in a fixed window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Requests allowed in one window.
    pub requests: u32,
    /// Length of the window.
    pub window_seconds: f64,
    /// What `Retry-After` says; the rest of the window, rounded up, if left out.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
}

/// Throttling of Graph requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throttling {
    /// Budget of each pair of application and tenant.
    pub per_app_tenant: Option<Budget>,
    /// Budget of each application over all tenants.
    pub per_app: Option<Budget>,
    /// Requests that arrive this soon after a 429 were on their way already and are not held against the caller.
    pub early_grace_ms: u64,
}

impl Default for Throttling {
    fn default() -> Self {
        Self { per_app_tenant: None, per_app: None, early_grace_ms: 250 }
    }
}

/// What Graph asks of the person behind a delegated token. Roles are names or role template ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delegated {
    /// One of these for reads of the Teams administration family; none if empty.
    pub read_roles: Vec<String>,
    /// One of these for its writes; none if empty.
    pub write_roles: Vec<String>,
    /// One of these scopes for `/me/transitiveMemberOf`; which is the least is not documented.
    pub membership_scopes: Vec<String>,
}

impl Default for Delegated {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            read_roles: owned(&["Global Administrator", "Global Reader", "Teams Administrator"]),
            write_roles: owned(&["Global Administrator", "Teams Administrator"]),
            membership_scopes: owned(&["User.Read", "GroupMember.Read.All", "Directory.Read.All"]),
        }
    }
}

/// How a missing phone licence is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LicenceFailure {
    /// `assignNumber` answers 400.
    Immediate,
    /// The operation fails.
    Operation,
}

/// What `getPolicyId` answers for a name that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownPolicy {
    /// 200 with an empty collection.
    Empty,
    /// 404.
    NotFound,
}

/// Everything that can be turned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Time from accepting a number order to its effect.
    pub operation_latency_ms: Span,
    /// Added to every login and Graph request.
    pub request_latency_ms: Span,
    /// Visibility of effects.
    pub landing: Landing,
    /// `expires_in` of tokens.
    pub token_lifetime_seconds: i64,
    /// Life of an authorization code.
    pub code_lifetime_seconds: u64,
    /// Whether assigning a number to a user that holds another one of the same category replaces it.
    pub replace_existing: bool,
    /// See [`LicenceFailure`].
    pub licence_failure: LicenceFailure,
    /// See [`UnknownPolicy`].
    pub unknown_policy: UnknownPolicy,
    /// AADSTS code for an application without service principal in the tenant: 7000229 or 700016.
    pub missing_principal_code: u32,
    /// Refuse filters on plans without `ConsistencyLevel: eventual` and `$count=true`.
    pub strict_advanced_queries: bool,
    /// See [`Delegated`].
    pub delegated: Delegated,
    /// See [`Throttling`].
    pub throttling: Throttling,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            operation_latency_ms: Span::Fixed(300),
            request_latency_ms: Span::Fixed(0),
            landing: Landing::default(),
            token_lifetime_seconds: 3599,
            code_lifetime_seconds: 600,
            replace_existing: false,
            licence_failure: LicenceFailure::Immediate,
            unknown_policy: UnknownPolicy::Empty,
            missing_principal_code: 7_000_229,
            strict_advanced_queries: true,
            delegated: Delegated::default(),
            throttling: Throttling::default(),
        }
    }
}
