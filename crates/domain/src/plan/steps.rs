//! From drafts to numbered steps with reasons.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::draft::Draft;
use super::moves::{Move, components};
use super::policies::{PolicyChange, PolicyTarget};
use super::types::{Action, Step};
use crate::number::Number;

/// Steps of one list, numbered from 1 as they come.
struct List<'a, 'd> {
    drafts: &'d [Draft<'a>],
    /// Who gets a number.
    takers: BTreeMap<&'a Number, usize>,
    steps: Vec<Step>,
}

/// The steps to carry out.
pub(super) fn steps(drafts: &[Draft<'_>]) -> Vec<Step> {
    let of =
        |draft: &Draft<'_>| draft.gives.len() + usize::from(draft.takes.is_some()) + draft.policies.len();
    let free = drafts.iter().filter(|draft| draft.block.is_none());
    let mut list = List::new(drafts, free.map(of).sum());
    let mut groups = 0;
    for component in components(drafts) {
        let group = (component.moves.len() > 1).then(|| {
            groups += 1;
            groups
        });
        let mut numbers = BTreeMap::new();
        let mut off: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (step, waits) in &component.moves {
            let mut depends_on: Vec<u32> =
                waits.iter().filter_map(|step| numbers.get(step).copied()).collect();
            depends_on.sort_unstable();
            let no = list.number_step(*step, depends_on, group);
            numbers.insert(*step, no);
            if let Move::Off(index, _) = step {
                off.entry(*index).or_default().push(no);
            }
        }
        for index in component.users {
            list.policy_steps(index, off.get(&index).map_or(&[], Vec::as_slice), |_| true);
        }
    }
    for index in (0..drafts.len()).filter(|index| drafts[*index].is_held()) {
        list.policy_steps(index, &[], |change| !change.removes());
    }
    list.steps
}

/// The removals that wait for a person.
pub(super) fn held(drafts: &[Draft<'_>]) -> Vec<Step> {
    let mut list = List::new(drafts, 0);
    for (index, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.is_held()) {
        let numbers: Vec<u32> = draft
            .gives
            .iter()
            .map(|number| list.number_step(Move::Off(index, number), vec![], None))
            .collect();
        list.policy_steps(index, &numbers, PolicyChange::removes);
    }
    list.steps
}

impl<'a, 'd> List<'a, 'd> {
    /// With room for so many steps: a list that grows by itself holds its steps twice while it does.
    fn new(drafts: &'d [Draft<'a>], most: usize) -> Self {
        let acting = drafts.iter().enumerate().filter(|(_, draft)| draft.block.is_none());
        let takers = acting.filter_map(|(index, draft)| Some((draft.takes?, index))).collect();
        Self { drafts, takers, steps: Vec::with_capacity(most) }
    }

    fn push(&mut self, index: usize, action: Action, change: Change, reason: Cow<'static, str>) -> &mut Step {
        let wanted = self.drafts[index].wanted;
        let no = u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX);
        let (before, after) = change;
        let step = Step {
            no,
            user: wanted.user.clone(),
            oid: wanted.oid,
            action,
            before,
            before_own: true,
            after,
            reason,
            depends_on: vec![],
            group: None,
        };
        self.steps.push(step);
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    fn number_step(&mut self, step: Move<'a>, depends_on: Vec<u32>, group: Option<u32>) -> u32 {
        let drafts = self.drafts;
        let user_of = |index: usize| &drafts[index].wanted.user;
        let (action, change, reason) = match step {
            Move::Off(index, number) => {
                let draft = &drafts[index];
                let reason: Cow<'_, str> = match (self.takers.get(number), draft.takes) {
                    (Some(taker), _) if user_of(*taker) == user_of(index) => {
                        "the PBX user goes on with another Microsoft user".into()
                    }
                    (Some(taker), _) => format!("the number goes to PBX user {}", user_of(*taker)).into(),
                    (None, Some(new)) => format!("replaced by {new}").into(),
                    (None, None) if draft.wanted.wants_nothing() => NOTHING_WANTED.into(),
                    (None, None) => "the PBX gives the user another number or none".into(),
                };
                (Action::UnassignNumber { number: number.clone() }, (Some(number.to_string()), None), reason)
            }
            Move::On(index, number) => {
                let reason = match drafts[index].from {
                    Some(holder) => {
                        format!("the PBX gives the user this number, freed by PBX user {}", user_of(holder))
                            .into()
                    }
                    None => "the PBX gives the user this number".into(),
                };
                let location_id = drafts[index].wanted.location_id.clone();
                (
                    Action::AssignNumber { number: number.clone(), location_id },
                    (None, Some(number.to_string())),
                    reason,
                )
            }
        };
        let step = self.push(step.user(), action, change, reason);
        step.depends_on = depends_on;
        step.group = group;
        step.no
    }

    /// Policies of one user. They come off after its number, so that calls never run under a wrong policy.
    fn policy_steps(&mut self, index: usize, off: &[u32], which: impl Fn(&PolicyChange) -> bool) {
        let draft = &self.drafts[index];
        for change in draft.policies.iter().filter(|change| which(change)) {
            let policy_type = change.policy_type.clone();
            let before = change.before.clone();
            match &change.to {
                PolicyTarget::Assign { name, policy_id } => {
                    let action = Action::AssignPolicy {
                        policy_type,
                        name: name.clone(),
                        policy_id: policy_id.clone(),
                    };
                    let reason = "the account's policy rules ask for it".into();
                    let step = self.push(index, action, (before, Some(name.clone())), reason);
                    step.before_own = change.before_own;
                    // who gives its number up for good, because it is a user of the app now, does so first
                    if draft.takes.is_none() {
                        step.depends_on = off.to_vec();
                    }
                }
                PolicyTarget::Unassign { name } => {
                    let reason = if draft.wanted.wants_nothing() {
                        NOTHING_WANTED
                    } else {
                        "the account's policy rules no longer ask for it"
                    };
                    let action = Action::UnassignPolicy { policy_type, name: name.clone() };
                    self.push(index, action, (before, None), reason.into()).depends_on = off.to_vec();
                }
            }
        }
    }
}

/// Before and after.
type Change = (Option<String>, Option<String>);

const NOTHING_WANTED: &str = "the PBX user was unmapped, deleted or disabled";
