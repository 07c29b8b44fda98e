//! Keeps publishers from waiting, again and again, for a broker that does not answer.
//!
//! A broker with a full disk says nothing at all; without this every publish would wait for its timeout.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// Open after an answer failed to come; one try is let through when its pause is over.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Mutex<Option<Open>>);

#[derive(Clone, Copy, Debug)]
struct Open {
    until: Instant,
    pause: Duration,
}

impl Circuit {
    /// Whether something may be sent now.
    pub(crate) fn closed(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            None => true,
            Some(open) if Instant::now() < open.until => false,
            Some(open) => {
                // one try at a time: the others wait another pause
                open.until = Instant::now() + open.pause;
                true
            }
        }
    }

    /// An answer came.
    pub(crate) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// No answer came.
    pub(crate) fn silent(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = state.map_or(SHORTEST, |open| (open.pause * 2).min(LONGEST));
        *state = Some(Open { until: Instant::now() + pause, pause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_try_after_each_pause_and_the_pause_grows() {
        let circuit = Circuit::default();
        assert!(circuit.closed());
        circuit.silent();
        assert!(!circuit.closed());
        tokio::time::advance(SHORTEST).await;
        assert!(circuit.closed());
        assert!(!circuit.closed(), "the others wait");
        circuit.silent();
        tokio::time::advance(SHORTEST).await;
        assert!(!circuit.closed());
        tokio::time::advance(SHORTEST).await;
        assert!(circuit.closed());
        circuit.answered();
        assert!(circuit.closed() && circuit.closed());
    }
}
