//! Each user looked at alone: which numbers it gives and takes, which policies change, what stands in its own way.

use std::collections::{BTreeMap, BTreeSet};

use super::code::Code;
use super::holder;
use super::policies::{self, PolicyChange};
use super::types::{AccountKind, Licence, Lock, PlanInput, Verdict};
use super::view::{Held, Holder, View};
use crate::ids::ObjectId;
use crate::ladder::DeferReason;
use crate::number::Number;
use crate::wanted::{Standing, WantedNumber, WantedUser};

/// One user on its way to a verdict.
pub(super) struct Draft<'a> {
    pub(super) wanted: &'a WantedUser,
    /// Numbers that come off.
    pub(super) gives: BTreeSet<&'a Number>,
    /// The number that goes on.
    pub(super) takes: Option<&'a Number>,
    /// Index of the managed user that has to give `takes` first.
    pub(super) from: Option<usize>,
    pub(super) policies: Vec<PolicyChange>,
    /// Why the user gets no steps (or, when held, not its removals).
    pub(super) block: Option<Verdict>,
}

impl Draft<'_> {
    /// Whether the PBX gives this user a number, be it usable or not.
    pub(super) fn wants_number(&self) -> bool {
        self.wanted.number != WantedNumber::None
    }

    /// Whether nothing would be done, were nothing in the way.
    pub(super) fn is_idle(&self) -> bool {
        self.gives.is_empty() && self.takes.is_none() && self.policies.is_empty()
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.block, Some(Verdict::Held { .. }))
    }
}

pub(super) fn conflict(code: Code, text: String, holder: Option<String>) -> Verdict {
    Verdict::Conflict { code, text, holder }
}

/// Drafts of the given users, who must be sorted by PBX user and Microsoft user.
pub(super) fn drafts<'a>(
    input: &PlanInput<'a>,
    view: &View<'a>,
    wanted: &[&'a WantedUser],
) -> Vec<Draft<'a>> {
    let mut by_oid: BTreeMap<ObjectId, Vec<usize>> = BTreeMap::new();
    let mut wanting: BTreeMap<&Number, Vec<&WantedUser>> = BTreeMap::new();
    for (index, entry) in wanted.iter().enumerate() {
        by_oid.entry(entry.oid).or_default().push(index);
        if let Some(number) = entry.number.number() {
            wanting.entry(number).or_default().push(entry);
        }
    }
    // the entry that speaks for a Microsoft user: one that wants something goes before one that leaves
    let speaker: BTreeMap<ObjectId, usize> = by_oid
        .iter()
        .filter_map(|(oid, all)| {
            let mapped = all.iter().find(|index| !wanted[**index].wants_nothing());
            Some((*oid, *mapped.or(all.first())?))
        })
        .collect();

    let mut drafts = Vec::with_capacity(wanted.len());
    for (index, entry) in wanted.iter().enumerate() {
        let standing = input.standing.get(&entry.oid);
        let mut draft = Draft {
            wanted: entry,
            gives: BTreeSet::new(),
            takes: None,
            from: None,
            policies: vec![],
            block: None,
        };
        let mapped = by_oid[&entry.oid].iter().filter(|other| !wanted[**other].wants_nothing());
        let mapped: Vec<&str> = mapped.map(|other| wanted[*other].user.as_str()).collect();
        if mapped.len() > 1 && !entry.wants_nothing() {
            let who = mapped.join(", ");
            let text = format!("several PBX users are mapped to {}: {who}", view.describe(entry.oid));
            draft.block = Some(conflict(Code::MicrosoftUserMappedTwice, text, Some(who)));
        } else if speaker[&entry.oid] == index {
            fill_numbers(&mut draft, standing, view);
            draft.from = draft.takes.and_then(|number| match view.holder(number) {
                Holder::User(oid) => speaker.get(&oid).copied(),
                Holder::Nobody | Holder::Other(_) => None,
            });
            draft.block = locked(&draft, input.locks, view)
                .or_else(|| if entry.wants_nothing() { None } else { own_obstacle(&draft, view, &wanting) });
            match policies::changes(entry, standing, view.user(entry.oid), input.policy_ids) {
                Ok(changes) => draft.policies = changes,
                Err(verdict) => draft.block = draft.block.take().or(Some(verdict)),
            }
            if draft.block.is_none() {
                draft.block = holder::foreign(&draft, view).or_else(|| not_in_teams(&draft, view));
            }
        }
        drafts.push(draft);
    }
    drafts
}

fn fill_numbers<'a>(draft: &mut Draft<'a>, standing: Option<&Standing>, view: &View<'a>) {
    let wanted = draft.wanted.number.number();
    let ours = standing.and_then(|standing| standing.number.as_ref());
    draft.takes = wanted;
    for (number, Held { primary, direct_routing }) in view.held(draft.wanted.oid) {
        if Some(number) == wanted {
            draft.takes = None;
        } else if direct_routing && (Some(number) == ours || (primary && wanted.is_some())) {
            // for a managed user the provider's side wins, so any other primary number makes room
            draft.gives.insert(number);
        }
    }
}

/// An open intent on the user or one of its numbers, or one that Microsoft shows under way. Even a user that looks
/// right is deferred: a late landing may still change it.
fn locked(draft: &Draft<'_>, locks: &[Lock], view: &View<'_>) -> Option<Verdict> {
    let mut numbers = draft.gives.clone();
    numbers.extend(draft.wanted.number.number());
    let hits = locks.iter().filter(|lock| {
        lock.oid == draft.wanted.oid || lock.number.as_ref().is_some_and(|number| numbers.contains(number))
    });
    if let Some(reason) = hits.map(|lock| lock.reason).min() {
        let text = "an earlier request for this user or number has no known outcome yet".to_owned();
        return Some(Verdict::Deferred { reason, text });
    }
    let pending = numbers.into_iter().find(|number| view.is_pending(number))?;
    let text = format!("Microsoft is still working on {pending}");
    Some(Verdict::Deferred { reason: DeferReason::OperationRunning, text })
}

/// What makes a user that wants something unfit by itself.
fn own_obstacle(
    draft: &Draft<'_>,
    view: &View<'_>,
    wanting: &BTreeMap<&Number, Vec<&WantedUser>>,
) -> Option<Verdict> {
    let oid = draft.wanted.oid;
    let Some(user) = view.user(oid) else {
        let text = format!("the tenant has no user {oid}; it was deleted or never existed");
        return Some(Verdict::Failed { code: Code::UserUnknownInTenant, text });
    };
    let unfit = match user.kind {
        AccountKind::ResourceAccount => Some((Code::UserIsResourceAccount, "is a resource account")),
        AccountKind::Guest => Some((Code::UserIsGuest, "is a guest")),
        AccountKind::Ineligible => Some((Code::UserIsIneligible, "is not eligible for Teams")),
        AccountKind::User | AccountKind::Unknown => None,
    };
    if let Some((code, what)) = unfit {
        return Some(conflict(code, format!("{} {what}; map the PBX user to a person", user.upn), None));
    }
    let number = match &draft.wanted.number {
        WantedNumber::None => return None,
        WantedNumber::Unusable { text, why } => {
            let text = format!("the PBX number \"{text}\" cannot be used in Teams: {why}");
            return Some(Verdict::Failed { code: Code::NumberUnusable, text });
        }
        WantedNumber::Number(number) => number,
    };
    if user.licensed == Licence::Missing {
        let stands = view.held(oid).next().map(|(number, _)| format!(", and {number} still stands on it"));
        let text = format!(
            "{} has no Teams Phone licence{}; assign one in Microsoft 365",
            user.upn,
            stands.unwrap_or_default()
        );
        return Some(Verdict::Failed { code: Code::NoPhoneLicence, text });
    }
    let rivals: BTreeSet<&str> =
        wanting.get(number).into_iter().flatten().map(|rival| rival.user.as_str()).collect();
    if wanting.get(number).is_some_and(|rivals| rivals.len() > 1) {
        let who = rivals.into_iter().collect::<Vec<_>>().join(", ");
        let text = format!("{number} belongs to several mapped PBX users: {who}");
        return Some(conflict(Code::NumberWantedByTwoUsers, text, Some(who)));
    }
    let mut lines = view.held(oid);
    if let Some((_, line)) = view.held(oid).find(|(held, _)| *held == number) {
        return unfit_line(number, line, &user.upn)
            .or_else(|| view.has_failed(number).then(|| not_activated(number, &user.upn)));
    }
    let (foreign, _) = lines.find(|(_, line)| line.primary && !line.direct_routing)?;
    let text =
        format!("{} has {foreign} from a Calling Plan or an operator; take it off there first", user.upn);
    Some(conflict(Code::UserNumberNotDirectRouting, text, Some(user.upn.clone())))
}

/// A number that is assigned and does not ring: not ours to take off and give again without a person.
fn not_activated(number: &Number, upn: &str) -> Verdict {
    let text = format!(
        "{upn} has {number}, but Microsoft could not activate it; take it off under Phone numbers in the Teams admin \
         center, the next sync gives it again"
    );
    Verdict::Failed { code: Code::NumberActivationFailed, text }
}

/// Why a number that somebody has is no number for Direct Routing as the primary line.
pub(super) fn unfit_line(number: &Number, line: Held, holder: &str) -> Option<Verdict> {
    if !line.direct_routing {
        let text = format!("{number} is a Calling Plan or operator number, held by {holder}");
        Some(conflict(Code::NumberNotDirectRouting, text, Some(holder.to_owned())))
    } else if !line.primary {
        let text = format!("{number} is a private or alternate line of {holder}");
        Some(conflict(Code::NumberIsSecondaryLine, text, Some(holder.to_owned())))
    } else {
        None
    }
}

/// The user is not ready at Microsoft to be given what it lacks.
fn not_in_teams(draft: &Draft<'_>, view: &View<'_>) -> Option<Verdict> {
    let user = view.user(draft.wanted.oid)?;
    let gets_policy = draft.policies.iter().any(|change| !change.removes());
    if draft.takes.is_some() && user.licensed == Licence::Unknown {
        let text = format!("the Teams Phone licence of {} is not active yet", user.upn);
        Some(Verdict::Deferred { reason: DeferReason::LicencePending, text })
    } else if !user.in_teams && (draft.takes.is_some() || gets_policy) {
        let text = format!("Teams does not know {} yet", user.upn);
        Some(Verdict::Deferred { reason: DeferReason::NotInTeamsYet, text })
    } else {
        None
    }
}
