//! The guard in front of every route: who it is, whether the form is ours, and whether the role table allows it.
//!
//! Everything is read anew for each request, so whoever loses a role, or is shut out, is out with the next click. A
//! refusal leaves one audit record. What the guard found is handed on as [`Visitor`] and [`InAccount`]; a handler that
//! finds neither answers with a fault.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use tandem_consent::Secret;
use tandem_domain::audit::PROVIDER;
use tandem_domain::roles::{Act, Role, Roles};
use tandem_domain::{AccountId, ObjectId, TenantId};
use tandem_store::connect::SecretHash;
use tandem_store::portal::audit::{self, Entry as Record};
use tandem_store::portal::pause::{self, Pause};
use tandem_store::portal::people::{self, AccountName};
use tandem_store::portal::{sessions, visits};
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;
use tracing::Instrument as _;
use url::form_urlencoded;
use uuid::Uuid;

use crate::App;
use crate::bearer;
use crate::cookies::Cookie;
use crate::fault::Fault;
use crate::frame::BODY_BYTES;
use crate::routes::{Access, Entry, UPLOAD};

/// A session ends when nobody clicked for this long.
pub(crate) const IDLE: Duration = Duration::minutes(30);
/// A session ends after this long at the latest.
pub(crate) const LONGEST: Duration = Duration::hours(8);
/// Clicks within this time are noted once.
const TOUCH: Duration = Duration::minutes(1);
/// How addresses end that a page asks for by itself. Such a look is no click: it keeps no session awake.
const PARTS: [&str; 2] = ["/live", "/events"];
/// Name of the field that shows that a form is ours.
pub(crate) const MARK: &str = "mark";
/// The header that does the same for the API.
const MARK_HEADER: &str = "x-csrf-token";

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) person: Uuid,
    pub(crate) name: String,
    pub(crate) operator: bool,
    pub(crate) microsoft: Option<(TenantId, ObjectId)>,
    pub(crate) global_admin: bool,
    pub(crate) by: By,
    /// What forms of this session show.
    pub(crate) mark: String,
    /// The pause of the fleet, while it lasts; pages alone show it, and a token opens none.
    pub(crate) paused: Option<Pause>,
}

/// By what somebody is known.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// A session of a browser, by the hash of its secret.
    Session(SecretHash),
    /// A bearer token, with the reason that came along.
    Token { reason: Option<String> },
}

/// Somebody who is let into an account.
#[derive(Clone, Debug)]
pub(crate) struct InAccount {
    pub(crate) visitor: Visitor,
    pub(crate) account: AccountName,
    pub(crate) roles: Roles,
    /// The reason that an operator gave.
    pub(crate) visit: Option<String>,
}

impl InAccount {
    pub(crate) fn id(&self) -> AccountId {
        self.account.account
    }
}

macro_rules! found_by_the_guard {
    ($what:ty) => {
        impl<S: Send + Sync> FromRequestParts<S> for $what {
            type Rejection = Fault;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
                parts.extensions.get::<Self>().cloned().ok_or(Fault::Internal)
            }
        }
    };
}
found_by_the_guard!(Visitor);
found_by_the_guard!(InAccount);
found_by_the_guard!(crate::frame::Nonce);

pub(crate) async fn guard(
    State((app, entry)): State<(Arc<App>, Entry)>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let account = params.iter().find(|(name, _)| *name == "account").map(|(_, value)| value.to_owned());
    let span = tracing::info_span!("portal.request", otel.kind = "server", http.route = entry.path);
    let answer = async {
        match admit(&app, entry, account.as_deref(), request).await {
            Ok(request) => next.run(request).await,
            Err(fault) => fault.into_response(),
        }
    };
    let answer = answer.instrument(span).await;
    app.metrics.request(entry.path, answer.status().as_u16(), begun.elapsed());
    answer
}

async fn admit(
    app: &App,
    entry: Entry,
    account: Option<&str>,
    mut request: Request,
) -> Result<Request, Fault> {
    if entry.access == Access::Open {
        return Ok(request);
    }
    let now = app.clock.now();
    let api = entry.path.starts_with("/api/");
    // what a page asks for by itself, while it is open
    let live = PARTS.into_iter().any(|part| entry.path.ends_with(part));
    let visitor = if api && bearer::brought(request.headers()) {
        bearer::visitor(app, request.headers(), now).await?
    } else {
        let secret = Cookie::Session.read(&app.base, request.headers())?;
        let visitor = signed_in(app, secret, sign_in_for(&request, live), live, now).await?;
        // an upload is too long to be read here: its extractor compares the mark
        if *request.method() != Method::GET && entry.path != UPLOAD {
            request = unmark(&visitor.mark, api, request).await?;
        }
        visitor
    };
    match entry.access {
        Access::Open => {}
        Access::Person(act) => {
            let look = (*request.method() == Method::GET && !live).then(|| request.uri().to_string());
            provider(app, &visitor, act, look, now).await?;
        }
        Access::Account(act) => {
            let name = account.ok_or(Fault::Internal)?;
            let inside = enter(app, &visitor, name, act, live, now).await?;
            request.extensions_mut().insert(inside);
        }
    }
    request.extensions_mut().insert(visitor);
    Ok(request)
}

/// What asks for a sign-in, and says where to go on.
fn sign_in_for(request: &Request, live: bool) -> Fault {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // a form is not sent again after a sign-in, and a part of a page is no page
    let path = if *request.method() == Method::GET { path } else { "/" };
    let page = path.split('?').next().and_then(|path| PARTS.iter().find_map(|part| path.strip_suffix(part)));
    Fault::SignInNeeded(page.filter(|_| live).unwrap_or(path).to_owned())
}

/// Whose session it is.
async fn signed_in(
    app: &App,
    secret: Option<Secret>,
    wanted: Fault,
    live: bool,
    now: OffsetDateTime,
) -> Result<Visitor, Fault> {
    let wanted = || wanted.clone();
    let secret = secret.ok_or_else(wanted)?;
    let hash = secret.hash();
    let mut tx = app.store.begin("portal.session").await?;
    let session = sessions::find(&mut tx, &hash, now, IDLE).await?.ok_or_else(wanted)?;
    let paused = pause::fleet(&mut tx, now).await?;
    if session.seen_at + TOUCH < now && !live {
        sessions::touch(&mut tx, &hash, now).await?;
        tx.commit().await?;
    } else {
        drop(tx);
    }
    Ok(Visitor {
        person: session.person,
        name: session.name,
        operator: session.operator,
        microsoft: session.microsoft,
        global_admin: session.global_admin,
        by: By::Session(hash),
        mark: secret.derive("form", "portal").expose_secret().to_owned(),
        paused,
    })
}

/// Takes the mark off a form after comparing it; the API brings it in a header.
async fn unmark(mark: &str, api: bool, request: Request) -> Result<Request, Fault> {
    if api {
        let brought = request.headers().get(MARK_HEADER).and_then(|value| value.to_str().ok());
        return if same(brought, mark) { Ok(request) } else { Err(Fault::FormStale) };
    }
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES).await.map_err(|_| Fault::TooLarge)?;
    let mut fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let marks: Vec<String> =
        fields.iter().filter(|(name, _)| name == MARK).map(|(_, value)| value.clone()).collect();
    if marks.len() != 1 || !same(marks.first().map(String::as_str), mark) {
        return Err(Fault::FormStale);
    }
    fields.retain(|(name, _)| name != MARK);
    let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    parts.headers.insert(header::CONTENT_LENGTH, rest.len().into());
    Ok(Request::from_parts(parts, Body::from(rest)))
}

/// Compares in a time that says nothing about where they differ.
pub(crate) fn same(brought: Option<&str>, mark: &str) -> bool {
    let brought = brought.unwrap_or_default();
    aws_lc_rs::constant_time::verify_slices_are_equal(brought.as_bytes(), mark.as_bytes()).is_ok()
}

async fn enter(
    app: &App,
    visitor: &Visitor,
    name: &str,
    act: Act,
    live: bool,
    now: OffsetDateTime,
) -> Result<InAccount, Fault> {
    let mut fleet = app.fleet.begin("portal.account").await?;
    let found = people::named(&mut fleet, &[name.to_owned()]).await?.into_iter().next();
    drop(fleet);
    let account = match found {
        Some(account) => account,
        None => return Err(stranger(app, visitor, name, act, now).await?),
    };
    let mut tx = app.store.begin_for("portal.rights", account.account).await?;
    let mut held = people::roles(&mut tx, account.account, visitor.person, visitor.microsoft).await?;
    held.retain(|role| *role != Role::GlobalAdmin || visitor.global_admin);
    if visitor.operator {
        held.push(Role::Operator);
    }
    let roles = Roles::new(held);
    if roles.is_empty() {
        drop(tx);
        return Err(stranger(app, visitor, name, act, now).await?);
    }
    let visit = match &visitor.by {
        _ if !visitor.operator => None,
        By::Session(session) => visits::current(&mut tx, account.account, session, now).await?,
        By::Token { reason } => reason.clone(),
    };
    if !roles.may(act) {
        let record = of(visitor, account.account, act, now, "", act.refusal(), false);
        audit::append(&mut tx, &record).await?;
        tx.commit().await?;
        app.metrics.refused(act.as_str());
        return Err(Fault::Refused(act));
    }
    if visitor.operator && act != Act::EnterAccount {
        let Some(reason) = &visit else { return Err(Fault::VisitNeeded(account.name)) };
        // a part of a page that is fetched anew is the same look
        if !live {
            audit::append(&mut tx, &of(visitor, account.account, act, now, "", reason, true)).await?;
            tx.commit().await?;
        }
    }
    Ok(InAccount { visitor: visitor.clone(), account, roles, visit })
}

/// Whether somebody may do what concerns no single account. A look that only operators have is put on record with its
/// address; what they do is recorded by whoever does it, with the reason.
async fn provider(
    app: &App,
    visitor: &Visitor,
    act: Act,
    look: Option<String>,
    now: OffsetDateTime,
) -> Result<(), Fault> {
    let may = act.anywhere(visitor.operator);
    let look = look.filter(|_| act.of_operators());
    if may && look.is_none() {
        return Ok(());
    }
    let address: String = look.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
    let reason = if may { "" } else { act.refusal() };
    let mut tx = app.store.begin_for("portal.provider", PROVIDER).await?;
    audit::append(&mut tx, &of(visitor, PROVIDER, act, now, &address, reason, may)).await?;
    tx.commit().await?;
    if may {
        return Ok(());
    }
    app.metrics.refused(act.as_str());
    Err(Fault::Refused(act))
}

/// Somebody asks for an account that is not there, or is nothing of theirs: both look the same.
async fn stranger(
    app: &App,
    visitor: &Visitor,
    name: &str,
    act: Act,
    now: OffsetDateTime,
) -> Result<Fault, Fault> {
    let mut tx = app.store.begin_for("portal.stranger", PROVIDER).await?;
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    audit::append(&mut tx, &of(visitor, PROVIDER, act, now, &name, "no role in this account", false)).await?;
    tx.commit().await?;
    app.metrics.refused(act.as_str());
    Ok(Fault::NotFound)
}

/// An audit record of what somebody does.
pub(crate) fn of<'a>(
    visitor: &'a Visitor,
    account: AccountId,
    act: Act,
    at: OffsetDateTime,
    subject: &'a str,
    reason: &'a str,
    allowed: bool,
) -> Record<'a> {
    let (person, name) = (Some(visitor.person), visitor.name.as_str());
    Record { account, at, person, name, act: act.as_str(), allowed, subject, reason }
}
