//! Doing a job anew: which jobs leave something to be done, and whether an account takes one now.

use crate::job::{JobScope, JobState, JobType};

/// The most jobs of one bulk act that are named one by one.
pub const MOST_CHOSEN: usize = 1000;
/// Accounts that a bulk act hands in within half a second: 50 in a second.
pub const PORTION: i64 = 25;

/// Whether a job has left something to be done anew.
#[must_use]
pub fn leaves_something(state: JobState) -> bool {
    matches!(state, JobState::Failed | JobState::Partly | JobState::Cancelled)
}

/// What the new job looks at. Users in conflict are looked at by a job over everybody only.
#[must_use]
pub fn scope(state: JobState, scope: JobScope) -> JobScope {
    if state == JobState::Partly { JobScope::All } else { scope }
}

/// How an account stands where a replay is handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// What the new job will be.
    pub job_type: JobType,
    /// Whether Auto Sync is on.
    pub auto_sync: bool,
    /// Whether a person has paused the account.
    pub paused: bool,
}

/// Stable code of why a replay is not handed in; what only has to wait (quarantine, an authorization that is ill) waits in
/// the account's lane as any job does.
#[must_use]
pub fn refused(admission: Admission) -> Option<&'static str> {
    match admission {
        Admission { paused: true, .. } => Some("account_paused"),
        Admission { job_type: JobType::Auto, auto_sync: false, .. } => Some("teams_needs_auto_sync"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_over_and_incomplete_is_done_anew() {
        let left: Vec<JobState> =
            JobState::ALL.iter().copied().filter(|state| leaves_something(*state)).collect();
        assert_eq!(left.len(), 3);
        assert!(left.iter().all(|state| state.is_final() && *state != JobState::Succeeded));
        assert_eq!(scope(JobState::Partly, JobScope::Changed), JobScope::All);
        assert_eq!(scope(JobState::Failed, JobScope::Changed), JobScope::Changed);
    }

    #[test]
    fn a_pause_holds_any_replay_and_auto_sync_off_those_of_its_own() {
        let free = Admission { job_type: JobType::Auto, auto_sync: true, paused: false };
        assert_eq!(refused(free), None);
        assert_eq!(refused(Admission { paused: true, ..free }), Some("account_paused"));
        let off = Admission { auto_sync: false, ..free };
        assert_eq!(refused(off), Some("teams_needs_auto_sync"));
        assert_eq!(refused(Admission { job_type: JobType::Manual, ..off }), None);
    }
}
