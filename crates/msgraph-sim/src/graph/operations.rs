//! `assignNumber`, `unassignNumber` and the operations they start.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::call::Call;
use super::errors::GraphError;
use super::numbers::malformed;
use super::odata::entity;
use crate::clock::{ms, seven_digits};
use crate::model::Tenant;
use crate::model::numbers::{self, Number};
use crate::model::operations::{Forced, Operation, Order};
use crate::model::tenant::no_licence;
use crate::reply::Reply;
use crate::settings::LicenceFailure;
use crate::util::b64url;

const ROOT: &str = "/v1.0/admin/teams/telephoneNumberManagement";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    telephone_number: Option<String>,
    number_type: Option<String>,
    assignment_target_id: Option<String>,
    assignment_category: Option<String>,
    location_id: Option<String>,
}

impl Body {
    fn number(&self) -> Result<String, GraphError> {
        let text = self.telephone_number.as_deref().unwrap_or_default();
        numbers::canonical(text).ok_or_else(|| malformed(text))
    }

    fn number_type(&self) -> Result<&'static str, GraphError> {
        let text = self
            .number_type
            .as_deref()
            .ok_or_else(|| GraphError::bad_request("The parameter 'numberType' is required."))?;
        numbers::number_type(text).map_err(|e| GraphError::bad_request(e.to_string()))
    }
}

pub(super) fn assign(call: &Call<'_>, tenant: &mut Tenant) -> Result<Reply, GraphError> {
    let body: Body = call.json()?;
    let number = body.number()?;
    let number_type = body.number_type()?;
    let category = body.assignment_category.as_deref().unwrap_or("primary");
    let category = numbers::category(category).map_err(|e| GraphError::bad_request(e.to_string()))?;
    let target = body.assignment_target_id.as_deref().unwrap_or_default();
    let id = Uuid::try_parse(target).map_err(|_| {
        GraphError::bad_request(format!("The parameter 'assignmentTargetId' '{target}' is not an object id."))
    })?;
    let position = tenant.users.in_teams(target).ok_or_else(|| {
        GraphError::teams_not_found(format!("User '{target}' was not found."), "AssignNumber")
    })?;
    let user = tenant.users.at(position);
    if call.settings.licence_failure == LicenceFailure::Immediate && !user.has_phone_plan() {
        return Err(GraphError::bad_request(no_licence(&user.spec.user_principal_name, number_type)));
    }
    let order = Order::Assign {
        target: id,
        number_type,
        category,
        location_id: body.location_id.filter(|l| !l.is_empty()),
    };
    Ok(accept(call, tenant, "Assignment", number, order))
}

pub(super) fn unassign(call: &Call<'_>, tenant: &mut Tenant) -> Result<Reply, GraphError> {
    let body: Body = call.json()?;
    let number = body.number()?;
    let order = Order::Unassign { number_type: body.number_type()? };
    Ok(accept(call, tenant, "Unassignment", number, order))
}

fn accept(call: &Call<'_>, tenant: &mut Tenant, kind: &str, number: String, order: Order) -> Reply {
    let change = call.operation;
    let id = b64url(format!("{kind}|{}", call.ids.uuid()));
    let latency = change.latency_ms.unwrap_or_else(|| call.settings.operation_latency_ms.draw(call.ids));
    let operation = Operation {
        id: id.clone(),
        number,
        order,
        created: call.now.wall,
        running_from: call.now.mono + ms(latency / 4),
        forced: Forced {
            stuck: change.stuck,
            status: change.status.clone(),
            detail: change.detail.clone(),
            licence_removed: change.licence_removed,
        },
        outcome: None,
    };
    tenant.submit(operation, call.now.mono + ms(latency));
    tenant.advance(call.now, call.settings);
    Reply::empty(202).with("Location", format!("{}{ROOT}/operations('{id}')", call.base))
}

/// An operation as the API shows it.
pub(crate) fn operation(call_base: &str, operation: &Operation, now: tokio::time::Instant) -> Value {
    let (status, detail) = operation.status(now);
    let number = Number::direct_routing(&operation.number);
    json!({
        "id": operation.id,
        "createdDateTime": seven_digits(operation.created),
        "status": status,
        "numbers": [{
            "resourceLocation": format!("{call_base}{ROOT}/numberAssignments/{}", number.id()),
            "status": status,
            "statusDetail": detail,
        }],
    })
}

pub(super) fn get(call: &Call<'_>, tenant: &Tenant, id: &str) -> Result<Reply, GraphError> {
    let found = tenant.operations.get(id).ok_or_else(|| {
        GraphError::teams_not_found(format!("Operation '{id}' was not found."), "GetOperation")
    })?;
    let value = operation(call.base, found, call.now.mono);
    let context = "admin/teams/telephoneNumberManagement/operations/$entity";
    Ok(Reply::ok(entity(call.base, context, value)))
}
