//! From what the file says to what is stored: extensions and sign-in names looked up, tenants proved. Nothing is saved.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::{AccountId, ObjectId, PbxUserId};
use tandem_graph::Graph;
use tandem_runtime::config::ConfigErrors;
use tandem_store::Tx;
use tandem_store::admin::accounts::{self, Account, Mapping};
use tandem_store::admin::provider;
use tandem_store::admin::save::Proved;
use tandem_teams_sync::Question;

use super::apply::Options;
use super::bind;
use super::file::{Declared, MicrosoftUser, PbxUser};
use crate::looks;
use crate::operator::Operator;

/// An account that can be saved.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) declared: Declared,
    pub(super) mappings: BTreeMap<PbxUserId, Mapping>,
    /// The authorization, when it had to be proved.
    pub(super) proved: Option<Proved>,
    /// Client id of the account's own app, where it has one for this tenant.
    pub(super) own_app: Option<String>,
    /// What the operator should know.
    pub(super) warnings: Vec<String>,
}

/// What was asked about a tenant.
#[derive(Debug, Default)]
struct Tenant {
    proved: Option<Proved>,
    names: Option<BTreeMap<String, ObjectId>>,
    own_app: Option<String>,
}

/// Looks everything up; every mistake is added to `errors`.
pub(super) struct Resolver<'a> {
    /// Every look is a transaction of its own: none is open while Microsoft is asked.
    pub(super) operator: &'a Operator,
    pub(super) graph: Option<&'a Graph>,
    pub(super) client_id: &'a str,
    pub(super) options: &'a Options,
    pub(super) errors: &'a mut ConfigErrors,
}

impl Resolver<'_> {
    pub(super) async fn resolve(&mut self, declared: Declared) -> anyhow::Result<Resolved> {
        let stored = accounts::find(&mut self.look().await?, &declared.name, false).await?;
        self.check_taken(&declared).await?;
        self.check_leaving(&declared, stored.as_ref()).await?;
        self.check_removed(&declared, stored.as_ref()).await?;
        let Tenant { proved, names: eligible, own_app } = self.tenant(&declared, stored.as_ref()).await?;
        let mut warnings = Vec::new();
        warnings.extend(proved.as_ref().and_then(|proved| proved.detail.clone()));
        let users = match &stored {
            Some(account) => accounts::users(&mut self.look().await?, account.account).await?,
            None => BTreeMap::new(),
        };
        let mut mappings = BTreeMap::new();
        for mapping in &declared.mappings {
            let pbx = self.pbx_user(&mapping.key, &mapping.pbx, &users, &mut warnings);
            let microsoft = self.microsoft_user(&mapping.key, &mapping.microsoft, eligible.as_ref());
            let (Some(pbx), Some(microsoft_user)) = (pbx, microsoft) else { continue };
            let (service, number) = (mapping.service, mapping.number.clone());
            if mappings.insert(pbx, Mapping { microsoft_user, service, number }).is_some() {
                self.errors.push(mapping.key.clone(), "another mapping has the same PBX user");
            }
        }
        let mut oids = BTreeSet::new();
        if !mappings.values().all(|mapping| oids.insert(mapping.microsoft_user)) {
            self.errors
                .push(format!("{}.mapping", declared.key), "two mappings have the same Microsoft user");
        }
        Ok(Resolved { declared, mappings, proved, own_app, warnings })
    }

    async fn look(&self) -> anyhow::Result<Tx> {
        Ok(self.operator.store.begin("accounts.resolve").await?)
    }

    /// A tenant belongs to at most one account, and so does a customer of a source.
    async fn check_taken(&mut self, declared: &Declared) -> anyhow::Result<()> {
        let binding = declared.binding.as_ref().map(|(source, key)| (source.as_str(), key.as_str()));
        for (name, tenant, binding) in [("tenant", declared.tenant, None), ("account_key", None, binding)] {
            if tenant.is_none() && binding.is_none() {
                continue;
            }
            for other in accounts::taken_by(&mut self.look().await?, tenant, binding).await? {
                if other != declared.name {
                    self.errors
                        .push(format!("{}.{name}", declared.key), format!("belongs to the account {other}"));
                }
            }
        }
        Ok(())
    }

    /// What the provider has removed does not come back because a file still names it.
    async fn check_removed(&mut self, declared: &Declared, stored: Option<&Account>) -> anyhow::Result<()> {
        let Some(stored) = stored else { return Ok(()) };
        if provider::removed(&mut self.look().await?, stored.account).await? {
            let what = "its integration was removed; bring it back on its page Administration, or take it out of the file";
            self.errors.push(declared.key.clone(), what);
        }
        Ok(())
    }

    /// A tenant is not left while something of ours stands in it: nobody could take it off any more.
    async fn check_leaving(&mut self, declared: &Declared, stored: Option<&Account>) -> anyhow::Result<()> {
        let Some(stored) = stored else { return Ok(()) };
        let Some(authorization) = &stored.authorization else { return Ok(()) };
        let stays =
            declared.tenant.map_or(authorization.admin.is_some(), |tenant| tenant == authorization.tenant);
        if stays {
            return Ok(());
        }
        let standing = accounts::standing(&mut self.look().await?, stored.account).await?;
        if standing > 0 {
            let problem = format!(
                "the account leaves the tenant {}, where something of ours stands on {standing} users",
                authorization.tenant
            );
            let hint = "remove the mappings, let a sync take everything off, then remove the tenant";
            self.errors.push_hint(format!("{}.tenant", declared.key), problem, hint);
        }
        Ok(())
    }

    /// What Microsoft says about the declared tenant, as far as anything has to be asked.
    async fn tenant(&mut self, declared: &Declared, stored: Option<&Account>) -> anyhow::Result<Tenant> {
        let Some(tenant) = declared.tenant else { return Ok(Tenant::default()) };
        let account = stored.map(|account| account.account);
        let own_app = match account {
            Some(account) => looks::own_app(self.operator, account, tenant).await?,
            None => None,
        };
        let client_id = own_app.as_deref().unwrap_or(self.client_id);
        let stands = stored.and_then(|account| account.authorization.as_ref()).is_some_and(|stored| {
            stored.tenant == tenant
                && stored.client_id == client_id
                && matches!(stored.state.as_str(), "healthy" | "weakened")
        });
        let prove = self.options.prove || !stands;
        let names = declared.mappings.iter().filter_map(|mapping| match &mapping.microsoft {
            MicrosoftUser::Upn(upn) => Some(upn.clone()),
            MicrosoftUser::Oid(_) => None,
        });
        let question = Question { names: names.collect(), ..Question::default() };
        if !prove && question.names.is_empty() {
            return Ok(Tenant { own_app, ..Tenant::default() });
        }
        let key = format!("{}.tenant", declared.key);
        let person = &self.options.person;
        let seen = match (&own_app, account, self.graph) {
            (Some(_), Some(account), _) => {
                looks::through_teams_sync(self.operator, account, person, &question).await?
            }
            (.., Some(graph)) => looks::here(graph, tenant, &question).await,
            (.., None) => {
                self.errors.push(key, "cannot be bound: the configuration has no section [microsoft]");
                return Ok(Tenant::default());
            }
        };
        match seen {
            Ok(seen) if seen.tenant == tenant.0 => Ok(Tenant {
                proved: prove.then(|| bind::proved(tenant, &seen)),
                names: Some(seen.names),
                own_app,
            }),
            Ok(seen) => {
                self.errors
                    .push(key, format!("the account was moved to the tenant {} meanwhile", seen.tenant));
                Ok(Tenant::default())
            }
            Err(none) => {
                self.errors.push_hint(key, none.text(), none.remedy());
                Ok(Tenant::default())
            }
        }
    }

    fn pbx_user(
        &mut self,
        key: &str,
        user: &PbxUser,
        users: &BTreeMap<PbxUserId, Option<String>>,
        warnings: &mut Vec<String>,
    ) -> Option<PbxUserId> {
        match user {
            PbxUser::Id(id) => {
                if !users.is_empty() && !users.contains_key(id) {
                    warnings.push(format!("{key}: no PBX user {id} has been seen yet"));
                }
                Some(id.clone())
            }
            PbxUser::Extension(extension) => {
                let found: Vec<&PbxUserId> = users
                    .iter()
                    .filter(|(_, known)| known.as_ref() == Some(extension))
                    .map(|(id, _)| id)
                    .collect();
                let hint = "bind the account to its source first and let it be read, or name the pbx_user";
                match found.as_slice() {
                    [id] => return Some((*id).clone()),
                    [] if users.is_empty() => {
                        self.errors.push_hint(key, "no PBX user of the account has been seen yet", hint);
                    }
                    [] => self.errors.push(key, format!("no PBX user has the extension {extension}")),
                    _ => self.errors.push(key, format!("several PBX users have the extension {extension}")),
                }
                None
            }
        }
    }

    fn microsoft_user(
        &mut self,
        key: &str,
        user: &MicrosoftUser,
        eligible: Option<&BTreeMap<String, ObjectId>>,
    ) -> Option<ObjectId> {
        match user {
            MicrosoftUser::Oid(oid) => Some(*oid),
            MicrosoftUser::Upn(upn) => {
                let found = eligible?.get(upn).copied();
                if found.is_none() {
                    let problem = format!("no user {upn} with a working Phone System plan");
                    self.errors.push_hint(key, problem, "name the microsoft_user by its object id");
                }
                found
            }
        }
    }
}

/// Which account a name is, or a new one.
pub(super) fn id_of(stored: Option<&Account>, new: impl FnOnce() -> uuid::Uuid) -> AccountId {
    stored.map_or_else(|| AccountId(new()), |account| account.account)
}
