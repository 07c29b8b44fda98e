//! The built-in world.

use uuid::{Uuid, uuid};

use crate::world::{AppSpec, ConsentSpec, MembershipClaims, PolicySpec, TenantSpec, UserSpec, World};

/// The application of the built-in world; its only secret is `demo-secret`.
pub const DEMO_APP: Uuid = uuid!("a11ce000-0000-4000-8000-00000000a001");
/// The application of the built-in world that people sign in to without a secret.
pub const DEMO_SIGN_IN_APP: Uuid = uuid!("a11ce000-0000-4000-8000-00000000a002");
/// The tenant of the built-in world.
pub const DEMO_TENANT: Uuid = uuid!("7e4a0000-0000-4000-8000-000000000001");

impl World {
    /// The world of a simulator that was given none: an application that acts by itself, one that people sign in to,
    /// a tenant that consented to the first, licensed users, one user per directory role, a guest, and the policies a
    /// provider usually prepares.
    pub fn demo() -> Self {
        let user = |name: &str, display: &str, plan: &str| UserSpec {
            user_principal_name: format!("{name}@contoso.example"),
            display_name: Some(display.to_owned()),
            phone_plan: Some(plan.to_owned()),
            ..UserSpec::default()
        };
        let admin = |name: &str, display: &str, role: &str| UserSpec {
            roles: vec![role.to_owned()],
            known_to_teams: false,
            ..user(name, display, "none")
        };
        let local = || ["http://localhost/*", "http://127.0.0.1/*"].map(str::to_owned).to_vec();
        let policy =
            |kind: &str, name: &str| PolicySpec { kind: kind.to_owned(), name: name.to_owned(), id: None };
        Self {
            apps: vec![
                AppSpec {
                    app_id: DEMO_APP,
                    display_name: "Demo application".to_owned(),
                    secrets: vec!["demo-secret".to_owned()],
                    redirect_uris: local(),
                    group_membership_claims: Some(MembershipClaims::DirectoryRole),
                    scopes: vec!["User.Read".to_owned()],
                    ..AppSpec::default()
                },
                AppSpec {
                    app_id: DEMO_SIGN_IN_APP,
                    display_name: "Demo sign-in".to_owned(),
                    public_redirect_uris: local(),
                    group_membership_claims: Some(MembershipClaims::DirectoryRole),
                    roles: Some(Vec::new()),
                    scopes: vec!["User.Read".to_owned()],
                    ..AppSpec::default()
                },
            ],
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
                    admin("gale", "Gale", "Global Administrator"),
                    admin("rhea", "Rhea", "Global Reader"),
                    admin("theo", "Theo", "Teams Administrator"),
                    UserSpec {
                        mail: Some("vera@fabrikam.example".to_owned()),
                        user_type: "Guest".to_owned(),
                        home_tenant: Some(uuid!("7e4a0000-0000-4000-8000-0000000000ff")),
                        account_type: "guest".to_owned(),
                        known_to_teams: false,
                        ..user("vera_fabrikam.example#EXT#", "Vera", "none")
                    },
                ],
                consents: vec![ConsentSpec { app_id: DEMO_APP, ..ConsentSpec::default() }],
                ..TenantSpec::default()
            }],
            provider: None,
            settings: None,
        }
    }
}
