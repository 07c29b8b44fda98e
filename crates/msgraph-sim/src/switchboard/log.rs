//! The request log and its counters.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// Requests kept.
const KEPT: usize = 200_000;

/// One login or Graph request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    /// When it arrived.
    pub(crate) at: String,
    pub(crate) method: String,
    /// Path and query as they arrived.
    pub(crate) path: String,
    pub(crate) kind: &'static str,
    pub(crate) tenant: Option<Uuid>,
    pub(crate) app: Option<Uuid>,
    /// The person behind a delegated token.
    pub(crate) user: Option<Uuid>,
    pub(crate) request_id: Uuid,
    pub(crate) client_request_id: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// `x-ms-throttle-priority`.
    pub(crate) priority: Option<String>,
    pub(crate) mutating: bool,
    /// Body of a write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    /// Came before an earlier `Retry-After` had passed.
    pub(crate) early: bool,
    /// Whether a fault hit it.
    pub(crate) fault: bool,
    /// Status answered; null while it is under way or if it never was.
    pub(crate) status: Option<u16>,
}

/// Counters since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    pub(crate) requests: u64,
    pub(crate) by_kind: BTreeMap<&'static str, u64>,
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) writes: u64,
    pub(crate) early_calls: u64,
    pub(crate) throttled: u64,
    pub(crate) faults: u64,
}

/// A ring of the latest requests.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    ring: VecDeque<Entry>,
    last: u64,
    pub(crate) stats: Stats,
}

/// Which requests are wanted.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Wanted {
    /// Only later ones.
    pub(crate) since: u64,
    pub(crate) tenant: Option<Uuid>,
    pub(crate) kind: Option<String>,
    pub(crate) mutating: Option<bool>,
    pub(crate) limit: Option<usize>,
}

impl RequestLog {
    /// Notes an arrival; gives its number.
    pub(crate) fn begin(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.seq = self.last;
        let stats = &mut self.stats;
        stats.requests += 1;
        *stats.by_kind.entry(entry.kind).or_default() += 1;
        stats.writes += u64::from(entry.mutating);
        stats.early_calls += u64::from(entry.early);
        stats.faults += u64::from(entry.fault);
        if self.ring.len() == KEPT {
            self.ring.pop_front();
        }
        self.ring.push_back(entry);
        self.last
    }

    /// Notes the status of an earlier arrival.
    pub(crate) fn end(&mut self, seq: u64, status: u16) {
        *self.stats.by_status.entry(status).or_default() += 1;
        self.stats.throttled += u64::from(status == 429);
        let Some(first) = self.ring.front().map(|e| e.seq) else { return };
        let index = seq.checked_sub(first).and_then(|i| usize::try_from(i).ok());
        if let Some(entry) = index.and_then(|i| self.ring.get_mut(i)) {
            entry.status = Some(status);
        }
    }

    /// Requests in the order of their arrival, and the number of the latest one.
    pub(crate) fn list(&self, wanted: &Wanted) -> (Vec<Entry>, u64) {
        let start = self.ring.partition_point(|e| e.seq <= wanted.since);
        let fits = |e: &&Entry| {
            wanted.tenant.is_none_or(|t| e.tenant == Some(t))
                && wanted.kind.as_ref().is_none_or(|k| e.kind.eq_ignore_ascii_case(k))
                && wanted.mutating.is_none_or(|m| e.mutating == m)
        };
        let limit = wanted.limit.unwrap_or(KEPT);
        (self.ring.range(start..).filter(fits).take(limit).cloned().collect(), self.last)
    }

    /// Forgets the requests; numbers go on.
    pub(crate) fn clear(&mut self) {
        self.ring.clear();
    }
}
