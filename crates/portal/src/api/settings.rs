//! Settings of an account, with a version in `ETag` that a save names in `If-Match`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tandem_domain::policy::PolicyRule;
use tandem_store::portal::settings::AccountSettings;
use utoipa::ToSchema;

use super::{MarkHeader, Problem};
use crate::App;
use crate::fault::Fault;
use crate::guard::InAccount;
use crate::saving::{self, Edit, Versioned};

/// Settings of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Settings {
    /// Next Gen Teams Sync, which gates Auto Sync.
    next_gen: bool,
    auto_sync: bool,
    /// Own quiet period; null for the usual one.
    quiet_ms: Option<i32>,
    /// Own longest wait; null for the usual one.
    max_wait_ms: Option<i32>,
    /// In order: the first rule of a type that fits a user decides.
    #[schema(value_type = Vec<Object>)]
    policy_rules: Vec<Value>,
    /// Integration licences; the provider alone changes them.
    licences: i32,
    /// After a save that needs the Global Admin's consent: the path where it is given.
    connect: Option<String>,
}

/// What is to be saved, all of it; whoever may not change a field sends it as it was read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSettings {
    next_gen: bool,
    auto_sync: bool,
    /// Null for the usual one.
    #[serde(deserialize_with = "given")]
    #[schema(required = true)]
    quiet_ms: Option<i32>,
    /// Null for the usual one.
    #[serde(deserialize_with = "given")]
    #[schema(required = true)]
    max_wait_ms: Option<i32>,
    #[schema(value_type = Vec<Object>)]
    policy_rules: Vec<PolicyRule>,
}

/// A field that is there, be it null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    Option::deserialize(deserializer)
}

/// What differs from `old` is to be saved, and the role has to cover that alone.
fn edit(old: &AccountSettings, new: NewSettings) -> Edit {
    Edit {
        next_gen: (new.next_gen != old.next_gen).then_some(new.next_gen),
        auto_sync: (new.auto_sync != old.auto_sync).then_some(new.auto_sync),
        quiet_ms: (new.quiet_ms != old.quiet_ms).then_some(new.quiet_ms),
        max_wait_ms: (new.max_wait_ms != old.max_wait_ms).then_some(new.max_wait_ms),
        rules: (new.policy_rules != old.rules).then_some(new.policy_rules),
    }
}

fn answer(found: Versioned, connect: Option<String>) -> Response {
    let settings = found.settings;
    let body = Settings {
        next_gen: settings.next_gen,
        auto_sync: settings.auto_sync,
        quiet_ms: settings.quiet_ms,
        max_wait_ms: settings.max_wait_ms,
        policy_rules: settings.rules.iter().map(|rule| json!(rule)).collect(),
        licences: settings.licences,
        connect,
    };
    ([(header::ETAG, format!("\"{}\"", found.version))], Json(body)).into_response()
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/settings", tag = "settings",
    params(("account" = String, Path, description = "Short name of the account")), responses(
    (status = 200, description = "The settings; `ETag` is their version", body = Settings),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(State(app): State<Arc<App>>, inside: InAccount) -> Result<Response, Fault> {
    let (found, _) = saving::read(&app, &inside).await?;
    Ok(answer(found, None))
}

#[utoipa::path(put, path = "/api/v1/accounts/{account}/settings", tag = "settings", request_body = NewSettings,
    params(("account" = String, Path, description = "Short name of the account"),
        ("If-Match" = String, Header, description = "The `ETag` of the settings that were read"),
        MarkHeader), responses(
    (status = 200, description = "Saved; `ETag` is the new version", body = Settings),
    (status = 400, description = "Something cannot be saved so", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Auto Sync needs Next Gen Teams Sync", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Somebody else has saved in between", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "`If-Match` is missing", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn save(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    let version = super::if_match(&headers)?;
    let form = "is an object of next_gen, auto_sync, quiet_ms, max_wait_ms and policy_rules";
    let new: NewSettings = super::body(&headers, &body, form)?;
    // were they saved in between, the version is old and the save is refused
    let (old, _) = saving::read(&app, &inside).await?;
    let edit = edit(&old.settings, new);
    let (found, connect) = saving::save(&app, &inside, version, edit).await?;
    Ok(answer(found, connect))
}
