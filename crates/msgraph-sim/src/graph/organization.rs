//! `/organization`.

use serde_json::{Value, json};

use super::call::Call;
use super::errors::GraphError;
use super::odata::{collection, entity};
use crate::clock;
use crate::model::Tenant;
use crate::reply::Reply;

fn organization(tenant: &Tenant) -> Value {
    let domains: Vec<Value> = tenant
        .domains
        .iter()
        .enumerate()
        .map(|(i, name)| {
            json!({
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": i == 0,
                "isInitial": i + 1 == tenant.domains.len(),
                "name": name,
                "type": "Managed",
            })
        })
        .collect();
    json!({
        "id": tenant.tid,
        "displayName": tenant.display_name,
        "countryLetterCode": tenant.country,
        "createdDateTime": clock::seconds(tenant.created),
        "tenantType": "AAD",
        "verifiedDomains": domains,
    })
}

pub(super) fn list(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    let value = call.query.project(organization(tenant), "organization")?;
    let context = format!("organization{}", call.query.context_fields());
    Ok(Reply::ok(collection(call.base, &context, None, None, vec![value])))
}

pub(super) fn get(call: &Call<'_>, tenant: &Tenant, id: &str) -> Result<Reply, GraphError> {
    if !tenant.tid.to_string().eq_ignore_ascii_case(id) {
        return Err(GraphError::no_object(id));
    }
    let value = call.query.project(organization(tenant), "organization")?;
    Ok(Reply::ok(entity(call.base, "organization/$entity", value)))
}
