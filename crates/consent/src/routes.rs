//! The pages' addresses, and the way from a request to a page.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tandem_store::connect::Step;

use crate::fault::{Fault, Told, Who};
use crate::flow::{Ended, Next};
use crate::secret::{LinkCode, Session};
use crate::{App, guard, pages};

type Shared = State<Arc<App>>;

/// After a form: look at another address.
fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

pub(crate) async fn start(State(app): Shared, Path(link): Path<String>) -> Response {
    let found = match LinkCode::parse(&link) {
        Some(code) => app.link(&code).await,
        None => Err(Fault::LinkUnknown),
    };
    found.map_or_else(|fault| pages::fault(&fault, None), |found| pages::start(&found, &link))
}

pub(crate) async fn sign_in(State(app): Shared, Path(link): Path<String>) -> Response {
    let Some(code) = LinkCode::parse(&link) else { return pages::fault(&Fault::LinkUnknown, None) };
    match app.begin(code).await {
        Ok((to, session)) => {
            let cookie = [(header::SET_COOKIE, guard::cookie(&app.base, &session))];
            (cookie, see_other(to.as_str())).into_response()
        }
        Err(fault @ Fault::LoginUnavailable) => pages::fault(&fault, Some(&link)),
        Err(fault) => pages::fault(&fault, None),
    }
}

/// Microsoft's answers come by GET, so this page and the next one write: bound to state and session, and once.
pub(crate) async fn signed_in(State(app): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    match guard::session(&app.base, &headers) {
        Ok(session) => went(&session, app.signed_in(&session, query.as_deref()).await),
        Err(fault) => pages::fault(&fault, None),
    }
}

pub(crate) async fn consented(State(app): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    match guard::session(&app.base, &headers) {
        Ok(session) => went(&session, app.consented(&session, query.as_deref()).await),
        Err(fault) => pages::fault(&fault, None),
    }
}

fn went(session: &Session, outcome: Result<Next, Ended>) -> Response {
    match outcome {
        Ok(Next::To(address)) => see_other(address.as_str()),
        Ok(Next::Status) => see_other("/connect/status"),
        Err(ended) => pages::refused(ended.fault.status(), &ended.told(), Some(&session.link.text())),
    }
}

/// The form of the page before Microsoft's consent page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsentForm {
    mark: String,
}

pub(crate) async fn consent(
    State(app): Shared,
    headers: HeaderMap,
    form: Result<Form<ConsentForm>, FormRejection>,
) -> Response {
    let session = match guard::session(&app.base, &headers) {
        Ok(session) => session,
        Err(fault) => return pages::fault(&fault, None),
    };
    let asked = match form {
        Ok(Form(form)) => app.consent(&session, &form.mark).await,
        Err(_) => Err(Fault::FormStale),
    };
    match asked {
        Ok(to) => see_other(to.as_str()),
        Err(fault) => pages::fault(&fault, Some(&session.link.text())),
    }
}

/// Where the browser is, shown anew until there is an outcome.
pub(crate) async fn status(State(app): Shared, headers: HeaderMap) -> Response {
    let session = match guard::session(&app.base, &headers) {
        Ok(session) => session,
        Err(fault) => return pages::fault(&fault, None),
    };
    let (attempt, link) = match app.whereabouts(&session).await {
        Ok(found) => found,
        Err(fault) => return pages::fault(&fault, None),
    };
    let code = session.link.text();
    let (tenant, signed_in) = match &attempt.person {
        Some((tenant, _, name)) => (tenant.to_string(), name.as_str()),
        None => (String::new(), ""),
    };
    match (attempt.step, attempt.proof, attempt.request, attempt.refusal) {
        (Step::SignedIn | Step::Consenting, ..) => {
            let mark = App::mark(&session);
            pages::consent(&link, &code, signed_in, &tenant, mark.expose_secret())
        }
        (Step::Proving, None, ..) => pages::proving(),
        (Step::Proving, Some(proof), ..) if proof.outcome == "refused" => {
            let who = Who { signed_in: Some(signed_in.to_owned()), linked: None };
            let (reason, detail) = (proof.code.unwrap_or_default(), proof.detail.unwrap_or_default());
            pages::refused(200, &Fault::Proof { code: reason, detail }.told(who), Some(&code))
        }
        (Step::Proving, Some(proof), ..) => pages::connected(&link, signed_in, proof.detail.as_deref()),
        (Step::Asked, _, Some((_, Some(job))), _) => pages::asked(&link, signed_in, job.to_string()),
        (Step::Asked, ..) => pages::asking(),
        (Step::Refused, _, _, Some(refusal)) => pages::refused(200, &Told::read(&refusal), Some(&code)),
        (Step::SigningIn | Step::Authorizing | Step::Refused, ..) => {
            pages::fault(&Fault::Unfinished, Some(&code))
        }
    }
}

pub(crate) async fn method_not_allowed() -> Response {
    pages::fault(&Fault::MethodNotAllowed, None)
}

pub(crate) async fn nothing_here() -> Response {
    pages::fault(&Fault::LinkUnknown, None)
}
