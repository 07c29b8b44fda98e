//! The promise of ten minutes: a configuration whose waits add up to more is refused.

use std::time::Duration;

use tandem_debouncer::DebouncerSettings;
use tandem_detector::DetectorConfig;
use tandem_domain::window::LatenessBudget;
use tandem_runtime::config::ConfigErrors;
use tandem_teams_sync::TeamsSyncSettings;

use super::Config;

/// A running job gives way within this time once another is queued.
const HAND_OVER: time::Duration = time::Duration::seconds(60);
/// What a claim may take beside the sweep that finds the waiting job.
const CLAIM: time::Duration = time::Duration::seconds(60);

fn signed(duration: Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}

/// The waits of a configuration.
pub(super) fn budget(
    detector: &DetectorConfig,
    debouncer: &DebouncerSettings,
    teams_sync: &TeamsSyncSettings,
) -> LatenessBudget {
    let polls = detector.sources.iter().map(|source| source.poll.unwrap_or(detector.poll));
    LatenessBudget {
        poll: polls.max().map_or(time::Duration::ZERO, signed),
        second_look: signed(detector.second_look),
        max_wait: debouncer.timing.max_wait,
        sweep: signed(debouncer.sweep),
        hand_over: HAND_OVER,
        lease: signed(teams_sync.lease),
        wait_out: signed(teams_sync.wait_out),
        claim: signed(teams_sync.sweep).max(CLAIM),
    }
}

pub(super) fn check(
    detector: &DetectorConfig,
    debouncer: &DebouncerSettings,
    teams_sync: &TeamsSyncSettings,
    errors: &mut ConfigErrors,
) {
    let budget = budget(detector, debouncer, teams_sync);
    if budget.keeps_promise() {
        return;
    }
    let s = time::Duration::whole_seconds;
    let problem = format!(
        "a job might start {} s after the save, but {} s are promised: poll {} + second look {} + max wait {} + sweep {} \
         + max(hand-over {}, lease {} + wait-out {}) + claim {}",
        s(budget.worst()),
        s(LatenessBudget::PROMISE),
        s(budget.poll),
        s(budget.second_look),
        s(budget.max_wait),
        s(budget.sweep),
        s(budget.hand_over),
        s(budget.lease),
        s(budget.wait_out),
        s(budget.claim),
    );
    errors.push_hint("debouncer.max_wait", problem, "shorten one of them");
}

/// From the due time of a window to the start of its job at the latest.
pub(crate) fn after_due(config: &Config) -> Duration {
    let mut budget = budget(&config.detector, &config.debouncer, &config.teams_sync);
    (budget.poll, budget.second_look, budget.max_wait) = Default::default();
    Duration::try_from(budget.worst()).unwrap_or_default()
}

/// The longest max wait that an account may set.
pub(crate) fn longest_max_wait(config: &Config) -> Duration {
    let mut budget = budget(&config.detector, &config.debouncer, &config.teams_sync);
    budget.max_wait = time::Duration::ZERO;
    Duration::try_from(LatenessBudget::PROMISE - budget.worst()).unwrap_or_default()
}
