//! Who may sign in at an address.

use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::errors::LoginError;
use super::keys::CONSUMERS;
use crate::model::Tenant;
use crate::model::roles;
use crate::model::users::User;
use crate::state::State;
use crate::util::lock;

/// The first segment of a login address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One directory, guests included.
    Tenant(Uuid),
    /// Every work account, at home.
    Organizations,
    /// Every account, at home.
    Common,
}

impl Place {
    /// Reads the segment; `None` if there is no such directory.
    pub(crate) fn parse(state: &State, name: &str) -> Option<Self> {
        match name {
            "organizations" => Some(Self::Organizations),
            "common" => Some(Self::Common),
            "consumers" => Some(Self::Tenant(CONSUMERS)),
            _ => state.tenant_named(name).map(|t| Self::Tenant(lock(&t).tid)),
        }
    }

    /// Whether accounts of a directory sign in here.
    pub(crate) fn holds(self, tid: Uuid) -> bool {
        match self {
            Self::Tenant(own) => own == tid,
            Self::Organizations => tid != CONSUMERS,
            Self::Common => true,
        }
    }

    /// Name of the organization, if the address names one.
    pub(crate) fn name(self, state: &State) -> Option<String> {
        match self {
            Self::Tenant(tid) => state.tenant(tid).map(|t| lock(&t).display_name.clone()),
            _ => None,
        }
    }

    fn directories(self, state: &State) -> Vec<Arc<Mutex<Tenant>>> {
        match self {
            Self::Tenant(tid) => state.tenant(tid).into_iter().collect(),
            _ => {
                let mut all = state.tenants();
                all.retain(|t| self.holds(lock(t).tid));
                all.sort_by_cached_key(|t| lock(t).display_name.clone());
                all
            }
        }
    }

    /// A guest signs in where he is a guest; at a shared address he lands in his home directory.
    fn welcomes(self, user: &User) -> bool {
        matches!(self, Self::Tenant(_)) || !user.guest()
    }
}

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) tid: Uuid,
    pub(crate) tenant: String,
    pub(crate) oid: Uuid,
    pub(crate) upn: String,
    pub(crate) name: String,
    pub(crate) guest: bool,
    pub(crate) enabled: bool,
    pub(crate) roles: Vec<Uuid>,
}

impl Person {
    fn of(tenant: &Tenant, user: &User) -> Self {
        Self {
            tid: tenant.tid,
            tenant: tenant.display_name.clone(),
            oid: user.id,
            upn: user.spec.user_principal_name.clone(),
            name: user.spec.display_name.clone().unwrap_or_default(),
            guest: user.guest(),
            enabled: user.spec.account_enabled,
            roles: user.roles.clone(),
        }
    }

    /// How a form names this person.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.tid, self.oid)
    }

    /// What is special about this person, in words.
    pub(crate) fn remarks(&self) -> String {
        let mut words: Vec<&str> = self.roles.iter().map(|role| roles::describe(*role).0).collect();
        if self.guest {
            words.push("guest");
        }
        if self.tid == CONSUMERS {
            words.push("personal account");
        }
        if !self.enabled {
            words.push("sign-in blocked");
        }
        if words.is_empty() { "no role".to_owned() } else { words.join(", ") }
    }

    fn special(&self) -> bool {
        !self.roles.is_empty() || self.guest || !self.enabled
    }
}

/// People to choose from: whoever the hint names first, then whoever has a role or is special otherwise, then everybody.
/// Gives as many as `most`, and how many there are.
pub(crate) fn offer(
    state: &State,
    place: Place,
    domain: Option<&str>,
    hint: Option<&str>,
    most: usize,
) -> (Vec<Person>, usize) {
    let (mut special, mut plain, mut count) = (Vec::new(), Vec::new(), 0);
    for directory in place.directories(state) {
        let directory = lock(&directory);
        let here = |domain: &str| {
            directory.domains.iter().any(|d| d.eq_ignore_ascii_case(domain))
                || directory.tid.to_string() == domain
                || domain.eq_ignore_ascii_case("organizations")
        };
        if domain.is_some_and(|domain| !here(domain)) {
            continue;
        }
        for &position in directory.users.alive() {
            let user = directory.users.at(position);
            if !place.welcomes(user) {
                continue;
            }
            count += 1;
            let person = Person::of(&directory, user);
            if person.special() {
                special.push(person);
            } else if plain.len() < most {
                plain.push(person);
            }
        }
    }
    special.append(&mut plain);
    if let Some(hinted) = hint.and_then(|hint| find(state, place, hint).ok()) {
        special.retain(|p| p.key() != hinted.key());
        special.insert(0, hinted);
    }
    special.truncate(most);
    (special, count)
}

/// Finds somebody by sign-in name, object id, or `directory/object id`.
pub(crate) fn find(state: &State, place: Place, text: &str) -> Result<Person, LoginError> {
    let text = text.trim();
    let (within, id) = match text.split_once('/') {
        Some((tid, id)) => (Uuid::try_parse(tid).ok(), id),
        None => (None, text),
    };
    for directory in place.directories(state) {
        let directory = lock(&directory);
        if within.is_some_and(|tid| tid != directory.tid) {
            continue;
        }
        // a guest knows the mail address of home, not the sign-in name that the inviting directory made up
        let guest = || directory.users.iter().find(|user| user.guest() && user.has_mail(id));
        let found = directory.users.get(id).or_else(guest);
        if let Some(user) = found.filter(|user| place.welcomes(user)) {
            return Ok(Person::of(&directory, user));
        }
    }
    let elsewhere = state.tenants().into_iter().any(|t| lock(&t).users.get(id).is_some());
    if elsewhere {
        let text = format!(
            "User account '{id}' from another identity provider does not exist in this tenant and cannot access the \
             application in it. The account needs to be added as an external user in the tenant first."
        );
        return Err(LoginError::new(400, "access_denied", 50_020, text));
    }
    let text = format!("The user account {id} does not exist in this directory.");
    Err(LoginError::new(400, "access_denied", 50_034, text))
}

/// Refuses somebody whose account is switched off.
pub(crate) fn refuse_disabled(user: &User) -> Result<(), LoginError> {
    if user.spec.account_enabled { Ok(()) } else { Err(blocked()) }
}

/// The refusal of an account that is switched off.
pub(crate) fn blocked() -> LoginError {
    LoginError::new(400, "invalid_grant", 50_057, "The user account is disabled.")
}
