//! A host that cannot be reached is left alone: after some failures in a row nothing is sent to it for a while, then one
//! request tries, and only when that gets through do the others follow.
//!
//! What counts is that no connection came about: it was refused or timed out, its name or its TLS failed. An answer of any
//! kind shows that the host is there, and an answer that does not come says nothing.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

/// Failures in a row after which the circuit opens.
const LIMIT: u32 = 5;
/// Longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(60);
/// Wait of the others while one request tries.
const WHILE_TRYING: Duration = Duration::from_secs(1);

/// A host is left alone for now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{host} could not be reached {failures} times in a row; it is tried again in {} s", .wait.as_secs())]
pub struct HostAway {
    /// The host.
    pub host: String,
    /// Failures so far.
    pub failures: u32,
    /// Until the next try.
    pub wait: Duration,
}

/// The circuit of one host, shared by all tenants.
pub(crate) struct Circuit {
    host: String,
    first_pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    /// One request is finding out whether the host is back.
    trying: bool,
}

/// Leave to open a connection, to be ended with what became of it. Dropped without a word it says nothing.
pub(crate) struct Leave<'a> {
    circuit: &'a Circuit,
    tries: bool,
}

impl Circuit {
    pub(crate) fn new(host: &url::Url, first_pause: Duration) -> Self {
        let name = host.host_str().unwrap_or_default();
        let host = host.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        Self { host, first_pause, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self) -> Result<Leave<'_>, HostAway> {
        let mut state = self.state();
        let Some(until) = state.open_until else { return Ok(Leave { circuit: self, tries: false }) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() && !state.trying {
            state.trying = true;
            return Ok(Leave { circuit: self, tries: true });
        }
        let wait = if left.is_zero() { WHILE_TRYING } else { left };
        Err(HostAway { host: self.host.clone(), failures: state.failures, wait })
    }
}

impl Leave<'_> {
    /// The host answered.
    pub(crate) fn reached(self) {
        let mut state = self.circuit.state();
        if state.open_until.is_some() {
            tracing::info!(server.address = %self.circuit.host, "Microsoft can be reached again");
        }
        *state = State::default();
    }

    /// No connection came about.
    pub(crate) fn failed(self) {
        let mut state = self.circuit.state();
        // requests that were under way when it opened do not make it longer
        if state.open_until.is_some() && !self.tries {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < LIMIT {
            return;
        }
        let doubled = (state.failures - LIMIT).min(16);
        let pause =
            self.circuit.first_pause.saturating_mul(1 << doubled).min(LONGEST.max(self.circuit.first_pause));
        if state.open_until.is_none() {
            tracing::warn!(server.address = %self.circuit.host, failures = state.failures, "Microsoft cannot be reached; it is left alone for a while");
        }
        state.open_until = Some(Instant::now() + pause);
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.tries {
            self.circuit.state().trying = false;
        }
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("host", &self.host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn circuit() -> Circuit {
        Circuit::new(&"https://graph.example:8443".parse().unwrap(), PAUSE)
    }

    fn fail(circuit: &Circuit, times: u32) {
        for _ in 0..times {
            circuit.enter().unwrap().failed();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f40_it_opens_after_some_failures_in_a_row_and_one_tries_at_a_time() {
        let circuit = circuit();
        fail(&circuit, LIMIT - 1);
        circuit.enter().unwrap().reached();
        fail(&circuit, LIMIT - 1);
        drop(circuit.enter().unwrap());
        fail(&circuit, 1);
        let away = circuit.enter().err().unwrap();
        let expected = HostAway { host: "graph.example:8443".to_owned(), failures: LIMIT, wait: PAUSE };
        assert_eq!(away, expected);
        tokio::time::advance(PAUSE).await;
        let one = circuit.enter().unwrap();
        assert_eq!(circuit.enter().err().unwrap().wait, WHILE_TRYING, "the others wait for the one");
        one.reached();
        fail(&circuit, LIMIT - 1);
        circuit.enter().unwrap().reached();
    }

    #[tokio::test(start_paused = true)]
    async fn f40_the_wait_doubles_up_to_a_minute() {
        let circuit = circuit();
        fail(&circuit, LIMIT);
        for seconds in [5, 10, 20, 40, 60, 60] {
            let wait = circuit.enter().err().unwrap().wait;
            assert_eq!(wait, Duration::from_secs(seconds));
            tokio::time::advance(wait).await;
            fail(&circuit, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f40_what_was_under_way_and_what_was_given_up_decides_nothing() {
        let circuit = circuit();
        let under_way = circuit.enter().unwrap();
        fail(&circuit, LIMIT);
        under_way.failed();
        assert_eq!(circuit.enter().err().unwrap().wait, PAUSE, "not longer");
        tokio::time::advance(PAUSE).await;
        drop(circuit.enter().unwrap());
        circuit.enter().unwrap().reached();
        assert!(circuit.enter().is_ok());
    }
}
