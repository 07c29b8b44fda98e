//! The order of number steps.
//!
//! Who takes a number from whom is a graph in which everybody takes from at most one other: chains, and rings (a swap
//! is a ring of two). In a chain nobody gives up the own number before the new one is free, so a failure leaves
//! nobody without. A ring is cut by one unassign: once that is confirmed, the others give up side by side, and each
//! takes its new number as soon as it is free. The cut user is without a number for two operations, the others for
//! one.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use crate::number::Number;

/// One number step, before it has a place in the plan. The order decides between steps that could both come next:
/// users get their numbers before others lose theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Move<'a> {
    On(usize, &'a Number),
    Off(usize, &'a Number),
}

impl Move<'_> {
    pub(super) fn user(self) -> usize {
        match self {
            Self::On(index, _) | Self::Off(index, _) => index,
        }
    }
}

/// Users tied by moves, with their number steps in order, each with the steps it waits for.
pub(super) struct Component<'a> {
    pub(super) users: Vec<usize>,
    pub(super) moves: Vec<(Move<'a>, Vec<Move<'a>>)>,
}

/// All users that are free to act, in components, the one with the smallest index first. Their steps are put in order one
/// component after the other: of a large plan all of them at once would be a good part of its memory.
pub(super) fn components<'a>(drafts: &[Draft<'a>]) -> impl Iterator<Item = Component<'a>> {
    let free = |index: &usize| drafts[*index].block.is_none();
    let mut neighbours = vec![vec![]; drafts.len()];
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(holder) = draft.from.filter(|holder| free(&index) && free(holder)) {
            neighbours[index].push(holder);
            neighbours[holder].push(index);
        }
    }
    // one after the other in a list of their own
    let (mut users, mut ends) = (Vec::with_capacity(drafts.len()), vec![]);
    let mut seen = vec![false; drafts.len()];
    let mut queue = vec![];
    for start in (0..drafts.len()).filter(free) {
        let first = users.len();
        queue.push(start);
        while let Some(index) = queue.pop() {
            if !std::mem::replace(&mut seen[index], true) {
                users.push(index);
                queue.extend(&neighbours[index]);
            }
        }
        if users.len() > first {
            users[first..].sort_unstable();
            ends.push(users.len());
        }
    }
    drop(neighbours);
    let cuts = cuts(drafts);
    let mut first = 0;
    ends.into_iter().map(move |end| {
        let users = users[std::mem::replace(&mut first, end)..end].to_vec();
        let moves = ordered(&waits(drafts, &users, &cuts));
        Component { users, moves }
    })
}

/// For each member of a ring, the number whose unassign cuts that ring and the user that gives it.
fn cuts<'a>(drafts: &[Draft<'a>]) -> BTreeMap<usize, (usize, &'a Number)> {
    let mut cuts = BTreeMap::new();
    let mut done = vec![false; drafts.len()];
    for start in 0..drafts.len() {
        let mut path: Vec<usize> = vec![];
        let mut at = BTreeMap::new();
        let mut next = Some(start);
        while let Some(index) = next.filter(|index| !done[*index] && drafts[*index].block.is_none()) {
            done[index] = true;
            at.insert(index, path.len());
            path.push(index);
            next = drafts[index].from;
        }
        let Some(entry) = next.and_then(|index| at.get(&index)) else { continue };
        let ring = &path[*entry..];
        let cut = ring.iter().copied().min();
        let taker = ring.iter().find(|index| drafts[**index].from == cut);
        if let (Some(cut), Some(number)) = (cut, taker.and_then(|index| drafts[*index].takes)) {
            cuts.extend(ring.iter().map(|index| (*index, (cut, number))));
        }
    }
    cuts
}

fn waits<'a>(
    drafts: &[Draft<'a>],
    users: &[usize],
    cuts: &BTreeMap<usize, (usize, &'a Number)>,
) -> BTreeMap<Move<'a>, Vec<Move<'a>>> {
    let mut waits = BTreeMap::new();
    for &index in users {
        let draft = &drafts[index];
        let freed = draft.from.zip(draft.takes).map(|(holder, number)| Move::Off(holder, number));
        let before_off = match cuts.get(&index) {
            Some((cut, _)) if *cut == index => None,
            Some((cut, number)) => Some(Move::Off(*cut, number)),
            None => freed,
        };
        for number in &draft.gives {
            waits.insert(Move::Off(index, number), before_off.into_iter().collect());
        }
        if let Some(number) = draft.takes {
            let own = draft.gives.iter().map(|old| Move::Off(index, old));
            waits.insert(Move::On(index, number), own.chain(freed).collect());
        }
    }
    waits
}

/// Topological order, the smallest step first among those that could come next.
fn ordered<'a>(waits: &BTreeMap<Move<'a>, Vec<Move<'a>>>) -> Vec<(Move<'a>, Vec<Move<'a>>)> {
    let mut missing: BTreeMap<Move<'_>, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<Move<'_>, Vec<Move<'_>>> = BTreeMap::new();
    for (step, before) in waits {
        missing.insert(*step, before.len());
        for earlier in before {
            dependents.entry(*earlier).or_default().push(*step);
        }
    }
    let mut ready: BTreeSet<Move<'_>> =
        missing.iter().filter(|(_, count)| **count == 0).map(|(step, _)| *step).collect();
    let mut order = vec![];
    while let Some(step) = ready.pop_first() {
        order.push((step, waits.get(&step).cloned().unwrap_or_default()));
        for later in dependents.get(&step).into_iter().flatten() {
            if let Some(count) = missing.get_mut(later) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(*later);
                }
            }
        }
    }
    order
}
