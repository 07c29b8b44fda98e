//! From what the file says to what is stored: extensions and sign-in names looked up, tenants proved. Nothing is saved.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use tandem_domain::{AccountId, ObjectId, PbxUserId, TenantId};
use tandem_graph::Graph;
use tandem_runtime::chain;
use tandem_runtime::config::ConfigErrors;
use tandem_store::admin::accounts::{self, Account, Mapping};
use tandem_store::admin::save::Proved;
use tandem_store::{Store, Tx, vault};
use tandem_vault::Kind;

use super::bind;
use super::file::{Declared, MicrosoftUser, PbxUser};

/// An account that can be saved.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) declared: Declared,
    pub(super) mappings: BTreeMap<PbxUserId, Mapping>,
    /// The authorization, when it had to be proved.
    pub(super) proved: Option<Proved>,
    /// What the operator should know.
    pub(super) warnings: Vec<String>,
}

/// Looks everything up; every mistake is added to `errors`.
pub(super) struct Resolver<'a> {
    /// Every look is a transaction of its own: none is open while Microsoft is asked.
    pub(super) store: &'a Store,
    pub(super) graph: Option<&'a Graph>,
    pub(super) client_id: &'a str,
    /// Prove authorizations that look well, too.
    pub(super) prove: bool,
    pub(super) errors: &'a mut ConfigErrors,
}

impl Resolver<'_> {
    pub(super) async fn resolve(&mut self, declared: Declared) -> anyhow::Result<Resolved> {
        let stored = accounts::find(&mut self.look().await?, &declared.name, false).await?;
        self.check_taken(&declared).await?;
        self.check_leaving(&declared, stored.as_ref()).await?;
        let before = self.errors.iter().count();
        let proved = self.proof(&declared, stored.as_ref()).await?;
        let mut warnings = Vec::new();
        warnings.extend(proved.as_ref().and_then(|proved| proved.detail.clone()));
        let users = match &stored {
            Some(account) => accounts::users(&mut self.look().await?, account.account).await?,
            None => BTreeMap::new(),
        };
        let eligible =
            if self.errors.iter().count() == before { self.eligible(&declared).await? } else { None };
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
        Ok(Resolved { declared, mappings, proved, warnings })
    }

    async fn look(&self) -> anyhow::Result<Tx> {
        Ok(self.store.begin("accounts.resolve").await?)
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

    async fn proof(
        &mut self,
        declared: &Declared,
        stored: Option<&Account>,
    ) -> anyhow::Result<Option<Proved>> {
        let Some(tenant) = declared.tenant else { return Ok(None) };
        let stands = stored.and_then(|account| account.authorization.as_ref()).is_some_and(|stored| {
            stored.tenant == tenant
                && stored.client_id == self.client_id
                && matches!(stored.state.as_str(), "healthy" | "weakened")
        });
        if stands && !self.prove || self.has_own_app(stored, tenant).await? {
            return Ok(None);
        }
        let key = format!("{}.tenant", declared.key);
        let Some(graph) = self.graph else {
            self.errors.push(key, "cannot be bound: the configuration has no section [microsoft]");
            return Ok(None);
        };
        match bind::prove(graph, tenant, self.client_id).await {
            Ok(proved) => Ok(Some(proved)),
            Err(error) => {
                let hint = "has the administrator of exactly this tenant consented to the app?";
                self.errors.push_hint(key, chain(&error), hint);
                Ok(None)
            }
        }
    }

    /// The account's own app was proved when it was given, and only teams-sync can prove it again.
    async fn has_own_app(&self, stored: Option<&Account>, tenant: TenantId) -> anyhow::Result<bool> {
        let Some(account) = stored else { return Ok(false) };
        let kind = Kind::AppCredential.as_str();
        let secret = vault::secret(&mut self.look().await?, account.account, kind).await?;
        Ok(secret.is_some_and(|secret| secret.tenant == tenant))
    }

    async fn eligible(&mut self, declared: &Declared) -> anyhow::Result<Option<BTreeMap<String, ObjectId>>> {
        let asked =
            declared.mappings.iter().any(|mapping| matches!(mapping.microsoft, MicrosoftUser::Upn(_)));
        let (true, Some(TenantId(tenant))) = (asked, declared.tenant) else { return Ok(None) };
        let graph =
            self.graph.context("sign-in names cannot be looked up without the section [microsoft]")?;
        match bind::eligible(graph, TenantId(tenant)).await {
            Ok(users) => Ok(Some(users)),
            Err(error) => {
                let problem = format!("the users cannot be read: {}", chain(&error));
                self.errors.push(format!("{}.tenant", declared.key), problem);
                Ok(None)
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
