//! Everything Tandem reads from a tenant.

use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};
use uuid::{Uuid, uuid};

use crate::call::{Call, Reply};
use crate::client::TenantClient;
use crate::directory::{CapabilityStatus, Organization, User};
use crate::error::{GraphError, Unusable};
use crate::model::{NumberAssignment, Operation, PolicyId, UserConfiguration};
use crate::pages::{Pages, json};
use crate::token::TokenInfo;
use crate::writes::OperationRef;

/// The service plan `MCOEV` that makes an ordinary user a Teams Phone user, whatever licence brings it.
pub const PHONE_SYSTEM_PLAN: Uuid = uuid!("4828c8ec-dc2e-4779-b502-87ac9ce28ab7");
/// The service plan `MCOEV_VIRTUALUSER` of resource accounts.
pub const VIRTUAL_USER_PLAN: Uuid = uuid!("f47330e9-c134-43b3-9993-e7f004506889");

/// Properties asked of `/users`.
const USER_SELECT: &str = "id,userPrincipalName,displayName,mail,accountEnabled,usageLocation,\
                           userType,onPremisesSyncEnabled,businessPhones,assignedPlans";

pub(crate) const NUMBERS: &str = "admin/teams/telephoneNumberManagement/numberAssignments";

/// Which numbers of the inventory to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberFilter {
    /// All.
    All,
    /// Those of the provider's own trunk.
    DirectRouting,
    /// Those one user holds.
    HeldBy(Uuid),
}

/// Proof that the tenant lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What our token says.
    pub token: TokenInfo,
    /// The tenant's own record.
    pub organization: Organization,
}

impl TenantClient {
    /// The tenant's own record.
    ///
    /// # Errors
    /// As any request; and if the record is of another tenant.
    pub async fn organization(&self) -> Result<Organization, GraphError> {
        let url = self.url("organization", &[("$select", "id,displayName,verifiedDomains")]);
        self.send(&Call::read("organization", url), |reply| {
            let list: List<Organization> = json(reply)?;
            let organization = list.value.into_iter().next().ok_or(Unusable::Empty)?;
            if organization.id == self.tenant { Ok(organization) } else { Err(Unusable::OtherTenant) }
        })
        .await
    }

    /// What our token for this tenant says.
    ///
    /// # Errors
    /// If there is no token.
    pub async fn token_info(&self) -> Result<TokenInfo, GraphError> {
        Ok(self.patient_token().await?.info.clone())
    }

    /// What a token says that is fetched now: consent given meanwhile does not show in an older one.
    ///
    /// # Errors
    /// If there is no token.
    pub async fn fresh_token_info(&self) -> Result<TokenInfo, GraphError> {
        let old = self.patient_token().await?;
        self.renew_token(&old).await;
        self.token_info().await
    }

    /// A token and one harmless read.
    ///
    /// # Errors
    /// As [`TenantClient::organization`].
    pub async fn probe(&self) -> Result<Probe, GraphError> {
        let organization = self.organization().await?;
        Ok(Probe { token: self.token_info().await?, organization })
    }

    /// The users whose Phone System plan is in this state. The index behind it lags a little.
    #[must_use]
    pub fn users_with_phone_plan(&self, status: &CapabilityStatus) -> Pages<User> {
        let filter = format!(
            "assignedPlans/any(p:p/servicePlanId eq {PHONE_SYSTEM_PLAN} and p/capabilityStatus eq '{}')",
            quoted(status.as_str())
        );
        self.list_users(Some(&filter))
    }

    /// The users who hold an enabled Phone System plan.
    #[must_use]
    pub fn licensed_users(&self) -> Pages<User> {
        self.users_with_phone_plan(&CapabilityStatus::Enabled)
    }

    /// All users of the directory.
    #[must_use]
    pub fn users(&self) -> Pages<User> {
        self.list_users(None)
    }

    fn list_users(&self, filter: Option<&str>) -> Pages<User> {
        let mut query: Vec<(&str, &str)> = filter.map(|filter| ("$filter", filter)).into_iter().collect();
        query.extend([("$count", "true"), ("$select", USER_SELECT), ("$top", "999")]);
        let mut call = Call::read("users", self.url("users", &query));
        call.eventual = true;
        Pages::new(self, call)
    }

    /// One user of the directory; `None` if there is no such user.
    ///
    /// # Errors
    /// As any request.
    pub async fn user(&self, oid: Uuid) -> Result<Option<User>, GraphError> {
        let url = self.url(&format!("users/{oid}"), &[("$select", USER_SELECT)]);
        found(self.send(&Call::read("user", url), json).await)
    }

    /// A deleted user who can still be restored; `None` if there is no such user in the bin.
    ///
    /// # Errors
    /// As any request.
    pub async fn deleted_user(&self, oid: Uuid) -> Result<Option<User>, GraphError> {
        let url = self.url(&format!("directory/deletedItems/{oid}"), &[]);
        found(self.send(&Call::read("deleted_user", url), json).await)
    }

    /// What Teams knows of all users.
    #[must_use]
    pub fn user_configurations(&self) -> Pages<UserConfiguration> {
        let url = self.url("admin/teams/userConfigurations", &[("$top", "999")]);
        Pages::new(self, Call::read("user_configurations", url))
    }

    /// What Teams knows of one user; `None` if Teams does not know the user (yet).
    ///
    /// # Errors
    /// As any request.
    pub async fn user_configuration(&self, oid: Uuid) -> Result<Option<UserConfiguration>, GraphError> {
        let url = self.url(&format!("admin/teams/userConfigurations/{oid}"), &[]);
        found(self.send(&Call::read("user_configuration", url), bare).await)
    }

    /// The numbers of the tenant's inventory.
    #[must_use]
    pub fn number_assignments(&self, filter: &NumberFilter) -> Pages<NumberAssignment> {
        let filter = match filter {
            NumberFilter::All => None,
            NumberFilter::DirectRouting => Some("numberType eq 'directRouting'".to_owned()),
            NumberFilter::HeldBy(oid) => Some(format!("assignmentTargetId eq '{oid}'")),
        };
        self.numbers(filter.as_deref(), "1000")
    }

    /// One number of the inventory, written as Teams writes it (`+E164` or `+E164;ext=N`); `None` if the
    /// tenant does not have it.
    ///
    /// # Errors
    /// As any request.
    pub async fn number_assignment_by_number(
        &self,
        number: &str,
    ) -> Result<Option<NumberAssignment>, GraphError> {
        let filter = format!("telephoneNumber eq '{}'", quoted(number));
        let mut pages = self.numbers(Some(&filter), "100");
        while let Some(page) = pages.next().await? {
            let hit = page.into_iter().find(|found| same_number(&found.telephone_number, number));
            if hit.is_some() {
                return Ok(hit);
            }
        }
        Ok(None)
    }

    fn numbers(&self, filter: Option<&str>, top: &str) -> Pages<NumberAssignment> {
        let mut query = vec![("$top", top)];
        query.extend(filter.map(|filter| ("$filter", filter)));
        let url = self.url(NUMBERS, &query);
        Pages::new(self, Call::read("number_assignments", url))
    }

    /// How far an operation is. [`crate::ErrorClass::NotFound`] means that Microsoft has forgotten it.
    ///
    /// # Errors
    /// As any request; and if the reference leads to another host.
    pub async fn operation(&self, operation: &OperationRef) -> Result<Operation, GraphError> {
        let kind = "operation";
        let url = self.graph.own_link(operation.as_str()).map_err(|source| GraphError::Unusable {
            call: kind,
            ids: Box::default(),
            source,
        })?;
        self.send(&Call::read(kind, url), bare).await
    }

    /// The id of a policy by type and name; `None` if the tenant has no such policy, which Graph may say
    /// with an empty list or with a 404.
    ///
    /// # Errors
    /// As any request.
    pub async fn policy_id(&self, policy_type: &str, name: &str) -> Result<Option<PolicyId>, GraphError> {
        let mut url = self.url("admin/teams/policy", &[]);
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&format!("getPolicyId(type='{}',name='{}')", quoted(policy_type), quoted(name)));
        }
        let list = self.send(&Call::read("policy_id", url), json::<List<NamedPolicy>>).await;
        let policies = found(list)?.map(|list| list.value).unwrap_or_default();
        let only = policies.len() == 1;
        Ok(policies.into_iter().find(|policy| only || policy.is_called(name)).map(|policy| policy.policy_id))
    }

    pub(crate) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.graph.inner.base.clone();
        url.set_path(&format!("{}/{path}", url.path()));
        if !query.is_empty() {
            let query: Vec<String> =
                query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
            url.set_query(Some(&query.join("&")));
        }
        url
    }
}

#[derive(Deserialize)]
struct List<T> {
    value: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedPolicy {
    #[serde(default)]
    name: String,
    policy_id: PolicyId,
}

impl NamedPolicy {
    /// Graph puts `Tag:` before the name of a policy.
    fn is_called(&self, name: &str) -> bool {
        let own = self.name.strip_prefix("Tag:").unwrap_or(&self.name);
        own.eq_ignore_ascii_case(name.strip_prefix("Tag:").unwrap_or(name))
    }
}

/// An entity, which some samples of Microsoft's documentation wrap into `value`.
fn bare<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Unusable> {
    let mut body: Value = json(reply)?;
    let body = match body.get_mut("value") {
        Some(inner @ Value::Object(_)) => inner.take(),
        _ => body,
    };
    serde_json::from_value(body).map_err(Unusable::NotJson)
}

fn found<T>(result: Result<T, GraphError>) -> Result<Option<T>, GraphError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A text between the quotes of an OData expression.
fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

/// A value of a query. A space becomes `%20`: the `+` of forms is not for every server.
fn encoded(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Teams shows numbers with a plus and takes them without.
fn same_number(one: &str, other: &str) -> bool {
    one.trim_start_matches('+').eq_ignore_ascii_case(other.trim_start_matches('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        assert_eq!(encoded("a eq '+1;ext=2' & b"), "a%20eq%20%27%2B1%3Bext%3D2%27%20%26%20b");
        assert_eq!(quoted("O'Neil"), "O''Neil");
    }

    #[test]
    fn names_and_numbers() {
        let policy = |name: &str| NamedPolicy { name: name.to_owned(), policy_id: PolicyId("p".to_owned()) };
        assert!(policy("Tag:Provider-US").is_called("provider-us"));
        assert!(policy("Global").is_called("Global"));
        assert!(!policy("Tag:Provider-US").is_called("Provider"));
        assert!(same_number("+12125550101;ext=1", "12125550101;EXT=1"));
        assert!(!same_number("+12125550101;ext=1", "+12125550101"));
    }

    #[test]
    fn wrapped_and_bare() {
        let reply = |body: &str| Reply {
            status: 200,
            location: None,
            ids: crate::RequestIds::default(),
            body: body.as_bytes().to_vec(),
        };
        for body in [r#"{"id":"a","status":"running"}"#, r#"{"value":{"id":"a","status":"running"}}"#] {
            let operation: Operation = bare(&reply(body)).unwrap();
            assert_eq!(operation.id, "a");
        }
        assert!(bare::<Operation>(&reply("<html>")).is_err());
    }
}
