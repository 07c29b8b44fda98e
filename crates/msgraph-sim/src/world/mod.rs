//! The world as a file: applications, tenants, users, numbers, policies, consents and settings. The same
//! types are the bodies of the switchboard's requests.

mod apps;

use std::collections::BTreeMap;

pub use apps::{AppSpec, ConsentSpec, DEFAULT_ROLES, FederatedSpec, MembershipClaims, Pkce};
use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

use crate::provider::ProviderSpec;
use crate::settings::Settings;

/// The service plan behind Teams Phone for people.
pub const MCOEV: Uuid = uuid!("4828c8ec-dc2e-4779-b502-87ac9ce28ab7");
/// The service plan behind Teams Phone for resource accounts.
pub const MCOEV_VIRTUALUSER: Uuid = uuid!("f47330e9-c134-43b3-9993-e7f004506889");
/// The service plan of Teams itself.
pub const TEAMS1: Uuid = uuid!("57ff2da0-773e-42df-b2af-ffb7a2317929");

/// Everything there is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct World {
    /// Application registrations.
    pub apps: Vec<AppSpec>,
    /// Customers' directories.
    pub tenants: Vec<TenantSpec>,
    /// Replaces the provider's issuer if present.
    pub provider: Option<ProviderSpec>,
    /// Replaces the settings if present.
    pub settings: Option<Settings>,
}

/// A tenant, or what is to be added to one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TenantSpec {
    /// Directory id; may be left out where the address names it.
    pub tid: Option<Uuid>,
    /// Name of the organization.
    pub display_name: Option<String>,
    /// Verified domains, the default one first.
    pub domains: Vec<String>,
    /// `countryLetterCode` of the organization.
    pub country: Option<String>,
    /// Phone licences owned, for `subscribedSkus`; as many as used plus ten if left out.
    pub phone_licences: Option<u32>,
    /// Policy instances; before users, which name them.
    pub policies: Vec<PolicySpec>,
    /// Users.
    pub users: Vec<UserSpec>,
    /// Many alike users.
    pub bulk: Option<BulkSpec>,
    /// Number inventory.
    pub numbers: Vec<NumberSpec>,
    /// Consents given.
    pub consents: Vec<ConsentSpec>,
}

/// A policy instance that an administrator prepared.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// For example `OnlineVoiceRoutingPolicy`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name without `Tag:`.
    pub name: String,
    /// Opaque id; made up, the same in every run, if left out.
    #[serde(default)]
    pub id: Option<String>,
}

/// One entry of a user's `assignedPlans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanSpec {
    /// Service plan.
    pub service_plan_id: Uuid,
    /// `Enabled`, `Warning`, `Suspended`, `LockedOut` or `Deleted`.
    #[serde(default = "enabled")]
    pub capability_status: String,
    /// Owning service.
    #[serde(default = "communications")]
    pub service: String,
}

fn enabled() -> String {
    "Enabled".to_owned()
}

fn communications() -> String {
    "MicrosoftCommunicationsOnline".to_owned()
}

/// A user as directory and Teams know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UserSpec {
    /// Object id; version 5 of (tenant, lower-case UPN) if left out.
    pub id: Option<Uuid>,
    /// Sign-in name.
    pub user_principal_name: String,
    /// Name; the part of the UPN before the `@` if left out.
    pub display_name: Option<String>,
    /// Mail address; the UPN if left out.
    pub mail: Option<String>,
    /// May sign in.
    pub account_enabled: bool,
    /// Two letters.
    pub usage_location: Option<String>,
    /// `Member` or `Guest`.
    pub user_type: String,
    /// Directory a guest comes from; the one of personal accounts if it is
    /// `9188040d-6c67-4c5b-b112-36a304b66dad`.
    pub home_tenant: Option<Uuid>,
    /// Directory roles, by name (`Global Administrator`) or role template id.
    pub roles: Vec<String>,
    /// Synced from an on-premises directory.
    pub on_premises_sync_enabled: Option<bool>,
    /// Display numbers.
    pub business_phones: Vec<String>,
    /// All plans in detail; otherwise `phonePlan` and `knownToTeams` decide.
    pub assigned_plans: Vec<PlanSpec>,
    /// `capabilityStatus` of the phone plan, or `none`. Overrides the entry in `assignedPlans`.
    pub phone_plan: Option<String>,
    /// Whether Teams has provisioned the user already; if not, its endpoints answer 404.
    pub known_to_teams: bool,
    /// `accountType` in `userConfigurations`.
    pub account_type: String,
    /// `featureTypes`; worked out from plans and numbers if left out.
    pub feature_types: Option<Vec<String>>,
    /// The line is set in on-premises directory, so it cannot be changed online.
    pub on_premises_line: bool,
    /// Direct policy assignments, type to name; `null` removes one.
    pub policies: BTreeMap<String, Option<String>>,
    /// Assignments through groups.
    pub group_policies: Vec<GroupPolicySpec>,
}

impl Default for UserSpec {
    fn default() -> Self {
        Self {
            id: None,
            user_principal_name: String::new(),
            display_name: None,
            mail: None,
            account_enabled: true,
            usage_location: Some("US".to_owned()),
            user_type: "Member".to_owned(),
            home_tenant: None,
            roles: Vec::new(),
            on_premises_sync_enabled: None,
            business_phones: Vec::new(),
            assigned_plans: Vec::new(),
            phone_plan: None,
            known_to_teams: true,
            account_type: "user".to_owned(),
            feature_types: None,
            on_premises_line: false,
            policies: BTreeMap::new(),
            group_policies: Vec::new(),
        }
    }
}

/// A policy that reaches a user through a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupPolicySpec {
    /// Policy type.
    pub policy_type: String,
    /// Policy name.
    pub name: String,
    /// Group that carries it.
    pub group_id: Uuid,
}

/// Users `prefix00001@domain` and so on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkSpec {
    /// How many.
    pub count: u32,
    /// Start of the sign-in name.
    #[serde(default = "user")]
    pub prefix: String,
    /// First number.
    #[serde(default = "one")]
    pub start: u32,
    /// Domain; the tenant's default one if left out.
    #[serde(default)]
    pub domain: Option<String>,
    /// `capabilityStatus` of the phone plan, or `none`.
    #[serde(default = "enabled")]
    pub phone_plan: String,
    /// Base number: user n gets `<base>;ext=<n>` directly, with voice on.
    #[serde(default)]
    pub base_number: Option<String>,
}

fn user() -> String {
    "user".to_owned()
}

fn one() -> u32 {
    1
}

/// A telephone number in the inventory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NumberSpec {
    /// The number; may be left out where the address names it.
    pub telephone_number: String,
    /// `directRouting`, `callingPlan` or `operatorConnect`.
    pub number_type: String,
    /// Holder: UPN or object id of a user, or any other id (conference bridge, voice application, orphan).
    pub assigned_to: Option<String>,
    /// Worked out from the holder if left out.
    pub assignment_status: Option<String>,
    /// `primary`, `private` or `alternate`.
    pub assignment_category: String,
    /// `userAssignment` and the like.
    pub capabilities: Vec<String>,
    /// `online` or `onPremises`.
    pub number_source: String,
    /// `activated`, or any other word; an assignment activates it.
    pub activation_state: String,
    /// Emergency location.
    pub location_id: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Country.
    pub iso_country_code: Option<String>,
    /// Uploaded or owned: stays in the inventory without a holder.
    pub keep: bool,
}

impl Default for NumberSpec {
    fn default() -> Self {
        Self {
            telephone_number: String::new(),
            number_type: "directRouting".to_owned(),
            assigned_to: None,
            assignment_status: None,
            assignment_category: "primary".to_owned(),
            capabilities: vec!["userAssignment".to_owned()],
            number_source: "online".to_owned(),
            activation_state: "activated".to_owned(),
            location_id: None,
            city: None,
            iso_country_code: None,
            keep: true,
        }
    }
}
