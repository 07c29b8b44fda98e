//! `/_sim/tenants/{tid}/…`: the directory as its administrator would change it.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::http::{Answer, Refused};
use crate::clock::Now;
use crate::graph::{configurations, numbers as number_pages, operations as operation_pages};
use crate::model::Tenant;
use crate::model::numbers::canonical;
use crate::model::users::User;
use crate::model::voice::Voice;
use crate::state::State;
use crate::util::{lock, merge};
use crate::world::{BulkSpec, ConsentSpec, NumberSpec, PolicySpec, TenantSpec, UserSpec};

type App = Shared<Arc<State>>;

fn find(state: &State, tid: Uuid) -> Result<Arc<Mutex<Tenant>>, Refused> {
    state.tenant(tid).ok_or_else(|| Refused::missing(tid))
}

/// Runs on a tenant in which everything due has been carried out, and carries out what comes due by it.
fn on<T>(
    state: &State,
    tid: Uuid,
    act: impl FnOnce(&mut Tenant, Now) -> Result<T, Refused>,
) -> Result<T, Refused> {
    let tenant = find(state, tid)?;
    let settings = state.settings();
    let now = Now::read();
    let mut tenant = lock(&tenant);
    tenant.advance(now, &settings);
    let result = act(&mut tenant, now);
    tenant.advance(now, &settings);
    result
}

pub(crate) fn summary(tenant: &Tenant) -> Value {
    let consents: Vec<Value> = tenant
        .principals
        .iter()
        .map(|(app, p)| json!({ "appId": app, "roles": p.roles, "scopes": p.scopes, "enabled": p.enabled, "objectId": p.object_id }))
        .collect();
    json!({
        "tid": tenant.tid,
        "displayName": tenant.display_name,
        "domains": tenant.domains,
        "users": tenant.users.alive().len(),
        "numbers": tenant.truth.len(),
        "consents": consents,
    })
}

pub(crate) async fn put(Shared(state): App, Path(tid): Path<Uuid>, Json(spec): Json<TenantSpec>) -> Answer {
    state.put_tenant(tid, spec, Now::read())?;
    on(&state, tid, |tenant, _| Ok(Json(summary(tenant))))
}

pub(crate) async fn get(Shared(state): App, Path(tid): Path<Uuid>) -> Answer {
    on(&state, tid, |tenant, _| Ok(Json(summary(tenant))))
}

pub(crate) async fn remove(Shared(state): App, Path(tid): Path<Uuid>) -> Answer {
    if state.remove_tenant(tid) { Ok(Json(json!({}))) } else { Err(Refused::missing(tid)) }
}

pub(crate) async fn consent(
    Shared(state): App,
    Path(tid): Path<Uuid>,
    Json(spec): Json<ConsentSpec>,
) -> Answer {
    if state.app(spec.app_id).is_none() {
        return Err(Refused::missing(spec.app_id));
    }
    on(&state, tid, |tenant, _| {
        tenant.consent(spec);
        Ok(Json(summary(tenant)))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Withdrawn {
    app_id: Option<Uuid>,
}

pub(crate) async fn withdraw(
    Shared(state): App,
    Path(tid): Path<Uuid>,
    Query(which): Query<Withdrawn>,
) -> Answer {
    on(&state, tid, |tenant, _| {
        tenant.principals.retain(|app, _| which.app_id.is_some_and(|w| w != *app));
        Ok(Json(summary(tenant)))
    })
}

/// Tokens issued until now are refused with a claims challenge.
pub(crate) async fn revoke_tokens(Shared(state): App, Path(tid): Path<Uuid>) -> Answer {
    on(&state, tid, |tenant, now| {
        tenant.tokens_revoked = now.micros();
        Ok(Json(json!({ "validFrom": now.unix() + 1 })))
    })
}

pub(crate) async fn bulk(Shared(state): App, Path(tid): Path<Uuid>, Json(spec): Json<BulkSpec>) -> Answer {
    let settings = state.settings();
    on(&state, tid, |tenant, now| {
        let ids = tenant.put_many(spec, now, &settings)?;
        Ok(Json(json!({ "created": ids.len(), "ids": ids })))
    })
}

fn voice(voice: &Voice) -> Value {
    let numbers: Vec<Value> = voice
        .lines
        .iter()
        .map(|l| json!({ "telephoneNumber": l.number, "assignmentCategory": l.category }))
        .collect();
    let policies: serde_json::Map<String, Value> = voice
        .policies
        .values()
        .map(|h| {
            let direct = h.direct.as_ref().map(|p| &p.name);
            let group = h.group.as_ref().map(|(p, _)| &p.name);
            (
                h.policy_type.clone(),
                json!({ "direct": direct, "group": group, "effective": direct.or(group) }),
            )
        })
        .collect();
    json!({ "enterpriseVoice": voice.enterprise_voice, "numbers": numbers, "policies": policies })
}

/// What is true of a user now, and what the read path shows.
fn state_of(tenant: &Tenant, user: &User) -> Value {
    let mut value = voice(&user.truth);
    value["id"] = json!(user.id);
    value["userPrincipalName"] = json!(user.spec.user_principal_name);
    value["displayName"] = json!(user.spec.display_name);
    value["spec"] = json!(user.spec);
    value["shown"] = configurations::configuration(tenant, user);
    value
}

pub(crate) async fn user(Shared(state): App, Path((tid, id)): Path<(Uuid, String)>) -> Answer {
    on(&state, tid, |tenant, _| {
        let user = tenant.users.get(&id).ok_or_else(|| Refused::missing(&id))?;
        Ok(Json(state_of(tenant, user)))
    })
}

/// Creates a user, or merges into it (RFC 7396) what is given.
pub(crate) async fn put_user(
    Shared(state): App,
    Path((tid, id)): Path<(Uuid, String)>,
    Json(patch): Json<Value>,
) -> Answer {
    on(&state, tid, |tenant, now| {
        let mut value = match tenant.users.get(&id) {
            Some(user) => json!(user.spec),
            None => match Uuid::try_parse(&id) {
                Ok(oid) => json!({ "id": oid }),
                Err(_) => json!({ "userPrincipalName": id }),
            },
        };
        // `null` inside `policies` removes an assignment, so it must survive the merge
        let policies = patch.get("policies").cloned();
        merge(&mut value, patch);
        if let Some(policies) = policies {
            value["policies"] = policies;
        }
        let spec: UserSpec = serde_json::from_value(value).map_err(Refused::bad)?;
        let position = tenant.put_user(spec, now)?;
        Ok(Json(state_of(tenant, tenant.users.at(position))))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Removal {
    /// Not to be restored.
    #[serde(default)]
    permanent: bool,
    /// Numbers go with the user; otherwise they stay with an id that is nobody's.
    #[serde(default)]
    release_numbers: bool,
}

/// Deletes a user as an administrator would.
pub(crate) async fn remove_user(
    Shared(state): App,
    Path((tid, id)): Path<(Uuid, String)>,
    Query(how): Query<Removal>,
) -> Answer {
    let settings = state.settings();
    on(&state, tid, |tenant, now| {
        let users = &mut tenant.users;
        let removed = if how.permanent { users.purge(&id, now.wall) } else { users.remove(&id, now.wall) };
        let position = removed.ok_or_else(|| Refused::missing(&id))?;
        if how.release_numbers {
            let lines = tenant.users.at(position).truth.lines.clone();
            for line in lines {
                tenant.release(&line.number, now, &settings);
            }
        }
        Ok(Json(json!({})))
    })
}

/// Takes a deleted user back.
pub(crate) async fn restore_user(Shared(state): App, Path((tid, id)): Path<(Uuid, String)>) -> Answer {
    on(&state, tid, |tenant, _| {
        let position = tenant.users.restore(&id)?.ok_or_else(|| Refused::missing(&id))?;
        Ok(Json(state_of(tenant, tenant.users.at(position))))
    })
}

pub(crate) async fn numbers(Shared(state): App, Path(tid): Path<Uuid>) -> Answer {
    on(&state, tid, |tenant, _| {
        let all: Vec<Value> = tenant.truth.after(None).map(number_pages::assignment).collect();
        Ok(Json(json!({ "numbers": all })))
    })
}

fn number_in(text: &str) -> Result<String, Refused> {
    canonical(text).ok_or_else(|| Refused::bad(format!("telephone number {text:?} is malformed")))
}

pub(crate) async fn number(Shared(state): App, Path((tid, number)): Path<(Uuid, String)>) -> Answer {
    let number = number_in(&number)?;
    on(&state, tid, |tenant, _| {
        let truth = tenant.truth.get(&number).map(number_pages::assignment);
        let shown = tenant.shown.get(&number).map(number_pages::assignment);
        Ok(Json(json!({ "truth": truth, "shown": shown })))
    })
}

pub(crate) async fn put_number(
    Shared(state): App,
    Path((tid, number)): Path<(Uuid, String)>,
    Json(mut spec): Json<NumberSpec>,
) -> Answer {
    spec.telephone_number = number;
    let settings = state.settings();
    on(&state, tid, |tenant, now| {
        tenant.put_number(spec, now, &settings)?;
        Ok(Json(json!({})))
    })
}

pub(crate) async fn remove_number(Shared(state): App, Path((tid, number)): Path<(Uuid, String)>) -> Answer {
    let number = number_in(&number)?;
    let settings = state.settings();
    on(&state, tid, |tenant, now| {
        tenant.release(&number, now, &settings);
        tenant.truth.remove(&number);
        tenant.land_number(&number, None, now, &settings);
        Ok(Json(json!({})))
    })
}

pub(crate) async fn policies(Shared(state): App, Path(tid): Path<Uuid>) -> Answer {
    on(&state, tid, |tenant, _| {
        let all: Vec<Value> = tenant
            .policies
            .iter()
            .map(|p| json!({ "type": p.policy_type, "name": p.reference.name, "id": p.reference.id }))
            .collect();
        Ok(Json(json!({ "policies": all })))
    })
}

pub(crate) async fn put_policies(
    Shared(state): App,
    Path(tid): Path<Uuid>,
    Json(specs): Json<Vec<PolicySpec>>,
) -> Answer {
    on(&state, tid, |tenant, _| {
        let ids: Vec<String> = specs.into_iter().map(|spec| tenant.policies.put(tid, spec)).collect();
        Ok(Json(json!({ "ids": ids })))
    })
}

#[derive(Deserialize)]
pub(crate) struct PolicyName {
    #[serde(rename = "type")]
    kind: String,
    name: String,
}

pub(crate) async fn remove_policy(
    Shared(state): App,
    Path(tid): Path<Uuid>,
    Query(which): Query<PolicyName>,
) -> Answer {
    on(&state, tid, |tenant, _| {
        if tenant.policies.remove(&which.kind, &which.name) {
            Ok(Json(json!({})))
        } else {
            Err(Refused::missing(&which.name))
        }
    })
}

pub(crate) async fn operations(Shared(state): App, Path(tid): Path<Uuid>) -> Answer {
    on(&state, tid, |tenant, now| {
        let shown = |o| operation_pages::operation("", o, now.mono);
        let all: Vec<Value> = tenant.operations.iter().take(1000).map(shown).collect();
        Ok(Json(json!({ "operations": all })))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    status: String,
    #[serde(default)]
    detail: Option<String>,
}

/// Ends an operation that is stuck or slow; `succeeded` has the effect.
pub(crate) async fn finish(
    Shared(state): App,
    Path((tid, id)): Path<(Uuid, String)>,
    Json(end): Json<End>,
) -> Answer {
    let settings = state.settings();
    on(&state, tid, |tenant, now| {
        let operation = tenant.operations.get_mut(&id).ok_or_else(|| Refused::missing(&id))?;
        operation.forced.status = Some(end.status);
        operation.forced.detail = end.detail;
        tenant.carry(&id, now, &settings);
        let operation = tenant.operations.get(&id).ok_or_else(|| Refused::missing(&id))?;
        Ok(Json(operation_pages::operation("", operation, now.mono)))
    })
}
