//! `/me`: the person behind a delegated token.

use serde_json::{Value, json};
use uuid::Uuid;

use super::call::Call;
use super::errors::GraphError;
use super::odata::collection;
use super::users;
use crate::ids;
use crate::model::Tenant;
use crate::model::roles::describe;
use crate::reply::Reply;

pub(super) fn get(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    users::get(call, tenant, &call.claims.oid.to_string())
}

fn role(tenant: &Tenant, template: Uuid) -> Value {
    let (name, description) = describe(template);
    json!({
        "id": ids::named(tenant.tid, &template.to_string()),
        "deletedDateTime": null,
        "description": description,
        "displayName": name,
        "roleTemplateId": template,
    })
}

/// The roles that the directory knows now, whatever the token says.
pub(super) fn roles(call: &Call<'_>, tenant: &Tenant, cast: bool) -> Result<Reply, GraphError> {
    let id = call.claims.oid.to_string();
    let user = tenant.users.get(&id).ok_or_else(|| GraphError::no_object(&id))?;
    let query = call.query;
    let mut value = Vec::new();
    for template in &user.roles {
        let role = role(tenant, *template);
        if query.filter.as_ref().is_some_and(|filter| !filter.matches(&role)) {
            continue;
        }
        let mut shown = query.project(role, "directoryRole")?;
        if !cast {
            shown["@odata.type"] = json!("#microsoft.graph.directoryRole");
        }
        value.push(shown);
    }
    let context = if cast { "directoryRoles" } else { "directoryObjects" };
    let context = format!("{context}{}", query.context_fields());
    Ok(Reply::ok(collection(call.base, &context, query.count.then_some(value.len()), None, value)))
}
