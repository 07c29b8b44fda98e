//! What the provider's operators do to accounts.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MarkHeader, Problem};
use crate::App;
use crate::fault::Fault;
use crate::guard::{InAccount, Visitor};
use crate::work::invite::{self, Invite, Invited};
use crate::work::provider as work;

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccount {
    /// Short name: 1 to 63 of a-z, 0-9 and -; it never changes.
    name: String,
    /// Its name for people.
    label: String,
    /// An IANA name; that of the installation when left out.
    time_zone: Option<String>,
    /// The only tenant that it may be connected to: an id or a domain.
    tenant: Option<String>,
    licences: i32,
    reason: String,
}

/// The account was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Made {
    name: String,
}

#[utoipa::path(post, path = "/api/v1/accounts", tag = "provider",
    description = "Needs no `Idempotency-Key`: there is one account of a short name, and sent again it is refused.", request_body = NewAccount,
    params(MarkHeader), responses(
    (status = 201, description = "Made", body = Made),
    (status = 400, description = "Something cannot be so", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Only operators may", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Another account has the short name", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Made>), Fault> {
    let form = "is an object of name, label, time_zone, tenant, licences and reason";
    let new: NewAccount = super::body(&headers, &body, form)?;
    let reason = new.reason;
    let new = work::New {
        name: new.name,
        label: new.label,
        time_zone: new.time_zone.unwrap_or_default(),
        tenant: new.tenant.unwrap_or_default(),
        licences: new.licences,
    };
    work::create(&app, &visitor, &new, &reason).await?;
    Ok((StatusCode::CREATED, Json(Made { name: new.name.trim().to_owned() })))
}

/// How an account is set up at the provider.
#[derive(Serialize, ToSchema)]
pub(crate) struct Administration {
    /// An IANA name; null for that of the installation.
    time_zone: Option<String>,
    /// The tenant that it is expected to be connected to.
    expected_tenant: Option<String>,
    /// The tenant that it is bound to.
    tenant: Option<Uuid>,
    /// `none`, `healthy`, `weakened`, `revoked`, `blocked` or `own_fault`.
    authorization: Option<String>,
    auto_sync: bool,
    licences: i32,
    mapped: usize,
    source: Option<String>,
    account_key: Option<String>,
    /// Microsoft users on whom something of ours stands.
    standing: i64,
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/administration", tag = "provider",
    params(("account" = String, Path, description = "Short name of the account")), responses(
    (status = 200, description = "How the account is set up", body = Administration),
    (status = 403, description = "Only operators may, after giving a reason", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    inside: InAccount,
) -> Result<Json<Administration>, Fault> {
    let found = work::read(&app, &inside).await?;
    let account = found.account;
    let (source, account_key) = account.binding.unzip();
    let authorization = account.authorization;
    Ok(Json(Administration {
        time_zone: found.details.time_zone,
        expected_tenant: found.details.expected_tenant,
        tenant: authorization.as_ref().map(|one| one.tenant.0),
        authorization: authorization.map(|one| one.state),
        auto_sync: account.settings.auto_sync,
        licences: account.settings.licences,
        mapped: account.mappings.len(),
        source,
        account_key,
        standing: found.standing,
    }))
}

/// How many licences there shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLicences {
    licences: i32,
    reason: String,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/administration/licences", tag = "provider",
    description = "Needs no `Idempotency-Key`: it says how many there shall be, and the same again changes nothing.", request_body = NewLicences,
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 204, description = "Saved"),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Only operators may, after giving a reason", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "More users are mapped; the answer names those mapped last", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such thing, or it is none of this person's", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn licences(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Fault> {
    let new: NewLicences = super::body(&headers, &body, "is { \"licences\": number, \"reason\": text }")?;
    work::licences(&app, &inside, new.licences, &new.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which customer of which source the account shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSource {
    source: String,
    /// Domain or key of the customer there.
    account_key: String,
    reason: String,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/administration/source", tag = "provider",
    description = "Needs no `Idempotency-Key`: it says what shall be bound, and the same again changes nothing.", request_body = NewSource,
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 204, description = "Saved"),
    (status = 400, description = "The body cannot be read, or there is no such source", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Only operators may, after giving a reason", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Another account is bound to it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such thing, or it is none of this person's", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn source(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Fault> {
    let form = "is { \"source\": text, \"account_key\": text, \"reason\": text }";
    let new: NewSource = super::body(&headers, &body, form)?;
    work::bind(&app, &inside, (&new.source, &new.account_key), &new.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    /// Name or address, for the record.
    invited: String,
    /// The only tenant that the link is good for: an id or a domain.
    tenant: String,
    /// The address that gets it by mail; left out, the answer has the link.
    mail_to: Option<String>,
    reason: String,
}

/// The link, this once; nothing where it goes by mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitation {
    link: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/administration/invitation", tag = "provider",
    description = "Takes no `Idempotency-Key`: a link is kept nowhere and cannot be given twice. Sent again it is a new invitation, which closes the one before.", request_body = NewInvitation,
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 201, description = "A link for 48 hours; invitations before are closed", body = Invitation),
    (status = 202, description = "It goes out by mail, with a link for 48 hours from then; invitations before are closed", body = Invitation),
    (status = 400, description = "The body cannot be read, names no tenant, or asks for mail where none is sent", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Only operators may, after giving a reason", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The account is bound to no PBX yet", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such thing, or it is none of this person's", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn invitation(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Invitation>), Fault> {
    let form = "is { \"invited\": text, \"tenant\": text, \"mail_to\": text or null, \"reason\": text }";
    let new: NewInvitation = super::body(&headers, &body, form)?;
    let wish = Invite { invited: &new.invited, tenant: &new.tenant, mail_to: new.mail_to.as_deref() };
    Ok(match invite::invite(&app, &inside, &wish, &new.reason).await? {
        Invited::Shown(made) => {
            let shown = Invitation { link: Some(made.link), expires_at: Some(made.until) };
            (StatusCode::CREATED, Json(shown))
        }
        Invited::Mailed => (StatusCode::ACCEPTED, Json(Invitation { link: None, expires_at: None })),
    })
}

/// The removal, confirmed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removal {
    /// Short name of the account once more.
    confirm: String,
    reason: String,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/administration/removal", tag = "provider",
    description = "Needs no `Idempotency-Key`: what is removed stays removed.", request_body = Removal,
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 204, description = "Nothing writes to the tenant any more"),
    (status = 400, description = "The body cannot be read, or does not name the account", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Only operators may, after giving a reason", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such thing, or it is none of this person's", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Fault> {
    let new: Removal = super::body(&headers, &body, "is { \"confirm\": text, \"reason\": text }")?;
    work::remove(&app, &inside, &new.confirm, &new.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
