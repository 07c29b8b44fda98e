//! Users of a tenant with the indexes that make pages cheap.

use std::collections::{BTreeSet, HashMap};

use time::OffsetDateTime;
use uuid::Uuid;

use super::voice::Voice;
use super::{ModelError, roles};
use crate::ids;
use crate::world::{MCOEV, MCOEV_VIRTUALUSER, PlanSpec, TEAMS1, UserSpec};

/// The plans with which somebody can be given a number.
const PHONE_PLANS: [Uuid; 2] = [MCOEV, MCOEV_VIRTUALUSER];

/// A user: the directory's part, what is true in Teams, and what `userConfigurations` shows of it.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) spec: UserSpec,
    /// Template ids of the directory roles that the specification names.
    pub(crate) roles: Vec<Uuid>,
    pub(crate) truth: Voice,
    pub(crate) shown: Voice,
    pub(crate) created: OffsetDateTime,
    /// Counts up with every change of the directory's part, for `/users/delta`.
    pub(crate) change: u64,
    /// When the user was deleted; it can be restored unless it is purged as well.
    pub(crate) deleted_at: Option<OffsetDateTime>,
    pub(crate) purged: bool,
}

impl User {
    /// Neither deleted nor purged.
    pub(crate) fn alive(&self) -> bool {
        self.deleted_at.is_none() && !self.purged
    }

    /// Whether the user's home is another directory.
    pub(crate) fn guest(&self) -> bool {
        self.spec.user_type.eq_ignore_ascii_case("Guest")
    }

    pub(crate) fn has_mail(&self, text: &str) -> bool {
        self.spec.mail.as_ref().is_some_and(|mail| mail.eq_ignore_ascii_case(text))
    }

    /// Whether the user holds a phone plan that works.
    pub(crate) fn has_phone_plan(&self) -> bool {
        self.spec.assigned_plans.iter().any(|plan| {
            PHONE_PLANS.contains(&plan.service_plan_id)
                && ["Enabled", "Warning"].contains(&plan.capability_status.as_str())
        })
    }
}

/// Users in the order of their creation; a position is never reused, so it can serve as a page mark.
#[derive(Debug, Default)]
pub(crate) struct Users {
    all: Vec<User>,
    by_id: HashMap<Uuid, usize>,
    by_upn: HashMap<String, usize>,
    alive: BTreeSet<usize>,
    in_teams: BTreeSet<usize>,
    by_enabled_plan: HashMap<Uuid, BTreeSet<usize>>,
    changes: u64,
}

impl Users {
    /// Position of a user by object id or UPN.
    pub(crate) fn find(&self, id_or_upn: &str) -> Option<usize> {
        match Uuid::try_parse(id_or_upn) {
            Ok(id) => self.by_id.get(&id).copied(),
            Err(_) => self.by_upn.get(&id_or_upn.to_ascii_lowercase()).copied(),
        }
    }

    pub(crate) fn at(&self, position: usize) -> &User {
        &self.all[position]
    }

    pub(crate) fn at_mut(&mut self, position: usize) -> &mut User {
        &mut self.all[position]
    }

    pub(crate) fn get(&self, id_or_upn: &str) -> Option<&User> {
        self.find(id_or_upn).map(|p| &self.all[p])
    }

    /// The user as Teams knows it; `None` while it is not provisioned there.
    pub(crate) fn in_teams(&self, id: &str) -> Option<usize> {
        self.find(id).filter(|p| self.in_teams.contains(p))
    }

    /// Everybody, deleted users too.
    pub(crate) fn everybody(&self) -> &[User] {
        &self.all
    }

    /// All users.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &User> {
        self.alive.iter().map(|position| &self.all[*position])
    }

    /// Positions of all users.
    pub(crate) fn alive(&self) -> &BTreeSet<usize> {
        &self.alive
    }

    /// Positions of all users that Teams knows.
    pub(crate) fn teams(&self) -> &BTreeSet<usize> {
        &self.in_teams
    }

    /// Positions of all users holding an enabled plan.
    pub(crate) fn with_plan(&self, plan: Uuid) -> Option<&BTreeSet<usize>> {
        self.by_enabled_plan.get(&plan)
    }

    /// The number of the latest change of the directory.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Creates or changes a user; gives its position.
    pub(crate) fn put(
        &mut self,
        tid: Uuid,
        mut spec: UserSpec,
        at: OffsetDateTime,
    ) -> Result<usize, ModelError> {
        if spec.user_principal_name.is_empty() {
            return Err(ModelError::Missing("userPrincipalName"));
        }
        let upn = spec.user_principal_name.to_ascii_lowercase();
        let id = spec.id.unwrap_or_else(|| ids::named(tid, &upn));
        spec.id = Some(id);
        complete(&mut spec);
        let roles = spec.roles.iter().map(|role| roles::template(role)).collect::<Result<_, _>>()?;
        let known = self.by_id.get(&id).copied();
        if self.by_upn.get(&upn).is_some_and(|p| Some(*p) != known) {
            return Err(ModelError::Taken(spec.user_principal_name));
        }
        self.changes += 1;
        let change = self.changes;
        let position = match known {
            Some(position) => {
                self.unlink(position);
                let user = &mut self.all[position];
                user.spec = spec;
                user.roles = roles;
                user.change = change;
                position
            }
            None => {
                let voice = Voice::new(at);
                let shown = voice.clone();
                // an id that comes again belongs to nobody else
                if let Some(position) = self.in_bin(&id.to_string()) {
                    self.all[position].purged = true;
                }
                self.all.push(User {
                    id,
                    spec,
                    roles,
                    truth: voice,
                    shown,
                    created: at,
                    change,
                    deleted_at: None,
                    purged: false,
                });
                self.all.len() - 1
            }
        };
        self.link(position);
        Ok(position)
    }

    /// Takes the phone licence away; the entries stay, as they do at Microsoft.
    pub(crate) fn take_licence(&mut self, id_or_upn: &str) {
        let Some(position) = self.find(id_or_upn) else { return };
        self.unlink(position);
        for plan in &mut self.all[position].spec.assigned_plans {
            if PHONE_PLANS.contains(&plan.service_plan_id) {
                "Deleted".clone_into(&mut plan.capability_status);
            }
        }
        self.touch(position);
        self.link(position);
    }

    /// Deletes a user, who can be restored; its place stays, for `/users/delta`.
    pub(crate) fn remove(&mut self, id_or_upn: &str, at: OffsetDateTime) -> Option<usize> {
        let position = self.find(id_or_upn)?;
        self.unlink(position);
        self.all[position].deleted_at = Some(at);
        self.touch(position);
        Some(position)
    }

    /// Deletes a user for good, a deleted one too.
    pub(crate) fn purge(&mut self, id_or_upn: &str, at: OffsetDateTime) -> Option<usize> {
        let position = self.remove(id_or_upn, at).or_else(|| self.in_bin(id_or_upn))?;
        self.all[position].purged = true;
        self.touch(position);
        Some(position)
    }

    /// Takes a deleted user back.
    pub(crate) fn restore(&mut self, id_or_upn: &str) -> Result<Option<usize>, ModelError> {
        let Some(position) = self.in_bin(id_or_upn) else { return Ok(None) };
        let upn = &self.all[position].spec.user_principal_name;
        if self.find(upn).is_some() {
            return Err(ModelError::Taken(upn.clone()));
        }
        self.all[position].deleted_at = None;
        self.touch(position);
        self.link(position);
        Ok(Some(position))
    }

    /// Deleted users that can be restored, with their positions.
    pub(crate) fn bin(&self) -> impl Iterator<Item = (usize, &User)> {
        let deleted = |(_, user): &(usize, &User)| user.deleted_at.is_some() && !user.purged;
        self.all.iter().enumerate().filter(deleted)
    }

    fn in_bin(&self, id_or_upn: &str) -> Option<usize> {
        let named = |user: &User| {
            user.id.to_string().eq_ignore_ascii_case(id_or_upn)
                || user.spec.user_principal_name.eq_ignore_ascii_case(id_or_upn)
        };
        // the one deleted last, if a name was used again
        self.bin().filter(|(_, user)| named(user)).last().map(|(position, _)| position)
    }

    fn touch(&mut self, position: usize) {
        self.changes += 1;
        self.all[position].change = self.changes;
    }

    fn link(&mut self, position: usize) {
        let user = &self.all[position];
        self.by_id.insert(user.id, position);
        self.by_upn.insert(user.spec.user_principal_name.to_ascii_lowercase(), position);
        self.alive.insert(position);
        if user.spec.known_to_teams {
            self.in_teams.insert(position);
        }
        for plan in &user.spec.assigned_plans {
            if plan.capability_status == "Enabled" {
                self.by_enabled_plan.entry(plan.service_plan_id).or_default().insert(position);
            }
        }
    }

    fn unlink(&mut self, position: usize) {
        let user = &self.all[position];
        self.by_id.remove(&user.id);
        self.by_upn.remove(&user.spec.user_principal_name.to_ascii_lowercase());
        self.alive.remove(&position);
        self.in_teams.remove(&position);
        for plan in &user.spec.assigned_plans {
            if let Some(set) = self.by_enabled_plan.get_mut(&plan.service_plan_id) {
                set.remove(&position);
            }
        }
    }
}

/// Fills what the specification leaves open.
fn complete(spec: &mut UserSpec) {
    let upn = &spec.user_principal_name;
    let name = upn.split('@').next().unwrap_or(upn).to_owned();
    spec.display_name.get_or_insert(name);
    spec.mail.get_or_insert_with(|| upn.clone());
    let set = |plans: &mut Vec<PlanSpec>, id: Uuid, service: &str, status: &str| {
        plans.retain(|plan| plan.service_plan_id != id);
        if status != "none" {
            plans.push(PlanSpec {
                service_plan_id: id,
                capability_status: status.to_owned(),
                service: service.to_owned(),
            });
        }
    };
    let plans = &mut spec.assigned_plans;
    if plans.is_empty() && spec.account_type != "resourceAccount" {
        set(plans, TEAMS1, "TeamspaceAPI", "Enabled");
    }
    if let Some(status) = spec.phone_plan.take() {
        let plan = if spec.account_type == "resourceAccount" { MCOEV_VIRTUALUSER } else { MCOEV };
        set(plans, plan, "MicrosoftCommunicationsOnline", &status);
    }
}
