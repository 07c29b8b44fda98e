//! What the directory says, in Graph's words.

use serde::Deserialize;
use uuid::Uuid;

use crate::open::{null_as_default, open_enum};

open_enum! {
    /// Whether a service plan of a user works.
    CapabilityStatus {
        /// It works.
        Enabled = "Enabled",
        /// Grace period; it still works.
        Warning = "Warning",
        /// Suspended.
        Suspended = "Suspended",
        /// Locked out.
        LockedOut = "LockedOut",
        /// The licence was taken away; the entry stays.
        Deleted = "Deleted",
    }
}

/// A directory user, with the properties Tandem asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Object id.
    pub id: Uuid,
    /// Sign-in name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub user_principal_name: String,
    /// Display name.
    pub display_name: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// Whether sign-in is allowed.
    pub account_enabled: Option<bool>,
    /// Two-letter country of use.
    pub usage_location: Option<String>,
    /// `Member` or `Guest`.
    pub user_type: Option<String>,
    /// Whether the user is synchronised from the customer's own directory.
    pub on_premises_sync_enabled: Option<bool>,
    /// Telephone numbers shown in the directory; no Teams lines.
    #[serde(default, deserialize_with = "null_as_default")]
    pub business_phones: Vec<String>,
    /// Service plans, also those taken away.
    #[serde(default, deserialize_with = "null_as_default")]
    pub assigned_plans: Vec<AssignedPlan>,
}

impl User {
    /// Whether the directory calls the user a guest.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.user_type.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("Guest"))
    }

    /// Whether the user holds this plan in a working state (`Enabled`, or `Warning` in its grace period).
    #[must_use]
    pub fn has_plan(&self, plan: Uuid) -> bool {
        self.assigned_plans.iter().any(|held| {
            held.service_plan_id == plan
                && matches!(held.capability_status, CapabilityStatus::Enabled | CapabilityStatus::Warning)
        })
    }
}

/// One service plan of a user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedPlan {
    /// Which plan.
    pub service_plan_id: Uuid,
    /// Whether it works.
    pub capability_status: CapabilityStatus,
    /// The service behind it.
    pub service: Option<String>,
}

/// The tenant's own record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// The tenant id.
    pub id: Uuid,
    /// Its name.
    pub display_name: Option<String>,
    /// Its domains.
    #[serde(default, deserialize_with = "null_as_default")]
    pub verified_domains: Vec<VerifiedDomain>,
}

/// A domain of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedDomain {
    /// Its name.
    pub name: String,
    /// Whether new users get it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub is_default: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nulls_and_strangers_are_borne() {
        let user: User = serde_json::from_value(json!({
            "id": "0a0a0a0a-1111-4222-8333-444444444401",
            "userPrincipalName": null,
            "businessPhones": null,
            "assignedPlans": [{
                "servicePlanId": "4828c8ec-dc2e-4779-b502-87ac9ce28ab7",
                "capabilityStatus": "Deleted",
                "new": true,
            }],
        }))
        .unwrap();
        assert!(!user.has_plan(crate::PHONE_SYSTEM_PLAN));
    }
}
