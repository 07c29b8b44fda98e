//! The users of an account, with filters that live in the address.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::policy::Service;
use tandem_domain::roles::{Act, Field};
use tandem_domain::user_state;
use tandem_store::portal::users::{Filter, UserRow};
use time::OffsetDateTime;
use url::form_urlencoded;

use super::{Layout, html};
use crate::extract::Query;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::InAccount;
use crate::work::users as work;
use crate::{App, view};

/// Numbers of a user that the list shows.
const NUMBERS: usize = 3;

#[derive(Template)]
#[template(path = "users.html")]
pub(crate) struct UsersPage {
    pub(crate) layout: Layout,
    pub(crate) name: String,
    pub(crate) asked: Asked,
    pub(crate) rows: Vec<Row>,
    /// The address of the page that follows.
    pub(crate) next: Option<String>,
    /// This person sees who is mapped to whom.
    pub(crate) sees: bool,
    /// This person saves mappings.
    pub(crate) saves: bool,
}

/// A user of the list.
pub(crate) struct Row {
    /// The key as a part of an address.
    pub(crate) segment: String,
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) extension: String,
    pub(crate) numbers: String,
    pub(crate) licence: &'static str,
    pub(crate) microsoft: String,
    pub(crate) state: &'static str,
    pub(crate) tone: &'static str,
    /// What it waits for, or what is wrong.
    pub(crate) why: Option<String>,
}

/// What a mapping gives, as people read it.
pub(crate) fn licence(row: &UserRow) -> &'static str {
    match row.mapping.as_ref().map(|mapping| mapping.service) {
        Some(Service::Voice) => "Voice",
        Some(Service::App) => "App",
        None => "\u{2013}",
    }
}

/// The Microsoft user of a row: its sign-in name, or its id where the directory has not been read.
pub(crate) fn microsoft(row: &UserRow) -> Option<String> {
    let mapping = row.mapping.as_ref()?;
    Some(row.upn.as_deref().map_or_else(|| mapping.microsoft_user.to_string(), view::short))
}

/// What a user waits for, or what is wrong with it.
pub(crate) fn why(row: &UserRow, now: OffsetDateTime) -> Option<String> {
    if let Some(wait) = &row.wait {
        let next = view::clock(wait.next_look, now);
        return Some(format!("{}, looked at again {next}", view::word(&wait.reason)));
    }
    let state = user_state::state(&row.facts);
    let wrong = matches!(
        state,
        user_state::UserState::Conflict
            | user_state::UserState::Failed
            | user_state::UserState::Held
            | user_state::UserState::Issue
    );
    row.detail.as_deref().or(row.code.as_deref()).filter(|_| wrong).map(view::short)
}

impl Row {
    pub(crate) fn of(row: &UserRow, now: OffsetDateTime) -> Self {
        let profile = row.profile.clone().unwrap_or_default();
        let state = user_state::state(&row.facts);
        let mut numbers: Vec<String> =
            profile.did_numbers.iter().take(NUMBERS).map(|number| view::short(number)).collect();
        if profile.did_numbers.len() > NUMBERS {
            numbers.push(format!("and {} more", profile.did_numbers.len() - NUMBERS));
        }
        let dash = || "\u{2013}".to_owned();
        Self {
            segment: view::segment(row.user.as_str()),
            id: row.user.to_string(),
            label: profile.display_name.as_deref().map_or_else(|| row.user.to_string(), view::short),
            extension: profile.extension.as_deref().map_or_else(dash, view::short),
            numbers: if numbers.is_empty() { dash() } else { numbers.join(", ") },
            licence: licence(row),
            microsoft: microsoft(row).unwrap_or_else(dash),
            state: state.label(),
            tone: view::user_tone(state),
            why: why(row, now),
        }
    }
}

/// The filters, as they stand in the address. Empty ones are none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) search: String,
    /// `yes` shows users without a mapping only.
    pub(crate) unmapped: String,
    pub(crate) after: String,
}

impl Asked {
    pub(crate) fn filter(&self) -> Result<Filter, Fault> {
        let unmapped = match self.unmapped.as_str() {
            "" => false,
            "yes" => true,
            _ => return Err(Fault::BadInput("unmapped", "is yes, or left out")),
        };
        if self.after.len() > 400 || self.after.chars().any(char::is_control) {
            return Err(Fault::BadInput("after", "is the key of a user"));
        }
        Ok(Filter { unmapped, search: work::searched(&self.search)?, ..Filter::default() })
    }

    fn address(&self, name: &str, after: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let all = [("search", self.search.as_str()), ("unmapped", &self.unmapped), ("after", after)];
        for (key, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(key, value);
        }
        format!("/accounts/{name}/users?{}", query.finish())
    }
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    inside: InAccount,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let found = work::list(&app, &inside, asked.filter()?, &asked.after).await?;
    let now = app.clock.now();
    let name = inside.account.name.clone();
    html(&UsersPage {
        layout: Layout::inside(&nonce, &inside, "users"),
        rows: found.rows.iter().map(|row| Row::of(row, now)).collect(),
        next: found.next.map(|after| asked.address(&name, after.as_str())),
        sees: inside.roles.sees(Field::Mapping),
        saves: inside.roles.may(Act::SaveMapping),
        name,
        asked,
    })
}
