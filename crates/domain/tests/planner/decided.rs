//! What people have decided: approvals, rejections, and what was undone.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;
use tandem_domain::guard::RemovalGuard;
use tandem_domain::plan::{
    Action, Decision, Decisions, Did, Licence, Plan, Scope, Since, Step, Verdict, Write, difference, refused,
    targets, touched,
};
use tandem_domain::{JobId, ObjectId};

use crate::made_up::{permutations, tenants};
use crate::tenant::{CALLING, Tenant, number, oid, told, user};

/// What the steps of a plan wrote.
fn writes(steps: &[Step]) -> Vec<Write> {
    let did = |step: &Step| match &step.action {
        Action::AssignNumber { number, .. } => Did::NumberOn(number.clone()),
        Action::UnassignNumber { number } => Did::NumberOff(number.clone()),
        Action::AssignPolicy { policy_type, name, .. } => {
            let before = step.before.clone().filter(|_| step.before_own);
            Did::Policy(policy_type.clone(), before, Some(name.clone()))
        }
        Action::UnassignPolicy { policy_type, name } => {
            Did::Policy(policy_type.clone(), Some(name.clone()), None)
        }
    };
    steps.iter().map(|step| Write { user: step.user.clone(), oid: step.oid, did: did(step) }).collect()
}

/// The plan that undoes another one.
fn undone(tenant: &Tenant, done: &Plan) -> Plan {
    let mut input = tenant.input(Scope::All);
    (input.wanted, input.standing) =
        targets(&touched(&writes(&done.steps)), &tenant.wanted, &tenant.standing);
    input.decisions = Decisions::new();
    input.plan()
}

/// Own policies of all users, by name without case and tag.
fn own(tenant: &Tenant) -> BTreeMap<ObjectId, Vec<String>> {
    let bare = |name: &str| tandem_domain::policy::bare_policy_name(name).to_lowercase();
    let of = |user: &tandem_domain::plan::ObservedUser| {
        user.policies.values().filter(|p| p.direct).map(|p| bare(&p.name)).collect()
    };
    tenant.users.iter().map(|(oid, user)| (*oid, of(user))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn undo_brings_back_what_was_there(mut tenant in prop_oneof![tenants(), permutations()]) {
        // of a policy that lay under ours nothing is on record but its name, so groups are left out here
        tenant.users.values_mut().for_each(|user| user.policies.retain(|_, policy| policy.direct));
        let before = tenant.clone();
        let done = tenant.plan();
        tenant.carry_out(&done, |_| 0, |_| false);
        let back = undone(&tenant, &done);
        let fine: Vec<ObjectId> = back
            .users
            .iter()
            .filter(|user| matches!(user.verdict, Verdict::Steps | Verdict::Unchanged))
            .map(|user| user.oid)
            .collect();
        tenant.carry_out(&back, |_| 0, |_| false);
        for oid in fine {
            prop_assert_eq!(tenant.primary(oid), before.primary(oid));
            prop_assert_eq!(&own(&tenant)[&oid], &own(&before)[&oid]);
        }
        // and the next job leaves them alone until something changes
        let keys = back.users.iter().map(|user| (user.user.clone(), user.oid));
        tenant.decisions = keys.clone().map(|key| (key, Decision::Undone)).collect();
        let next = tenant.plan();
        for key in keys {
            prop_assert!(next.steps.iter().chain(&next.held).all(|step| (step.user.clone(), step.oid) != key));
        }
    }

    #[test]
    fn swaps_and_rings_are_undone_whole(mut tenant in permutations()) {
        let before = tenant.clone();
        let done = tenant.plan();
        tenant.carry_out(&done, |_| 0, |_| false);
        let back = undone(&tenant, &done);
        prop_assert!(back.users.iter().all(|user| matches!(user.verdict, Verdict::Steps | Verdict::Unchanged)));
        tenant.carry_out(&back, |_| 0, |_| false);
        for entry in &before.wanted {
            prop_assert_eq!(tenant.primary(entry.oid), before.primary(entry.oid));
        }
    }

    #[test]
    fn decisions_never_add_a_step(mut tenant in tenants(), random: u64, floor in 0..3_usize) {
        // what is left alone may free the guard for others, so the guard counts on one side only
        let free = tenant.plan();
        tenant.guard = RemovalGuard { floor, percent: 0 };
        let kinds = [Decision::Rejected, Decision::Undone];
        let entries = tenant.wanted.iter().zip(0_u64..);
        let picked = entries.filter(|(_, n)| random >> (n % 60) & 1 == 1);
        tenant.decisions = picked
            .map(|(entry, n)| ((entry.user.clone(), entry.oid), kinds[usize::from(random >> (n % 50) & 2 == 2)]))
            .collect();
        let decided = tenant.plan();
        let all = |plan: &Plan| -> Vec<Step> { plan.steps.iter().chain(&plan.held).cloned().collect() };
        let (free, now) = (all(&free), all(&decided));
        prop_assert_eq!(difference(&[(&free, false)], &[(&now, false)]).new, Vec::<String>::new());
        for user in &decided.users {
            if tenant.decisions.get(&(user.user.clone(), user.oid)) == Some(&Decision::Undone) {
                let acts = matches!(user.verdict, Verdict::Steps | Verdict::Held { .. });
                prop_assert!(!acts);
            }
        }
    }
}

fn leavers() -> Tenant {
    let mut tenant = Tenant::new();
    tenant.guard = RemovalGuard::DEFAULT;
    for n in 1..=4 {
        tenant.leaving(n, n, Some(n));
    }
    tenant.mapped(5, None, Some(4));
    tenant
}

fn decide(tenant: &mut Tenant, decision: Decision) {
    tenant.decisions = (1..=4).map(|n| ((user(n), oid(n)), decision)).collect();
}

#[test]
fn b36_approved_removals_pass_the_guard_as_they_were_held() {
    let mut tenant = leavers();
    let held = tenant.plan();
    assert_eq!(held.held.len(), 4);
    decide(&mut tenant, Decision::Approved);
    let approved = tenant.plan();
    assert!(approved.held.is_empty());
    let removals: Vec<Step> = approved.steps.iter().filter(|step| step.action.removes()).cloned().collect();
    assert!(difference(&[(&held.held, false)], &[(&removals, false)]).is_empty());
    // whoever waited for one of them goes on in the same job
    assert!(approved.steps.iter().any(|step| step.user == user(5)));
}

#[test]
fn rejected_removals_are_not_proposed_again() {
    let mut tenant = leavers();
    decide(&mut tenant, Decision::Rejected);
    assert_snapshot!(told(&tenant.plan()), @r"
    1001: kept removal_rejected: a person rejected these removals; it is left as it is until the user changes
    1002: kept removal_rejected: a person rejected these removals; it is left as it is until the user changes
    1003: kept removal_rejected: a person rejected these removals; it is left as it is until the user changes
    1004: kept removal_rejected: a person rejected these removals; it is left as it is until the user changes
    1005: conflict number_kept_by_decision: +12125550104 is held by user4@customer.example (PBX user 1004), whom a person decided to leave alone; change that user in the PBX <user4@customer.example (PBX user 1004)>
    ");
}

#[test]
fn what_can_no_longer_be_undone_is_told_with_the_reason() {
    let mut tenant = Tenant::new();
    for n in 1..=6 {
        tenant.mapped(n, Some(n), Some(n + 10));
    }
    let done = tenant.plan();
    tenant.carry_out(&done, |_| 0, |_| false);
    let touched = touched(&writes(&done.steps));
    // 1: a later job; 2: somebody in Teams; 3: mapped anew; 4: a newer change; 5: the old number is taken; 6: no licence
    for n in [1, 2] {
        let line = tenant.lines.remove(&number(n + 10)).unwrap();
        tenant.lines.insert(number(n + 20), line);
    }
    tenant.person(9);
    tenant.line(5, None).holder = tandem_domain::plan::HolderKind::User;
    tenant.line(5, None).target = Some(oid(9));
    tenant.person(6).licensed = Licence::Missing;
    let job = JobId("01920000-0000-7000-8000-000000000001".parse().unwrap());
    let since =
        Since { later: [(oid(1), job)].into(), remapped: [user(3)].into(), pending: [user(4)].into() };
    let mut input = tenant.input(Scope::All);
    let mut cannot = refused(&touched, &input.observed, &since);
    (input.wanted, input.standing) = targets(&touched, &tenant.wanted, &tenant.standing);
    input.wanted.retain(|entry| cannot.iter().all(|user| user.oid != entry.oid));
    let mut back = input.plan();
    back.users.append(&mut cannot);
    back.users.sort_by(|a, b| a.user.cmp(&b.user));
    assert_snapshot!(told(&back), @r"
    1001: conflict undo_changed_later: user1@customer.example has +12125550121 now, since job 01920000-0000-7000-8000-000000000001 changed it; undo that job first <->
    1002: conflict undo_changed_outside: user2@customer.example has +12125550122 now, since somebody changed it in Teams; change it there <->
    1003: conflict undo_mapping_changed: the mapping of PBX user 1003 has changed since that job; map it as it should be <->
    1004: conflict undo_change_pending: the PBX has a newer change of user 1004, which the next job carries; wait for it <->
    1005: conflict number_held_by_unmanaged_user: +12125550105 is held by user9@customer.example; take it off that user in the Teams admin center <user9@customer.example>
    1006: failed no_phone_licence: user6@customer.example has no Teams Phone licence, and +12125550116 still stands on it; assign one in Microsoft 365
      warning licence_gone: user6@customer.example lost its Teams Phone licence before +12125550116 came off, and the number is trapped there; assign the licence again until Tandem has taken the number off
    ");
}

#[test]
fn a_licence_that_ends_before_the_number_is_told() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(1));
    tenant.person(1).licensed = Licence::Warning;
    tenant.leaving(2, 2, Some(2));
    tenant.person(2).licensed = Licence::Missing;
    tenant.mapped(3, None, Some(3));
    tenant.person(3).licensed = Licence::Warning;
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1002 unassign_number +12125550102 -> -: the PBX user was unmapped, deleted or disabled
    2. 1003 assign_number - -> +12125550103: the PBX gives the user this number
    1001: unchanged
      warning licence_ending: the Teams Phone licence of user1@customer.example is about to end while it has +12125550101; renew it, or unmap the user first, so that the number comes off before the licence does
    1002: steps
      warning licence_gone: user2@customer.example lost its Teams Phone licence before +12125550102 came off, and the number is trapped there; assign the licence again until Tandem has taken the number off
    1003: steps
    ");
}

#[test]
fn e18_a_user_of_the_app_gives_its_number_before_it_gets_policies() {
    let mut tenant = Tenant::new();
    let entry = tenant.mapped(1, Some(1), None);
    entry.service = tandem_domain::policy::Service::App;
    entry.policies.insert(CALLING.into(), "Alpha".into());
    assert_snapshot!(told(&tenant.plan()), @r"
    1. 1001 unassign_number +12125550101 -> -: the PBX gives the user another number or none
    2. 1001 assign_policy - -> Alpha after [1]: the account's policy rules ask for it
    1001: steps
    ");
}
