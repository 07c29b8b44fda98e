//! Files that pages name. htmx and its extension are vendored from their packages; `assets/README.md` says which and under which licence.

use axum::http::header;
use axum::response::{IntoResponse, Response};

fn file(kind: &'static str, text: &'static str) -> Response {
    // one day: an update of the portal is seen after that at the latest, and they hold nothing of anybody's
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=86400")], text).into_response()
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("../assets/style.css"))
}

pub(crate) async fn htmx() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../assets/htmx-2.0.11.min.js"))
}

pub(crate) async fn sse() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../assets/htmx-ext-sse-2.2.4.min.js"))
}

pub(crate) async fn live() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../assets/live.js"))
}
