use super::*;

/// A person with a plan that works in Teams.
fn person() -> Facts {
    Facts {
        account_enabled: true,
        guest: false,
        phone_plan: PhonePlan::Enabled,
        licensed: true,
        virtual_plan: false,
        teams: Some(InTeams { account: TeamsAccount::User, phone_system: true, ..InTeams::default() }),
        lines: Lines::default(),
    }
}

fn in_teams(change: impl FnOnce(&mut InTeams)) -> Facts {
    let mut facts = person();
    change(facts.teams.as_mut().expect("a person is in Teams"));
    facts
}

fn changed(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = person();
    change(&mut facts);
    facts
}

/// What is looked at, what comes out: kind, reason, flags.
type Row = (&'static str, Facts, UserKind, Option<NotEligible>, &'static [Flag]);

fn table() -> Vec<Row> {
    use NotEligible as Not;
    use UserKind::{Bot, Guest, OnPremises, ResourceAccount, Room, User};
    let plan = |plan| changed(|f| f.phone_plan = plan);
    let account = |account| in_teams(|t| t.account = account);
    let unlicensed = |f: &mut Facts| {
        f.phone_plan = PhonePlan::None;
        f.teams = Some(InTeams { account: TeamsAccount::User, ..InTeams::default() });
    };
    vec![
        ("a person", person(), User, None, &[]),
        ("grace period", plan(PhonePlan::Warning), User, None, &[Flag::PlanInGrace]),
        ("Teams does not know it yet", changed(|f| f.teams = None), User, None, &[Flag::NotInTeamsYet]),
        (
            "assigned, not effective",
            in_teams(|t| t.phone_system = false),
            User,
            None,
            &[Flag::PlanNotEffective],
        ),
        ("a word that we do not know", account(TeamsAccount::Unknown), User, None, &[]),
        ("no plan", changed(unlicensed), User, Some(Not::NoPhonePlan), &[]),
        ("plan taken away", plan(PhonePlan::Deleted), User, Some(Not::PhonePlanDeleted), &[]),
        ("plan suspended", plan(PhonePlan::Suspended), User, Some(Not::PhonePlanSuspended), &[]),
        ("plan locked out", plan(PhonePlan::LockedOut), User, Some(Not::PhonePlanLockedOut), &[]),
        ("plan in a new state", plan(PhonePlan::Unknown), User, Some(Not::PhonePlanUnknown), &[]),
        ("feature Calling Plan", in_teams(|t| t.calling_plan = true), User, Some(Not::CallingPlan), &[]),
        (
            "number of a Calling Plan",
            changed(|f| f.lines.calling_plan = true),
            User,
            Some(Not::CallingPlan),
            &[],
        ),
        (
            "number of an operator",
            changed(|f| f.lines.operator_connect = true),
            User,
            Some(Not::OperatorConnect),
            &[],
        ),
        ("sign-in blocked", changed(|f| f.account_enabled = false), User, Some(Not::Disabled), &[]),
        ("ineligible", account(TeamsAccount::Ineligible), User, Some(Not::IneligibleInTeams), &[]),
        ("room", in_teams(|t| t.room = true), Room, Some(Not::Room), &[]),
        ("guest by the directory", changed(|f| f.guest = true), Guest, Some(Not::Guest), &[]),
        ("guest by Teams", account(TeamsAccount::Guest), Guest, Some(Not::Guest), &[]),
        ("on premises", account(TeamsAccount::OnPremises), OnPremises, Some(Not::OnPremises), &[]),
        (
            "resource account",
            account(TeamsAccount::ResourceAccount),
            ResourceAccount,
            Some(Not::ResourceAccount),
            &[],
        ),
        (
            "resource account that Teams does not know yet",
            changed(|f| {
                f.teams = None;
                f.virtual_plan = true;
            }),
            ResourceAccount,
            Some(Not::ResourceAccount),
            &[],
        ),
        (
            "resource account by its number",
            changed(|f| f.lines.voice_app = true),
            ResourceAccount,
            Some(Not::ResourceAccount),
            &[],
        ),
        (
            "bot",
            changed(|f| {
                f.lines.third_party_app = true;
                f.teams = Some(InTeams { account: TeamsAccount::ResourceAccount, ..InTeams::default() });
            }),
            Bot,
            Some(Not::Bot),
            &[],
        ),
        // the first reason counts
        (
            "a disabled room without plan",
            changed(|f| {
                unlicensed(f);
                f.account_enabled = false;
                f.teams = Some(InTeams { room: true, ..InTeams::default() });
            }),
            Room,
            Some(Not::Room),
            &[],
        ),
        (
            "a disabled user without plan",
            changed(|f| {
                unlicensed(f);
                f.account_enabled = false;
            }),
            User,
            Some(Not::Disabled),
            &[],
        ),
        (
            "grace period and Calling Plan",
            changed(|f| {
                f.phone_plan = PhonePlan::Warning;
                f.lines.calling_plan = true;
            }),
            User,
            Some(Not::CallingPlan),
            &[Flag::PlanInGrace],
        ),
    ]
}

#[test]
fn every_user_is_judged_with_its_reason() {
    for (what, facts, kind, why_not, flags) in table() {
        let verdict = judge(&facts);
        assert_eq!(verdict, Verdict { kind, why_not, flags: flags.to_vec() }, "{what}");
    }
}

#[test]
fn the_table_shows_every_kind_and_every_reason() {
    let rows = table();
    for kind in UserKind::ALL {
        assert!(rows.iter().any(|row| row.2 == *kind), "{kind:?}");
    }
    for reason in NotEligible::ALL {
        assert!(rows.iter().any(|row| row.3 == Some(*reason)), "{reason:?}");
    }
}

#[test]
fn a6_nobody_without_a_working_plan_is_eligible() {
    for (what, facts, ..) in table() {
        assert!(!judge(&facts).eligible() || facts.phone_plan.works(), "{what}");
    }
}

#[test]
fn p6_counts_say_who_was_left_out() {
    let mut counts = Counts::default();
    for facts in [
        person(),
        changed(|f| f.phone_plan = PhonePlan::Warning),
        in_teams(|t| t.calling_plan = true),
        changed(|f| f.phone_plan = PhonePlan::None),
        changed(|f| {
            f.phone_plan = PhonePlan::None;
            f.licensed = false;
        }),
        changed(|f| f.account_enabled = false),
        changed(|f| f.guest = true),
        in_teams(|t| t.account = TeamsAccount::ResourceAccount),
    ] {
        counts.add(&facts, &judge(&facts));
    }
    let wanted = Counts {
        total: 5,
        licensed: 4,
        phone_system: 3,
        excluded_by_calling_plan: 1,
        resource: 1,
        eligible: 2,
        warning: 1,
    };
    assert_eq!(counts, wanted);
}

#[test]
fn names_are_read_as_they_are_written() {
    assert!(PhonePlan::ALL.iter().all(|plan| PhonePlan::parse(plan.as_str()) == Some(*plan)));
    assert!(UserKind::ALL.iter().all(|kind| UserKind::parse(kind.as_str()) == Some(*kind)));
    assert!(NotEligible::ALL.iter().all(|reason| NotEligible::parse(reason.as_str()) == Some(*reason)));
    assert!(Flag::ALL.iter().all(|flag| Flag::parse(flag.as_str()) == Some(*flag)));
    assert_eq!(UserKind::parse("robot"), None);
}
