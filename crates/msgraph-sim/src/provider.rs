//! The issuer of a telephone provider's own people, under `/provider`: a plain OpenID Connect issuer with a page to pick
//! a person from. It has nothing to do with Microsoft; it is here so that one simulator is enough for a demo.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Response, header};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::Now;
use crate::deliver::Delivery;
use crate::login::{pages, tokens};
use crate::pipeline::Scheme;
use crate::reply::Reply;
use crate::state::State;
use crate::util::{b64, b64url, lock, merge};

/// Codes live this long, in seconds.
const CODE_LIFE: u64 = 600;
/// ID tokens live this long, in seconds.
const TOKEN_LIFE: i64 = 3600;
/// Largest form taken.
const FORM: usize = 64 << 10;

/// The provider's issuer with its people.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProviderSpec {
    /// The one client.
    pub client_id: String,
    /// Its secret; a public client has none.
    pub client_secret: Option<String>,
    /// Where it may be sent back to; `http` addresses on the local machine may have any port, and `/*` at the end stands
    /// for every path.
    pub redirect_uris: Vec<String>,
    /// Who may sign in.
    pub people: Vec<ProviderPerson>,
}

/// Somebody of the provider or of one of its customers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProviderPerson {
    /// The claim `sub`.
    pub subject: String,
    /// The claim `name`.
    pub name: String,
    /// Further claims; they win over the issuer's own.
    pub claims: Map<String, Value>,
}

#[derive(Debug)]
struct Code {
    subject: String,
    redirect_uri: String,
    nonce: Option<String>,
    challenge: String,
    issued: Instant,
}

/// What the issuer knows.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    pub(crate) spec: ProviderSpec,
    codes: HashMap<String, Code>,
}

type App = Shared<Arc<State>>;

/// The routes below `/provider`.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/authorize", get(authorize).post(authorize))
        .route("/token", post(token))
        .with_state(state)
}

fn base(headers: &HeaderMap, scheme: Option<&Scheme>) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{}://{host}/provider", scheme.map_or("http", |scheme| scheme.0))
}

fn send(reply: Reply) -> Response<Body> {
    reply.with("Cache-Control", "no-store").into_response("application/json", &Delivery::Whole)
}

fn refuse(status: u16, error: &str, text: &str) -> Response<Body> {
    send(Reply::json(status, json!({ "error": error, "error_description": text })))
}

async fn discovery(request: Request) -> Response<Body> {
    let base = base(request.headers(), request.extensions().get());
    send(Reply::ok(json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
    })))
}

async fn keys(Shared(state): App) -> Response<Body> {
    let mut keys = state.keys.published("", "");
    for key in &mut keys {
        merge(key, json!({ "issuer": null }));
    }
    send(Reply::ok(json!({ "keys": keys })))
}

fn pairs(text: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The page to pick a person from, and what picking one leads to.
async fn authorize(Shared(state): App, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let asked = pairs(parts.uri.query().unwrap_or_default().as_bytes());
    let given = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let Ok(form) = axum::body::to_bytes(body, FORM).await else {
        return refuse(413, "invalid_request", "The form is too long.");
    };
    let form = pairs(&form);
    let mut provider = lock(&state.provider);
    let redirect = given("redirect_uri");
    let known = provider.spec.redirect_uris.iter().any(|uri| crate::login::redirect_matches(uri, redirect));
    if provider.spec.client_id.is_empty() || given("client_id") != provider.spec.client_id || !known {
        return send(pages::problem("The client or its redirect URI is not known here."));
    }
    let back = |fields: &[(&str, String)]| {
        let mut all = fields.to_vec();
        all.push(("state", given("state").to_owned()));
        send(crate::login::send_back(redirect, &all))
    };
    let wrong = |error: &str, text: &str| {
        back(&[("error", error.to_owned()), ("error_description", text.to_owned())])
    };
    if given("response_type") != "code" || !given("scope").split(' ').any(|scope| scope == "openid") {
        return wrong("invalid_request", "Only the code flow of OpenID Connect is spoken here.");
    }
    if given("code_challenge_method") != "S256" || given("code_challenge").len() != 43 {
        return wrong("invalid_request", "A proof key with S256 is required.");
    }
    if form.contains_key("deny") {
        return wrong("access_denied", "The person did not want to sign in.");
    }
    let Some(person) = form.get("person") else {
        // the router has cut the prefix off
        let action = format!("/provider/authorize?{}", parts.uri.query().unwrap_or_default());
        return send(choose(&provider.spec, &action));
    };
    if !provider.spec.people.iter().any(|known| known.subject == *person) {
        return wrong("access_denied", "There is no such person.");
    }
    let code = format!("p.{}{}", state.ids.uuid().simple(), state.ids.uuid().simple());
    provider.codes.insert(
        code.clone(),
        Code {
            subject: person.clone(),
            redirect_uri: redirect.to_owned(),
            nonce: asked.get("nonce").cloned(),
            challenge: given("code_challenge").to_owned(),
            issued: Instant::now(),
        },
    );
    back(&[("code", code)])
}

fn choose(spec: &ProviderSpec, action: &str) -> Reply {
    let mut body = format!(
        "<p>Sign in at the telephone provider.</p><form method=\"post\" action=\"{}\"><ul class=\"people\">\n",
        pages::escape(action)
    );
    for person in &spec.people {
        let claims: Vec<String> =
            person.claims.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let _ = writeln!(
            body,
            "<li><button type=\"submit\" name=\"person\" value=\"{}\">Sign in as <strong>{}</strong><br><small>{}</small></button></li>",
            pages::escape(&person.subject),
            pages::escape(&person.name),
            pages::escape(&claims.join(" \u{b7} ")),
        );
    }
    body.push_str("</ul><p><button type=\"submit\" name=\"deny\" value=\"1\">Cancel</button></p></form>\n");
    pages::page(200, "Pick a person of the provider", &body, "Simulated sign-in of a telephone provider.")
}

/// Redeems a code, once.
async fn token(
    Shared(state): App,
    scheme: Option<axum::Extension<Scheme>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let form = pairs(&body);
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let base = base(&headers, scheme.as_deref());
    let mut provider = lock(&state.provider);
    if given("client_id") != provider.spec.client_id || !authenticated(&provider.spec, &headers) {
        return refuse(401, "invalid_client", "The client is not known, or its secret is wrong.");
    }
    let Some(code) = provider.codes.remove(given("code")) else {
        return refuse(400, "invalid_grant", "The code is not known, or was used.");
    };
    let challenge = b64url(digest::digest(&digest::SHA256, given("code_verifier").as_bytes()));
    let late = code.issued.elapsed().as_secs() >= CODE_LIFE;
    if late || code.redirect_uri != given("redirect_uri") || code.challenge != challenge {
        return refuse(400, "invalid_grant", "The code belongs to another request, or is too old.");
    }
    let Some(person) = provider.spec.people.iter().find(|person| person.subject == code.subject) else {
        return refuse(400, "invalid_grant", "The person is gone.");
    };
    let now = Now::read().unix();
    let mut claims = json!({
        "iss": base, "aud": provider.spec.client_id, "sub": person.subject, "name": person.name, "iat": now,
        "exp": now + TOKEN_LIFE, "nonce": code.nonce,
    });
    merge(&mut claims, Value::Object(person.claims.clone()));
    let token = state.keys.with(Uuid::nil(), |key| tokens::sign(key, &tokens::header(key), &claims));
    match token {
        Some(token) => send(Reply::ok(json!({
            "token_type": "Bearer", "access_token": "none", "expires_in": TOKEN_LIFE, "id_token": token,
        }))),
        None => refuse(500, "server_error", "There is no key to sign with."),
    }
}

fn authenticated(spec: &ProviderSpec, headers: &HeaderMap) -> bool {
    let brought = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match &spec.client_secret {
        None => brought.is_none(),
        Some(secret) => {
            let encode =
                |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encode(&spec.client_id), encode(secret));
            brought == Some(format!("Basic {}", b64(pair)).as_str())
        }
    }
}
