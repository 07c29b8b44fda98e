//! Addresses, and the way of a request from its headers to its answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use serde_json::{Value, json};
use tandem_domain::{AccountId, PbxUserId};
use tandem_pbx::push::{self, PushError, PushSecret, Verified};
use tandem_runtime::{chain, trace};
use tandem_store::pbx::push::Answer;
use tandem_store::pbx::sources;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::Instrument;

use crate::announce::SaveError;
use crate::changes::{Body, Edit, Times};
use crate::push::App;
use crate::push::problem::Problem;
use crate::push::take::{Effect, Message, TakeError};

/// Bodies longer than this are read outside the threads that serve requests.
const LONG: usize = 64 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/pbx/v1/accounts/{account}/users/{id}", put(user).delete(user))
        .route("/pbx/v1/accounts/{account}/users", post(bulk))
        .route("/pbx/v1/sources/{source}/hint", post(hint))
        .method_not_allowed_fallback(async || {
            let detail = "this address does not take this method; see the Allow header";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .fallback(async || {
            let detail =
                "there is nothing at this address; users are at /pbx/v1/accounts/{account}/users/{id}";
            Problem::new(StatusCode::NOT_FOUND, "no_such_address", detail)
        })
        .with_state(app)
}

async fn user(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    match path {
        Ok(Path((account, id))) => answered(&app, app.users(account, Some(id), request).await),
        Err(_) => answered(&app, Err(bad_path())),
    }
}

async fn bulk(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match path {
        Ok(Path(account)) => answered(&app, app.users(account, None, request).await),
        Err(_) => answered(&app, Err(bad_path())),
    }
}

async fn hint(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match path {
        Ok(Path(source)) => answered(&app, app.hinted(source, request).await),
        Err(_) => answered(&app, Err(bad_path())),
    }
}

fn bad_path() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_path", "the address is not UTF-8 after percent-decoding")
}

fn answered(app: &App, result: Result<Value, Problem>) -> Response {
    match result {
        Ok(answer) => {
            app.metrics.push("accepted");
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::ACCEPTED, kind, answer.to_string()).into_response()
        }
        Err(problem) => {
            app.metrics.push(problem.code);
            tracing::debug!(code = problem.code, "a push is refused");
            problem.into_response()
        }
    }
}

impl App {
    async fn users(
        self: &Arc<Self>,
        segment: String,
        id: Option<String>,
        request: Request,
    ) -> Result<Value, Problem> {
        let (parts, body) = request.into_parts();
        let limit = if id.is_some() { push::MAX_USER_BYTES } else { push::MAX_BULK_BYTES };
        let (body, _room) = self.bodies.read(&parts.headers, body, limit).await?;
        let sender = self.accounts.account(&segment).await?;
        let secrets = sender.as_ref().map_or_else(|| self.accounts.nobody(), |s| Arc::clone(&s.secrets));
        let verified = self.verified(&parts, &body, &secrets)?;
        // a signature that nobody's secret made cannot be right, so there is a sender from here on
        let account = sender.map(|sender| sender.id).ok_or_else(Problem::internal)?;
        self.admit(&account.to_string())?;
        let detected_at = self.clock.now();
        let times = Times { detected_at, saved_at: Some(verified.sent_at.min(detected_at)) };
        let tag = tag(&parts.method, id.as_deref(), &verified);
        let effect = effect(&parts, id, body, account).await?;
        let users = if let Effect::Upsert(edits) = &effect { edits.len() } else { 1 };
        let span = tracing::info_span!("detector.push", account = %account, users);
        if let Some(parent) = parts.headers.get("traceparent").and_then(|value| value.to_str().ok()) {
            trace::set_parent(&span, parent);
        }
        let webhook_id = verified.webhook_id;
        let message = Message { account, webhook_id, tag, times, effect, span: span.clone() };
        // a sender that hangs up must not cut a transaction in two
        let app = Arc::clone(self);
        let work = async move { app.take(message).await }.instrument(span);
        let answer = self.tracker.spawn(work).await.map_err(|_| Problem::internal())?;
        answer.map(|answer| shown(account, &answer)).map_err(|error| refused(account, &error))
    }

    async fn hinted(&self, segment: String, request: Request) -> Result<Value, Problem> {
        let (parts, body) = request.into_parts();
        let (body, _room) = self.bodies.read(&parts.headers, body, push::MAX_USER_BYTES).await?;
        let sender = self.accounts.source(&segment).await;
        let secrets = sender.as_ref().map_or_else(|| self.accounts.nobody(), |s| Arc::clone(&s.secrets));
        self.verified(&parts, &body, &secrets)?;
        let source = sender.map(|sender| sender.id).ok_or_else(Problem::internal)?;
        self.admit(&format!("source {source}"))?;
        let known =
            sources::read_now(&self.store, &source).await.map_err(|error| Problem::storeless(&error))?;
        if !known {
            let detail = "no such source is read here; the name is the one in the configuration";
            return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_source", detail));
        }
        self.nudges.nudge(&source);
        Ok(json!({ "source": source }))
    }

    fn verified(&self, parts: &Parts, body: &[u8], secrets: &[PushSecret]) -> Result<Verified, PushError> {
        let headers: Vec<_> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        push::verify(&headers, body, secrets, self.clock.now())
    }

    fn admit(&self, sender: &str) -> Result<(), Problem> {
        if self.buckets.take(sender) {
            return Ok(());
        }
        let detail = "too many messages; put several users into one message, and wait a second";
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry(1))
    }
}

/// What makes two messages under one id the same. The signature does not cover method and address, so they are part
/// of it: a signed message sent on to another address is another message.
fn tag(method: &Method, id: Option<&str>, verified: &Verified) -> Vec<u8> {
    [method.as_str().as_bytes(), b" ", id.unwrap_or_default().as_bytes(), b" ", &verified.body_sha256]
        .concat()
}

async fn effect(
    parts: &Parts,
    id: Option<String>,
    body: Vec<u8>,
    account: AccountId,
) -> Result<Effect, Problem> {
    let id = id.map(|id| push::parse_user_id(&id)).transpose()?;
    if parts.method == Method::DELETE {
        if !body.is_empty() {
            let detail = "a DELETE carries no body; sign the empty one";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unexpected_body", detail));
        }
        return id.map(Effect::Delete).ok_or_else(Problem::internal);
    }
    let headers: Vec<_> =
        parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    push::check_media(&headers)?;
    let long = body.len() > LONG;
    let read = move || edits(account, id, &body);
    let read =
        if long { tokio::task::spawn_blocking(read).await.map_err(|_| Problem::internal())? } else { read() };
    read.map(Effect::Upsert)
}

fn edits(account: AccountId, id: Option<PbxUserId>, body: &[u8]) -> Result<Vec<Edit>, Problem> {
    let users = match id {
        Some(id) => vec![(id, push::parse_user(body)?)],
        None => push::parse_bulk(body)?,
    };
    users
        .into_iter()
        .map(|(user, profile)| {
            let body = Body::of(profile).map_err(|_| Problem::internal())?;
            Ok(Edit { account, user, body: Some(body) })
        })
        .collect()
}

fn refused(account: AccountId, error: &TakeError) -> Problem {
    match error {
        TakeError::Reused => push::webhook_id_reused().into(),
        TakeError::Gone => {
            let detail = "the account was removed; ask the provider";
            Problem::new(StatusCode::GONE, "account_gone", detail)
        }
        TakeError::BrokenOff => Problem::internal(),
        TakeError::Save(cause) => {
            tracing::warn!(account = %account, error = %chain(error), "a push could not be recorded");
            match cause.as_ref() {
                SaveError::Store(store) if store.retryable() => Problem::unavailable(),
                _ => Problem::internal(),
            }
        }
    }
}

fn shown(account: AccountId, answer: &Answer) -> Value {
    let time = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    let mut shown = json!({
        "account": account,
        "gen": answer.generation,
        "changed": answer.changed,
        "due_at": time(answer.due_at),
        "starts_by": time(answer.starts_by),
    });
    if let Some(waiting) = &answer.waiting {
        shown["waiting"] = Value::from(waiting.as_str());
    }
    shown
}
