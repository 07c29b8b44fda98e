//! What a fault means for the way of one request.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clock::ms;
use crate::deliver::Delivery;
use crate::graph::errors::GraphError;
use crate::login::errors::LoginError;
use crate::reply::{Content, Reply};
use crate::switchboard::actions::{Action, LinkMode, When};
use crate::switchboard::changes::{ConsentChange, LoginChange, OperationChange, TokenChange};
use crate::util::b64url;

/// At which point something is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Before,
    After,
}

impl From<When> for Cut {
    fn from(when: When) -> Self {
        match when {
            When::Before => Self::Before,
            When::After => Self::After,
        }
    }
}

/// An answer that a fault wants.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Reply(Reply),
    /// In the words of Graph.
    Error(GraphError),
}

/// The disturbances of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) effect_delay_ms: u64,
    pub(crate) reply_delay_ms: u64,
    /// Answer this error at once, let the effect follow.
    pub(crate) answer_before_effect: Option<u16>,
    /// Answer this and have no effect.
    pub(crate) instead: Option<Given>,
    /// Have the effect and answer this.
    pub(crate) after: Option<Given>,
    pub(crate) cut: Option<Cut>,
    pub(crate) hang: Option<Cut>,
    pub(crate) delivery: Delivery,
    pub(crate) links: Option<(LinkMode, Option<String>)>,
    pub(crate) operation: OperationChange,
    pub(crate) login: LoginChange,
    /// Extra headers of the answer; they replace those it has.
    pub(crate) headers: Vec<(String, String)>,
    /// `Retry-After` given by the fault, so that callers who ignore it are noticed, and whether it holds for every
    /// tenant of the application.
    pub(crate) told_to_wait: Option<(String, bool)>,
}

impl Plan {
    /// The plan of an action that hits a request of a kind.
    pub(crate) fn of(action: Option<Action>, kind: &'static str) -> Self {
        let mut plan = Self::default();
        match action {
            None => {}
            Some(Action::Respond { status, body, headers, when }) => {
                plan.add_headers(headers);
                plan.give(
                    when,
                    match body {
                        None => Given::Error(GraphError::standard(status)),
                        Some(Value::String(text)) => Given::Reply(Reply::text(status, "text/plain", text)),
                        Some(body) => Given::Reply(Reply::json(status, body)),
                    },
                );
            }
            Some(Action::Captured { name, headers, when }) => {
                plan.add_headers(headers);
                plan.give(when, Given::Error(name.error(kind)));
            }
            Some(Action::Headers { headers }) => plan.add_headers(headers),
            Some(Action::Throttle { retry_after, status, scope, information, limit_percentage }) => {
                let headers = [
                    ("Retry-After", retry_after),
                    ("x-ms-throttle-scope", scope),
                    ("x-ms-throttle-information", information),
                    ("x-ms-throttle-limit-percentage", limit_percentage),
                ];
                plan.add_headers(
                    headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
                );
                plan.give(When::Before, Given::Error(GraphError::standard(status)));
            }
            Some(Action::Drop { when }) => plan.cut = Some(when.into()),
            Some(Action::Hang { when }) => plan.hang = Some(when.into()),
            Some(Action::Stall { after_bytes }) => plan.delivery = Delivery::Stall(after_bytes),
            Some(Action::Drip { bytes, every_ms }) => plan.delivery = Delivery::Drip(bytes, ms(every_ms)),
            Some(Action::GzipBomb { mebibytes }) => {
                plan.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
                plan.delivery = Delivery::Bomb(mebibytes);
            }
            Some(Action::ContentType { value }) => plan.headers.push(("Content-Type".to_owned(), value)),
            Some(Action::DelayEffect { ms, answer_status }) => {
                plan.effect_delay_ms = ms;
                plan.answer_before_effect = answer_status;
            }
            Some(Action::DelayReply { ms }) => plan.reply_delay_ms = ms,
            Some(Action::Truncate) => plan.delivery = Delivery::Half,
            Some(Action::Html { status }) => {
                let page = "<!DOCTYPE html><html><head><title>Proxy</title></head><body>Please sign in.</body></html>";
                let reply = Reply::text(status, "text/html; charset=utf-8", page);
                plan.give(When::Before, Given::Reply(reply));
            }
            Some(Action::NextLink { mode, host }) => plan.links = Some((mode, host)),
            Some(Action::Operation { latency_ms, stuck, status, detail, licence_removed }) => {
                // a detail alone means a failure with it
                let status = status.or_else(|| detail.as_ref().map(|_| "failed".to_owned()));
                plan.operation = OperationChange { latency_ms, stuck, status, detail, licence_removed };
            }
            Some(Action::TokenError { code, error, description, status }) => {
                plan.login.error = Some(LoginError::of_code(code, error, description, status));
            }
            Some(Action::Token { tid, without_roles, lifetime_seconds, claims }) => {
                plan.login.access = TokenChange { tid, without_roles, lifetime_seconds, claims };
            }
            Some(Action::IdToken(change)) => plan.login.id = change,
            Some(Action::Keys { mode, count }) => plan.login.keys = Some((mode, count)),
            Some(Action::Consent { tenant, without_roles, permissions_ms }) => {
                plan.login.consent = ConsentChange { tenant, without_roles, permissions_ms };
            }
        }
        plan
    }

    fn give(&mut self, when: When, given: Given) {
        match when {
            When::Before => self.instead = Some(given),
            When::After => self.after = Some(given),
        }
    }

    fn add_headers(&mut self, headers: BTreeMap<String, String>) {
        let named =
            |wanted: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(wanted)).map(|(_, v)| v);
        let everywhere = named("x-ms-throttle-scope").is_some_and(|scope| scope.starts_with("Application/"));
        self.told_to_wait = named("retry-after").map(|value| (value.clone(), everywhere));
        self.headers.extend(headers);
    }
}

/// Breaks `@odata.nextLink` as the plan has it.
pub(crate) fn spoil_links(reply: &mut Reply, plan: &Plan, base: &str, address: &str) {
    let (Some((mode, host)), Content::Json(body)) = (&plan.links, &mut reply.content) else { return };
    let own = format!("{base}{address}");
    let joint = if address.contains('?') { '&' } else { '?' };
    match mode {
        LinkMode::Loop => body["@odata.nextLink"] = json!(own),
        LinkMode::Repeat => {
            if !address.contains("again=") {
                body["@odata.nextLink"] = json!(format!("{own}{joint}again=1"));
            }
        }
        LinkMode::Foreign => {
            let host = host.as_deref().unwrap_or("https://graph.other.example");
            let link = body["@odata.nextLink"].as_str().unwrap_or(&own).replace(base, host);
            body["@odata.nextLink"] = json!(link);
        }
        LinkMode::Empty => {
            // the mark of the first page, unless the address has one; either way the link differs from the address
            let mark = b64url(json!({ "at": 0 }).to_string());
            let link = if address.contains("$skiptoken=") {
                format!("{own}&again=1")
            } else {
                format!("{own}{joint}$skiptoken={mark}")
            };
            body["value"] = json!([]);
            body["@odata.nextLink"] = json!(link);
        }
    }
}
