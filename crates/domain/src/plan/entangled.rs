//! Users that can only be planned together.

use std::collections::{BTreeMap, BTreeSet};

use super::types::Observed;
use super::view::View;
use crate::ids::{ObjectId, PbxUserId};
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
    // knots that tie users together: numbers and Microsoft users
    let mut by_knot: BTreeMap<String, BTreeSet<&PbxUserId>> = BTreeMap::new();
    let mut by_user: BTreeMap<&PbxUserId, BTreeSet<String>> = BTreeMap::new();
    for entry in wanted {
        let stands = standing.get(&entry.oid).and_then(|standing| standing.number.as_ref());
        let numbers = entry
            .number
            .number()
            .into_iter()
            .chain(stands)
            .chain(view.held(entry.oid).map(|(number, _)| number));
        let knots = numbers.map(|number| number.as_str().to_owned()).chain([entry.oid.to_string()]);
        for knot in knots {
            by_knot.entry(knot.clone()).or_default().insert(&entry.user);
            by_user.entry(&entry.user).or_default().insert(knot);
        }
    }
    let mut found = BTreeSet::new();
    let mut seen_knots: BTreeSet<&String> = BTreeSet::new();
    let mut queue: Vec<&PbxUserId> = seed.iter().filter(|user| by_user.contains_key(user)).collect();
    while let Some(user) = queue.pop() {
        if !found.insert(user.clone()) {
            continue;
        }
        for knot in by_user.get(user).into_iter().flatten() {
            if seen_knots.insert(knot) {
                queue.extend(by_knot.get(knot).into_iter().flatten());
            }
        }
    }
    found
}
