//! Whether a tenant has consented, for the commands that bind one.

use tandem_domain::TenantId;
use tandem_store::admin::save::Proved;
use tandem_teams_sync::Seen;

/// What was seen of a tenant, as a proof of its authorization: an app-only token for exactly this tenant, one harmless
/// read, and the permissions compared.
pub(super) fn proved(tenant: TenantId, seen: &Seen) -> Proved {
    let missing = seen.missing();
    let weakened = !missing.is_empty();
    Proved {
        tenant,
        client_id: seen.client_id.clone(),
        state: if weakened { "weakened" } else { "healthy" },
        detail: weakened.then(|| format!("permissions missing: {}", missing.join(", "))),
        permissions: seen.permissions.clone(),
    }
}
