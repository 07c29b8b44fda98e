//! `/admin/teams/userConfigurations`.

use serde_json::{Value, json};

use super::call::Call;
use super::errors::GraphError;
use super::odata::{collection, entity};
use super::users;
use crate::clock::seven_digits;
use crate::model::Tenant;
use crate::model::users::User;
use crate::reply::Reply;

const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 999;
const CONTEXT: &str = "admin/teams/userConfigurations";

fn feature_types(tenant: &Tenant, user: &User) -> Vec<String> {
    if let Some(features) = &user.spec.feature_types {
        return features.clone();
    }
    let mut features = vec!["Teams"];
    if user.has_phone_plan() {
        features.push("PhoneSystem");
    }
    if tenant.shown.held_by(user.id).any(|n| n.number_type == "callingPlan") {
        features.push("CallingPlan");
    }
    if user.spec.account_type == "resourceAccount" {
        features.push("VoiceApp");
    }
    features.into_iter().map(str::to_owned).collect()
}

/// A user's Teams state as the API shows it.
pub(crate) fn configuration(tenant: &Tenant, user: &User) -> Value {
    let voice = &user.shown;
    let lines: Vec<Value> = voice
        .lines
        .iter()
        .map(|line| json!({ "telephoneNumber": line.number, "assignmentCategory": line.category }))
        .collect();
    let policies: Vec<Value> = voice
        .policies
        .values()
        .filter_map(|hold| {
            let (policy, how, group) = match (&hold.direct, &hold.group) {
                (Some(policy), _) => (policy, "direct", None),
                (None, Some((policy, group))) => (policy, "group", Some(group)),
                (None, None) => return None,
            };
            Some(json!({
                "policyType": hold.policy_type,
                "policyAssignment": {
                    "displayName": policy.name,
                    "assignmentType": how,
                    "policyId": policy.id,
                    "groupId": group,
                },
            }))
        })
        .collect();
    json!({
        "id": user.id,
        "tenantId": tenant.tid,
        "userPrincipalName": user.spec.user_principal_name,
        "accountType": user.spec.account_type,
        "isEnterpriseVoiceEnabled": voice.enterprise_voice,
        "featureTypes": feature_types(tenant, user),
        "telephoneNumbers": lines,
        "effectivePolicyAssignments": policies,
        "createdDateTime": seven_digits(user.created),
        "modifiedDateTime": seven_digits(voice.modified),
    })
}

fn shown(call: &Call<'_>, tenant: &Tenant, user: &User) -> Result<Value, GraphError> {
    let mut value =
        call.query.project(configuration(tenant, user), "teamsAdministration.teamsUserConfiguration")?;
    // an enum member added later is only shown to clients that say they can take it
    let unknown = call.headers.get("Prefer").is_some_and(|p| {
        p.to_str().unwrap_or_default().to_ascii_lowercase().contains("include-unknown-enum-members")
    });
    if value["accountType"] == "ineligibleUser" && !unknown {
        value["accountType"] = json!("unknownFutureValue");
    }
    if call.query.expand.iter().any(|e| e == "user" || e.starts_with("user(")) {
        value["user"] = users::basic(user);
    }
    Ok(value)
}

pub(super) fn list(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    let query = call.query;
    let size = query.page_size(DEFAULT_PAGE, LARGEST_PAGE)?;
    let mut page = Vec::new();
    let mut next = None;
    for &position in tenant.users.teams().range(query.position()..) {
        let user = tenant.users.at(position);
        if query.filter.as_ref().is_some_and(|f| !f.matches(&configuration(tenant, user))) {
            continue;
        }
        if page.len() == size {
            next = Some(call.next_link(&json!({ "at": position })));
            break;
        }
        page.push(shown(call, tenant, user)?);
    }
    let context = format!("{CONTEXT}{}", query.context_fields());
    Ok(Reply::ok(collection(call.base, &context, None, next, page)))
}

fn find<'t>(tenant: &'t Tenant, id: &str) -> Result<&'t User, GraphError> {
    // the key is the object id; a UPN is not one
    let known = uuid::Uuid::try_parse(id).ok().and_then(|_| tenant.users.in_teams(id));
    known.map(|p| tenant.users.at(p)).ok_or_else(|| {
        GraphError::teams_not_found(format!("User '{id}' was not found."), "GetTeamsUserConfiguration")
    })
}

pub(super) fn get(call: &Call<'_>, tenant: &Tenant, id: &str) -> Result<Reply, GraphError> {
    let user = find(tenant, id)?;
    let value = shown(call, tenant, user)?;
    Ok(Reply::ok(entity(call.base, &format!("{CONTEXT}/$entity"), value)))
}

pub(super) fn user(call: &Call<'_>, tenant: &Tenant, id: &str) -> Result<Reply, GraphError> {
    let user = find(tenant, id)?;
    let value = if call.query.select.is_some() {
        call.query.project(users::full(user), "user")?
    } else {
        users::basic(user)
    };
    Ok(Reply::ok(entity(call.base, "users/$entity", value)))
}
