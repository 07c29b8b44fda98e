//! Faults: which request, and what goes wrong with it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::actions::Action;

/// All kinds of requests.
pub(crate) const KINDS: [&str; 30] = [
    "token",
    "discovery",
    "keys",
    "authorize",
    "adminconsent",
    "logout",
    "me",
    "me.memberOf",
    "organization",
    "users.list",
    "users.count",
    "users.delta",
    "users.get",
    "deletedItems.list",
    "deletedItems.get",
    "licenseDetails",
    "subscribedSkus",
    "userConfigurations.list",
    "userConfigurations.get",
    "userConfigurations.user",
    "numberAssignments.list",
    "numberAssignments.get",
    "assignNumber",
    "unassignNumber",
    "updateNumber",
    "operation",
    "getPolicyId",
    "policy.assign",
    "policy.unassign",
    "unknown",
];

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
    /// Whether the kind, if one is named, is one that requests have; a misspelt one would never hit.
    pub(crate) fn kind_is_known(&self) -> bool {
        self.kind.as_ref().is_none_or(|kind| KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind)))
    }

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
