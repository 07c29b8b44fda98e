//! Asking for a sync.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{PostHeaders, Problem};
use crate::fault::Fault;
use crate::guard::InAccount;
use crate::work::About;
use crate::{App, work};

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSync {
    /// Why; kept with the job.
    #[serde(default)]
    reason: String,
}

/// A sync that was asked for. It joins one that is running, or becomes a job in a moment.
#[derive(Serialize, ToSchema)]
pub(crate) struct Asked {
    pub(super) request_id: Uuid,
}

impl NewSync {
    pub(super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self, Fault> {
        let new: Self = super::body(headers, body, "is { \"reason\": text }")?;
        if new.reason.chars().count() > 500 || new.reason.chars().any(char::is_control) {
            return Err(Fault::BadInput("reason", "is one line of 500 characters at most"));
        }
        Ok(new)
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

impl Asked {
    pub(super) fn of(request_id: Uuid) -> Self {
        Self { request_id }
    }
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/syncs", tag = "jobs", request_body = NewSync,
    params(("account" = String, Path, description = "Short name of the account"), PostHeaders), responses(
    (status = 202, description = "The sync was asked for", body = Asked),
    (status = 400, description = "The key is missing, or the body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There is no stored authorization that works", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The key was used for another request", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Asked>), Fault> {
    let key = super::key(&headers)?;
    let new = NewSync::read(&headers, &body)?;
    let key = (key.as_str(), &body[..]);
    let request_id = work::ask_sync(&app, &inside, About::Everybody, key, &new.reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Asked { request_id })))
}
