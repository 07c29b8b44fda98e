//! How one user's obstacle reaches others, and which removals are held.

use std::collections::BTreeMap;

use super::code::Code;
use super::decided;
use super::draft::{Draft, conflict, unfit_line};
use super::policies::PolicyChange;
use super::types::{Decision, PlanInput, Verdict};
use super::view::View;
use crate::ids::PbxUserId;
use crate::ladder::DeferReason;

/// Who waits for whom.
pub(super) struct Ties {
    /// Users that take a number from the user of this index.
    takers: Vec<Vec<usize>>,
    /// Other entries of the same PBX user.
    siblings: Vec<Vec<usize>>,
}

impl Ties {
    pub(super) fn new(drafts: &[Draft<'_>]) -> Self {
        let mut takers = vec![vec![]; drafts.len()];
        let mut of_user: BTreeMap<&PbxUserId, Vec<usize>> = BTreeMap::new();
        for (index, draft) in drafts.iter().enumerate() {
            if let Some(holder) = draft.from {
                takers[holder].push(index);
            }
            of_user.entry(&draft.wanted.user).or_default().push(index);
        }
        let siblings = drafts
            .iter()
            .enumerate()
            .map(|(index, draft)| {
                of_user[&draft.wanted.user].iter().copied().filter(|other| *other != index).collect()
            })
            .collect();
        Self { takers, siblings }
    }
}

/// Blocks users whose number a managed holder will not give, and all that depend on a blocked user.
pub(super) fn block_dependents(drafts: &mut [Draft<'_>], ties: &Ties, view: &View<'_>) {
    for index in 0..drafts.len() {
        if drafts[index].block.is_none()
            && let Some(verdict) = holder_keeps(drafts, index, view)
        {
            drafts[index].block = Some(verdict);
        }
    }
    let blocked = (0..drafts.len()).filter(|index| drafts[*index].block.is_some()).collect();
    spread(drafts, ties, view, blocked);
}

/// Holds removals when there are too many of them, and defers the moves that wait for them.
///
/// A removal is a user that loses its number without getting another, or that wants nothing any more and loses its
/// policies. It counts also when the number goes to another PBX user, but not when the same PBX user goes on with
/// another Microsoft user. What a person has approved does not count and is not held.
pub(super) fn hold_removals(drafts: &mut [Draft<'_>], ties: &Ties, view: &View<'_>, input: &PlanInput<'_>) {
    let approved = |draft: &Draft<'_>| decided::of(draft, input) == Some(Decision::Approved);
    let removals: Vec<usize> = (0..drafts.len())
        .filter(|index| is_removal(drafts, ties, *index) && !approved(&drafts[*index]))
        .collect();
    let too_many = input.guard.holds(removals.len(), input.mapped_users);
    if removals.is_empty() || !(too_many || input.hold_all_removals) {
        return;
    }
    let why = if too_many {
        format!(
            "{} users would lose what they have, of an account with {} mapped",
            removals.len(),
            input.mapped_users
        )
    } else {
        "the PBX source lost everything".to_owned()
    };
    for index in &removals {
        drafts[*index].block = Some(Verdict::Held { text: format!("waits for approval: {why}") });
    }
    spread(drafts, ties, view, removals);
}

pub(super) fn is_removal(drafts: &[Draft<'_>], ties: &Ties, index: usize) -> bool {
    let draft = &drafts[index];
    if draft.block.is_some() || draft.wants_number() {
        return false;
    }
    let mut siblings = ties.siblings[index].iter().map(|other| &drafts[*other]);
    if draft.gives.is_empty() {
        let policies_off = draft.policies.iter().any(PolicyChange::removes);
        draft.wanted.wants_nothing() && policies_off && siblings.all(|other| other.wanted.wants_nothing())
    } else {
        !siblings.any(Draft::wants_number)
    }
}

/// A managed holder that is free to act, but whose plan does not let the number go.
fn holder_keeps(drafts: &[Draft<'_>], index: usize, view: &View<'_>) -> Option<Verdict> {
    let number = drafts[index].takes?;
    let holder = &drafts[drafts[index].from?];
    if holder.block.is_some() || holder.gives.contains(number) {
        return None;
    }
    let who = view.describe(holder.wanted.oid);
    let line = view.held(holder.wanted.oid).find(|(held, _)| *held == number);
    line.and_then(|(_, line)| unfit_line(number, line, &who)).or_else(|| {
        let text =
            format!("{number} is held by {who}, who did not get it from Tandem; take it off there first");
        Some(conflict(Code::NumberNotOurs, text, Some(who)))
    })
}

/// From the blocked users of the list to all that depend on them, until nobody is added.
fn spread(drafts: &mut [Draft<'_>], ties: &Ties, view: &View<'_>, mut blocked: Vec<usize>) {
    while let Some(index) = blocked.pop() {
        let waits = matches!(drafts[index].block, Some(Verdict::Deferred { .. } | Verdict::Held { .. }));
        let kept = matches!(drafts[index].block, Some(Verdict::Kept { .. }));
        let who =
            format!("{} (PBX user {})", view.describe(drafts[index].wanted.oid), drafts[index].wanted.user);
        for taker in &ties.takers[index] {
            let Some(number) = drafts[*taker].takes.filter(|_| drafts[*taker].block.is_none()) else {
                continue;
            };
            drafts[*taker].block = Some(if waits {
                depends(format!("waits until {who} can give up {number}"))
            } else if kept {
                let text = format!(
                    "{number} is held by {who}, whom a person decided to leave alone; change that user in the PBX"
                );
                conflict(Code::NumberKeptByDecision, text, Some(who.clone()))
            } else {
                let text = format!("{number} is held by {who}, whose own change is not possible");
                conflict(Code::NumberHeldByBlockedUser, text, Some(who.clone()))
            });
            blocked.push(*taker);
        }
        // a PBX user that was mapped anew keeps its number on the former Microsoft user until the new one can take over
        if !lacks_number(&drafts[index], view) {
            continue;
        }
        for former in &ties.siblings[index] {
            let draft = &mut drafts[*former];
            if draft.block.is_some() || draft.wants_number() || draft.gives.is_empty() {
                continue;
            }
            draft.block = Some(if waits {
                depends(format!("keeps its number until {who} can take over"))
            } else {
                let text = format!("keeps its number, since {who} cannot take over");
                conflict(Code::SuccessorBlocked, text, Some(who.clone()))
            });
            blocked.push(*former);
        }
    }
}

/// Whether the PBX gives the user a number that its Microsoft user does not have.
fn lacks_number(draft: &Draft<'_>, view: &View<'_>) -> bool {
    let has = |number| view.held(draft.wanted.oid).any(|(held, _)| held == number);
    draft.wants_number() && !draft.wanted.number.number().is_some_and(has)
}

fn depends(text: String) -> Verdict {
    Verdict::Deferred { reason: DeferReason::DependsOnDeferred, text }
}
