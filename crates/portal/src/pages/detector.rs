//! What the detector reads and is told. For operators: customers see syncs of Teams and no others.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tandem_store::admin::sources::SourceRow;
use tandem_store::portal::detector::{Hold, Push, Read};
use time::OffsetDateTime;
use url::form_urlencoded;

use super::fleet::{address, behind};
use super::{Layout, html};
use crate::extract::Query;
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::guard::Visitor;
use crate::work::detector::{self as work, Found, Narrowed};
use crate::{App, view};

#[derive(Template)]
#[template(path = "detector.html")]
pub(crate) struct DetectorPage {
    pub(crate) layout: Layout,
    pub(crate) asked: Asked,
    pub(crate) sources: Vec<SourceLine>,
    pub(crate) holds: Vec<HoldLine>,
    pub(crate) reads: Vec<ReadLine>,
    pub(crate) pushes: Vec<PushLine>,
    /// The address of the page of older reads.
    pub(crate) older: Option<String>,
}

/// A source.
pub(crate) struct SourceLine {
    pub(crate) name: String,
    pub(crate) accounts: i64,
    pub(crate) users: String,
    pub(crate) ended: String,
    pub(crate) believed: String,
    pub(crate) next: String,
    pub(crate) error: Option<String>,
}

/// Losses that are held.
pub(crate) struct HoldLine {
    pub(crate) account: String,
    pub(crate) source: String,
    pub(crate) lost: String,
    pub(crate) since: String,
    pub(crate) released: String,
}

/// A read.
pub(crate) struct ReadLine {
    pub(crate) source: String,
    pub(crate) started: String,
    pub(crate) took: String,
    pub(crate) users: String,
    pub(crate) changes: String,
    pub(crate) left: String,
    pub(crate) result: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) why: Option<String>,
}

/// A message of a sender.
pub(crate) struct PushLine {
    pub(crate) account: String,
    pub(crate) at: String,
    pub(crate) changed: i32,
    pub(crate) generation: i64,
    pub(crate) waiting: String,
}

fn count(count: Option<i64>) -> String {
    count.map_or_else(|| "\u{2013}".to_owned(), |count| count.to_string())
}

fn error(code: &str, text: &str) -> String {
    format!("{code}: {}", view::short(text))
}

impl SourceLine {
    pub(crate) fn of(row: &SourceRow, now: OffsetDateTime) -> Self {
        let ago = |at: Option<OffsetDateTime>| {
            at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", view::span(now - at)))
        };
        let code = row.error_code.as_deref().zip(row.error.as_deref());
        Self {
            name: row.source.clone(),
            accounts: row.accounts,
            users: count(row.users),
            ended: if row.reading { "is being read".to_owned() } else { ago(row.last_ended_at) },
            believed: ago(row.last_ok_at),
            next: row.next_read_at.map_or_else(|| "at once".to_owned(), |at| view::clock(at, now)),
            error: code.map(|(code, text)| error(code, text)),
        }
    }
}

impl HoldLine {
    pub(crate) fn of(hold: &Hold) -> Self {
        let released = hold.released.as_ref().map(|(at, who, why)| {
            format!("{} by {who}: {}", view::full(*at), why.as_deref().unwrap_or_default())
        });
        Self {
            account: hold.account.clone(),
            source: hold.source.clone(),
            lost: format!("{} of {}", hold.missing, hold.known),
            since: view::full(hold.since),
            released: released.unwrap_or_else(|| "waits for an operator".to_owned()),
        }
    }
}

impl ReadLine {
    pub(crate) fn of(read: &Read) -> Self {
        let left = [
            (read.unbound, "customers without account"),
            (read.unusable, "unusable rows"),
            (read.held, "accounts held"),
        ];
        let left: Vec<String> = left
            .into_iter()
            .filter_map(|(count, what)| Some(format!("{} {what}", count.filter(|count| *count > 0)?)))
            .collect();
        let (result, tone) = if read.error.is_some() { ("refused", "bad") } else { ("believed", "good") };
        Self {
            source: read.source.clone(),
            started: view::full(read.started_at),
            took: format!("{} ms", (read.ended_at - read.started_at).whole_milliseconds()),
            users: count(read.users),
            changes: count(read.changes),
            left: left.join(", "),
            result,
            tone,
            why: read.error.as_ref().map(|(code, text)| error(code, text)),
        }
    }
}

impl PushLine {
    pub(crate) fn of(push: &Push) -> Self {
        Self {
            account: push.account.clone(),
            at: view::full(push.received_at),
            changed: push.changed,
            generation: push.generation,
            waiting: push.waiting.as_deref().map(view::word).unwrap_or_default(),
        }
    }
}

/// What stands in the address. Empty is none.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) source: String,
    pub(crate) account: String,
    after: String,
}

impl Asked {
    pub(crate) fn narrowed(&self) -> Result<Narrowed, Fault> {
        let some = |text: &'_ String| Some(text.clone()).filter(|text| !text.is_empty());
        Ok(Narrowed { source: some(&self.source), account: some(&self.account), after: behind(&self.after)? })
    }

    fn older(&self, next: &(OffsetDateTime, String)) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in [("source", &self.source), ("account", &self.account)] {
            if !value.is_empty() {
                query.append_pair(key, value);
            }
        }
        format!("/fleet/detector?{}#reads", query.append_pair("after", &address(next)).finish())
    }
}

impl DetectorPage {
    pub(crate) fn of(layout: Layout, asked: Asked, found: &Found, now: OffsetDateTime) -> Self {
        Self {
            layout,
            sources: found.sources.iter().map(|row| SourceLine::of(row, now)).collect(),
            holds: found.holds.iter().map(HoldLine::of).collect(),
            reads: found.reads.rows.iter().map(ReadLine::of).collect(),
            pushes: found.pushes.iter().map(PushLine::of).collect(),
            older: found.reads.next.as_ref().map(|next| asked.older(next)),
            asked,
        }
    }
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    nonce: Nonce,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    let found = work::log(&app, asked.narrowed()?).await?;
    let layout = Layout::provider(&nonce, &visitor, "detector");
    html(&DetectorPage::of(layout, asked, &found, app.clock.now()))
}
