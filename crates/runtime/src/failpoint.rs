//! Named points at which a process can be made to die, for crash tests. Unarmed they cost one atomic load.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

static ARMED: OnceLock<Mutex<HashMap<String, u32>>> = OnceLock::new();

/// Arms points for the rest of the process: `name` dies at the first hit, `name:3` at the third.
/// Only the first call counts.
pub fn arm(points: &[String]) {
    let armed = points
        .iter()
        .map(|point| match point.rsplit_once(':') {
            Some((name, count)) => (name.to_owned(), count.parse().unwrap_or(1)),
            None => (point.clone(), 1),
        })
        .collect::<HashMap<_, _>>();
    if !armed.is_empty() {
        let _ = ARMED.set(Mutex::new(armed));
    }
}

/// Dies here, as `kill -9` would, when the point is armed and its count is reached.
pub fn hit(name: &str) {
    let Some(armed) = ARMED.get() else { return };
    let mut armed = armed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(left) = armed.get_mut(name) {
        *left = left.saturating_sub(1);
        if *left == 0 {
            tracing::error!(failpoint = name, "dying at a failpoint");
            std::process::abort();
        }
    }
}
