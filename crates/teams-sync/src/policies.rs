//! Ids of policies by name, remembered for a while: Graph has no list to read them from.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tandem_domain::plan::PolicyIds;
use tandem_domain::policy::{PolicyType, bare_policy_name};
use tandem_domain::wanted::WantedUser;
use tandem_graph::{GraphError, TenantClient};
use tokio::time::Instant;
use uuid::Uuid;

/// A policy that was found keeps its id.
const FOUND: Duration = Duration::from_secs(3600);
/// One that was not found may have been created in the meantime.
const MISSING: Duration = Duration::from_secs(60);

type Key = (Uuid, String, String);

/// Ids of policies of all tenants.
#[derive(Debug, Default)]
pub(crate) struct PolicyCache(Mutex<HashMap<Key, (Option<String>, Instant)>>);

impl PolicyCache {
    /// Ids of every policy that the users want.
    pub(crate) async fn ids_of(
        &self,
        client: &TenantClient,
        wanted: &[WantedUser],
    ) -> Result<PolicyIds, GraphError> {
        let mut ids = PolicyIds::new();
        for user in wanted {
            for (policy_type, name) in &user.policies {
                let bare = bare_policy_name(name).to_ascii_lowercase();
                if ids.get(policy_type).is_some_and(|names: &BTreeMap<_, _>| names.contains_key(&bare)) {
                    continue;
                }
                let id = self.id(client, policy_type, name, &bare).await?;
                ids.entry(policy_type.clone()).or_default().insert(bare, id);
            }
        }
        Ok(ids)
    }

    async fn id(
        &self,
        client: &TenantClient,
        policy_type: &PolicyType,
        name: &str,
        bare: &str,
    ) -> Result<Option<String>, GraphError> {
        let key = (client.id(), policy_type.0.to_lowercase(), bare.to_owned());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((id, until)) = known
            && Instant::now() < until
        {
            return Ok(id);
        }
        let id = client.policy_id(&policy_type.0, bare_policy_name(name)).await?.map(|id| id.0);
        let keep = if id.is_some() { FOUND } else { MISSING };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, (id.clone(), Instant::now() + keep));
        Ok(id)
    }
}
