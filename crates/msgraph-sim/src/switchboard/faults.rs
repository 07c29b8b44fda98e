//! Faults: which request, and what goes wrong with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Before or after the request had its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// The request has no effect.
    #[default]
    Before,
    /// The request has its effect, the caller does not learn of it.
    After,
}

/// What is done to the links between pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkMode {
    /// The link leads to the same page again.
    Loop,
    /// The link leads to another host.
    Foreign,
    /// The page is empty, the link leads to its content.
    Empty,
}

/// What goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Answers with this status; the usual error body if none is given (a text is sent as it is).
    Respond {
        /// HTTP status.
        status: u16,
        /// JSON document, or text.
        #[serde(default)]
        body: Option<Value>,
        /// Further headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Effect or not.
        #[serde(default)]
        when: When,
    },
    /// 429 (or another status) with `Retry-After` exactly as given, or without it.
    Throttle {
        /// Header value.
        #[serde(default)]
        retry_after: Option<String>,
        /// HTTP status.
        #[serde(default = "too_many")]
        status: u16,
    },
    /// Closes the connection without an answer.
    Drop {
        /// Effect or not.
        #[serde(default)]
        when: When,
    },
    /// Never answers.
    Hang {
        /// Effect or not.
        #[serde(default)]
        when: When,
    },
    /// The effect comes late, also when the caller has gone. With `answerStatus` the caller gets that error at
    /// once while the effect is still on its way.
    DelayEffect {
        /// Delay.
        ms: u64,
        /// Error to answer at once.
        #[serde(default)]
        answer_status: Option<u16>,
    },
    /// The answer comes late.
    DelayReply {
        /// Delay.
        ms: u64,
    },
    /// Half of the content.
    Truncate,
    /// An HTML page, as a proxy would send it.
    Html {
        /// HTTP status.
        #[serde(default = "ok")]
        status: u16,
    },
    /// A broken `@odata.nextLink`.
    NextLink {
        /// How it is broken.
        mode: LinkMode,
        /// Host for `foreign`.
        #[serde(default)]
        host: Option<String>,
    },
    /// Another course of the operation that the request starts.
    Operation {
        /// Instead of the setting.
        #[serde(default)]
        latency_ms: Option<u64>,
        /// Never ends by itself.
        #[serde(default)]
        stuck: bool,
        /// Ends with this status; any text.
        #[serde(default)]
        status: Option<String>,
        /// `statusDetail`.
        #[serde(default)]
        detail: Option<String>,
    },
    /// An error of the token endpoint.
    TokenError {
        /// AADSTS number.
        code: u32,
        /// `error`.
        error: String,
        /// Text after the number.
        #[serde(default)]
        description: String,
        /// HTTP status.
        #[serde(default = "bad_request")]
        status: u16,
    },
    /// A token that differs from what the grant says.
    Token {
        /// Another tenant in the claim `tid`.
        #[serde(default)]
        tid: Option<Uuid>,
        /// No `roles` claim.
        #[serde(default)]
        without_roles: bool,
        /// Another lifetime.
        #[serde(default)]
        lifetime_seconds: Option<i64>,
    },
    /// An admin consent that goes another way than the person thinks.
    Consent {
        /// Consent is given in this tenant, and the answer names it.
        #[serde(default)]
        tenant: Option<Uuid>,
        /// These application permissions are not given.
        #[serde(default)]
        without_roles: Vec<String>,
        /// Permissions show this late, instead of the setting.
        #[serde(default)]
        permissions_ms: Option<u64>,
    },
}

fn too_many() -> u16 {
    429
}

fn ok() -> u16 {
    200
}

fn bad_request() -> u16 {
    400
}

/// What a fault wants of the operation that a request starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperationChange {
    pub(crate) latency_ms: Option<u64>,
    pub(crate) stuck: bool,
    pub(crate) status: Option<String>,
    pub(crate) detail: Option<String>,
}

/// What a fault wants of a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenChange {
    pub(crate) tid: Option<Uuid>,
    pub(crate) without_roles: bool,
    pub(crate) lifetime_seconds: Option<i64>,
}

/// What a fault wants of an admin consent.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConsentChange {
    pub(crate) tenant: Option<Uuid>,
    pub(crate) without_roles: Vec<String>,
    pub(crate) permissions_ms: Option<u64>,
}

/// A fault as the switchboard takes it. A request is hit if everything that is given fits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultSpec {
    /// HTTP method.
    #[serde(default)]
    pub method: Option<String>,
    /// Kind as in the request log, for example `assignNumber`.
    #[serde(default)]
    pub kind: Option<String>,
    /// Part of path and query, percent encoding undone.
    #[serde(default)]
    pub path_contains: Option<String>,
    /// Tenant of the token, or of the login address.
    #[serde(default)]
    pub tenant: Option<Uuid>,
    /// Object id or UPN, looked for in path, query and body.
    #[serde(default)]
    pub user: Option<String>,
    /// Telephone number, looked for in path, query and body.
    #[serde(default)]
    pub number: Option<String>,
    /// Lets this many fitting requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// Hits this many requests; all if left out.
    #[serde(default)]
    pub times: Option<u64>,
    /// What goes wrong.
    pub action: Action,
}

/// A fault in place.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fault {
    pub(crate) id: u64,
    pub(crate) hits: u64,
    passed: u64,
    #[serde(flatten)]
    spec: FaultSpec,
}

/// A request as faults look at it.
pub(crate) struct Probe<'a> {
    pub(crate) method: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) tenant: Option<Uuid>,
    /// Decoded path and query.
    pub(crate) address: &'a str,
    pub(crate) body: &'a [u8],
}

impl Probe<'_> {
    fn mentions(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        self.address.to_ascii_lowercase().contains(&lower)
            || String::from_utf8_lossy(self.body).to_ascii_lowercase().contains(&lower)
    }
}

impl FaultSpec {
    fn fits(&self, probe: &Probe<'_>) -> bool {
        self.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(probe.method))
            && self.kind.as_ref().is_none_or(|k| k.eq_ignore_ascii_case(probe.kind))
            && self.tenant.is_none_or(|t| Some(t) == probe.tenant)
            && self.path_contains.as_ref().is_none_or(|p| probe.address.contains(p.as_str()))
            && self.user.as_ref().is_none_or(|u| probe.mentions(u))
            && self.number.as_ref().is_none_or(|n| probe.mentions(n))
    }
}

/// All faults in place; the oldest that fits wins.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    all: Vec<Fault>,
    last: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, spec: FaultSpec) -> u64 {
        self.last += 1;
        self.all.push(Fault { id: self.last, hits: 0, passed: 0, spec });
        self.last
    }

    pub(crate) fn all(&self) -> &[Fault] {
        &self.all
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.all.len();
        self.all.retain(|f| f.id != id);
        self.all.len() < before
    }

    /// The action for a request, counted.
    pub(crate) fn take(&mut self, probe: &Probe<'_>) -> Option<Action> {
        for fault in &mut self.all {
            if fault.spec.times.is_some_and(|times| fault.hits >= times) || !fault.spec.fits(probe) {
                continue;
            }
            if fault.passed < fault.spec.skip {
                fault.passed += 1;
                continue;
            }
            fault.hits += 1;
            return Some(fault.spec.action.clone());
        }
        None
    }
}
