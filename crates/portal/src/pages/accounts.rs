//! The list of accounts, for whoever has several.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_domain::account_state::{self, AccountState};
use tandem_store::portal::overview::Overview;
use time::OffsetDateTime;

use super::{Layout, html, see_other};
use crate::extract::Query;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::Visitor;
use crate::{App, view, work};

#[derive(Template)]
#[template(path = "accounts.html")]
pub(crate) struct AccountsPage {
    pub(crate) layout: Layout,
    pub(crate) rows: Vec<Row>,
    pub(crate) next: Option<String>,
    pub(crate) operator: bool,
    /// The state that all of them are in.
    pub(crate) state: Option<AccountState>,
}

/// One account of the list.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) state: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) auto_sync: &'static str,
    pub(crate) queued: i64,
    pub(crate) oldest: String,
    pub(crate) users: String,
    pub(crate) last: String,
}

impl Row {
    pub(crate) fn of(row: &Overview, now: OffsetDateTime) -> Self {
        let state = account_state::state(&row.facts);
        let last = row.last.as_ref();
        Self {
            name: row.name.clone(),
            label: row.label.clone(),
            state: state.label(),
            tone: view::tone(state),
            auto_sync: match (row.facts.auto_sync, row.pause.is_some()) {
                (true, true) => "on, paused",
                (true, false) => "on",
                (false, true) => "off, paused",
                (false, false) => "off",
            },
            queued: row.facts.queued,
            oldest: row.oldest.map_or_else(String::new, |oldest| view::span(now - oldest)),
            users: format!("{} of {}", row.mapped, row.licences),
            last: last.map_or_else(
                || "none yet".to_owned(),
                |job| format!("{}, {}", view::word(job.state.as_str()), view::maybe(job.finished_at)),
            ),
        }
    }
}

/// What stands in the address. Empty is none.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    after: String,
    state: String,
}

impl Asked {
    /// The state that is asked for; only operators can ask.
    pub(crate) fn state(&self) -> Result<Option<AccountState>, Fault> {
        match self.state.as_str() {
            "" => Ok(None),
            state => AccountState::parse(state)
                .map(Some)
                .ok_or(Fault::BadInput("state", "is a state of an account")),
        }
    }

    pub(crate) fn after(&self) -> &str {
        &self.after
    }
}

/// Whoever has one account is led there.
pub(crate) async fn home(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Response, Fault> {
    if visitor.operator {
        return Ok(see_other("/accounts"));
    }
    let found = work::accounts(&app, &visitor, None, "").await?;
    match found.rows.as_slice() {
        [only] => Ok(see_other(&format!("/accounts/{}", only.name))),
        _ => Ok(see_other("/accounts")),
    }
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let state = asked.state()?.filter(|_| visitor.operator);
    let found = work::accounts(&app, &visitor, state, &asked.after).await?;
    let now = app.clock.now();
    let rows = found.rows.iter().map(|row| Row::of(row, now)).collect();
    let layout = Layout::provider(&nonce, &visitor, "accounts");
    html(&AccountsPage { layout, rows, next: found.next, operator: visitor.operator, state })
}
