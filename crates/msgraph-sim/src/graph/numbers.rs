//! `/admin/teams/telephoneNumberManagement/numberAssignments`: reading, and `updateNumber`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::errors::GraphError;
use super::odata::{collection, entity};
use crate::model::Tenant;
use crate::model::numbers::{Number, canonical, number_of_id};
use crate::reply::Reply;

const DEFAULT_PAGE: usize = 500;
const LARGEST_PAGE: usize = 1000;
const CONTEXT: &str = "admin/teams/telephoneNumberManagement/numberAssignments";

/// A number as the API shows it.
pub(crate) fn assignment(number: &Number) -> Value {
    json!({
        "id": number.id(),
        "telephoneNumber": number.telephone_number,
        "operatorId": number.operator_id(),
        "numberType": number.number_type,
        "activationState": number.activation,
        "capabilities": number.capabilities,
        "locationId": number.location_id,
        "civicAddressId": null,
        "networkSiteId": number.network_site_id,
        "assignmentTargetId": number.holder,
        "assignmentCategory": number.category,
        "assignmentStatus": number.status,
        "portInStatus": null,
        "isoCountryCode": number.country,
        "city": number.city,
        "numberSource": number.source,
        "supportedCustomerActions": ["locationUpdate", "release"],
        "reverseNumberLookupOptions": number.reverse_lookup,
    })
}

/// Without a holder these go to null on the wire but a filter may still name them.
fn passes(call: &Call<'_>, number: &Number) -> bool {
    call.query.filter.as_ref().is_none_or(|f| f.matches(&assignment(number)))
}

pub(super) fn list(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    let query = call.query;
    let size = query.page_size(DEFAULT_PAGE, LARGEST_PAGE)?;
    if let Some(filter) = &query.filter
        && filter
            .comparisons()
            .iter()
            .any(|(path, _, _)| path.len() == 1 && ["id", "city"].contains(&path[0].as_str()))
    {
        return Err(GraphError::bad_request("Filtering on this property is not supported."));
    }
    let inventory = &tenant.shown;
    let demanded = |name| query.filter.as_ref().and_then(|f| f.demands(name));
    let last = query.mark("after").and_then(Value::as_str);
    let candidates: Box<dyn Iterator<Item = &Number>> = if let Some(number) = demanded("telephoneNumber") {
        Box::new(
            inventory
                .get(&number)
                .into_iter()
                .filter(move |n| last.is_none_or(|l| n.telephone_number.as_str() > l)),
        )
    } else if let Some(holder) = demanded("assignmentTargetId").and_then(|id| uuid::Uuid::try_parse(&id).ok())
    {
        Box::new(
            inventory.held_by(holder).filter(move |n| last.is_none_or(|l| n.telephone_number.as_str() > l)),
        )
    } else {
        inventory.after(last)
    };
    let mut page: Vec<&Number> = Vec::new();
    let mut next = None;
    for number in candidates.filter(|n| passes(call, n)).skip(query.skip.unwrap_or(0)) {
        if page.len() == size {
            let last = page.last().map(|n| n.telephone_number.as_str());
            next = Some(call.next_link(&json!({ "after": last })));
            break;
        }
        page.push(number);
    }
    let value = page
        .into_iter()
        .map(|n| query.project(assignment(n), "teamsAdministration.numberAssignment"))
        .collect::<Result<_, _>>()?;
    let context = format!("{CONTEXT}{}", query.context_fields());
    Ok(Reply::ok(collection(call.base, &context, None, next, value)))
}

pub(super) fn get(call: &Call<'_>, tenant: &Tenant, id: &str) -> Result<Reply, GraphError> {
    let number = number_of_id(id).and_then(|n| tenant.shown.get(&n));
    let number = number.ok_or_else(|| {
        GraphError::teams_not_found(format!("Number assignment '{id}' was not found."), "GetNumberAssignment")
    })?;
    let value = call.query.project(assignment(number), "teamsAdministration.numberAssignment")?;
    Ok(Reply::ok(entity(call.base, &format!("{CONTEXT}/$entity"), value)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    telephone_number: Option<String>,
    location_id: Option<String>,
    network_site_id: Option<String>,
    reverse_number_lookup_options: Option<Vec<String>>,
}

/// `""` clears a value, leaving it out keeps it.
pub(super) fn update(call: &Call<'_>, tenant: &mut Tenant) -> Result<Reply, GraphError> {
    let body: Update = call.json()?;
    let text = body.telephone_number.unwrap_or_default();
    let number = canonical(&text).ok_or_else(|| malformed(&text))?;
    let Some(mut state) = tenant.truth.get(&number).cloned() else {
        let message = format!("Telephone Number '{number}' is not found from tenant '{}'.", tenant.tid);
        return Err(GraphError::teams_not_found(message, "UpdateNumber"));
    };
    let set = |field: &mut Option<String>, value: Option<String>| {
        if let Some(value) = value {
            *field = Some(value).filter(|v| !v.is_empty());
        }
    };
    set(&mut state.location_id, body.location_id);
    set(&mut state.network_site_id, body.network_site_id);
    if let Some(options) = body.reverse_number_lookup_options {
        state.reverse_lookup = options.into_iter().filter(|o| !o.is_empty()).collect();
    }
    tenant.truth.put(state);
    tenant.land_number(&number, None, call.now, call.settings);
    Ok(Reply::empty(200))
}

/// The refusal of a number that no form accepts.
pub(super) fn malformed(text: &str) -> GraphError {
    GraphError::bad_request(format!("Invalid DirectRoutingTelephoneNumber '{text}'."))
}
