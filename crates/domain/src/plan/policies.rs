//! The difference between wanted and effective policies of one user.

use super::code::Code;
use super::types::{ObservedUser, PolicyIds, Verdict};
use crate::ladder::DeferReason;
use crate::policy::{PolicyType, bare_policy_name, same_policy_name};
use crate::wanted::{Standing, WantedUser};

/// Name under which every type has its default for the whole organisation.
const ORGANISATION_DEFAULT: &str = "Global";

/// One policy to change.
#[derive(Clone, Debug)]
pub(super) struct PolicyChange {
    pub(super) policy_type: PolicyType,
    /// The name in effect now.
    pub(super) before: Option<String>,
    /// Whether it is assigned to the user itself.
    pub(super) before_own: bool,
    pub(super) to: PolicyTarget,
}

#[derive(Clone, Debug)]
pub(super) enum PolicyTarget {
    Assign { name: String, policy_id: String },
    Unassign { name: String },
}

impl PolicyChange {
    pub(super) fn removes(&self) -> bool {
        matches!(self.to, PolicyTarget::Unassign { .. })
    }
}

/// What to assign, and which of ours to take away. A policy of the wanted name that is in effect through a group is
/// left at that: it already does what is wanted.
pub(super) fn changes(
    wanted: &WantedUser,
    standing: Option<&Standing>,
    user: Option<&ObservedUser>,
    ids: &PolicyIds,
) -> Result<Vec<PolicyChange>, Verdict> {
    let mut changes = vec![];
    for (policy_type, name) in &wanted.policies {
        let effective = user.and_then(|user| user.policies.get(policy_type));
        let known =
            ids.get(policy_type).and_then(|ids| ids.get(&bare_policy_name(name).to_ascii_lowercase()));
        let in_effect = match effective {
            Some(policy) => {
                let same_id = matches!((&policy.id, known), (Some(a), Some(Some(b))) if a == b);
                same_id || same_policy_name(&policy.name, name)
            }
            None => same_policy_name(ORGANISATION_DEFAULT, name),
        };
        if in_effect {
            continue;
        }
        let policy_id = match known {
            Some(Some(id)) => id.clone(),
            Some(None) => {
                return Err(Verdict::Conflict {
                    code: Code::PolicyNotInTenant,
                    text: format!(
                        "the tenant has no {policy_type} named {name}; create it there or change the rule"
                    ),
                    holder: None,
                });
            }
            None => {
                return Err(Verdict::Deferred {
                    reason: DeferReason::Transient,
                    text: format!("the id of {policy_type} {name} could not be read"),
                });
            }
        };
        changes.push(PolicyChange {
            policy_type: policy_type.clone(),
            before: effective.map(|policy| policy.name.clone()),
            before_own: effective.is_some_and(|policy| policy.direct),
            to: PolicyTarget::Assign { name: name.clone(), policy_id },
        });
    }
    for (policy_type, ours) in standing.into_iter().flat_map(|standing| &standing.policies) {
        let effective = user.and_then(|user| user.policies.get(policy_type));
        if let Some(policy) = effective
            && policy.direct
            && same_policy_name(&policy.name, ours)
            && !wanted.policies.contains_key(policy_type)
        {
            changes.push(PolicyChange {
                policy_type: policy_type.clone(),
                before: Some(policy.name.clone()),
                before_own: true,
                to: PolicyTarget::Unassign { name: ours.clone() },
            });
        }
    }
    Ok(changes)
}
