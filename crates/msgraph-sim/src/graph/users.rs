//! `/users`.

use serde_json::{Value, json};
use uuid::Uuid;

use super::call::Call;
use super::errors::GraphError;
use super::filter::{Expr, Literal, Op};
use super::odata::{collection, entity, eventual};
use crate::clock;
use crate::model::Tenant;
use crate::model::users::User;
use crate::reply::Reply;

const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 999;

/// The properties that come without being asked for.
const DEFAULT_SET: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

/// Every property that can be selected.
pub(super) fn full(user: &User) -> Value {
    let spec = &user.spec;
    let created = clock::seconds(user.created);
    let plans: Vec<Value> = spec
        .assigned_plans
        .iter()
        .map(|plan| {
            json!({
                "assignedDateTime": created,
                "capabilityStatus": plan.capability_status,
                "service": plan.service,
                "servicePlanId": plan.service_plan_id,
            })
        })
        .collect();
    json!({
        "id": user.id,
        "userPrincipalName": spec.user_principal_name,
        "displayName": spec.display_name,
        "givenName": spec.display_name,
        "surname": null,
        "jobTitle": null,
        "mail": spec.mail,
        "mobilePhone": null,
        "officeLocation": null,
        "preferredLanguage": null,
        "accountEnabled": spec.account_enabled,
        "usageLocation": spec.usage_location,
        "userType": spec.user_type,
        "onPremisesSyncEnabled": spec.on_premises_sync_enabled,
        "businessPhones": spec.business_phones,
        "createdDateTime": created,
        "assignedPlans": plans,
    })
}

/// The default properties.
pub(super) fn basic(user: &User) -> Value {
    let Value::Object(mut all) = full(user) else { return Value::Null };
    all.retain(|name, _| DEFAULT_SET.contains(&name.as_str()));
    Value::Object(all)
}

fn projected(call: &Call<'_>, user: &User) -> Result<Value, GraphError> {
    if call.query.select.is_some() { call.query.project(full(user), "user") } else { Ok(basic(user)) }
}

/// The plan of a filter `assignedPlans/any(p:p/servicePlanId eq … and p/capabilityStatus eq 'Enabled')`, which an
/// index answers.
fn enabled_plan(filter: &Expr) -> Option<Uuid> {
    let Expr::Any { path, inner: Some(inner), .. } = filter else { return None };
    let parts = inner.conjuncts();
    if path.as_slice() != ["assignedPlans"] || parts.len() != 2 {
        return None;
    }
    let mut plan = None;
    let mut enabled = false;
    for part in parts {
        let Expr::Compare { path, op: Op::Eq, value } = part else { return None };
        match (path.last().map(String::as_str), value) {
            (Some("servicePlanId"), Literal::Guid(id)) => plan = Some(*id),
            (Some("capabilityStatus"), Literal::Text(s)) => enabled = s.eq_ignore_ascii_case("Enabled"),
            _ => return None,
        }
    }
    plan.filter(|_| enabled)
}

fn check(call: &Call<'_>, advanced_engine: bool) -> Result<(), GraphError> {
    let query = call.query;
    if query.skip.is_some() {
        return Err(GraphError::directory_bad_request("'$skip' is not supported by the service."));
    }
    if query.order || query.search {
        return Err(GraphError::unsupported("Sorting and searching are not supported by this simulator."));
    }
    let Some(filter) = &query.filter else { return Ok(()) };
    for (path, _, value) in filter.comparisons() {
        if path.last().is_some_and(|p| p == "servicePlanId") && matches!(value, Literal::Text(_)) {
            return Err(GraphError::directory_bad_request(
                "A binary operator with incompatible types was detected. Found operand types 'Edm.Guid' and \
                 'Edm.String' for operator kind 'Equal'.",
            ));
        }
    }
    if filter.advanced() && !advanced_engine && call.settings.strict_advanced_queries {
        return Err(GraphError::unsupported(
            "The specified filter is not supported without the header 'ConsistencyLevel: eventual' and the query \
             option '$count=true'.",
        ));
    }
    Ok(())
}

pub(super) fn list(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    let query = call.query;
    let eventual = eventual(call.headers);
    check(call, eventual && query.count)?;
    let size = query.page_size(DEFAULT_PAGE, LARGEST_PAGE)?;
    let start = query.position();
    let users = &tenant.users;
    let indexed = query.filter.as_ref().and_then(enabled_plan);
    let mut count = None;
    let mut page = Vec::new();
    let mut next = None;
    let mut take = |position: usize, user: &User| -> Result<bool, GraphError> {
        if page.len() == size {
            next = Some(call.next_link(&json!({ "at": position })));
            return Ok(false);
        }
        page.push(projected(call, user)?);
        Ok(true)
    };
    let counted = eventual && query.count && query.skip_token.is_none();
    if query.filter.is_none() || indexed.is_some() {
        let none = std::collections::BTreeSet::new();
        let positions = match indexed {
            Some(plan) => users.with_plan(plan).unwrap_or(&none),
            None => users.alive(),
        };
        if counted {
            count = Some(positions.len());
        }
        for &position in positions.range(start..) {
            if !take(position, users.at(position))? {
                break;
            }
        }
    } else if let Some(filter) = &query.filter {
        if counted {
            count = Some(users.alive().iter().filter(|p| filter.matches(&full(users.at(**p)))).count());
        }
        for &position in users.alive().range(start..) {
            let user = users.at(position);
            if filter.matches(&full(user)) && !take(position, user)? {
                break;
            }
        }
    }
    let context = format!("users{}", query.context_fields());
    Ok(Reply::ok(collection(call.base, &context, count, next, page)))
}

pub(super) fn count(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    if !eventual(call.headers) {
        return Err(GraphError::directory_bad_request("$count is not currently supported."));
    }
    check(call, true)?;
    let users = &tenant.users;
    let count = match &call.query.filter {
        None => users.alive().len(),
        Some(filter) => match enabled_plan(filter) {
            Some(plan) => users.with_plan(plan).map_or(0, std::collections::BTreeSet::len),
            None => users.alive().iter().filter(|p| filter.matches(&full(users.at(**p)))).count(),
        },
    };
    Ok(Reply::text(200, "text/plain", count.to_string()))
}

pub(super) fn get(call: &Call<'_>, tenant: &Tenant, id: &str) -> Result<Reply, GraphError> {
    let user = tenant.users.get(id).ok_or_else(|| GraphError::no_object(id))?;
    let context = format!("users{}/$entity", call.query.context_fields());
    Ok(Reply::ok(entity(call.base, &context, projected(call, user)?)))
}
