//! Looking at a tenant for an operator: the permissions given, policies that are named, mapped users, sign-in names.
//!
//! A command does this by itself where the provider's app speaks to the tenant. Where the account has an app of its own,
//! it asks teams-sync, which alone can open the credential; both get the same answer from the same code.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tandem_domain::ObjectId;
use tandem_domain::eligible::{InTeams, judge};
use tandem_graph::{CapabilityStatus, GraphError, NumberAssignment, NumberFilter, TenantClient, User};
use uuid::Uuid;

use crate::facts;

/// Up to so many users are looked up one by one, more in pages.
const SINGLY: usize = 20;

/// What somebody wants to know. The permissions and the organisation are always looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Policies, by type and bare name.
    pub policies: Vec<(String, String)>,
    /// Users.
    pub users: BTreeSet<ObjectId>,
    /// Sign-in names in lower case.
    pub names: BTreeSet<String>,
}

/// What a tenant shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The app that looked.
    pub client_id: String,
    /// Permissions of a fresh token.
    pub permissions: Vec<String>,
    /// The tenant.
    pub tenant: Uuid,
    /// Its name.
    pub label: Option<String>,
    /// Its verified domains.
    pub domains: Vec<String>,
    /// Whether each policy of the question is there.
    pub policies: Vec<bool>,
    /// The users of the question that are in the tenant.
    pub users: BTreeMap<ObjectId, SeenUser>,
    /// The sign-in names of the question whose users hold a working Phone System plan.
    pub names: BTreeMap<String, ObjectId>,
}

/// A user that is in the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenUser {
    /// Sign-in name.
    pub upn: String,
    /// Why the user cannot be connected, for people.
    pub why_not: Option<String>,
    /// What to keep an eye on, as `Flag` names it.
    pub flags: Vec<String>,
}

impl Seen {
    /// Permissions that are needed and were not given.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let given = |role: &&str| self.permissions.iter().any(|given| given == role);
        crate::job::REQUIRED_ROLES.into_iter().filter(|role| !given(role)).collect()
    }
}

/// Looks.
///
/// # Errors
/// [`GraphError`]; then nothing of the answer is known.
pub async fn look(client: &TenantClient, client_id: &str, question: &Question) -> Result<Seen, GraphError> {
    let permissions = client.fresh_token_info().await?.roles;
    let organization = client.organization().await?;
    let mut policies = Vec::with_capacity(question.policies.len());
    for (kind, name) in &question.policies {
        policies.push(client.policy_id(kind, name).await?.is_some());
    }
    Ok(Seen {
        client_id: client_id.to_owned(),
        permissions,
        tenant: organization.id,
        label: organization.display_name,
        domains: organization.verified_domains.into_iter().map(|domain| domain.name).collect(),
        policies,
        users: users(client, &question.users).await?,
        names: names(client, &question.names).await?,
    })
}

async fn users(
    client: &TenantClient,
    wanted: &BTreeSet<ObjectId>,
) -> Result<BTreeMap<ObjectId, SeenUser>, GraphError> {
    let read =
        if wanted.len() <= SINGLY { singly(client, wanted).await? } else { in_pages(client, wanted).await? };
    let mut lines = HashMap::new();
    facts::add_lines(&mut lines, &read.numbers);
    let seen = read.directory.iter().map(|(oid, user)| {
        let held = lines.get(&oid.0).copied().unwrap_or_default();
        let verdict = judge(&facts::of_user(user, read.teams.get(oid).copied(), held));
        let seen = SeenUser {
            upn: user.user_principal_name.clone(),
            why_not: verdict.why_not.map(|why| why.text().to_owned()),
            flags: verdict.flags.iter().map(|flag| flag.as_str().to_owned()).collect(),
        };
        (*oid, seen)
    });
    Ok(seen.collect())
}

async fn names(
    client: &TenantClient,
    wanted: &BTreeSet<String>,
) -> Result<BTreeMap<String, ObjectId>, GraphError> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut users = client.licensed_users().collect().await?;
    users.extend(client.users_with_phone_plan(&CapabilityStatus::Warning).collect().await?);
    let named = users.into_iter().map(|user| (user.user_principal_name.to_lowercase(), ObjectId(user.id)));
    Ok(named.filter(|(name, _)| wanted.contains(name)).collect())
}

/// What Microsoft says about users.
#[derive(Default)]
struct Read {
    directory: BTreeMap<ObjectId, User>,
    teams: BTreeMap<ObjectId, InTeams>,
    numbers: Vec<NumberAssignment>,
}

async fn singly(client: &TenantClient, wanted: &BTreeSet<ObjectId>) -> Result<Read, GraphError> {
    let mut read = Read::default();
    for oid in wanted {
        if let Some(user) = client.user(oid.0).await? {
            read.directory.insert(*oid, user);
        }
        if let Some(user) = client.user_configuration(oid.0).await? {
            read.teams.insert(*oid, facts::in_teams(&user));
        }
        read.numbers.extend(client.number_assignments(&NumberFilter::HeldBy(oid.0)).collect().await?);
    }
    Ok(read)
}

async fn in_pages(client: &TenantClient, wanted: &BTreeSet<ObjectId>) -> Result<Read, GraphError> {
    let mut read = Read::default();
    let mut pages = client.users();
    while let Some(page) = pages.next().await? {
        let ours = page.into_iter().filter(|user| wanted.contains(&ObjectId(user.id)));
        read.directory.extend(ours.map(|user| (ObjectId(user.id), user)));
    }
    let mut pages = client.user_configurations();
    while let Some(page) = pages.next().await? {
        let ours = page.iter().filter(|user| wanted.contains(&ObjectId(user.id)));
        read.teams.extend(ours.map(|user| (ObjectId(user.id), facts::in_teams(user))));
    }
    let mut pages = client.number_assignments(&NumberFilter::All);
    while let Some(page) = pages.next().await? {
        read.numbers
            .extend(page.into_iter().filter(|n| n.holder().is_some_and(|h| wanted.contains(&ObjectId(h)))));
    }
    Ok(read)
}
