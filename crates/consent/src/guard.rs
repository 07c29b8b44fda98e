//! What holds for every request and every answer: host, method, origin, cookies and headers.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use crate::fault::Fault;
use crate::secret::Session;
use crate::{App, pages};

/// Under a host with TLS the browser itself sees to it that the cookie is Secure and of this host alone.
const COOKIE_TLS: &str = "__Host-tandem_connect";
/// On the loopback of a terminal's own server there is no TLS. Ports do not keep cookies apart, so that the name does:
/// two commands at the same time would take each other's sign-ins away.
const COOKIE_LOOPBACK: &str = "tandem_connect";

fn cookie_name(base: &Url) -> Cow<'static, str> {
    match base.port() {
        _ if base.scheme() == "https" => COOKIE_TLS.into(),
        Some(port) => format!("{COOKIE_LOOPBACK}_{port}").into(),
        None => COOKIE_LOOPBACK.into(),
    }
}

/// The cookie that makes a browser hold a session.
pub(crate) fn cookie(base: &Url, session: &Session) -> String {
    let secure = if base.scheme() == "https" { "; Secure" } else { "" };
    format!("{}={}; Path=/; HttpOnly; SameSite=Lax{secure}", cookie_name(base), session.text())
}

/// The session that a request's cookie names.
pub(crate) fn session(base: &Url, headers: &HeaderMap) -> Result<Session, Fault> {
    let name = cookie_name(base);
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(given, _)| *given == name)
        .map(|(_, value)| value);
    let first = found.next().ok_or(Fault::NoSession)?;
    if found.next().is_some() {
        return Err(Fault::TwoSessions);
    }
    Session::parse(first).ok_or(Fault::NoSession)
}

/// Whether a form was sent by one of our own pages.
fn own_form(base: &Url, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let origin = text("origin").is_none_or(|origin| origin == base.origin().ascii_serialization());
    site && origin
}

fn host(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Looks at every request before its page does.
pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let right = host(&app.base);
    // with HTTP/2 the name stands in the address alone
    let asked = match headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => request.uri().authority().map(Authority::as_str),
    };
    let answer = if asked != Some(right.as_str()) {
        pages::fault(&Fault::WrongHost(right), None)
    } else if request.method() == Method::POST && !own_form(&app.base, headers) {
        pages::fault(&Fault::CrossSite, None)
    } else if !matches!(*request.method(), Method::GET | Method::POST) {
        // HEAD, too: a look at an answer of Microsoft's must not use it up
        pages::fault(&Fault::MethodNotAllowed, None)
    } else {
        next.run(request).await
    };
    strict(&app, answer)
}

/// Headers that every answer carries.
fn strict(app: &App, mut answer: Response) -> Response {
    let csp = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        app.sign_in.config().authority.origin().ascii_serialization()
    );
    let headers = answer.headers_mut();
    // pages are never kept; how they look may be
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Microsoft learns nothing of the link; our own forms still say where they come from
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(csp) = HeaderValue::try_from(csp) {
        headers.insert(header::CONTENT_SECURITY_POLICY, csp);
    }
    if app.base.scheme() == "https" {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    answer
}

#[cfg(test)]
mod tests {
    use tandem_domain::AccountId;

    use super::*;
    use crate::secret::LinkCode;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn b24_one_cookie_of_the_right_name_is_a_session() {
        let tls: Url = "https://portal.example/".parse().unwrap();
        let local: Url = "http://localhost:8123/".parse().unwrap();
        let link = LinkCode::new(AccountId(uuid::Uuid::from_u128(1))).unwrap();
        let session_ = Session::new(link).unwrap();
        let text = session_.text();
        let set = cookie(&tls, &session_);
        assert_eq!(set, format!("__Host-tandem_connect={text}; Path=/; HttpOnly; SameSite=Lax; Secure"));
        let set = cookie(&local, &session_);
        assert_eq!(set, format!("tandem_connect_8123={text}; Path=/; HttpOnly; SameSite=Lax"));
        let code = |cookies: &[(&'static str, &str)]| match session(&tls, &headers(cookies)) {
            Ok(_) => "session".to_owned(),
            Err(fault) => fault.code().to_owned(),
        };
        let good = format!("a=b; __Host-tandem_connect={text}");
        assert_eq!(code(&[("cookie", &good)]), "session");
        assert_eq!(code(&[("cookie", &good), ("cookie", &good)]), "session_ambiguous");
        assert_eq!(code(&[("cookie", &format!("{good}; {good}"))]), "session_ambiguous");
        assert_eq!(code(&[("cookie", &format!("tandem_connect={text}"))]), "session_unknown");
        assert_eq!(code(&[("cookie", "__Host-tandem_connect=x")]), "session_unknown");
        assert_eq!(code(&[]), "session_unknown");
    }

    #[test]
    fn b23_forms_of_other_sites_are_seen() {
        let base: Url = "https://portal.example/".parse().unwrap();
        for (pairs, own) in [
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://portal.example")][..], true),
            (&[], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://other.portal.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "http://portal.example")], false),
        ] {
            assert_eq!(own_form(&base, &headers(pairs)), own, "{pairs:?}");
        }
    }
}
