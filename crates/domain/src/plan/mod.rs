//! The planner: from wanted and observed state to ordered steps, conflicts, deferred users and held removals.
//!
//! Promised: the same input gives the same plan, whatever the order of its lists; every step can be carried out once
//! the steps it depends on are confirmed; nothing is taken from a holder outside the managed set; no user is stripped
//! of a number for one that it cannot get now; a user with an open intent is not touched; what a person has decided
//! about a user holds until that user changes. A user either gets all its steps or none, but for held removals, beside
//! which policies are still given.
//!
//! Not promised: the emergency location of a number that is already in place is not compared, since neither the
//! inventory nor the user's record is asked for it.

mod code;
mod decided;
mod draft;
mod entangled;
mod fingerprint;
mod holder;
mod moves;
mod obstacles;
mod policies;
mod progress;
mod steps;
mod types;
mod undo;
mod view;
mod warn;

pub use code::Code;
pub use entangled::entangled;
pub use fingerprint::{Difference, difference, fingerprint};
pub use progress::{Fate, Progress, Run, StepResult, UserKey, UserRun};
pub use types::{
    AccountKind, Action, Decision, Decisions, HolderKind, Licence, Lock, Observed, ObservedLine,
    ObservedNumber, ObservedPolicy, ObservedUser, Plan, PlanInput, PolicyIds, Scope, Step, UserPlan, Verdict,
    Warning,
};
pub use undo::{Did, Since, Touched, Write, refused, targets, touched};

use draft::drafts;
use obstacles::{Ties, block_dependents, hold_removals};
use view::View;

use crate::wanted::WantedUser;

/// Makes the plan.
#[must_use]
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let view = View::new(input.observed);
    let covered = match input.scope {
        Scope::All => None,
        Scope::Users(seed) => Some(entangled(input.wanted, input.standing, input.observed, seed)),
    };
    let in_scope = |entry: &&WantedUser| covered.as_ref().is_none_or(|users| users.contains(&entry.user));
    let mut wanted: Vec<&WantedUser> = input.wanted.iter().filter(in_scope).collect();
    wanted.sort_by_key(|entry| (&entry.user, entry.oid));

    let mut drafts = drafts(input, &view, &wanted);
    let ties = Ties::new(&drafts);
    decided::keep(&mut drafts, &ties, input);
    block_dependents(&mut drafts, &ties, &view);
    hold_removals(&mut drafts, &ties, &view, input);
    drop(ties);

    let steps = steps::steps(&drafts);
    let held = steps::held(&drafts);
    let users = drafts
        .into_iter()
        .map(|draft| {
            let idle = draft.is_idle();
            let warning = warn::of(&draft, &view);
            let verdict = draft.block.unwrap_or(if idle { Verdict::Unchanged } else { Verdict::Steps });
            UserPlan { user: draft.wanted.user.clone(), oid: draft.wanted.oid, verdict, warning }
        })
        .collect();
    drop(view);
    let fingerprint = fingerprint(&steps, &held);
    Plan { users, steps, held, fingerprint }
}
