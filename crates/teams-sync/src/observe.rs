//! The tenant as Graph shows it, in the planner's words.
//!
//! A few users are read one by one, many in pages; whichever takes fewer requests. Users that turn out to hold a
//! number somebody else should get are read as well, until nothing new turns up.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::plan::{
    AccountKind, HolderKind, Licence, Observed, ObservedLine, ObservedNumber, ObservedPolicy, ObservedUser,
    Scope, entangled,
};
use tandem_domain::policy::PolicyType;
use tandem_domain::{Number, ObjectId, PbxUserId};
use tandem_graph::{
    AccountType, AssignmentCategory, AssignmentStatus, AssignmentType, CapabilityStatus, ErrorClass,
    GraphError, NumberAssignment, NumberFilter, NumberType, PHONE_SYSTEM_PLAN, TenantClient, User,
    UserConfiguration,
};
use tandem_store::wanted::Snapshot;

use crate::discovery::Reads;

/// Requests that one user costs when read alone: directory, Teams, number.
const ONE_USER: usize = 3;
/// Managed users that no page named are looked up one by one, but not more than so many.
const STRAGGLERS: usize = 200;

/// What was read and what it took.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) observed: Observed,
    /// `pages` or `users`.
    pub(crate) how: &'static str,
    pub(crate) users: usize,
}

/// Reads what the plan of this scope needs, but for what has been read already.
pub(crate) async fn look(
    client: &TenantClient,
    snapshot: &Snapshot,
    scope: &Scope,
    pages_cost: usize,
    already: Option<Reads>,
) -> Result<Look, GraphError> {
    if let Scope::Users(seed) = scope {
        let known = entangled(&snapshot.wanted, &snapshot.standing, &Observed::default(), seed);
        let targets = oids(snapshot, &known);
        if targets.len() * ONE_USER <= pages_cost {
            return one_by_one(client, snapshot, known).await;
        }
    }
    in_pages(client, snapshot, already).await
}

fn oids(snapshot: &Snapshot, users: &BTreeSet<PbxUserId>) -> BTreeSet<ObjectId> {
    snapshot.wanted.iter().filter(|w| users.contains(&w.user)).map(|w| w.oid).collect()
}

async fn one_by_one(
    client: &TenantClient,
    snapshot: &Snapshot,
    mut users: BTreeSet<PbxUserId>,
) -> Result<Look, GraphError> {
    let mut observed = Observed::default();
    let mut numbers_read = BTreeSet::new();
    loop {
        let fresh: Vec<ObjectId> =
            oids(snapshot, &users).into_iter().filter(|oid| !observed.users.contains_key(oid)).collect();
        for oid in fresh {
            one_user(client, oid, &mut observed).await?;
        }
        let wanted_numbers: BTreeSet<Number> = snapshot
            .wanted
            .iter()
            .filter(|w| users.contains(&w.user))
            .filter_map(|w| w.number.number().cloned())
            .collect();
        for number in wanted_numbers {
            if !numbers_read.insert(number.clone()) {
                continue;
            }
            let entry = client.number_assignment_by_number(number.as_str()).await?;
            let Some(entry) = entry.as_ref().and_then(number_of) else { continue };
            // whoever holds it is to be named, also when nobody manages him
            if let Some(holder) = entry.target
                && !observed.users.contains_key(&holder)
            {
                one_user(client, holder, &mut observed).await?;
                name_deleted(client, holder, &mut observed).await?;
            }
            observed.numbers.insert(number, entry);
        }
        let closure = entangled(&snapshot.wanted, &snapshot.standing, &observed, &users);
        if closure.is_subset(&users) {
            let read = observed.users.len();
            return Ok(Look { observed, how: "users", users: read });
        }
        users.extend(closure);
    }
}

/// A holder that is no user any more may be one that was deleted and keeps its number.
async fn name_deleted(
    client: &TenantClient,
    holder: ObjectId,
    observed: &mut Observed,
) -> Result<(), GraphError> {
    if observed.users.contains_key(&holder) {
        return Ok(());
    }
    let found = match client.deleted_user(holder.0).await {
        Ok(found) => found,
        // only the name is missing then
        Err(error) if matches!(error.class(), ErrorClass::Forbidden | ErrorClass::BadRequest) => None,
        Err(error) => return Err(error),
    };
    if let Some(user) = found {
        let name = user.display_name.filter(|name| !name.is_empty()).unwrap_or(user.user_principal_name);
        observed.deleted.insert(holder, name);
    }
    Ok(())
}

async fn one_user(client: &TenantClient, oid: ObjectId, observed: &mut Observed) -> Result<(), GraphError> {
    let (directory, teams) =
        futures_util::future::try_join(client.user(oid.0), client.user_configuration(oid.0)).await?;
    if let Some(user) = user_of(directory.as_ref(), teams.as_ref()) {
        observed.users.insert(oid, user);
    }
    Ok(())
}

async fn in_pages(
    client: &TenantClient,
    snapshot: &Snapshot,
    already: Option<Reads>,
) -> Result<Look, GraphError> {
    let (mut directory, teams, numbers, whole) = match already {
        Some(reads) => (reads.directory, reads.teams, reads.numbers, Some(reads.users)),
        None => {
            let (directory, teams, numbers) = futures_util::future::try_join3(
                client.licensed_users().collect(),
                client.user_configurations().collect(),
                client.number_assignments(&NumberFilter::All).collect(),
            )
            .await?;
            let directory: BTreeMap<ObjectId, User> =
                directory.into_iter().map(|u| (ObjectId(u.id), u)).collect();
            let teams: BTreeMap<ObjectId, UserConfiguration> =
                teams.into_iter().map(|c| (ObjectId(c.id), c)).collect();
            (directory, teams, numbers, None)
        }
    };
    // the filtered list holds enabled plans only; a plan in its grace period or a plain user shows one by one
    let stragglers: Vec<ObjectId> = snapshot
        .wanted
        .iter()
        .map(|w| w.oid)
        .filter(|oid| !directory.contains_key(oid))
        .take(STRAGGLERS)
        .collect();
    for oid in stragglers {
        if let Some(user) = client.user(oid.0).await? {
            directory.insert(oid, user);
        }
    }
    let numbers: BTreeMap<Number, ObservedNumber> =
        numbers.iter().filter_map(number_of).map(|number| (number.number.clone(), number)).collect();
    // whoever holds a number that somebody should get is to be named
    let wanted = snapshot.wanted.iter().filter_map(|w| w.number.number());
    let holders: BTreeSet<ObjectId> = wanted
        .filter_map(|number| numbers.get(number)?.target)
        .filter(|oid| !directory.contains_key(oid))
        .collect();
    for oid in holders.iter().take(STRAGGLERS) {
        if let Some(user) = client.user(oid.0).await? {
            directory.insert(*oid, user);
        }
    }
    let everybody: BTreeSet<ObjectId> = directory.keys().chain(teams.keys()).copied().collect();
    let users: BTreeMap<ObjectId, ObservedUser> = everybody
        .into_iter()
        .filter_map(|oid| Some((oid, user_of(directory.get(&oid), teams.get(&oid))?)))
        .collect();
    let read = whole.unwrap_or(users.len());
    let mut observed = Observed { users, numbers, ..Observed::default() };
    for oid in holders.into_iter().take(STRAGGLERS) {
        name_deleted(client, oid, &mut observed).await?;
    }
    Ok(Look { observed, how: "pages", users: read })
}

/// Whether a user holds a Phone System plan that works, as far as directory and Teams say.
pub(crate) fn licence(directory: Option<&User>, teams: Option<&UserConfiguration>) -> Licence {
    let Some(user) = directory else { return Licence::Missing };
    let mut plans = user.assigned_plans.iter().filter(|plan| plan.service_plan_id == PHONE_SYSTEM_PLAN);
    let plan = plans
        .find(|plan| matches!(plan.capability_status, CapabilityStatus::Enabled | CapabilityStatus::Warning));
    match plan.map(|plan| &plan.capability_status) {
        Some(CapabilityStatus::Warning) => Licence::Warning,
        // assigned in the directory but not yet effective in Teams
        Some(_) if teams.is_some_and(|t| !t.feature_types.iter().any(|f| f == "PhoneSystem")) => {
            Licence::Unknown
        }
        Some(_) => Licence::Active,
        None => Licence::Missing,
    }
}

fn user_of(directory: Option<&User>, teams: Option<&UserConfiguration>) -> Option<ObservedUser> {
    if directory.is_none() && teams.is_none() {
        return None;
    }
    let upn = directory
        .map(|u| u.user_principal_name.clone())
        .or_else(|| teams.and_then(|t| t.user_principal_name.clone()))
        .unwrap_or_default();
    let kind = match teams.and_then(|t| t.account_type.as_ref()) {
        Some(AccountType::User) => AccountKind::User,
        Some(AccountType::ResourceAccount) => AccountKind::ResourceAccount,
        Some(AccountType::Guest) => AccountKind::Guest,
        Some(AccountType::IneligibleUser) => AccountKind::Ineligible,
        _ if directory.is_some_and(User::is_guest) => AccountKind::Guest,
        _ => AccountKind::Unknown,
    };
    let numbers = teams.map_or_else(Vec::new, |t| {
        t.telephone_numbers
            .iter()
            .filter_map(|held| {
                let number = Number::from_microsoft(&held.telephone_number).ok()?;
                let primary = matches!(held.assignment_category, None | Some(AssignmentCategory::Primary));
                Some(ObservedLine { number, primary })
            })
            .collect()
    });
    let policies = teams.map_or_else(BTreeMap::new, |t| {
        t.effective_policy_assignments
            .iter()
            .filter_map(|policy| {
                let assignment = policy.policy_assignment.as_ref()?;
                let observed = ObservedPolicy {
                    name: assignment.display_name.clone().unwrap_or_default(),
                    id: assignment.policy_id.clone(),
                    direct: matches!(assignment.assignment_type, None | Some(AssignmentType::Direct)),
                };
                Some((PolicyType(policy.policy_type.clone()), observed))
            })
            .collect()
    });
    Some(ObservedUser {
        upn,
        licensed: licence(directory, teams),
        account_enabled: directory.and_then(|u| u.account_enabled).unwrap_or(true),
        kind,
        in_teams: teams.is_some(),
        enterprise_voice: teams.and_then(|t| t.is_enterprise_voice_enabled).unwrap_or(false),
        numbers,
        policies,
    })
}

fn number_of(entry: &NumberAssignment) -> Option<ObservedNumber> {
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
