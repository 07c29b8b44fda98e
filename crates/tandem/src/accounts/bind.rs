//! What `accounts apply` asks Microsoft: whether a tenant has consented, and who a sign-in name is.

use std::collections::BTreeMap;
use std::time::Duration;

use tandem_domain::{ObjectId, TenantId};
use tandem_graph::{CapabilityStatus, Graph, GraphError, TenantClient};
use tandem_store::admin::save::Proved;
use tandem_teams_sync::REQUIRED_ROLES;

/// Longest wait for throttling and retries of one question: somebody sits at the terminal.
const PATIENCE: Duration = Duration::from_secs(20);

/// Proves the authorization: an app-only token for exactly this tenant, one harmless read, and the roles compared.
pub(super) async fn prove(graph: &Graph, tenant: TenantId, client_id: &str) -> Result<Proved, GraphError> {
    prove_with(graph.tenant(tenant.0), client_id).await
}

/// The same with the client of an app.
pub(super) async fn prove_with(client: TenantClient, client_id: &str) -> Result<Proved, GraphError> {
    let tenant = TenantId(client.id());
    let probe = client.with_max_wait(PATIENCE).probe().await?;
    let missing = probe.token.missing(&REQUIRED_ROLES);
    let weakened = !missing.is_empty();
    Ok(Proved {
        tenant,
        client_id: client_id.to_owned(),
        state: if weakened { "weakened" } else { "healthy" },
        detail: weakened.then(|| format!("permissions missing: {}", missing.join(", "))),
        permissions: probe.token.roles,
    })
}

/// Object ids of the users that hold a working Phone System plan, by sign-in name in lower case.
pub(super) async fn eligible(
    graph: &Graph,
    tenant: TenantId,
) -> Result<BTreeMap<String, ObjectId>, GraphError> {
    let client = graph.tenant(tenant.0).with_max_wait(PATIENCE);
    let mut users = client.licensed_users().collect().await?;
    users.extend(client.users_with_phone_plan(&CapabilityStatus::Warning).collect().await?);
    Ok(users.into_iter().map(|user| (user.user_principal_name.to_lowercase(), ObjectId(user.id))).collect())
}
