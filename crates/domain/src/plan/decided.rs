//! What people have decided about users.

use super::code::Code;
use super::draft::Draft;
use super::obstacles::{Ties, is_removal};
use super::types::{Decision, PlanInput, Verdict};
use crate::ladder::DeferReason;

/// What a person has decided about the user of a draft.
pub(super) fn of(draft: &Draft<'_>, input: &PlanInput<'_>) -> Option<Decision> {
    input.decisions.get(&(draft.wanted.user.clone(), draft.wanted.oid)).copied()
}

/// Leaves users as they are whose sync was undone or whose removals were rejected. A user with an open intent goes on
/// waiting for its outcome.
pub(super) fn keep(drafts: &mut [Draft<'_>], ties: &Ties, input: &PlanInput<'_>) {
    for index in 0..drafts.len() {
        let draft = &drafts[index];
        if draft.is_idle() || waits_for_an_outcome(draft) {
            continue;
        }
        let (code, what) = match of(draft, input) {
            Some(Decision::Undone) => (Code::SyncUndone, "undid a sync of this user"),
            Some(Decision::Rejected) if is_removal(drafts, ties, index) => {
                (Code::RemovalRejected, "rejected these removals")
            }
            Some(Decision::Rejected | Decision::Approved) | None => continue,
        };
        let text = format!("a person {what}; it is left as it is until the user changes");
        drafts[index].block = Some(Verdict::Kept { code, text });
    }
}

fn waits_for_an_outcome(draft: &Draft<'_>) -> bool {
    let Some(Verdict::Deferred { reason, .. }) = &draft.block else { return false };
    matches!(reason, DeferReason::OperationRunning | DeferReason::OutcomeUnknown)
}
