//! What a fault means for the way of one request.

use serde_json::json;

use crate::graph::errors::GraphError;
use crate::login::errors::LoginError;
use crate::reply::{Content, Reply};
use crate::switchboard::faults::{Action, ConsentChange, LinkMode, OperationChange, TokenChange, When};
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

/// The disturbances of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) effect_delay_ms: u64,
    pub(crate) reply_delay_ms: u64,
    /// Answer this error at once, let the effect follow.
    pub(crate) answer_before_effect: Option<u16>,
    /// Answer this and have no effect.
    pub(crate) instead: Option<Reply>,
    /// Answer the usual body of this error and have no effect; `instead` is set as well.
    pub(crate) error_instead: Option<GraphError>,
    /// Have the effect and answer this, or the usual body of a status.
    pub(crate) after: Option<Result<Reply, u16>>,
    pub(crate) cut: Option<Cut>,
    pub(crate) hang: Option<Cut>,
    pub(crate) truncate: bool,
    pub(crate) links: Option<(LinkMode, Option<String>)>,
    pub(crate) operation: OperationChange,
    pub(crate) token: TokenChange,
    pub(crate) token_error: Option<LoginError>,
    pub(crate) consent: ConsentChange,
    /// Extra headers of the answer.
    pub(crate) headers: Vec<(String, String)>,
    /// `Retry-After` given by the fault, so that callers who ignore it are noticed.
    pub(crate) told_to_wait: Option<String>,
}

impl Plan {
    pub(crate) fn of(action: Option<Action>) -> Self {
        let mut plan = Self::default();
        match action {
            None => {}
            Some(Action::Respond { status, body, headers, when }) => {
                plan.told_to_wait = headers
                    .iter()
                    .find(|(n, _)| n.eq_ignore_ascii_case("retry-after"))
                    .map(|(_, v)| v.clone());
                plan.headers = headers.into_iter().collect();
                let reply = body.map(|body| match body {
                    serde_json::Value::String(text) => Reply::text(status, "text/plain", text),
                    body => Reply::json(status, body),
                });
                match when {
                    When::After => plan.after = Some(reply.ok_or(status)),
                    When::Before => plan.refuse(reply, status),
                }
            }
            Some(Action::Throttle { retry_after, status }) => {
                plan.refuse(None, status);
                plan.headers.extend(retry_after.clone().map(|value| ("Retry-After".to_owned(), value)));
                plan.told_to_wait = retry_after;
            }
            Some(Action::Drop { when }) => plan.cut = Some(when.into()),
            Some(Action::Hang { when }) => plan.hang = Some(when.into()),
            Some(Action::DelayEffect { ms, answer_status }) => {
                plan.effect_delay_ms = ms;
                plan.answer_before_effect = answer_status;
            }
            Some(Action::DelayReply { ms }) => plan.reply_delay_ms = ms,
            Some(Action::Truncate) => plan.truncate = true,
            Some(Action::Html { status }) => {
                let page = "<!DOCTYPE html><html><head><title>Proxy</title></head><body>Please sign in.</body></html>";
                plan.instead = Some(Reply::text(status, "text/html; charset=utf-8", page));
            }
            Some(Action::NextLink { mode, host }) => plan.links = Some((mode, host)),
            Some(Action::Operation { latency_ms, stuck, status, detail }) => {
                // a detail alone means a failure with it
                let status = status.or_else(|| detail.as_ref().map(|_| "failed".to_owned()));
                plan.operation = OperationChange { latency_ms, stuck, status, detail };
            }
            Some(Action::TokenError { code, error, description, status }) => {
                plan.token_error = Some(LoginError::new(status, &error, code, description));
            }
            Some(Action::Token { tid, without_roles, lifetime_seconds }) => {
                plan.token = TokenChange { tid, without_roles, lifetime_seconds };
            }
            Some(Action::Consent { tenant, without_roles, permissions_ms }) => {
                plan.consent = ConsentChange { tenant, without_roles, permissions_ms };
            }
        }
        plan
    }

    fn refuse(&mut self, reply: Option<Reply>, status: u16) {
        if reply.is_none() {
            self.error_instead = Some(GraphError::standard(status));
        }
        self.instead = Some(reply.unwrap_or_else(|| Reply::empty(status)));
    }
}

/// Breaks `@odata.nextLink` as the plan has it.
pub(crate) fn spoil_links(reply: &mut Reply, plan: &Plan, base: &str, address: &str) {
    let (Some((mode, host)), Content::Json(body)) = (&plan.links, &mut reply.content) else { return };
    let own = format!("{base}{address}");
    match mode {
        LinkMode::Loop => body["@odata.nextLink"] = json!(own),
        LinkMode::Foreign => {
            let host = host.as_deref().unwrap_or("https://graph.other.example");
            let link = body["@odata.nextLink"].as_str().unwrap_or(&own).replace(base, host);
            body["@odata.nextLink"] = json!(link);
        }
        LinkMode::Empty => {
            // the mark of the first page, unless the address has one; either way the link differs from the address
            let joint = if address.contains('?') { '&' } else { '?' };
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
