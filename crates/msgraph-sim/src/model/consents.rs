//! Consents of a tenant: given at once by the switchboard, or each part in its time by a person.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Tenant;
use super::apps::Principal;
use super::tenant::Due;
use crate::clock::{Now, ms};
use crate::ids;
use crate::settings::Landing;
use crate::world::{ConsentSpec, DEFAULT_ROLES};

impl Tenant {
    /// The service principal of an application; made if there is none.
    pub(crate) fn principal(&mut self, app: Uuid) -> &mut Principal {
        let id = ids::named(self.tid, &app.to_string());
        self.principals.entry(app).or_insert_with(|| Principal::new(id))
    }

    /// Gives, changes or blocks an application's service principal; what is not named is taken away.
    pub(crate) fn consent(&mut self, spec: ConsentSpec) {
        let roles = spec.roles.unwrap_or_else(|| DEFAULT_ROLES.map(str::to_owned).to_vec());
        let principal = self.principal(spec.app_id);
        principal.roles = roles.into_iter().collect();
        principal.scopes = spec.scopes.into_iter().collect();
        principal.enabled = spec.enabled;
    }

    /// Adds what an administrator accepted. The service principal and its permissions show in their own time.
    pub(crate) fn grant(
        &mut self,
        app: Uuid,
        roles: Vec<String>,
        scopes: BTreeSet<String>,
        landing: Landing,
        now: Now,
    ) {
        let there = now.mono + ms(landing.principal_ms);
        self.schedule(there, Due::Principal(app));
        self.schedule(there.max(now.mono + ms(landing.permissions_ms)), Due::Permissions(app, roles, scopes));
    }
}
