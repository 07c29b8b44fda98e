//! `/admin/teams/policy`.

use serde::Deserialize;
use serde_json::json;

use super::call::Call;
use super::errors::GraphError;
use super::odata::collection;
use crate::model::Tenant;
use crate::model::voice::PolicyRef;
use crate::reply::Reply;
use crate::settings::UnknownPolicy;

pub(super) fn get_id(call: &Call<'_>, tenant: &Tenant, kind: &str, name: &str) -> Result<Reply, GraphError> {
    let found = tenant.policies.by_name(kind, name);
    if found.is_none() && call.settings.unknown_policy == UnknownPolicy::NotFound {
        let message = format!("Policy '{name}' of type '{kind}' was not found.");
        return Err(GraphError::teams_not_found(message, "GetPolicyId"));
    }
    let value = found
        .map(|p| json!({ "name": format!("Tag:{}", p.reference.name), "policyId": p.reference.id }))
        .into_iter()
        .collect();
    let context = "Collection(microsoft.graph.teamsAdministration.policyIdentifierDetail)";
    Ok(Reply::ok(collection(call.base, context, None, None, value)))
}

#[derive(Deserialize)]
struct Body {
    value: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    user_id: String,
    policy_type: String,
    policy_id: Option<String>,
}

pub(super) fn assign(call: &Call<'_>, tenant: &mut Tenant) -> Result<Reply, GraphError> {
    change(call, tenant, |tenant, entry| {
        let id = entry.policy_id.as_deref().unwrap_or_default();
        match tenant.policies.by_id(&entry.policy_type, id) {
            Some(policy) => Ok((policy.policy_type.clone(), Some(policy.reference.clone()))),
            None => Err(GraphError::bad_request(format!(
                "Policy '{id}' of type '{}' was not found.",
                entry.policy_type
            ))),
        }
    })
}

pub(super) fn unassign(call: &Call<'_>, tenant: &mut Tenant) -> Result<Reply, GraphError> {
    change(call, tenant, |tenant, entry| {
        if tenant.policies.knows_type(&entry.policy_type) {
            Ok((entry.policy_type.clone(), None))
        } else {
            Err(GraphError::bad_request(format!("Policy type '{}' is not known.", entry.policy_type)))
        }
    })
}

/// All entries or none.
fn change(
    call: &Call<'_>,
    tenant: &mut Tenant,
    wanted: impl Fn(&Tenant, &Entry) -> Result<(String, Option<PolicyRef>), GraphError>,
) -> Result<Reply, GraphError> {
    let body: Body = call.json()?;
    if body.value.is_empty() {
        return Err(GraphError::bad_request("The parameter 'value' must not be empty."));
    }
    let mut planned = Vec::new();
    for entry in &body.value {
        let position = tenant.users.in_teams(&entry.user_id).ok_or_else(|| {
            let message = format!("User '{}' was not found.", entry.user_id);
            GraphError::teams_not_found(message, "UserPolicyAssignment")
        })?;
        planned.push((position, wanted(tenant, entry)?));
    }
    for (position, (policy_type, policy)) in planned {
        let user = tenant.users.at_mut(position);
        user.truth.hold(&policy_type, call.now.wall).direct = policy;
        tenant.land_policies(position, call.now, call.settings);
    }
    Ok(Reply::empty(204))
}
