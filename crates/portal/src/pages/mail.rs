//! Mail of an account: the next reminder, who gets it and when, and what was sent.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::mail::{Outcome, RecipientRole};
use tandem_domain::roles::{Act, Roles};
use tandem_store::mail::history::{Delivery, Mail};

use super::{Layout, form_key, html, see_other};
use crate::extract::{Form, Query};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::mailing::{self, Found, Next};
use crate::{App, view};

#[derive(Template)]
#[template(path = "mail.html")]
pub(crate) struct MailPage {
    pub(crate) layout: Layout,
    pub(crate) shown: Shown,
    /// What was just done.
    pub(crate) notice: Option<&'static str>,
}

/// Somebody who gets mail.
pub(crate) struct RecipientLine {
    pub(crate) address: String,
    pub(crate) role: &'static str,
    pub(crate) added: String,
}

/// A mail to one address.
pub(crate) struct Line {
    pub(crate) made: String,
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    pub(crate) to: String,
    pub(crate) outcome: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) detail: String,
}

/// The next reminder.
pub(crate) struct Preview {
    pub(crate) at: String,
    pub(crate) utc: String,
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// Everything that is shown.
pub(crate) struct Shown {
    pub(crate) name: String,
    /// Whether this installation sends mail.
    pub(crate) sends: bool,
    pub(crate) next: Option<Preview>,
    pub(crate) admin: Option<String>,
    pub(crate) recipients: Vec<RecipientLine>,
    pub(crate) zone: String,
    pub(crate) hour: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) roles: Vec<(&'static str, &'static str)>,
    pub(crate) key: String,
    /// Why this person may not change it; none where that is allowed.
    pub(crate) refused: Option<&'static str>,
}

fn tone(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Sent => "good",
        Outcome::Waiting | Outcome::Sending => "busy",
        Outcome::Unknown | Outcome::Superseded => "warn",
        Outcome::Refused | Outcome::Expired => "bad",
    }
}

fn detail(delivery: &Delivery) -> String {
    let mut told = Vec::new();
    told.extend(delivery.at.map(view::full));
    told.extend(delivery.next_try.map(|at| format!("next try {}", view::full(at))));
    if delivery.tries > 1 {
        told.push(format!("{} tries", delivery.tries));
    }
    told.extend(delivery.reply.as_deref().map(view::short));
    told.join(" · ")
}

fn lines(mail: &Mail) -> Vec<Line> {
    let line = |to: String, outcome, tone, detail| Line {
        made: view::full(mail.created_at),
        kind: mail.kind.label(),
        subject: mail.subject.clone().unwrap_or_default(),
        to,
        outcome,
        tone,
        detail,
    };
    if mail.deliveries.is_empty() {
        return vec![line(String::new(), "Nobody to write to", "bad", String::new())];
    }
    let one = |delivery: &Delivery| {
        let outcome = delivery.outcome;
        line(delivery.address.clone(), outcome.label(), tone(outcome), detail(delivery))
    };
    mail.deliveries.iter().map(one).collect()
}

impl Shown {
    pub(crate) fn of(name: &str, found: &Found, roles: &Roles, key: String) -> Result<Self, Fault> {
        let next = match &found.next {
            Some(Next::At { at, text, letter }) => Some(Preview {
                at: text.clone(),
                utc: view::full(*at),
                subject: letter.subject.clone(),
                text: letter.text().map_err(|_| Fault::Internal)?,
            }),
            Some(Next::Rest) | None => None,
        };
        Ok(Self {
            name: name.to_owned(),
            sends: found.next.is_some(),
            next,
            admin: found.admin.clone(),
            recipients: found
                .recipients
                .iter()
                .map(|recipient| RecipientLine {
                    address: recipient.address.to_string(),
                    role: recipient.role.label(),
                    added: format!("added by {}, {}", recipient.added_by, view::full(recipient.added_at)),
                })
                .collect(),
            hour: found.own.hour.map(|hour| hour.to_string()).unwrap_or_default(),
            zone: found.own.zone.clone().unwrap_or_default(),
            lines: found.mails.iter().flat_map(lines).collect(),
            roles: RecipientRole::ALL.iter().rev().map(|role| (role.as_str(), role.label())).collect(),
            key,
            refused: (!roles.may(Act::SaveMail)).then(|| Act::SaveMail.refusal()),
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    done: Option<String>,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let found = mailing::read(&app, &inside).await?;
    let shown = Shown::of(&inside.account.name, &found, &inside.roles, app.ids.v4().to_string())?;
    let notice = asked.done.map(|done| match done.as_str() {
        "test" => "The test mail is on its way.",
        _ => "Saved.",
    });
    html(&MailPage { layout: Layout::inside(&nonce, &inside, "mail"), shown, notice })
}

fn done(inside: &InAccount, what: &str) -> Response {
    see_other(&format!("/accounts/{}/mail?done={what}", inside.account.name))
}

/// When mail comes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CalendarForm {
    time_zone: String,
    hour: String,
}

pub(crate) async fn calendar(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<CalendarForm>,
) -> Result<Response, Fault> {
    let hour = form.hour.trim().parse();
    let hour = hour.map_err(|_| Fault::BadInput("hour", "is a whole number from 0 to 23"))?;
    mailing::save_calendar(&app, &inside, form.time_zone.trim(), hour).await?;
    Ok(done(&inside, "saved"))
}

/// Somebody who gets mail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddForm {
    address: String,
    role: String,
}

pub(crate) async fn add(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<AddForm>,
) -> Result<Response, Fault> {
    let role = RecipientRole::parse(&form.role);
    let role = role.ok_or(Fault::BadInput("role", "is global_admin, further or second_contact"))?;
    mailing::add(&app, &inside, &form.address, role).await?;
    Ok(done(&inside, "saved"))
}

/// Somebody who gets none any more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveForm {
    address: String,
}

pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<RemoveForm>,
) -> Result<Response, Fault> {
    mailing::remove(&app, &inside, &form.address).await?;
    Ok(done(&inside, "saved"))
}

/// A test mail; the key makes two clicks one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestForm {
    key: String,
}

pub(crate) async fn test(
    State(app): State<Arc<App>>,
    inside: InAccount,
    Form(form): Form<TestForm>,
) -> Result<Response, Fault> {
    mailing::test(&app, &inside, &form_key(&form.key)?).await?;
    Ok(done(&inside, "test"))
}
