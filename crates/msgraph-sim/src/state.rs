//! Everything the handlers share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Now;
use crate::ids::Ids;
use crate::login::codes::Outstanding;
use crate::login::keys::Keys;
use crate::login::tokens::TokenCache;
use crate::model::apps::App;
use crate::model::numbers::{self, Number};
use crate::model::voice::PolicyRef;
use crate::model::{ModelError, Tenant};
use crate::provider::Provider;
use crate::settings::Settings;
use crate::switchboard::faults::Faults;
use crate::switchboard::log::RequestLog;
use crate::switchboard::throttle::Throttle;
use crate::util::{lock, read, write};
use crate::world::{BulkSpec, NumberSpec, TenantSpec, UserSpec, World};

/// The simulator's state. Each tenant has a lock of its own; no lock is held across an await.
pub(crate) struct State {
    pub(crate) ids: Ids,
    pub(crate) keys: Keys,
    pub(crate) tokens: TokenCache,
    pub(crate) outstanding: Mutex<Outstanding>,
    pub(crate) settings: RwLock<Arc<Settings>>,
    pub(crate) apps: RwLock<HashMap<Uuid, Arc<App>>>,
    tenants: RwLock<HashMap<Uuid, Arc<Mutex<Tenant>>>>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) log: Mutex<RequestLog>,
    pub(crate) throttle: Mutex<Throttle>,
    pub(crate) provider: Mutex<Provider>,
    closing: watch::Sender<bool>,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            ids: Ids::new(seed),
            keys: Keys::generate(),
            tokens: TokenCache::default(),
            outstanding: Mutex::default(),
            settings: RwLock::default(),
            apps: RwLock::default(),
            tenants: RwLock::default(),
            faults: Mutex::default(),
            log: Mutex::default(),
            throttle: Mutex::default(),
            provider: Mutex::default(),
            closing: watch::channel(false).0,
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        read(&self.settings).clone()
    }

    pub(crate) fn app(&self, id: Uuid) -> Option<Arc<App>> {
        read(&self.apps).get(&id).cloned()
    }

    pub(crate) fn tenant(&self, tid: Uuid) -> Option<Arc<Mutex<Tenant>>> {
        read(&self.tenants).get(&tid).cloned()
    }

    pub(crate) fn tenants(&self) -> Vec<Arc<Mutex<Tenant>>> {
        read(&self.tenants).values().cloned().collect()
    }

    pub(crate) fn remove_tenant(&self, tid: Uuid) -> bool {
        write(&self.tenants).remove(&tid).is_some()
    }

    /// A tenant by its id or one of its verified domains.
    pub(crate) fn tenant_named(&self, name: &str) -> Option<Arc<Mutex<Tenant>>> {
        match Uuid::try_parse(name) {
            Ok(tid) => self.tenant(tid),
            Err(_) => self
                .tenants()
                .into_iter()
                .find(|t| lock(t).domains.iter().any(|domain| domain.eq_ignore_ascii_case(name))),
        }
    }

    /// Tells everything that waits to end.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Resolves when the simulator is shutting down.
    pub(crate) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // an error means that the sender is gone, which is a shutdown as well
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// Adds a world to what is there.
    pub(crate) fn load(&self, world: World, now: Now) -> Result<(), ModelError> {
        if let Some(settings) = world.settings {
            *write(&self.settings) = Arc::new(settings);
        }
        if let Some(provider) = world.provider {
            lock(&self.provider).spec = provider;
        }
        for app in world.apps {
            self.put_app(App::new(app)?);
        }
        for tenant in world.tenants {
            let tid = tenant.tid.ok_or(ModelError::Missing("tid"))?;
            self.put_tenant(tid, tenant, now)?;
        }
        Ok(())
    }

    pub(crate) fn put_app(&self, app: App) {
        write(&self.apps).insert(app.spec.app_id, Arc::new(app));
    }

    /// Creates a tenant or adds to it.
    pub(crate) fn put_tenant(&self, tid: Uuid, spec: TenantSpec, now: Now) -> Result<(), ModelError> {
        let settings = self.settings();
        let tenant = write(&self.tenants)
            .entry(tid)
            .or_insert_with(|| Arc::new(Mutex::new(Tenant::new(tid, now.wall))))
            .clone();
        let mut tenant = lock(&tenant);
        if let Some(name) = spec.display_name {
            tenant.display_name = name;
        }
        if !spec.domains.is_empty() {
            tenant.domains = spec.domains;
        }
        tenant.country = spec.country.or_else(|| tenant.country.take());
        tenant.phone_licences = spec.phone_licences.or(tenant.phone_licences);
        for policy in spec.policies {
            tenant.policies.put(tid, policy);
        }
        for user in spec.users {
            tenant.put_user(user, now)?;
        }
        if let Some(bulk) = spec.bulk {
            tenant.put_many(bulk, now, &settings)?;
        }
        for number in spec.numbers {
            tenant.put_number(number, now, &settings)?;
        }
        for consent in spec.consents {
            tenant.consent(consent);
        }
        tenant.advance(now, &settings);
        Ok(())
    }
}

impl Tenant {
    /// Creates or changes a user; what it says about policies holds at once.
    pub(crate) fn put_user(&mut self, mut spec: UserSpec, now: Now) -> Result<usize, ModelError> {
        let direct = std::mem::take(&mut spec.policies);
        let groups = std::mem::take(&mut spec.group_policies);
        let find = |tenant: &Self, kind: &str, name: &str| {
            let policy = tenant.policies.by_name(kind, name);
            policy
                .cloned()
                .ok_or_else(|| ModelError::Unknown { what: "policy", text: format!("{kind} {name}") })
        };
        let mut holds: Vec<(String, Option<PolicyRef>, Option<Uuid>)> = Vec::new();
        for (kind, name) in direct {
            let policy = name.map(|name| find(self, &kind, &name)).transpose()?;
            let kind = policy.as_ref().map_or(kind, |p| p.policy_type.clone());
            holds.push((kind, policy.map(|p| p.reference), None));
        }
        for group in groups {
            let policy = find(self, &group.policy_type, &group.name)?;
            holds.push((policy.policy_type, Some(policy.reference), Some(group.group_id)));
        }
        let position = self.users.put(self.tid, spec, now.wall)?;
        let user = self.users.at_mut(position);
        for (kind, policy, group) in holds {
            let hold = user.truth.hold(&kind, now.wall);
            match group {
                Some(group) => hold.group = policy.map(|p| (p, group)),
                None => hold.direct = policy,
            }
        }
        user.shown.copy_policies(&user.truth);
        Ok(position)
    }

    /// Creates many alike users.
    pub(crate) fn put_many(
        &mut self,
        bulk: BulkSpec,
        now: Now,
        settings: &Settings,
    ) -> Result<Vec<Uuid>, ModelError> {
        let domain =
            bulk.domain.or_else(|| self.domains.first().cloned()).ok_or(ModelError::Missing("domain"))?;
        let base = match &bulk.base_number {
            None => None,
            Some(base) => Some(numbers::canonical(base).ok_or_else(|| ModelError::Number(base.clone()))?),
        };
        let mut made = Vec::new();
        for n in bulk.start..bulk.start.saturating_add(bulk.count) {
            let spec = UserSpec {
                user_principal_name: format!("{}{n:05}@{domain}", bulk.prefix),
                phone_plan: Some(bulk.phone_plan.clone()),
                ..UserSpec::default()
            };
            let position = self.put_user(spec, now)?;
            let id = self.users.at(position).id;
            if let Some(base) = &base {
                self.give(&format!("{base};ext={n}"), id, "primary", None, now, settings);
            }
            made.push(id);
        }
        Ok(made)
    }

    /// Puts a number into the inventory, taking it from whoever holds it.
    pub(crate) fn put_number(
        &mut self,
        spec: NumberSpec,
        now: Now,
        settings: &Settings,
    ) -> Result<(), ModelError> {
        let number = numbers::canonical(&spec.telephone_number)
            .ok_or_else(|| ModelError::Number(spec.telephone_number.clone()))?;
        let category = numbers::category(&spec.assignment_category)?;
        let status = spec.assignment_status.as_deref().map(numbers::status).transpose()?;
        let state = Number {
            number_type: numbers::number_type(&spec.number_type)?,
            capabilities: spec.capabilities,
            source: spec.number_source,
            location_id: spec.location_id,
            city: spec.city,
            country: spec.iso_country_code,
            keep: spec.keep,
            ..Number::direct_routing(&number)
        };
        self.release(&number, now, settings);
        self.truth.put(state);
        if let Some(holder) = spec.assigned_to {
            let user = self.users.get(&holder).map(|u| u.id);
            let id = user.or_else(|| Uuid::try_parse(&holder).ok());
            let id = id.ok_or(ModelError::Unknown { what: "user", text: holder })?;
            self.give(&number, id, category, None, now, settings);
            if let (Some(status), Some(state)) = (status, self.truth.get(&number).cloned()) {
                self.truth.put(Number { status, ..state });
            }
        }
        if let Some(state) = self.truth.get(&number).cloned() {
            self.truth.put(Number { activation: spec.activation_state, ..state });
        }
        let holder = self.truth.get(&number).and_then(|n| n.holder);
        let position = holder.and_then(|h| self.users.find(&h.to_string()));
        self.land_number(&number, position, now, settings);
        Ok(())
    }
}
