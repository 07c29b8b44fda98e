//! Mail of an account: what was sent, what comes next, who gets it and when.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tandem_domain::mail::RecipientRole;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MarkHeader, PostHeaders, Problem};
use crate::App;
use crate::fault::Fault;
use crate::guard::InAccount;
use crate::mailing::{self, Next};

/// Mail of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct MailOf {
    /// The next reminder, if nothing changes until then; null when nothing gives cause for one.
    next: Option<NextMail>,
    /// Who gets mail, as saved.
    recipients: Vec<MailRecipient>,
    /// The name under which the Global Admin signs in, which gets mail unless an address is saved for it.
    global_admin: Option<String>,
    /// Its own time zone; null for the provider's.
    time_zone: Option<String>,
    /// Its own hour; null for the provider's.
    hour: Option<i16>,
    /// What was sent, newest first.
    mails: Vec<SentMail>,
}

/// The next reminder.
#[derive(Serialize, ToSchema)]
pub(crate) struct NextMail {
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: OffsetDateTime,
    subject: String,
    /// Its plain text.
    text: String,
}

/// Somebody who gets mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct MailRecipient {
    address: String,
    /// `global_admin`, `further` or `second_contact`.
    role: &'static str,
    added_by: String,
}

/// A mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentMail {
    id: Uuid,
    kind: &'static str,
    subject: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    deliveries: Vec<SentTo>,
}

/// A mail to one address.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentTo {
    address: String,
    outcome: &'static str,
    tries: i32,
    /// What the mail server said.
    reply: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/accounts/{account}/mail", tag = "mail",
    params(("account" = String, Path, description = "Short name of the account")), responses(
    (status = 200, description = "Mail of the account", body = MailOf),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(State(app): State<Arc<App>>, inside: InAccount) -> Result<Json<MailOf>, Fault> {
    let found = mailing::read(&app, &inside).await?;
    let next = match found.next {
        Some(Next::At { at, letter, .. }) => {
            let text = letter.text().map_err(|_| Fault::Internal)?;
            Some(NextMail { at, subject: letter.subject, text })
        }
        Some(Next::Rest) | None => None,
    };
    let recipients = found.recipients.into_iter().map(|recipient| MailRecipient {
        address: recipient.address.to_string(),
        role: recipient.role.as_str(),
        added_by: recipient.added_by,
    });
    let mails = found.mails.into_iter().map(|mail| SentMail {
        id: mail.id,
        kind: mail.kind.as_str(),
        subject: mail.subject,
        created_at: mail.created_at,
        deliveries: mail
            .deliveries
            .into_iter()
            .map(|delivery| SentTo {
                address: delivery.address,
                outcome: delivery.outcome.as_str(),
                tries: delivery.tries,
                reply: delivery.reply,
            })
            .collect(),
    });
    Ok(Json(MailOf {
        next,
        recipients: recipients.collect(),
        global_admin: found.admin,
        time_zone: found.own.zone,
        hour: found.own.hour,
        mails: mails.collect(),
    }))
}

/// When mail comes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCalendar {
    /// A name of the IANA database, such as `Europe/Berlin`.
    time_zone: String,
    /// 0 to 23.
    hour: i16,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/mail/calendar", tag = "mail",
    description = "Needs no `Idempotency-Key`: it replaces both, and the same again changes nothing.", request_body = NewCalendar,
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 204, description = "Saved"),
    (status = 400, description = "There is no such time zone or hour", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn calendar(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Fault> {
    let new: NewCalendar = super::body(&headers, &body, "is { \"time_zone\": text, \"hour\": number }")?;
    mailing::save_calendar(&app, &inside, &new.time_zone, new.hour).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody who gets mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecipient {
    /// One mailbox.
    address: String,
    /// `global_admin`, `further` or `second_contact`.
    #[schema(value_type = String)]
    role: RecipientRole,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/mail/recipients", tag = "mail",
    description = "Needs no `Idempotency-Key`: an account has an address once.", request_body = NewRecipient,
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 204, description = "Saved"),
    (status = 400, description = "The address cannot be used", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Fault> {
    let new: NewRecipient = super::body(&headers, &body, "is { \"address\": text, \"role\": text }")?;
    mailing::add(&app, &inside, &new.address, new.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody who gets none any more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoneRecipient {
    address: String,
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/mail/recipients/remove", tag = "mail",
    description = "Needs no `Idempotency-Key`: an address that is gone is refused.", request_body = GoneRecipient,
    params(("account" = String, Path, description = "Short name of the account"),
        MarkHeader), responses(
    (status = 204, description = "Removed"),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account or address", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Fault> {
    let gone: GoneRecipient = super::body(&headers, &body, "is { \"address\": text }")?;
    mailing::remove(&app, &inside, &gone.address).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/api/v1/accounts/{account}/mail/test", tag = "mail",
    params(("account" = String, Path, description = "Short name of the account"), PostHeaders), responses(
    (status = 202, description = "The test mail is on its way"),
    (status = 400, description = "Nobody to write to, asked for too often, or the key is missing", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The role does not cover it", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such account, or none of this person's", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The key was used for another request", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test(
    State(app): State<Arc<App>>,
    inside: InAccount,
    headers: HeaderMap,
) -> Result<StatusCode, Fault> {
    mailing::test(&app, &inside, &super::key(&headers)?).await?;
    Ok(StatusCode::ACCEPTED)
}
