//! Pages: typed templates that escape what they are given, each with samples that a test renders.

pub(crate) mod accounts;
pub(crate) mod again;
pub(crate) mod bulk;
pub(crate) mod detector;
pub(crate) mod embed;
pub(crate) mod enter;
pub(crate) mod error;
pub(crate) mod fleet;
pub(crate) mod fleet_jobs;
pub(crate) mod held;
pub(crate) mod imports;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod mail;
pub(crate) mod mapping;
pub(crate) mod overview;
pub(crate) mod pause;
pub(crate) mod plan;
pub(crate) mod provider;
pub(crate) mod request;
pub(crate) mod settings;
pub(crate) mod sign_in;
pub(crate) mod sync;
pub(crate) mod tokens;
pub(crate) mod troubleshooting;
pub(crate) mod user;
pub(crate) mod users;

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tandem_domain::roles::Act;

use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::{InAccount, Visitor};

/// What the frame of every page shows.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) nonce: String,
    /// Name of the person and the mark of the forms, where somebody is signed in.
    pub(crate) person: Option<(String, String)>,
    /// The account of the page.
    pub(crate) account: Option<InPage>,
    /// The part of the account, or of the provider's pages, that is shown.
    pub(crate) here: &'static str,
    /// Whether the person is an operator.
    pub(crate) operator: bool,
    /// What is said of the pause of the fleet, while it lasts.
    pub(crate) paused: Option<String>,
}

/// The account of a page.
#[derive(Clone, Debug)]
pub(crate) struct InPage {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) roles: String,
    /// Whether this person sees its mail.
    pub(crate) mail: bool,
    /// The reason that an operator gave.
    pub(crate) visit: Option<String>,
}

impl Layout {
    pub(crate) fn open(nonce: &Nonce) -> Self {
        Self { nonce: nonce.0.clone(), person: None, account: None, here: "", operator: false, paused: None }
    }

    pub(crate) fn of(nonce: &Nonce, visitor: &Visitor) -> Self {
        let person = Some((visitor.name.clone(), visitor.mark.clone()));
        let paused = visitor.paused.as_ref().map(ToString::to_string);
        Self { person, operator: visitor.operator, paused, ..Self::open(nonce) }
    }

    /// A page of the provider's.
    pub(crate) fn provider(nonce: &Nonce, visitor: &Visitor, here: &'static str) -> Self {
        Self { here, ..Self::of(nonce, visitor) }
    }

    pub(crate) fn inside(nonce: &Nonce, inside: &InAccount, here: &'static str) -> Self {
        let account = InPage {
            name: inside.account.name.clone(),
            label: inside.account.label.clone(),
            roles: inside.roles.labels(),
            mail: inside.roles.may(Act::SeeMail),
            visit: inside.visit.clone(),
        };
        Self { account: Some(account), here, ..Self::of(nonce, &inside.visitor) }
    }

    /// The mark of forms.
    pub(crate) fn mark(&self) -> &str {
        self.person.as_ref().map_or("", |(_, mark)| mark)
    }
}

/// A page with status 200.
pub(crate) fn html(page: &impl Template) -> Result<Response, Fault> {
    with(StatusCode::OK, page)
}

fn with(status: StatusCode, page: &impl Template) -> Result<Response, Fault> {
    let text = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        Fault::Internal
    })?;
    Ok((status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}

/// The key of a form of ours.
fn form_key(key: &str) -> Result<String, Fault> {
    if key.is_empty() || key.len() > 100 { Err(Fault::FormStale) } else { Ok(format!("page {key}")) }
}

pub(crate) fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

#[cfg(test)]
mod sample_bulk;
#[cfg(test)]
mod sample_fleet;
#[cfg(test)]
mod sample_mail;
#[cfg(test)]
mod sample_plans;
#[cfg(test)]
mod sample_provider;
#[cfg(test)]
mod sample_users;
#[cfg(test)]
mod samples;
