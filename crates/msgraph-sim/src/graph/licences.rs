//! `/subscribedSkus` and `/users/{id}/licenseDetails`: one product that carries the phone plan.

use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::call::Call;
use super::errors::GraphError;
use super::odata::collection;
use crate::model::Tenant;
use crate::reply::Reply;
use crate::world::MCOEV;

const SKU: Uuid = uuid!("e43b5b99-8dfb-405f-9987-dc307f34bcbd");

fn plans() -> Value {
    json!([{
        "servicePlanId": MCOEV,
        "servicePlanName": "MCOEV",
        "provisioningStatus": "Success",
        "appliesTo": "User",
    }])
}

pub(super) fn skus(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    let used = tenant.users.with_plan(MCOEV).map_or(0, std::collections::BTreeSet::len);
    let owned = tenant.phone_licences.map_or(used + 10, |n| n as usize);
    let sku = json!({
        "id": format!("{}_{SKU}", tenant.tid),
        "skuId": SKU,
        "skuPartNumber": "MCOEV",
        "capabilityStatus": "Enabled",
        "appliesTo": "User",
        "consumedUnits": used,
        "prepaidUnits": { "enabled": owned, "suspended": 0, "warning": 0, "lockedOut": 0 },
        "servicePlans": plans(),
        "subscriptionIds": [crate::ids::named(tenant.tid, "subscription")],
        "accountId": tenant.tid,
        "accountName": tenant.display_name,
    });
    let sku = call.query.project(sku, "subscribedSku")?;
    Ok(Reply::ok(collection(call.base, "subscribedSkus", None, None, vec![sku])))
}

pub(super) fn details(call: &Call<'_>, tenant: &Tenant, id: &str) -> Result<Reply, GraphError> {
    let user = tenant.users.get(id).ok_or_else(|| GraphError::no_object(id))?;
    let held = user
        .spec
        .assigned_plans
        .iter()
        .any(|p| p.service_plan_id == MCOEV && p.capability_status == "Enabled");
    let mut value = Vec::new();
    if held {
        value.push(json!({
            "id": format!("{}_{SKU}", user.id),
            "skuId": SKU,
            "skuPartNumber": "MCOEV",
            "servicePlans": plans(),
        }));
    }
    let context = format!("users('{}')/licenseDetails", user.id);
    Ok(Reply::ok(collection(call.base, &context, None, None, value)))
}
