//! `/directory/deletedItems`: soft-deleted users, who can still be restored.

use serde_json::{Value, json};

use super::call::Call;
use super::errors::GraphError;
use super::odata::{collection, entity};
use super::users;
use crate::clock;
use crate::model::Tenant;
use crate::model::users::User;
use crate::reply::Reply;

const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 999;

fn shown(call: &Call<'_>, user: &User) -> Result<Value, GraphError> {
    let mut value = users::full(user);
    value["deletedDateTime"] = json!(user.deleted_at.map(clock::seconds));
    if call.query.select.is_some() {
        return call.query.project(value, "user");
    }
    let mut basic = users::basic(user);
    basic["deletedDateTime"] = value["deletedDateTime"].take();
    Ok(basic)
}

pub(super) fn list(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    let query = call.query;
    let size = query.page_size(DEFAULT_PAGE, LARGEST_PAGE)?;
    let (mut page, mut next) = (Vec::new(), None);
    for (position, user) in tenant.users.bin().filter(|(position, _)| *position >= query.position()) {
        if query.filter.as_ref().is_some_and(|filter| !filter.matches(&users::full(user))) {
            continue;
        }
        if page.len() == size {
            next = Some(call.next_link(&json!({ "at": position })));
            break;
        }
        page.push(shown(call, user)?);
    }
    let context = format!("users{}", query.context_fields());
    Ok(Reply::ok(collection(call.base, &context, None, next, page)))
}

pub(super) fn get(call: &Call<'_>, tenant: &Tenant, id: &str) -> Result<Reply, GraphError> {
    let found = tenant.users.bin().find(|(_, user)| user.id.to_string().eq_ignore_ascii_case(id));
    let (_, user) = found.ok_or_else(|| GraphError::no_object(id))?;
    let mut value = shown(call, user)?;
    value["@odata.type"] = json!("#microsoft.graph.user");
    Ok(Reply::ok(entity(call.base, "directoryObjects/$entity", value)))
}
