//! Undoing a job: what its users should have instead, and which of them can no longer go back.
//!
//! The inverse is planned by the same planner, with the state before the job as the wanted state of the users that it
//! wrote to; so swaps are undone as swaps, holders are named, and nothing is taken from anybody else.

use std::collections::{BTreeMap, BTreeSet};

use super::code::Code;
use super::draft::conflict;
use super::types::{Observed, UserPlan};
use super::view::View;
use crate::ids::{JobId, ObjectId, PbxUserId};
use crate::number::Number;
use crate::policy::{PolicyType, bare_policy_name, same_policy_name};
use crate::wanted::{Standing, WantedNumber, WantedUser, leaving_user};

/// One write of a job that had its effect, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// What it did.
    pub did: Did,
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// A number came on.
    NumberOn(Number),
    /// A number came off.
    NumberOff(Number),
    /// A policy of the user itself changed: its own before and after.
    Policy(PolicyType, Option<String>, Option<String>),
}

/// What a job changed of one Microsoft user, from before to after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// Its number, where that changed.
    pub number: Option<(Option<Number>, Option<Number>)>,
    /// Its own policies that changed.
    pub policies: BTreeMap<PolicyType, (Option<String>, Option<String>)>,
}

/// The writes of a job summed up by Microsoft user. A number that came off and went on again has not changed.
#[must_use]
pub fn touched(writes: &[Write]) -> Vec<Touched> {
    let mut users: BTreeMap<ObjectId, Touched> = BTreeMap::new();
    for write in writes {
        let entry = users.entry(write.oid).or_insert_with(|| Touched {
            user: write.user.clone(),
            oid: write.oid,
            number: None,
            policies: BTreeMap::new(),
        });
        match &write.did {
            Did::NumberOn(number) => {
                entry.number =
                    Some((entry.number.take().and_then(|(before, _)| before), Some(number.clone())));
            }
            Did::NumberOff(number) => {
                let before = entry.number.take().map_or(Some(number.clone()), |(before, _)| before);
                entry.number = Some((before, None));
            }
            Did::Policy(policy_type, before, after) => {
                let first = entry.policies.get(policy_type).map_or(before, |(first, _)| first).clone();
                entry.policies.insert(policy_type.clone(), (first, after.clone()));
            }
        }
    }
    let mut touched: Vec<Touched> = users.into_values().collect();
    for user in &mut touched {
        user.number = user.number.take().filter(|(before, after)| before != after);
        user.policies.retain(|_, (before, after)| !same(before.as_deref(), after.as_deref()));
    }
    touched.retain(|user| user.number.is_some() || !user.policies.is_empty());
    touched
}

fn same(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same_policy_name(a, b),
        (a, b) => a == b,
    }
}

/// What the users should have instead, and what stands on them: what the job changed, and nothing else, so that the
/// planner leaves the rest alone.
#[must_use]
pub fn targets(
    touched: &[Touched],
    wanted: &[WantedUser],
    standing: &BTreeMap<ObjectId, Standing>,
) -> (Vec<WantedUser>, BTreeMap<ObjectId, Standing>) {
    let mut targets = vec![];
    let mut stands = BTreeMap::new();
    let mut by_oid: BTreeMap<ObjectId, &WantedUser> = BTreeMap::new();
    for entry in wanted {
        by_oid.entry(entry.oid).or_insert(entry);
    }
    for user in touched {
        let mut target = leaving_user(&user.user, user.oid);
        if let Some(now) = by_oid.get(&user.oid) {
            target.service = now.service;
            target.location_id.clone_from(&now.location_id);
        }
        if let Some(before) = user.number.as_ref().and_then(|(before, _)| before.clone()) {
            target.number = WantedNumber::Number(before);
        }
        for (policy_type, (before, _)) in &user.policies {
            if let Some(name) = before {
                target.policies.insert(policy_type.clone(), bare_policy_name(name).to_owned());
            }
        }
        targets.push(target);
        if let Some(now) = standing.get(&user.oid) {
            let mut changed = now.clone();
            changed.number = changed.number.filter(|_| user.number.is_some());
            changed.policies.retain(|policy_type, _| user.policies.contains_key(policy_type));
            stands.insert(user.oid, changed);
        }
    }
    (targets, stands)
}

/// What has happened since the job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// The last job that wrote to a Microsoft user afterwards.
    pub later: BTreeMap<ObjectId, JobId>,
    /// PBX users that were mapped, unmapped, deleted or made anew.
    pub remapped: BTreeSet<PbxUserId>,
    /// PBX users with a change that no job has carried yet.
    pub pending: BTreeSet<PbxUserId>,
}

/// Users that cannot go back, with the reason. What the planner finds in the way of the others, such as a number that
/// somebody else has now or a licence that is gone, is for the planner to say.
#[must_use]
pub fn refused(touched: &[Touched], observed: &Observed, since: &Since) -> Vec<UserPlan> {
    let view = View::new(observed);
    touched
        .iter()
        .filter_map(|user| {
            let (code, text) = why_not(user, &view, since)?;
            let verdict = conflict(code, text, None);
            Some(UserPlan { user: user.user.clone(), oid: user.oid, verdict, warning: None })
        })
        .collect()
}

fn why_not(user: &Touched, view: &View<'_>, since: &Since) -> Option<(Code, String)> {
    if since.remapped.contains(&user.user) {
        let text = format!(
            "the mapping of PBX user {} has changed since that job; map it as it should be",
            user.user
        );
        return Some((Code::UndoMappingChanged, text));
    }
    if since.pending.contains(&user.user) {
        let text = format!(
            "the PBX has a newer change of user {}, which the next job carries; wait for it",
            user.user
        );
        return Some((Code::UndoChangePending, text));
    }
    let what = differs(user, view)?;
    Some(match since.later.get(&user.oid) {
        Some(job) => {
            (Code::UndoChangedLater, format!("{what}, since job {job} changed it; undo that job first"))
        }
        None => {
            (Code::UndoChangedOutside, format!("{what}, since somebody changed it in Teams; change it there"))
        }
    })
}

/// What is neither as the job left it nor as it was before.
fn differs(user: &Touched, view: &View<'_>) -> Option<String> {
    let record = view.user(user.oid)?;
    if let Some((before, after)) = &user.number {
        let now = view.held(user.oid).find(|(_, line)| line.primary).map(|(number, _)| number);
        if now != before.as_ref() && now != after.as_ref() {
            let now = now.map_or("no number".to_owned(), ToString::to_string);
            return Some(format!("{} has {now} now", record.upn));
        }
    }
    user.policies.iter().find_map(|(policy_type, (before, after))| {
        let own = record.policies.get(policy_type).filter(|policy| policy.direct);
        let now = own.map(|policy| policy.name.as_str());
        (!same(now, before.as_deref()) && !same(now, after.as_deref()))
            .then(|| format!("{} has the {policy_type} {} now", record.upn, now.unwrap_or("of its group")))
    })
}
