//! The built-in world.

use uuid::{Uuid, uuid};

use crate::world::{AppSpec, ConsentSpec, PolicySpec, TenantSpec, UserSpec, World};

/// The application of the built-in world; its only secret is `demo-secret`.
pub const DEMO_APP: Uuid = uuid!("a11ce000-0000-4000-8000-00000000a001");
/// The tenant of the built-in world.
pub const DEMO_TENANT: Uuid = uuid!("7e4a0000-0000-4000-8000-000000000001");

impl World {
    /// The world of a simulator that was given none: one application, one tenant that consented to it, a few
    /// users and the policies a provider usually prepares.
    pub fn demo() -> Self {
        let user = |name: &str, display: &str, plan: &str| UserSpec {
            user_principal_name: format!("{name}@contoso.example"),
            display_name: Some(display.to_owned()),
            phone_plan: Some(plan.to_owned()),
            ..UserSpec::default()
        };
        let policy =
            |kind: &str, name: &str| PolicySpec { kind: kind.to_owned(), name: name.to_owned(), id: None };
        Self {
            apps: vec![AppSpec {
                app_id: DEMO_APP,
                display_name: "Demo application".to_owned(),
                secrets: vec!["demo-secret".to_owned()],
                ..AppSpec::default()
            }],
            tenants: vec![TenantSpec {
                tid: Some(DEMO_TENANT),
                display_name: Some("Contoso Example".to_owned()),
                domains: vec!["contoso.example".to_owned()],
                country: Some("US".to_owned()),
                policies: vec![
                    policy("OnlineVoiceRoutingPolicy", "Provider-US"),
                    policy("TenantDialPlan", "Provider-US"),
                    policy("TeamsCallingPolicy", "Tandem-PBX-Voicemail"),
                ],
                users: vec![
                    user("ana", "Ana", "Enabled"),
                    user("ben", "Ben", "Enabled"),
                    user("cleo", "Cleo", "Enabled"),
                    user("dan", "Dan", "none"),
                ],
                consents: vec![ConsentSpec { app_id: DEMO_APP, roles: None, enabled: true }],
                ..TenantSpec::default()
            }],
            settings: None,
        }
    }
}
