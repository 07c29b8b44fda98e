//! Users that can only be planned together.

use std::collections::{BTreeMap, BTreeSet};

use super::types::Observed;
use super::view::View;
use crate::ids::{ObjectId, PbxUserId};
use crate::number::Number;
use crate::wanted::{Standing, WantedUser};

/// The users of `seed` and all connected with them through numbers: one wants what another has, had from us, or wants
/// too. PBX users mapped to the same Microsoft user are connected as well. Only managed users are ever returned.
#[must_use]
pub fn entangled(
    wanted: &[WantedUser],
    standing: &BTreeMap<ObjectId, Standing>,
    observed: &Observed,
    seed: &BTreeSet<PbxUserId>,
) -> BTreeSet<PbxUserId> {
    let view = View::new(observed);
    let mut by_knot: Vec<(Knot<'_>, &PbxUserId)> = vec![];
    for entry in wanted {
        let stands = standing.get(&entry.oid).and_then(|standing| standing.number.as_ref());
        let numbers = entry
            .number
            .number()
            .into_iter()
            .chain(stands)
            .chain(view.held(entry.oid).map(|(number, _)| number));
        let knots = numbers.map(Knot::Number).chain([Knot::Microsoft(entry.oid)]);
        by_knot.extend(knots.map(|knot| (knot, &entry.user)));
    }
    let mut by_user: Vec<(&PbxUserId, Knot<'_>)> =
        by_knot.iter().map(|(knot, user)| (*user, *knot)).collect();
    by_knot.sort_unstable();
    by_user.sort_unstable();
    let mut found = BTreeSet::new();
    let mut seen_knots = BTreeSet::new();
    let mut queue: Vec<&PbxUserId> = seed.iter().filter(|user| !of(&by_user, user).is_empty()).collect();
    while let Some(user) = queue.pop() {
        if !found.insert(user.clone()) {
            continue;
        }
        for (_, knot) in of(&by_user, &user) {
            if seen_knots.insert(*knot) {
                queue.extend(of(&by_knot, knot).iter().map(|(_, user)| *user));
            }
        }
    }
    found
}

/// What ties users together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Knot<'a> {
    Number(&'a Number),
    Microsoft(ObjectId),
}

/// The pairs of a key among sorted ones: an account may have a hundred thousand users, and most jobs are about one.
fn of<'p, K: Ord, V>(pairs: &'p [(K, V)], key: &K) -> &'p [(K, V)] {
    let from = pairs.partition_point(|(other, _)| other < key);
    let count = pairs[from..].partition_point(|(other, _)| other <= key);
    &pairs[from..from + count]
}
