//! What is kept of Microsoft's lists, entry by entry as they come: of a large tenant the lists as Microsoft sends them
//! are far more than what a plan asks of them.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::plan::{
    AccountKind, HolderKind, Licence, ObservedLine, ObservedNumber, ObservedPolicy, ObservedUser,
};
use tandem_domain::policy::PolicyType;
use tandem_domain::{Number, ObjectId};
use tandem_graph::{
    AccountType, AssignmentCategory, AssignmentStatus, AssignmentType, CapabilityStatus, NumberAssignment,
    NumberType, PHONE_SYSTEM_PLAN, User, UserConfiguration,
};

/// What the directory says about a user.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    upn: String,
    licence: Licence,
    enabled: bool,
    guest: bool,
}

impl Listed {
    pub(crate) fn of(user: &User) -> Self {
        Self {
            upn: user.user_principal_name.clone(),
            licence: assigned(user),
            enabled: user.account_enabled.unwrap_or(true),
            guest: user.is_guest(),
        }
    }
}

/// What Teams says about a user.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// As far as Teams knows it.
    user: ObservedUser,
    phone_system: bool,
}

impl Recorded {
    /// Of the policies those of the types named are kept.
    pub(crate) fn of(record: &UserConfiguration, types: &BTreeSet<PolicyType>) -> Self {
        let kind = match &record.account_type {
            Some(AccountType::User) => AccountKind::User,
            Some(AccountType::ResourceAccount) => AccountKind::ResourceAccount,
            Some(AccountType::Guest) => AccountKind::Guest,
            Some(AccountType::IneligibleUser) => AccountKind::Ineligible,
            _ => AccountKind::Unknown,
        };
        let user = ObservedUser {
            upn: record.user_principal_name.clone().unwrap_or_default(),
            licensed: Licence::Missing,
            account_enabled: true,
            kind,
            in_teams: true,
            enterprise_voice: record.is_enterprise_voice_enabled.unwrap_or(false),
            numbers: lines(record),
            policies: policies(record, types),
        };
        Self { user, phone_system: has_phone_system(record) }
    }
}

/// What was read of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Users of the directory.
    pub(crate) directory: BTreeMap<ObjectId, Listed>,
    /// The same as Teams knows them.
    pub(crate) teams: BTreeMap<ObjectId, Recorded>,
    /// The inventory.
    pub(crate) numbers: BTreeMap<Number, ObservedNumber>,
    /// How many users the directory has, where all of them were read.
    pub(crate) users: Option<usize>,
}

/// A user as the plan sees it; `None` when neither list has it.
pub(crate) fn observed(listed: Option<&Listed>, recorded: Option<Recorded>) -> Option<ObservedUser> {
    let phone_system = recorded.as_ref().map(|recorded| recorded.phone_system);
    let recorded = recorded.map(|recorded| recorded.user);
    let Some(listed) = listed else { return recorded };
    let user = recorded.unwrap_or_default();
    let guest = listed.guest && user.kind == AccountKind::Unknown;
    Some(ObservedUser {
        upn: listed.upn.clone(),
        licensed: effective(listed.licence, phone_system),
        account_enabled: listed.enabled,
        kind: if guest { AccountKind::Guest } else { user.kind },
        ..user
    })
}

/// Whether a user holds a Phone System plan that works, as far as directory and Teams say.
pub(crate) fn licence(user: &User, record: Option<&UserConfiguration>) -> Licence {
    effective(assigned(user), record.map(has_phone_system))
}

/// Whether the directory says so.
fn assigned(user: &User) -> Licence {
    let mut plans = user.assigned_plans.iter().filter(|plan| plan.service_plan_id == PHONE_SYSTEM_PLAN);
    let plan = plans
        .find(|plan| matches!(plan.capability_status, CapabilityStatus::Enabled | CapabilityStatus::Warning));
    match plan.map(|plan| &plan.capability_status) {
        Some(CapabilityStatus::Warning) => Licence::Warning,
        Some(_) => Licence::Active,
        None => Licence::Missing,
    }
}

/// A plan may be assigned in the directory and not yet effective in Teams.
fn effective(assigned: Licence, phone_system: Option<bool>) -> Licence {
    match (assigned, phone_system) {
        (Licence::Active, Some(false)) => Licence::Unknown,
        (assigned, _) => assigned,
    }
}

fn has_phone_system(record: &UserConfiguration) -> bool {
    record.feature_types.iter().any(|feature| feature == "PhoneSystem")
}

fn lines(record: &UserConfiguration) -> Vec<ObservedLine> {
    let line = |held: &tandem_graph::HeldNumber| {
        let number = Number::from_microsoft(&held.telephone_number).ok()?;
        let primary = matches!(held.assignment_category, None | Some(AssignmentCategory::Primary));
        Some(ObservedLine { number, primary })
    };
    record.telephone_numbers.iter().filter_map(line).collect()
}

fn policies(
    record: &UserConfiguration,
    types: &BTreeSet<PolicyType>,
) -> BTreeMap<PolicyType, ObservedPolicy> {
    let known = |policy: &tandem_graph::PolicyOfUser| {
        let policy_type = types.get(&PolicyType(policy.policy_type.clone()))?.clone();
        let assignment = policy.policy_assignment.as_ref()?;
        let policy = ObservedPolicy {
            name: assignment.display_name.clone().unwrap_or_default(),
            id: assignment.policy_id.clone(),
            direct: matches!(assignment.assignment_type, None | Some(AssignmentType::Direct)),
        };
        Some((policy_type, policy))
    };
    record.effective_policy_assignments.iter().filter_map(known).collect()
}

/// The numbers of a page of the inventory.
pub(crate) fn numbers(page: &[NumberAssignment]) -> impl Iterator<Item = (Number, ObservedNumber)> {
    page.iter().filter_map(number_of).map(|number| (number.number.clone(), number))
}

/// A number of the inventory; `None` for one that cannot be a direct number.
pub(crate) fn number_of(entry: &NumberAssignment) -> Option<ObservedNumber> {
    let number = Number::from_microsoft(&entry.telephone_number).ok()?;
    let status = match &entry.assignment_status {
        Some(AssignmentStatus::Unassigned) => HolderKind::Unassigned,
        Some(AssignmentStatus::UserAssigned) => HolderKind::User,
        Some(AssignmentStatus::ConferenceAssigned) => HolderKind::Conference,
        Some(AssignmentStatus::VoiceApplicationAssigned) => HolderKind::VoiceApp,
        Some(AssignmentStatus::ThirdPartyAppAssigned) => HolderKind::ThirdPartyApp,
        Some(AssignmentStatus::PolicyAssigned) => HolderKind::Policy,
        _ => HolderKind::Unknown,
    };
    Some(ObservedNumber {
        number,
        status,
        target: entry.holder().map(ObjectId),
        direct_routing: matches!(entry.number_type, None | Some(NumberType::DirectRouting)),
        primary: matches!(entry.assignment_category, None | Some(AssignmentCategory::Primary)),
        pending: entry.is_pending(),
        failed: entry.has_failed(),
    })
}
