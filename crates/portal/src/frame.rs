//! What holds for every request and every answer, also for those that no route knows: host, method, origin, headers,
//! and the form that a fault takes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tower::ServiceExt as _;
use url::Url;

use crate::fault::Fault;
use crate::{App, pages};

/// Longest body that is read.
pub(crate) const BODY_BYTES: usize = 16 * 1024;
/// The one page that others may show in a frame.
const EMBED: &str = "/embed/";
/// Where the pages of the crate `consent` are.
const CONNECT: &str = "/connect/";

/// What scripts of this one answer are known by.
#[derive(Clone, Debug)]
pub(crate) struct Nonce(pub(crate) String);

#[derive(Clone)]
struct Around {
    app: Arc<App>,
    connect: Option<Router>,
}

/// Puts the frame around the routes.
pub(crate) fn around(routes: Router, connect: Option<Router>, app: Arc<App>) -> Router {
    routes
        .method_not_allowed_fallback(async || Fault::MethodNotAllowed)
        .fallback(async || Fault::NotFound)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(Around { app, connect }, frame))
}

async fn frame(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let app = &around.app;
    let path = request.uri().path().to_owned();
    let nonce = match tandem_consent::Secret::new() {
        Ok(secret) => Nonce(secret.text()),
        Err(error) => return Fault::from(error).status().into_response(),
    };
    request.extensions_mut().insert(nonce.clone());
    let answer = match (checked(&app.base, &request), around.connect.clone()) {
        (Err(fault), _) => fault.into_response(),
        (Ok(()), Some(connect)) if path.starts_with(CONNECT) => match connect.oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        },
        (Ok(()), _) => next.run(request).await,
    };
    let answer = match answer.extensions().get::<Fault>() {
        Some(fault) => formed(fault, &path, &nonce),
        None => answer,
    };
    strict(app, &path, &nonce, answer)
}

fn checked(base: &Url, request: &Request) -> Result<(), Fault> {
    let headers = request.headers();
    let right = host(base);
    if headers.get(header::HOST).and_then(|host| host.to_str().ok()) != Some(right.as_str()) {
        return Err(Fault::WrongHost(right));
    }
    match *request.method() {
        Method::GET => Ok(()),
        // forms of pages post; only the API replaces
        Method::PUT if !request.uri().path().starts_with("/api/") => Err(Fault::MethodNotAllowed),
        Method::POST | Method::PUT if own(base, headers) => Ok(()),
        Method::POST | Method::PUT => Err(Fault::CrossSite),
        _ => Err(Fault::MethodNotAllowed),
    }
}

/// Whether what changes something comes from one of our own pages, as far as the browser says.
fn own(base: &Url, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let origin = text("origin").is_none_or(|origin| origin == base.origin().ascii_serialization());
    site && origin
}

fn host(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A fault as a problem document, a way to the sign-in, or a page.
fn formed(fault: &Fault, path: &str, nonce: &Nonce) -> Response {
    if path.starts_with("/api/") {
        let body = json!({
            "type": format!("urn:tandem:problem:{}", fault.code()),
            "title": fault.title(), "status": fault.status().as_u16(), "code": fault.code(),
            "detail": format!("{} {}", fault.happened(), fault.todo()),
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut answer = (fault.status(), kind, body.to_string()).into_response();
        if answer.status() == StatusCode::UNAUTHORIZED {
            let refused = *fault == Fault::TokenRefused;
            let asks = if refused {
                "Bearer realm=\"tandem\", error=\"invalid_token\""
            } else {
                "Bearer realm=\"tandem\""
            };
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(asks));
        }
        return answer;
    }
    match fault {
        Fault::SignInNeeded(go_on) => {
            let query: String =
                url::form_urlencoded::Serializer::new(String::new()).append_pair("next", go_on).finish();
            let to = format!("/sign-in?{query}");
            // a part of a page that is fetched anew must not be replaced by the sign-in
            let to = [(header::LOCATION, to.clone()), (HeaderName::from_static("hx-redirect"), to)];
            (StatusCode::SEE_OTHER, to).into_response()
        }
        Fault::VisitNeeded(account) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/accounts/{account}/enter"))])
                .into_response()
        }
        fault => pages::error::page(fault, nonce),
    }
}

/// Headers that every answer carries.
fn strict(app: &App, path: &str, nonce: &Nonce, mut answer: Response) -> Response {
    let origin = |url: &Url| url.origin().ascii_serialization();
    let microsoft = app.microsoft.as_ref().map(|sign_in| origin(&sign_in.config().authority));
    let provider = app.provider.as_ref().map(|issuer| origin(&issuer.config().issuer));
    // browsers hold a form to this also where its answer sends them on
    let forms: String = microsoft.into_iter().chain(provider).map(|origin| format!(" {origin}")).collect();
    let embed = app.embed.as_ref().filter(|_| path.starts_with(EMBED));
    let around: Vec<String> =
        embed.map_or_else(|| vec!["'none'".to_owned()], |embed| embed.origins.iter().map(origin).collect());
    let csp = format!(
        "default-src 'none'; style-src 'self'; script-src 'nonce-{}'; connect-src 'self'; img-src 'self'; \
         form-action 'self'{forms}; base-uri 'none'; frame-ancestors {}",
        nonce.0,
        around.join(" ")
    );
    let unread = answer.status() == StatusCode::PAYLOAD_TOO_LARGE;
    let headers = answer.headers_mut();
    if unread {
        // the rest of the request stays unread, so nothing else can come over its connection (RFC 9112, section 9.6)
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let mut set = |name: HeaderName, value: HeaderValue| {
        // the pages of `consent` bring their own, which are no weaker
        headers.entry(name).or_insert(value);
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        set(name, HeaderValue::from_static(value));
    }
    if embed.is_none() {
        set(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    if let Ok(csp) = HeaderValue::try_from(csp) {
        set(header::CONTENT_SECURITY_POLICY, csp);
    }
    if app.base.scheme() == "https" {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        set(header::STRICT_TRANSPORT_SECURITY, year);
    }
    answer
}
