//! Plans, held removals, settings and a visitor, for the samples of pages.

use tandem_domain::job::JobScope;
use tandem_domain::plan::{Action, Code, Plan, Step, UserPlan, Verdict};
use tandem_domain::policy::{Condition, PolicyRule, PolicyType, Service};
use tandem_domain::roles::{Role, Roles};
use tandem_domain::window::Timing;
use tandem_domain::{AccountId, JobId, ObjectId, PbxUserId};
use tandem_store::held::Held;
use tandem_store::portal::people::AccountName;
use tandem_store::portal::settings::{AccountSettings, Contributor};
use tandem_store::previews::{Planned, Preview};
use time::Duration;
use time::macros::datetime;
use uuid::Uuid;

use crate::guard::{By, InAccount, Visitor};
use crate::saving::Versioned;
use crate::settings::Windows;

fn step(text: &str) -> Step {
    Step {
        no: 1,
        user: PbxUserId(text.to_owned()),
        oid: ObjectId(Uuid::from_u128(5)),
        action: Action::UnassignPolicy { policy_type: PolicyType(text.to_owned()), name: text.to_owned() },
        before: Some(text.to_owned()),
        before_own: true,
        after: None,
        reason: text.to_owned().into(),
        depends_on: Vec::new(),
        group: None,
    }
}

/// A list of held removals.
pub(super) fn held_list(text: &str, expired: bool) -> Held {
    Held {
        id: Uuid::from_u128(6),
        account: AccountId(Uuid::from_u128(2)),
        job: JobId(Uuid::from_u128(1)),
        fingerprint: text.to_owned(),
        removals: vec![step(text)],
        generation: 2,
        created_at: datetime!(2026-03-01 14:07:09 UTC),
        expired,
        outcome: None,
        person: None,
        decided_job: None,
    }
}

/// A plan with everything that one can hold.
pub(super) fn plan(text: &str) -> Plan {
    let user = |verdict| UserPlan {
        user: PbxUserId(text.to_owned()),
        oid: ObjectId(Uuid::from_u128(5)),
        verdict,
        warning: None,
    };
    let why = || text.to_owned();
    let code = Code::ALL[0];
    Plan {
        users: vec![
            user(Verdict::Unchanged),
            user(Verdict::Conflict { code, text: why(), holder: None }),
            user(Verdict::Kept { code, text: why() }),
            user(Verdict::Held { text: why() }),
        ],
        steps: vec![step(text)],
        held: vec![step(text)],
        fingerprint: String::new(),
    }
}

/// A preview of a sync over everybody.
pub(super) fn preview(text: &str, plan: Plan) -> Preview {
    Preview {
        id: Uuid::from_u128(9),
        account: AccountId(Uuid::from_u128(2)),
        scope: JobScope::All,
        undone: None,
        person: text.to_owned(),
        result: Ok(Planned { from: 1, to: 2, plan }),
    }
}

/// A Global Admin who looks.
pub(super) fn inside(text: &str) -> InAccount {
    let visitor = Visitor {
        person: Uuid::from_u128(7),
        name: text.to_owned(),
        operator: false,
        microsoft: None,
        global_admin: true,
        by: By::Session([0; 32]),
        mark: text.to_owned(),
        paused: None,
    };
    let account = AccountName {
        account: AccountId(Uuid::from_u128(2)),
        name: "alpha".to_owned(),
        label: text.to_owned(),
    };
    InAccount { visitor, account, roles: Roles::new(vec![Role::GlobalAdmin]), visit: None }
}

/// Settings with everything that they can hold.
pub(super) fn versioned(text: &str, next_gen: bool) -> Versioned {
    let rule = |when, services| PolicyRule {
        when,
        policy_type: PolicyType(text.to_owned()),
        policy_name: text.to_owned(),
        services,
    };
    let field = || "display_name".to_owned();
    let rules = vec![
        rule(Condition::Always, Vec::new()),
        rule(Condition::Is { field: field(), value: text.into() }, vec![Service::Voice]),
        rule(Condition::Set { field: field() }, vec![Service::App]),
    ];
    let settings = AccountSettings {
        next_gen,
        auto_sync: next_gen,
        quiet_ms: Some(1500),
        max_wait_ms: None,
        rules,
        licences: 10,
    };
    Versioned { settings, version: "0123".to_owned() }
}

/// The usual windows.
pub(super) fn windows() -> Windows {
    Windows { usual: Timing::DEFAULT, longest: Duration::seconds(290) }
}

/// A Sync Contributor.
pub(super) fn contributor(text: &str) -> Contributor {
    Contributor {
        person: Uuid::from_u128(8),
        name: text.to_owned(),
        granted_by: text.to_owned(),
        since: datetime!(2026-03-01 14:07:09 UTC),
    }
}
