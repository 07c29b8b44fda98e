//! Authorization codes and refresh tokens that were handed out.

use std::collections::HashMap;

use tokio::time::Instant;
use uuid::Uuid;

use super::scopes::Scopes;

/// Codes and refresh tokens kept of each kind.
const KEPT: usize = 10_000;

/// The proof key of an authorization request (RFC 7636).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) text: String,
    /// `S256` rather than `plain`.
    pub(crate) hashed: bool,
}

/// What a person allowed an application.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) app: Uuid,
    pub(crate) tid: Uuid,
    pub(crate) oid: Uuid,
    pub(crate) scopes: Scopes,
    /// When the person signed in, in seconds since 1970.
    pub(crate) auth_time: i64,
    /// Redeemed without a credential of the application.
    pub(crate) public: bool,
}

/// A code and what it has to be redeemed with.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) issued: Instant,
    pub(crate) redeemed: bool,
}

/// All that is outstanding.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    codes: HashMap<String, Code>,
    refresh: HashMap<String, Grant>,
}

impl Outstanding {
    pub(crate) fn add_code(&mut self, text: String, code: Code) {
        if self.codes.len() >= KEPT {
            // the oldest half: a code is redeemed within seconds or never
            let mut times: Vec<Instant> = self.codes.values().map(|c| c.issued).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.codes.retain(|_, c| c.issued > middle);
        }
        self.codes.insert(text, code);
    }

    pub(crate) fn code(&mut self, text: &str) -> Option<&mut Code> {
        self.codes.get_mut(text)
    }

    pub(crate) fn add_refresh(&mut self, text: String, grant: Grant) {
        if self.refresh.len() >= KEPT {
            self.refresh.clear();
        }
        self.refresh.insert(text, grant);
    }

    pub(crate) fn refresh(&self, text: &str) -> Option<Grant> {
        self.refresh.get(text).cloned()
    }
}
