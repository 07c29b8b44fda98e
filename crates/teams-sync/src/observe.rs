//! The tenant as Graph shows it, in the planner's words.
//!
//! A few users are read one by one, many in pages; whichever takes fewer requests. Users that turn out to hold a
//! number somebody else should get are read as well, until nothing new turns up.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::plan::{Observed, ObservedUser, Scope, entangled};
use tandem_domain::policy::PolicyType;
use tandem_domain::{Number, ObjectId, PbxUserId};
use tandem_graph::{ErrorClass, GraphError, NumberFilter, TenantClient};
use tandem_store::wanted::Snapshot;

use crate::reads::{self, Listed, Reads, Recorded, number_of};

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
            one_user(client, snapshot, oid, &mut observed).await?;
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
                one_user(client, snapshot, holder, &mut observed).await?;
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

async fn one_user(
    client: &TenantClient,
    snapshot: &Snapshot,
    oid: ObjectId,
    observed: &mut Observed,
) -> Result<(), GraphError> {
    let (directory, teams) =
        futures_util::future::try_join(client.user(oid.0), client.user_configuration(oid.0)).await?;
    let recorded = teams.map(|record| Recorded::of(&record, &snapshot.policy_types));
    if let Some(user) = reads::observed(directory.as_ref().map(Listed::of).as_ref(), recorded) {
        observed.users.insert(oid, user);
    }
    Ok(())
}

async fn in_pages(
    client: &TenantClient,
    snapshot: &Snapshot,
    already: Option<Reads>,
) -> Result<Look, GraphError> {
    let mut reads = match already {
        Some(reads) => reads,
        None => pages(client, &snapshot.policy_types).await?,
    };
    // the filtered list holds enabled plans only; a plan in its grace period or a plain user shows one by one
    let stragglers: Vec<ObjectId> = snapshot
        .wanted
        .iter()
        .map(|w| w.oid)
        .filter(|oid| !reads.directory.contains_key(oid))
        .take(STRAGGLERS)
        .collect();
    for oid in stragglers {
        if let Some(user) = client.user(oid.0).await? {
            reads.directory.insert(oid, Listed::of(&user));
        }
    }
    // whoever holds a number that somebody should get is to be named
    let wanted = snapshot.wanted.iter().filter_map(|w| w.number.number());
    let holders: BTreeSet<ObjectId> = wanted
        .filter_map(|number| reads.numbers.get(number)?.target)
        .filter(|oid| !reads.directory.contains_key(oid))
        .collect();
    for oid in holders.iter().take(STRAGGLERS) {
        if let Some(user) = client.user(oid.0).await? {
            reads.directory.insert(*oid, Listed::of(&user));
        }
    }
    let Reads { directory, teams, numbers, users: whole } = reads;
    let mut users: BTreeMap<ObjectId, ObservedUser> = teams
        .into_iter()
        .filter_map(|(oid, recorded)| Some((oid, reads::observed(directory.get(&oid), Some(recorded))?)))
        .collect();
    for (oid, listed) in &directory {
        if !users.contains_key(oid) {
            users.extend(reads::observed(Some(listed), None).map(|user| (*oid, user)));
        }
    }
    let read = whole.unwrap_or(users.len());
    let mut observed = Observed { users, numbers, ..Observed::default() };
    for oid in holders.into_iter().take(STRAGGLERS) {
        name_deleted(client, oid, &mut observed).await?;
    }
    Ok(Look { observed, how: "pages", users: read })
}

async fn pages(client: &TenantClient, types: &BTreeSet<PolicyType>) -> Result<Reads, GraphError> {
    let directory = async {
        let (mut pages, mut directory) = (client.licensed_users(), BTreeMap::new());
        while let Some(page) = pages.next().await? {
            directory.extend(page.iter().map(|user| (ObjectId(user.id), Listed::of(user))));
        }
        Ok::<_, GraphError>(directory)
    };
    let teams = async {
        let (mut pages, mut teams) = (client.user_configurations(), BTreeMap::new());
        while let Some(page) = pages.next().await? {
            teams.extend(page.iter().map(|record| (ObjectId(record.id), Recorded::of(record, types))));
        }
        Ok(teams)
    };
    let numbers = async {
        let (mut pages, mut numbers) = (client.number_assignments(&NumberFilter::All), BTreeMap::new());
        while let Some(page) = pages.next().await? {
            numbers.extend(reads::numbers(&page));
        }
        Ok(numbers)
    };
    let (directory, teams, numbers) = futures_util::future::try_join3(directory, teams, numbers).await?;
    Ok(Reads { directory, teams, numbers, users: None })
}
