//! `/users/delta()`.

use serde_json::{Value, json};

use super::call::Call;
use super::errors::GraphError;
use super::odata::collection;
use super::users;
use crate::model::Tenant;
use crate::model::users::User;
use crate::reply::Reply;
use crate::util::{b64url, from_b64url};

/// Users looked at for one page.
const PAGE: usize = 200;

/// A round starts without a token (everybody), with `latest` (nobody), or with the token of the last round.
pub(super) fn changes(call: &Call<'_>, tenant: &Tenant) -> Result<Reply, GraphError> {
    let query = call.query;
    if query.top.is_some()
        || query.order
        || query.search
        || !query.expand.is_empty()
        || query.filter.is_some()
    {
        return Err(GraphError::directory_bad_request(
            "The query option is not supported for delta queries.",
        ));
    }
    let all = tenant.users.everybody();
    let latest = tenant.users.changes();
    let (since, position, until) = match (&query.delta_token, query.skip_token.is_some()) {
        (_, true) => {
            let n = |name: &str| query.mark(name).and_then(Value::as_u64).unwrap_or(0);
            (n("since"), query.position(), n("until"))
        }
        (None, false) => (0, 0, latest),
        (Some(token), false) if token == "latest" => (latest, all.len(), latest),
        (Some(token), false) => {
            let since = from_b64url(token)
                .and_then(|b| String::from_utf8(b).ok())
                .and_then(|t| t.strip_prefix("delta:").and_then(|n| n.parse().ok()));
            let gone = || GraphError::new(410, "syncStateNotFound", "The delta token is not known any more.");
            (since.ok_or_else(gone)?, 0, latest)
        }
    };
    let end = all.len().min(position + PAGE);
    let mut value = Vec::new();
    for user in &all[position.min(end)..end] {
        if user.change > since && (since > 0 || user.alive()) {
            value.push(item(call, user)?);
        }
    }
    let next =
        (end < all.len()).then(|| call.next_link(&json!({ "at": end, "since": since, "until": until })));
    let more = next.is_some();
    let mut body = collection(call.base, "users", None, next, value);
    if !more {
        let token = b64url(format!("delta:{until}"));
        body["@odata.deltaLink"] = json!(format!("{}{}?$deltatoken={token}", call.base, call.path));
    }
    Ok(Reply::ok(body))
}

fn item(call: &Call<'_>, user: &User) -> Result<Value, GraphError> {
    if !user.alive() {
        let reason = if user.purged { "deleted" } else { "changed" };
        return Ok(json!({ "id": user.id, "@removed": { "reason": reason } }));
    }
    let Some(select) = &call.query.select else { return Ok(users::basic(user)) };
    let mut value = call.query.project(users::full(user), "user")?;
    if !select.iter().any(|name| name == "id") {
        value["id"] = json!(user.id);
    }
    Ok(value)
}
