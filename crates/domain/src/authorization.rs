//! The stored authorization of an account: what is seen of it, and what that makes of it.
//!
//! A pure machine: (standing, what was seen, whose app it is) gives the next standing and what has to be done, each
//! with its reason. It errs towards waiting: what is not understood changes nothing, and what is our own fault never
//! disconnects a customer. How the answers of Microsoft login are sorted is the table of `tandem_graph`.

use serde::{Deserialize, Serialize};

use crate::job::text_enum;

text_enum! {
    /// What the stored authorization of an account is worth.
    AuthorizationState {
        /// There is none.
        None = "none",
        /// It works.
        Healthy = "healthy",
        /// It is there, but a permission that jobs need is missing or refused.
        Weakened = "weakened",
        /// The tenant does not know the app any more, rejects its tokens, or is gone.
        Revoked = "revoked",
        /// The tenant's policy keeps the app out, or we keep away ourselves.
        Blocked = "blocked",
        /// The credential of the customer's own app registration is refused or expired.
        OwnFault = "own_fault",
    }
}

text_enum! {
    /// Why an authorization is not healthy. The names are stable: tables, metrics and messages use them.
    Reason {
        /// The token lacks permissions that jobs need.
        PermissionMissing = "permission_missing",
        /// Microsoft refuses requests although the token has every permission.
        PermissionRefused = "permission_refused",
        /// The tenant does not know the app: never consented, taken back, or switched off.
        Revoked = "authorization_revoked",
        /// Microsoft rejects our token, also a fresh one.
        TokenRejected = "token_rejected",
        /// Microsoft does not know the tenant.
        TenantGone = "tenant_gone",
        /// A policy of the tenant keeps the app out.
        PolicyBlocked = "authorization_blocked",
        /// A token or an answer was of another tenant. Nothing is done with it.
        WrongTenant = "wrong_tenant",
        /// The credential of the customer's own app is refused or expired.
        OwnCredential = "own_credential",
    }
}

impl Reason {
    /// The state that it makes.
    #[must_use]
    pub fn state(self) -> AuthorizationState {
        match self {
            Self::PermissionMissing | Self::PermissionRefused => AuthorizationState::Weakened,
            Self::Revoked | Self::TokenRejected | Self::TenantGone => AuthorizationState::Revoked,
            Self::PolicyBlocked | Self::WrongTenant => AuthorizationState::Blocked,
            Self::OwnCredential => AuthorizationState::OwnFault,
        }
    }

    /// Whether no job can work, so that a harmless question is asked on the ladder in place of a job. The exception
    /// is a request that was refused although the permissions are there: only a job shows whether that has passed.
    #[must_use]
    pub fn stops_jobs(self) -> bool {
        self != Self::PermissionRefused
    }

    /// In plain words, for the customer and for support.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::PermissionMissing => "the consent of the tenant lacks a permission",
            Self::PermissionRefused => "Microsoft refuses a change although the consent covers it",
            Self::Revoked => "the tenant has taken the consent back, or switched the application off",
            Self::TokenRejected => "Microsoft rejects the token of this tenant, also a fresh one",
            Self::TenantGone => "Microsoft does not know the tenant any more",
            Self::PolicyBlocked => "a policy of the tenant keeps the application out",
            Self::WrongTenant => "Microsoft answered for another tenant; nothing was written",
            Self::OwnCredential => {
                "the credential of the customer's own app registration is refused or expired"
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::PermissionMissing | Self::Revoked => "the Global Administrator has to consent again",
            Self::PermissionRefused | Self::TokenRejected => {
                "the Global Administrator should look at the application in Entra and consent again"
            }
            Self::TenantGone => "check the tenant id with the customer",
            Self::PolicyBlocked => "the customer has to allow the application in Conditional Access",
            Self::WrongTenant => "report it to the makers of Tandem; this must not happen",
            Self::OwnCredential => "the customer has to renew the credential of its app registration",
        }
    }
}

/// Whose app registration a token was asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The provider's, the same for all tenants.
    Provider,
    /// One that the customer brought; it concerns this account only.
    Customer,
}

/// What was seen of an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A token with every permission, and Microsoft took a harmless request with it.
    Proved,
    /// A job came to its end with it.
    JobWorked,
    /// The token lacks these permissions.
    Missing(Vec<String>),
    /// Microsoft refused a request with 403; a fresh token has every permission.
    Refused(String),
    /// Microsoft rejected the token with 401, also a fresh one.
    TokenRejected(String),
    /// The tenant has no grant for the app.
    NoGrant(String),
    /// The tenant's policy keeps the app out.
    Policy(String),
    /// There is no such tenant.
    TenantGone(String),
    /// A token or an answer was of another tenant.
    WrongTenant(String),
    /// The app's own credential was refused, is expired, or cannot be used.
    CredentialRefused(String),
    /// Passing trouble, or not understood: says nothing.
    Unclear(String),
}

/// Where an authorization stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: AuthorizationState,
    /// Why, when it is not healthy.
    pub reason: Option<Reason>,
}

impl Standing {
    /// It works.
    pub const HEALTHY: Self = Self { state: AuthorizationState::Healthy, reason: None };

    /// It does not, and why.
    #[must_use]
    pub fn because(reason: Reason) -> Self {
        Self { state: reason.state(), reason: Some(reason) }
    }
}

/// What has to be done after something was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// State or reason changed: store it with a row of history.
    Record,
    /// Nothing may be sent with the token at hand any more.
    DropToken,
    /// Automatic work of this account stops until the reason is gone.
    Quarantine(Reason),
    /// The provider's credential is at fault: page the provider, park the jobs of all its tenants, count nobody.
    ProviderFault(String),
    /// Something that must not happen: somebody has to look.
    Alarm(Reason),
}

/// The outcome of one observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where the authorization stands now.
    pub standing: Standing,
    /// What Microsoft said, or which permissions are missing.
    pub detail: Option<String>,
    /// What has to be done, in this order.
    pub effects: Vec<Effect>,
}

impl Verdict {
    /// Whether the provider's own credential was found at fault.
    #[must_use]
    pub fn provider_fault(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::ProviderFault(_)))
    }
}

/// What an observation makes of an authorization.
#[must_use]
pub fn observe(before: Standing, seen: &Observation, owner: Owner) -> Verdict {
    let unchanged = |effects| Verdict { standing: before, detail: None, effects };
    let (reason, detail) = match seen {
        Observation::Unclear(_) => return unchanged(Vec::new()),
        // a question that worked says nothing about a change that was refused
        Observation::Proved if before.reason == Some(Reason::PermissionRefused) => {
            return unchanged(Vec::new());
        }
        Observation::Proved | Observation::JobWorked => {
            let changed = before != Standing::HEALTHY;
            let effects = if changed { vec![Effect::Record] } else { Vec::new() };
            return Verdict { standing: Standing::HEALTHY, detail: None, effects };
        }
        Observation::CredentialRefused(said) if owner == Owner::Provider => {
            return unchanged(vec![Effect::DropToken, Effect::ProviderFault(said.clone())]);
        }
        Observation::CredentialRefused(said) => (Reason::OwnCredential, said.clone()),
        Observation::Missing(names) => (Reason::PermissionMissing, format!("missing: {}", names.join(", "))),
        Observation::Refused(said) => (Reason::PermissionRefused, said.clone()),
        Observation::TokenRejected(said) => (Reason::TokenRejected, said.clone()),
        Observation::NoGrant(said) => (Reason::Revoked, said.clone()),
        Observation::Policy(said) => (Reason::PolicyBlocked, said.clone()),
        Observation::TenantGone(said) => (Reason::TenantGone, said.clone()),
        Observation::WrongTenant(said) => (Reason::WrongTenant, said.clone()),
    };
    let standing = Standing::because(reason);
    let mut effects = Vec::new();
    if before != standing {
        effects.push(Effect::Record);
    }
    effects.extend([Effect::DropToken, Effect::Quarantine(reason)]);
    if reason == Reason::WrongTenant {
        effects.push(Effect::Alarm(reason));
    }
    Verdict { standing, detail: Some(detail), effects }
}

/// Wait before the next question whether the provider's own credential works again, after `probes` questions in vain:
/// 30 s, 1 min, 2 min, then every 5 min. One tenant is asked, not all of them.
#[must_use]
pub fn probe_wait(probes: u32) -> time::Duration {
    match probes {
        0 => time::Duration::seconds(30),
        1 => time::Duration::MINUTE,
        2 => time::Duration::minutes(2),
        _ => time::Duration::minutes(5),
    }
}

/// When an authorization is looked at again after one that went well: a day, give or take two hours. `at_random` is
/// between 0 and 1, so that tenants which were bound together do not stay together.
#[must_use]
pub fn canary_wait(at_random: f64) -> time::Duration {
    time::Duration::hours(22) + time::Duration::hours(4) * at_random.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthorizationState::{Blocked, Healthy, None as NoState, OwnFault, Revoked, Weakened};

    const EVERY: [AuthorizationState; 6] = [NoState, Healthy, Weakened, Revoked, Blocked, OwnFault];

    fn standings() -> Vec<Standing> {
        let bare = EVERY.into_iter().map(|state| Standing { state, reason: None });
        bare.chain(Reason::ALL.iter().map(|reason| Standing::because(*reason))).collect()
    }

    fn said() -> String {
        "Microsoft's words".to_owned()
    }

    #[test]
    fn what_is_seen_decides_whatever_was_before() {
        let missing = vec!["User.Read.All".to_owned()];
        let table = [
            (Observation::Missing(missing), Reason::PermissionMissing, Weakened),
            (Observation::Refused(said()), Reason::PermissionRefused, Weakened),
            (Observation::TokenRejected(said()), Reason::TokenRejected, Revoked),
            (Observation::NoGrant(said()), Reason::Revoked, Revoked),
            (Observation::TenantGone(said()), Reason::TenantGone, Revoked),
            (Observation::Policy(said()), Reason::PolicyBlocked, Blocked),
            (Observation::WrongTenant(said()), Reason::WrongTenant, Blocked),
        ];
        for before in standings() {
            for owner in [Owner::Provider, Owner::Customer] {
                for (seen, reason, state) in &table {
                    let verdict = observe(before, seen, owner);
                    assert_eq!(verdict.standing, Standing { state: *state, reason: Some(*reason) });
                    let changed = before != verdict.standing;
                    assert_eq!(verdict.effects.contains(&Effect::Record), changed, "{before:?} {seen:?}");
                    assert!(verdict.effects.contains(&Effect::DropToken));
                    assert!(verdict.effects.contains(&Effect::Quarantine(*reason)));
                    let alarmed = verdict.effects.contains(&Effect::Alarm(Reason::WrongTenant));
                    assert_eq!(alarmed, *reason == Reason::WrongTenant);
                    assert!(verdict.detail.is_some());
                }
            }
        }
    }

    #[test]
    fn f47_our_own_credential_disconnects_nobody() {
        let seen = Observation::CredentialRefused(said());
        for before in standings() {
            let verdict = observe(before, &seen, Owner::Provider);
            assert_eq!(verdict.standing, before, "the account is not touched");
            assert_eq!(verdict.effects, [Effect::DropToken, Effect::ProviderFault(said())]);
            assert!(verdict.provider_fault());
            let verdict = observe(before, &seen, Owner::Customer);
            assert_eq!(verdict.standing, Standing { state: OwnFault, reason: Some(Reason::OwnCredential) });
            assert!(!verdict.provider_fault());
        }
    }

    #[test]
    fn what_is_not_understood_changes_nothing() {
        for before in standings() {
            for owner in [Owner::Provider, Owner::Customer] {
                let verdict = observe(before, &Observation::Unclear(said()), owner);
                assert_eq!((verdict.standing, verdict.effects), (before, vec![]));
            }
        }
    }

    #[test]
    fn success_heals() {
        for before in standings() {
            let verdict = observe(before, &Observation::JobWorked, Owner::Provider);
            assert_eq!(verdict.standing, Standing::HEALTHY);
            assert_eq!(verdict.effects.is_empty(), before == Standing::HEALTHY);
            let verdict = observe(before, &Observation::Proved, Owner::Provider);
            // a refused change is not healed by a question
            let refused = before.reason == Some(Reason::PermissionRefused);
            assert_eq!(verdict.standing, if refused { before } else { Standing::HEALTHY });
        }
    }

    #[test]
    fn waits() {
        assert_eq!([0, 1, 2, 3, 99].map(|n| probe_wait(n).whole_seconds()), [30, 60, 120, 300, 300]);
        let hours = |random| canary_wait(random).whole_hours();
        assert_eq!([hours(0.0), hours(0.5), hours(1.0), hours(7.0)], [22, 24, 26, 26]);
    }

    #[test]
    fn names_are_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
            assert!(!reason.text().is_empty() && !reason.remedy().is_empty());
        }
        for state in EVERY {
            assert_eq!(AuthorizationState::parse(state.as_str()), Some(state));
        }
    }
}
