//! A tenant, the events that come due in it, and their effects.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::apps::Principal;
use super::numbers::{Inventory, Number};
use super::operations::{Operation, Operations, Order};
use super::policies::PolicyBook;
use super::users::Users;
use crate::clock::{Now, ms};
use crate::settings::Settings;

/// Something that happens at its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Carry(String),
    ShowNumber(String),
    ShowLines(usize),
    ShowPolicies(usize),
    /// A service principal comes into being.
    Principal(Uuid),
    /// Application permissions and delegated ones hold.
    Permissions(Uuid, Vec<String>, BTreeSet<String>),
}

/// A customer's directory. What is due is carried out when somebody looks, in the order of its time, so no
/// background task is needed.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) tid: Uuid,
    pub(crate) display_name: String,
    pub(crate) domains: Vec<String>,
    pub(crate) country: Option<String>,
    pub(crate) created: OffsetDateTime,
    pub(crate) phone_licences: Option<u32>,
    pub(crate) users: Users,
    pub(crate) truth: Inventory,
    pub(crate) shown: Inventory,
    pub(crate) policies: PolicyBook,
    pub(crate) principals: HashMap<Uuid, Principal>,
    pub(crate) operations: Operations,
    /// Tokens issued up to this moment, in microseconds since 1970, are not accepted any more.
    pub(crate) tokens_revoked: i64,
    due: BinaryHeap<Reverse<(Instant, u64, Due)>>,
    scheduled: u64,
}

impl Tenant {
    pub(crate) fn new(tid: Uuid, at: OffsetDateTime) -> Self {
        Self {
            tid,
            display_name: tid.to_string(),
            domains: Vec::new(),
            country: None,
            created: at,
            phone_licences: None,
            users: Users::default(),
            truth: Inventory::default(),
            shown: Inventory::default(),
            policies: PolicyBook::default(),
            principals: HashMap::new(),
            operations: Operations::default(),
            tokens_revoked: 0,
            due: BinaryHeap::new(),
            scheduled: 0,
        }
    }

    pub(super) fn schedule(&mut self, at: Instant, what: Due) {
        self.scheduled += 1;
        self.due.push(Reverse((at, self.scheduled, what)));
    }

    /// Carries out all that is due by now.
    pub(crate) fn advance(&mut self, now: Now, settings: &Settings) {
        while self.due.peek().is_some_and(|Reverse((at, _, _))| *at <= now.mono) {
            let Some(Reverse((at, _, what))) = self.due.pop() else { break };
            match what {
                Due::Carry(id) => self.carry(&id, now.at(at), settings),
                Due::ShowNumber(number) => self.show_number(&number),
                Due::ShowLines(position) => {
                    let user = self.users.at_mut(position);
                    user.shown.copy_lines(&user.truth);
                }
                Due::ShowPolicies(position) => {
                    let user = self.users.at_mut(position);
                    user.shown.copy_policies(&user.truth);
                }
                Due::Principal(app) => {
                    self.principal(app);
                }
                Due::Permissions(app, roles, scopes) => {
                    let principal = self.principal(app);
                    principal.roles.extend(roles);
                    principal.scopes.extend(scopes);
                }
            }
        }
    }

    fn show_number(&mut self, number: &str) {
        match self.truth.get(number) {
            Some(state) => self.shown.put(state.clone()),
            None => {
                self.shown.remove(number);
            }
        }
    }

    /// Accepts an order.
    pub(crate) fn submit(&mut self, operation: Operation, due: Instant) {
        if !operation.forced.stuck {
            self.schedule(due, Due::Carry(operation.id.clone()));
        }
        self.operations.add(operation);
    }

    /// Ends an operation: with its effect unless the switchboard wants another end.
    pub(crate) fn carry(&mut self, id: &str, now: Now, settings: &Settings) {
        let Some(operation) = self.operations.get(id).filter(|o| o.outcome.is_none()).cloned() else {
            return;
        };
        let forced = &operation.forced;
        let outcome = match &forced.status {
            Some(status) if status != "succeeded" => (status.clone(), forced.detail.clone()),
            _ => match self.effect(&operation, now, settings) {
                Ok(()) => ("succeeded".to_owned(), forced.detail.clone()),
                Err(detail) => ("failed".to_owned(), Some(detail)),
            },
        };
        if let Some(operation) = self.operations.get_mut(id) {
            operation.outcome = Some(outcome);
        }
    }

    fn effect(&mut self, operation: &Operation, now: Now, settings: &Settings) -> Result<(), String> {
        let number = operation.number.as_str();
        match &operation.order {
            Order::Assign { target, number_type, category, location_id } => {
                if operation.forced.licence_removed {
                    self.users.take_licence(&target.to_string());
                }
                self.check_assign(number, number_type, *target, category, settings)?;
                let old = self
                    .users
                    .get(&target.to_string())
                    .and_then(|u| u.truth.line(category))
                    .filter(|line| line.number != number)
                    .map(|line| line.number.clone());
                if let Some(old) = old {
                    self.release(&old, now, settings);
                }
                self.give(number, *target, category, location_id.clone(), now, settings);
                Ok(())
            }
            Order::Unassign { number_type } => {
                let known = self.truth.get(number).filter(|n| n.number_type == *number_type);
                match known.map(|n| n.status) {
                    None => {
                        Err(format!("Telephone Number '{number}' is not found from tenant '{}'.", self.tid))
                    }
                    Some("unassigned") => {
                        Err(format!("Telephone Number '{number}' is not assigned to any user."))
                    }
                    Some(_) => {
                        self.release(number, now, settings);
                        Ok(())
                    }
                }
            }
        }
    }

    /// Whether an assignment would fail, and with which words (those of the Teams PowerShell module).
    fn check_assign(
        &self,
        number: &str,
        number_type: &str,
        target: Uuid,
        category: &str,
        settings: &Settings,
    ) -> Result<(), String> {
        let Some(user) = self.users.get(&target.to_string()) else {
            return Err(format!("User '{target}' is not found."));
        };
        if !user.has_phone_plan() {
            return Err(no_licence(&user.spec.user_principal_name, number_type));
        }
        if user.spec.on_premises_line {
            return Err(format!(
                "The telephone number of user '{}' is set in the on-premises directory and cannot be changed online.",
                user.spec.user_principal_name
            ));
        }
        match self.truth.get(number) {
            None if number_type != "directRouting" => {
                return Err(format!("Telephone Number '{number}' is not found from tenant '{}'.", self.tid));
            }
            Some(held) if held.status != "unassigned" && held.holder != Some(target) => {
                return Err(format!(
                    "Telephone Number '{number}' has already been assigned to another user."
                ));
            }
            _ => {}
        }
        let other = user.truth.line(category).filter(|line| line.number != number);
        match other {
            Some(other) if !settings.replace_existing => Err(format!(
                "User '{}' already has the {category} telephone number '{}'.",
                user.spec.user_principal_name, other.number
            )),
            _ => Ok(()),
        }
    }

    /// Assigns without asking.
    pub(crate) fn give(
        &mut self,
        number: &str,
        target: Uuid,
        category: &'static str,
        location_id: Option<String>,
        now: Now,
        settings: &Settings,
    ) {
        let mut state = self.truth.get(number).cloned().unwrap_or_else(|| Number::direct_routing(number));
        state.holder = Some(target);
        state.category = Some(category);
        "activated".clone_into(&mut state.activation);
        state.location_id = location_id.or(state.location_id);
        let position = self.users.find(&target.to_string());
        let resource = position.is_some_and(|p| self.users.at(p).spec.account_type == "resourceAccount");
        state.status = if resource { "voiceApplicationAssigned" } else { "userAssigned" };
        self.truth.put(state);
        if let Some(position) = position {
            self.users.at_mut(position).truth.add(number, category, now.wall);
        }
        self.land_number(number, position, now, settings);
    }

    /// Unassigns without asking.
    pub(crate) fn release(&mut self, number: &str, now: Now, settings: &Settings) {
        let Some(mut state) = self.truth.remove(number) else { return };
        let holder = state.holder.take();
        state.status = "unassigned";
        state.category = None;
        if state.keep {
            self.truth.put(state);
        }
        let position = holder.and_then(|h| self.users.find(&h.to_string()));
        if let Some(position) = position {
            self.users.at_mut(position).truth.remove(number, now.wall);
        }
        self.land_number(number, position, now, settings);
    }

    /// Makes a change of a number visible, each read path in its own time.
    pub(crate) fn land_number(&mut self, number: &str, user: Option<usize>, now: Now, settings: &Settings) {
        let landing = settings.landing;
        self.schedule(now.mono + ms(landing.inventory_ms), Due::ShowNumber(number.to_owned()));
        if let Some(user) = user {
            self.schedule(now.mono + ms(landing.user_configuration_ms), Due::ShowLines(user));
        }
    }

    /// Makes a change of policies visible in its time.
    pub(crate) fn land_policies(&mut self, user: usize, now: Now, settings: &Settings) {
        self.schedule(now.mono + ms(settings.landing.policy_ms), Due::ShowPolicies(user));
    }
}

/// The words for a missing phone licence.
pub(crate) fn no_licence(upn: &str, number_type: &str) -> String {
    let mut shown = number_type.to_owned();
    if let Some(first) = shown.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("User '{upn}' lacks appropriate licenses to assign a '{shown}' number.")
}
