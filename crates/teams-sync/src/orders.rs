//! What a job is ordered to do: to bring the tenant in line, or exactly what a person has seen and agreed to.

use std::collections::BTreeSet;

use serde_json::json;
use tandem_domain::guard::RemovalGuard;
use tandem_domain::job::{JobScope, JobType};
use tandem_domain::plan::{Decision, Difference, Plan, Scope, Step, UserKey, Verdict, difference};
use tandem_store::claims::{Claim, NewEvent};
use tandem_store::decisions::{self, NewDecision};
use tandem_store::held::{self, Held};
use tandem_store::previews::{self, Planned, Preview};
use tandem_store::wanted::Snapshot;
use tandem_store::{StoreError, Tx};
use uuid::Uuid;

use crate::Shared;
use crate::job_error::JobError;
use crate::journal;
use crate::undo::Undoing;

/// What a job is ordered to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// To bring the tenant in line.
    Sync,
    /// The same, as a preview showed it.
    Preview(Box<Planned>),
    /// To carry out held removals that a person approved.
    Approval(Box<Held>),
    /// To undo a job.
    Undo(Box<Undo>),
}

/// An undo.
#[derive(Debug)]
pub(crate) struct Undo {
    pub(crate) undoing: Undoing,
    /// What a person has seen of it.
    seen: Option<Planned>,
}

/// Why a job is not done.
fn refused(code: &'static str, text: impl Into<String>) -> JobError {
    JobError::Refused { code, text: text.into(), difference: Difference::default() }
}

impl Order {
    /// The order of a job.
    pub(crate) async fn of(shared: &Shared, claim: &Claim, snapshot: &Snapshot) -> Result<Self, JobError> {
        let mut tx = shared.store.begin("jobs.order").await?;
        Ok(match claim.cause.as_str() {
            "preview" => Self::Preview(Box::new(seen(&mut tx, claim, None).await?)),
            "approval" => Self::Approval(Box::new(approved(&mut tx, claim).await?)),
            "undo" => {
                let job = claim.linked_job.ok_or_else(|| refused("undo_unknown_job", "no job is named"))?;
                let seen = match claim.subject {
                    Some(_) => Some(seen(&mut tx, claim, Some(job)).await?),
                    None => None,
                };
                let undoing = Undoing::load(&mut tx, claim.account, job, snapshot.covered).await?;
                Self::Undo(Box::new(Undo { undoing, seen }))
            }
            _ => Self::Sync,
        })
    }

    /// Whether the job carries the changes of its range.
    pub(crate) fn covers(&self) -> bool {
        matches!(self, Self::Sync | Self::Preview(_))
    }

    /// Whether a person has asked for everything to be brought in line, also what was undone.
    pub(crate) fn brings_everything(&self, claim: &Claim) -> bool {
        self.covers() && claim.job_type == JobType::Manual && claim.scope == JobScope::All
    }

    /// Makes the snapshot say what is wanted, and returns whom to look at.
    pub(crate) fn prepare(&self, claim: &Claim, snapshot: &mut Snapshot) -> Scope {
        if self.brings_everything(claim) {
            snapshot.decisions.retain(|_, decision| *decision != Decision::Undone);
        }
        match self {
            Self::Sync | Self::Preview(_) => scope_of(claim.scope, snapshot),
            Self::Approval(held) => {
                snapshot.deferred_due.clear();
                let users = users_of(&held.removals);
                snapshot.decisions.extend(users.iter().map(|user| (user.clone(), Decision::Approved)));
                Scope::Users(users.into_iter().map(|(user, _)| user).collect())
            }
            Self::Undo(undo) => undo.undoing.prepare(snapshot),
        }
    }

    /// The guard: a person who has seen an undo as it is made has agreed to its removals.
    pub(crate) fn guard(&self, usual: RemovalGuard) -> RemovalGuard {
        match self {
            Self::Undo(undo) if undo.seen.is_some() => NO_GUARD,
            _ => usual,
        }
    }

    /// Whether the plan is what was ordered.
    pub(crate) fn check(&self, claim: &Claim, plan: &Plan) -> Result<(), JobError> {
        match self {
            Self::Sync => Ok(()),
            Self::Preview(seen) => same(&seen.plan, plan, claim.taken_over),
            Self::Approval(held) => {
                let users = users_of(&held.removals);
                let removes =
                    |step: &&Step| step.action.removes() && users.contains(&(step.user.clone(), step.oid));
                let now: Vec<Step> = plan.steps.iter().filter(removes).cloned().collect();
                let more = held.decided_job == Some(claim.job);
                judge(difference(&[(&held.removals, false)], &[(&now, false)]), more)
            }
            Self::Undo(undo) => match &undo.seen {
                Some(seen) => same(&seen.plan, plan, claim.taken_over),
                None if plan.held.is_empty() => Ok(()),
                None => Err(refused(
                    "undo_removes_too_much",
                    format!(
                        "undoing would take something off {} users; look at it with --dry-run and name that preview",
                        users_of(&plan.held).len()
                    ),
                )),
            },
        }
    }

    /// What is recorded with the plan: that an approval was taken, whom an undo leaves alone from now on.
    pub(crate) async fn planned(
        &self,
        shared: &Shared,
        tx: &mut Tx,
        claim: &Claim,
        snapshot: &Snapshot,
        plan: &Plan,
    ) -> Result<(), JobError> {
        let person = claim.person.as_deref().unwrap_or("unknown");
        let decide = |users, decision, generation| NewDecision {
            account: claim.account,
            users,
            decision,
            generation,
            person,
            reason: claim.reason.as_deref(),
            job: Some(claim.job),
        };
        match self {
            Self::Sync | Self::Preview(_) => {}
            Self::Approval(held) if held.decided_job == Some(claim.job) => {}
            Self::Approval(held) => {
                let (who, why) = (Some(person), claim.reason.as_deref());
                if !held::close(tx, held.id, "approved", who, why, Some(claim.job)).await? {
                    return Err(refused(
                        "held_decided",
                        "somebody else has just decided about these removals",
                    ));
                }
                let users: Vec<UserKey> = users_of(&held.removals).into_iter().collect();
                decisions::decide(tx, &decide(&users, Decision::Approved, held.generation)).await?;
                decided(shared, tx, held, "approved", person, why).await?;
            }
            Self::Undo(_) => {
                let steps = plan.users.iter().filter(|user| user.verdict == Verdict::Steps);
                let users: Vec<UserKey> = steps.map(|user| (user.user.clone(), user.oid)).collect();
                decisions::decide(tx, &decide(&users, Decision::Undone, snapshot.generation)).await?;
            }
        }
        Ok(())
    }
}

/// Nothing is held.
pub(crate) const NO_GUARD: RemovalGuard = RemovalGuard { floor: usize::MAX, percent: 100 };

/// Whom a job looks at that brings a tenant in line.
pub(crate) fn scope_of(scope: JobScope, snapshot: &Snapshot) -> Scope {
    if scope == JobScope::All || snapshot.everybody_changed {
        return Scope::All;
    }
    Scope::Users(snapshot.changed.union(&snapshot.deferred_due).cloned().collect())
}

/// Writes into the log of the job that held removals what a person has decided about them.
pub(crate) async fn decided(
    shared: &Shared,
    tx: &mut Tx,
    held: &Held,
    outcome: &str,
    person: &str,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let event = NewEvent {
        kind: "held_decided",
        data: json!({ "held_id": held.id, "outcome": outcome, "person": person, "reason": reason,
                      "fingerprint": held.fingerprint }),
    };
    let event = tandem_store::claims::append_afterwards(tx, held.job, event).await?;
    journal::announce(shared, tx, event.as_slice()).await
}

/// Why a held list cannot be decided about, if it cannot.
pub(crate) fn undecidable(held: &Held) -> Option<(&'static str, String)> {
    if let Some(outcome) = &held.outcome {
        let who = held.person.as_deref().unwrap_or("a newer job");
        let text = format!("these removals were decided already: {outcome} by {who}; see tandem jobs held");
        return Some(("held_decided", text));
    }
    held.expired.then(|| {
        let text = "these removals have waited for too long; ask for a new job with tandem jobs run --full"
            .to_owned();
        ("held_expired", text)
    })
}

fn users_of(steps: &[Step]) -> BTreeSet<UserKey> {
    steps.iter().map(|step| (step.user.clone(), step.oid)).collect()
}

async fn approved(tx: &mut Tx, claim: &Claim) -> Result<Held, JobError> {
    let id = claim.subject.unwrap_or(Uuid::nil());
    let held = held::find(tx, id).await?.filter(|held| held.account == claim.account);
    let held = held.ok_or_else(|| refused("held_unknown", format!("there are no held removals {id}")))?;
    match undecidable(&held) {
        // taken over from a worker that had begun
        _ if held.decided_job == Some(claim.job) => Ok(held),
        Some((code, text)) => Err(refused(code, text)),
        None => Ok(held),
    }
}

async fn seen(tx: &mut Tx, claim: &Claim, undone: Option<tandem_domain::JobId>) -> Result<Planned, JobError> {
    let id = claim.subject.unwrap_or(Uuid::nil());
    let unknown =
        || refused("preview_unknown", format!("there is no such preview {id} to run; ask for a new one"));
    let found: Preview = previews::find(tx, id).await?.ok_or_else(unknown)?;
    let fits = found.account == claim.account && found.undone == undone;
    found.result.ok().filter(|_| fits).ok_or_else(unknown)
}

/// Whether a plan is the one that was seen. After a take-over some of it has been done already.
fn same(seen: &Plan, now: &Plan, taken_over: bool) -> Result<(), JobError> {
    if seen.fingerprint == now.fingerprint {
        return Ok(());
    }
    let lists = |plan: &Plan| difference_lists(plan);
    let (seen, now) = (lists(seen), lists(now));
    judge(difference(&[(&seen.0, false), (&seen.1, true)], &[(&now.0, false), (&now.1, true)]), taken_over)
}

fn difference_lists(plan: &Plan) -> (Vec<Step>, Vec<Step>) {
    (plan.steps.clone(), plan.held.clone())
}

fn judge(difference: Difference, fewer_is_fine: bool) -> Result<(), JobError> {
    if difference.new.is_empty() && (fewer_is_fine || difference.gone.is_empty()) {
        return Ok(());
    }
    let list = |title: &str, lines: &[String]| match lines.len() {
        0 => String::new(),
        n if n > 5 => format!("; {title} {}, and {} more", lines[..5].join(", "), n - 5),
        _ => format!("; {title} {}", lines.join(", ")),
    };
    let text = format!(
        "something has changed since the plan was seen, so nothing was done; look again{}{}",
        list("no longer:", &difference.gone),
        list("new:", &difference.new)
    );
    Err(JobError::Refused { code: "plan_changed", text, difference })
}
