//! The pages: typed templates that escape what they are given. They need no scripts.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tandem_domain::permission::{PERMISSIONS, Permission};
use tandem_store::connect::{Link, Purpose};

use crate::fault::{Fault, Told, Who};

/// What a link leads to.
#[derive(Template)]
#[template(path = "start.html")]
struct Start<'a> {
    label: &'a str,
    name: &'a str,
    link: &'a str,
    sync: bool,
    bound: Option<String>,
    linked: Option<&'a str>,
    expected: Option<&'a str>,
    made_by: &'a str,
    own_app: bool,
    reason: &'a str,
    permissions: &'a [Permission],
}

/// The last page before Microsoft's consent page.
#[derive(Template)]
#[template(path = "consent.html")]
struct Consent<'a> {
    label: &'a str,
    name: &'a str,
    link: &'a str,
    signed_in: &'a str,
    tenant: &'a str,
    mark: &'a str,
    permissions: &'a [Permission],
}

/// Something is under way.
#[derive(Template)]
#[template(path = "waiting.html")]
struct Waiting<'a> {
    heading: &'a str,
    text: &'a str,
    connecting: bool,
}

/// It worked.
#[derive(Template)]
#[template(path = "done.html")]
struct Done<'a> {
    heading: &'a str,
    text: &'a str,
    warning: Option<String>,
    label: &'a str,
    signed_in: Option<&'a str>,
    job: Option<String>,
}

/// It did not.
#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    told: &'a Told,
    link: Option<&'a str>,
}

fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

pub(crate) fn start(link: &Link, code: &str) -> Response {
    let (sync, reason) = match &link.purpose {
        Purpose::Connect => (false, ""),
        Purpose::Sync { reason, .. } => (true, reason.as_str()),
    };
    let bound = link.bound.as_ref();
    let page = Start {
        label: &link.label,
        name: &link.name,
        link: code,
        sync,
        bound: bound.map(|bound| bound.tenant.to_string()),
        linked: bound.and_then(|bound| bound.admin.as_ref()).map(|(_, name)| name.as_str()),
        expected: link.expected_tenant.as_deref(),
        made_by: &link.made_by,
        own_app: link.own_app,
        reason,
        permissions: &PERMISSIONS,
    };
    html(StatusCode::OK, &page)
}

pub(crate) fn consent(link: &Link, code: &str, signed_in: &str, tenant: &str, mark: &str) -> Response {
    let (label, name, permissions) = (&link.label, &link.name, &PERMISSIONS);
    html(StatusCode::OK, &Consent { label, name, link: code, signed_in, tenant, mark, permissions })
}

pub(crate) fn proving() -> Response {
    let heading = "Your organisation is being connected";
    let text = "You have consented. Microsoft needs a moment until that shows everywhere, sometimes some minutes; then one \
                harmless read proves that it works.";
    html(StatusCode::OK, &Waiting { heading, text, connecting: true })
}

pub(crate) fn asking() -> Response {
    let heading = "The sync has been asked for";
    let text = "It becomes a job in a moment.";
    html(StatusCode::OK, &Waiting { heading, text, connecting: false })
}

/// `missing` says which permissions are not there.
pub(crate) fn connected(link: &Link, signed_in: &str, missing: Option<&str>) -> Response {
    let warning = missing.map(|missing| {
        format!(
            "But something is missing, and users cannot be synced without it: {missing}. Start again from the link and allow \
             everything that is listed there."
        )
    });
    let page = Done {
        heading: if warning.is_some() { "Connected, with something missing" } else { "Connected" },
        text: "Your organisation is connected. Your provider can keep your users in step from now on.",
        warning,
        label: &link.label,
        signed_in: Some(signed_in),
        job: None,
    };
    html(StatusCode::OK, &page)
}

pub(crate) fn asked(link: &Link, signed_in: &str, job: String) -> Response {
    let page = Done {
        heading: "The sync is on its way",
        text: "Your sync is a job now. It runs in your name and ends by itself.",
        warning: None,
        label: &link.label,
        signed_in: Some(signed_in),
        job: Some(job),
    };
    html(StatusCode::OK, &page)
}

pub(crate) fn refused(status: u16, told: &Told, link: Option<&str>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    html(status, &Refused { told, link })
}

/// A fault that has nothing to do with a particular person.
pub(crate) fn fault(fault: &Fault, link: Option<&str>) -> Response {
    refused(fault.status(), &fault.told(Who::default()), link)
}

/// Kept by browsers for a while: the last page is shown by a server that is about to leave.
pub(crate) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=600")];
    (headers, include_str!("../templates/style.css")).into_response()
}
