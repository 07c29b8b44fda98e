//! `/_sim/…`: world, settings, faults, request log, statistics.

use std::sync::Arc;

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use uuid::Uuid;

use super::faults::{FaultSpec, KINDS};
use super::log::Wanted;
use super::tenants;
use crate::clock::Now;
use crate::model::apps::App;
use crate::model::{ModelError, roles};
use crate::provider::ProviderSpec;
use crate::settings::Settings;
use crate::state::State;
use crate::util::{lock, merge, write};
use crate::world::{AppSpec, World};

/// A refused switchboard request.
pub(crate) struct Refused(StatusCode, String);

impl Refused {
    pub(crate) fn missing(what: impl std::fmt::Display) -> Self {
        Self(StatusCode::NOT_FOUND, format!("{what} is not known"))
    }

    pub(crate) fn bad(why: impl std::fmt::Display) -> Self {
        Self(StatusCode::BAD_REQUEST, why.to_string())
    }
}

impl From<ModelError> for Refused {
    fn from(error: ModelError) -> Self {
        Self::bad(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// Replaces the provider's issuer.
async fn put_provider(Shared(state): Shared<Arc<State>>, Json(spec): Json<ProviderSpec>) -> Answer {
    lock(&state.provider).spec = spec;
    Ok(Json(json!({})))
}

/// Result of a switchboard handler.
pub(crate) type Answer = Result<Json<Value>, Refused>;

/// All routes below `/_sim`.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/world", get(world).put(load))
        .route("/apps/{app}", put(put_app).get(get_app))
        .route("/provider", put(put_provider))
        .route("/settings", get(settings).patch(patch_settings))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/requests", get(requests).delete(clear_requests))
        .route("/stats", get(stats).delete(clear_stats))
        .route("/throttle", delete(clear_throttle))
        .route("/keys/rotate", post(rotate_keys))
        .route("/tenants/{tid}", put(tenants::put).get(tenants::get).delete(tenants::remove))
        .route("/tenants/{tid}/consent", post(tenants::consent).delete(tenants::withdraw))
        .route("/tenants/{tid}/revoke-tokens", post(tenants::revoke_tokens))
        .route("/tenants/{tid}/users/bulk", post(tenants::bulk))
        .route(
            "/tenants/{tid}/users/{user}",
            get(tenants::user).put(tenants::put_user).patch(tenants::put_user).delete(tenants::remove_user),
        )
        .route("/tenants/{tid}/users/{user}/restore", post(tenants::restore_user))
        .route("/tenants/{tid}/numbers", get(tenants::numbers))
        .route(
            "/tenants/{tid}/numbers/{number}",
            get(tenants::number).put(tenants::put_number).delete(tenants::remove_number),
        )
        .route(
            "/tenants/{tid}/policies",
            get(tenants::policies).put(tenants::put_policies).delete(tenants::remove_policy),
        )
        .route("/tenants/{tid}/operations", get(tenants::operations))
        .route("/tenants/{tid}/operations/{id}/finish", post(tenants::finish))
        .with_state(state)
}

async fn world(Shared(state): Shared<Arc<State>>) -> Answer {
    let mut tenants = Vec::new();
    for tenant in state.tenants() {
        tenants.push(tenants::summary(&lock(&tenant)));
    }
    let apps: Vec<Value> = crate::util::read(&state.apps)
        .values()
        .map(|a| json!({ "appId": a.spec.app_id, "displayName": a.spec.display_name }))
        .collect();
    Ok(Json(json!({ "apps": apps, "tenants": tenants })))
}

async fn load(Shared(state): Shared<Arc<State>>, Json(world): Json<World>) -> Answer {
    state.load(world, Now::read())?;
    Ok(Json(json!({})))
}

async fn put_app(
    Shared(state): Shared<Arc<State>>,
    Path(app): Path<Uuid>,
    Json(mut spec): Json<AppSpec>,
) -> Answer {
    spec.app_id = app;
    state.put_app(App::new(spec)?);
    Ok(Json(json!({ "appId": app })))
}

async fn get_app(Shared(state): Shared<Arc<State>>, Path(app): Path<Uuid>) -> Answer {
    let app = state.app(app).ok_or_else(|| Refused::missing(app))?;
    Ok(Json(json!(app.spec)))
}

async fn settings(Shared(state): Shared<Arc<State>>) -> Answer {
    Ok(Json(json!(*state.settings())))
}

async fn patch_settings(Shared(state): Shared<Arc<State>>, Json(patch): Json<Value>) -> Answer {
    let mut settings = write(&state.settings);
    let mut value = json!(**settings);
    merge(&mut value, patch);
    let wanted: Settings = serde_json::from_value(value).map_err(Refused::bad)?;
    for role in wanted.delegated.read_roles.iter().chain(&wanted.delegated.write_roles) {
        roles::template(role)?;
    }
    *settings = Arc::new(wanted);
    Ok(Json(json!(**settings)))
}

async fn faults(Shared(state): Shared<Arc<State>>) -> Answer {
    Ok(Json(json!({ "faults": lock(&state.faults).all() })))
}

async fn add_fault(Shared(state): Shared<Arc<State>>, Json(spec): Json<FaultSpec>) -> Answer {
    if !spec.kind_is_known() {
        let kinds = KINDS.map(|kind| format!("`{kind}`")).join(", ");
        return Err(Refused::bad(format!("no request is of this kind; expected one of {kinds}")));
    }
    Ok(Json(json!({ "id": lock(&state.faults).add(spec) })))
}

async fn clear_faults(Shared(state): Shared<Arc<State>>) -> Answer {
    lock(&state.faults).clear();
    Ok(Json(json!({})))
}

async fn remove_fault(Shared(state): Shared<Arc<State>>, Path(id): Path<u64>) -> Answer {
    if lock(&state.faults).remove(id) { Ok(Json(json!({}))) } else { Err(Refused::missing(id)) }
}

async fn requests(Shared(state): Shared<Arc<State>>, Query(wanted): Query<Wanted>) -> Answer {
    let (requests, last) = lock(&state.log).list(&wanted);
    Ok(Json(json!({ "last": last, "requests": requests })))
}

async fn clear_requests(Shared(state): Shared<Arc<State>>) -> Answer {
    lock(&state.log).clear();
    Ok(Json(json!({})))
}

async fn stats(Shared(state): Shared<Arc<State>>) -> Answer {
    Ok(Json(json!(lock(&state.log).stats)))
}

async fn clear_stats(Shared(state): Shared<Arc<State>>) -> Answer {
    lock(&state.log).stats = super::log::Stats::default();
    Ok(Json(json!({})))
}

async fn clear_throttle(Shared(state): Shared<Arc<State>>) -> Answer {
    lock(&state.throttle).clear();
    Ok(Json(json!({})))
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rotation {
    /// The old keys stay published.
    #[serde(default = "yes")]
    keep: bool,
}

fn yes() -> bool {
    true
}

async fn rotate_keys(Shared(state): Shared<Arc<State>>, Json(rotation): Json<Rotation>) -> Answer {
    state.keys.rotate(rotation.keep);
    Ok(Json(json!({})))
}
