//! What every user of a job came to.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::PbxUserId;
use tandem_domain::job::Outcome;
use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{Plan, UserKey, Verdict, Warning};

use crate::execute::Executed;
use crate::step::StepEnd;

/// Code of a user that somebody else changed while the job ran: it is tried once more, then it is a conflict.
pub(crate) const CHANGED_OUTSIDE: &str = "changed_outside";

/// Code of a user whose accepted write did not end within a day: a person decides.
pub(crate) const NOT_FINISHED: &str = "operation_not_finished";

/// What a user came to.
#[derive(Clone, Debug)]
pub(crate) struct Result {
    pub(crate) outcome: Outcome,
    pub(crate) code: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) defer: Option<DeferReason>,
    pub(crate) moved: bool,
    pub(crate) warning: Option<Warning>,
}

/// What the results are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) executed: &'a Executed,
    /// Users written to under an earlier claim of the same job.
    pub(crate) written_before: &'a BTreeSet<PbxUserId>,
    /// The job undoes another one: nobody goes on with it by itself.
    pub(crate) undo: bool,
}

/// Result of every user of the plan.
pub(crate) fn results(made: Made<'_>) -> BTreeMap<UserKey, Result> {
    made.plan
        .users
        .iter()
        .map(|user| {
            let key = (user.user.clone(), user.oid);
            let result = match &user.verdict {
                Verdict::Steps => ran(made, &key),
                Verdict::Held { text } => Result { detail: Some(text.clone()), ..plain(Outcome::Held) },
                Verdict::Unchanged => {
                    let moved = made.written_before.contains(&user.user);
                    Result { moved, ..plain(if moved { Outcome::Confirmed } else { Outcome::Unchanged }) }
                }
                Verdict::Conflict { code, text, .. } => said(Outcome::Conflict, code.as_str(), text),
                Verdict::Failed { code, text } => said(Outcome::Failed, code.as_str(), text),
                Verdict::Kept { code, text } => said(Outcome::Kept, code.as_str(), text),
                Verdict::Deferred { reason, text } => deferred(*reason, text),
            };
            let result = if made.undo { not_again(result) } else { result };
            (key, Result { warning: user.warning.clone(), ..result })
        })
        .collect()
}

fn plain(outcome: Outcome) -> Result {
    Result { outcome, code: None, detail: None, defer: None, moved: false, warning: None }
}

fn said(outcome: Outcome, code: &str, text: &str) -> Result {
    Result { code: Some(code.to_owned()), detail: Some(text.to_owned()), ..plain(outcome) }
}

fn deferred(reason: DeferReason, text: &str) -> Result {
    Result { defer: Some(reason), ..said(Outcome::Deferred, reason.as_str(), text) }
}

fn ran(made: Made<'_>, key: &UserKey) -> Result {
    if made.executed.done.contains_key(key) {
        return Result { moved: true, ..plain(Outcome::Confirmed) };
    }
    let mut result = match (made.executed.stopped.get(key), &made.executed.abort) {
        (Some(StepEnd::Failed { code, text }), _) => said(Outcome::Failed, code, text),
        (Some(StepEnd::Deferred { reason, text }), _) => deferred(*reason, text),
        (Some(StepEnd::Outside { text }), _) => {
            Result { code: Some(CHANGED_OUTSIDE.to_owned()), ..deferred(DeferReason::Transient, text) }
        }
        (Some(StepEnd::Abort { text, .. }), _) | (_, Some((_, text))) => {
            deferred(DeferReason::NotAuthorized, text)
        }
        (Some(StepEnd::NotStarted | StepEnd::Done { .. }) | None, None) => {
            deferred(DeferReason::HandOver, "left to the next job")
        }
    };
    let more = match (made.executed.put_back.get(key), made.executed.without.get(key)) {
        (Some(number), _) => format!("; {number} was put back"),
        (None, Some(number)) => format!("; the user is without a number, it had {number}"),
        (None, None) => return result,
    };
    result.detail = Some(result.detail.unwrap_or_default() + &more);
    result
}

/// What an undo could not do is not tried again by itself.
fn not_again(result: Result) -> Result {
    if result.defer.is_none() {
        return result;
    }
    let detail = format!("{}; ask for the undo again once that is over", result.detail.unwrap_or_default());
    Result { outcome: Outcome::Failed, defer: None, detail: Some(detail), ..result }
}

/// A PBX user that was mapped anew stands twice in a plan; what is worse counts.
pub(crate) fn one_per_user(results: &BTreeMap<UserKey, Result>) -> BTreeMap<&PbxUserId, &Result> {
    let mut per_user: BTreeMap<&PbxUserId, &Result> = BTreeMap::new();
    for ((user, _), result) in results {
        per_user
            .entry(user)
            .and_modify(|known| {
                // among those that went well, a write on either side means that something has to settle
                let fine =
                    |r: &Result| matches!(r.outcome, Outcome::Confirmed | Outcome::Unchanged | Outcome::Kept);
                let rank =
                    |r: &Result| (!fine(r), if fine(r) { Outcome::Confirmed } else { r.outcome }, r.moved);
                if rank(result) > rank(known) {
                    *known = result;
                }
            })
            .or_insert(result);
    }
    per_user
}
