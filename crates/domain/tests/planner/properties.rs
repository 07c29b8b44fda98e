//! What holds for every plan: tenants are made up, plans are carried out in any order they allow, also with failures.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tandem_domain::guard::RemovalGuard;
use tandem_domain::plan::{Action, HolderKind, Plan, Scope, Step, Verdict};
use tandem_domain::{Number, ObjectId};

use crate::made_up::{permutations, tenants};
use crate::tenant::{Tenant, user};

fn steps_of(plan: &Plan) -> BTreeMap<ObjectId, Vec<&Step>> {
    let mut steps: BTreeMap<ObjectId, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        steps.entry(step.oid).or_default().push(step);
    }
    steps
}

/// A cheap way to pick in any order: the digits of a random number.
fn picker(mut random: u64) -> impl FnMut(usize) -> usize {
    move |choices| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % choices
    }
}

/// Users that should have a number and have one: those that nobody may strip.
fn served(tenant: &Tenant) -> BTreeSet<ObjectId> {
    let wanting = tenant.wanted.iter().filter(|entry| entry.number.number().is_some());
    wanting.map(|entry| entry.oid).filter(|oid| tenant.primary(*oid).is_some()).collect()
}

fn check_shape(plan: &Plan) {
    for list in [&plan.steps, &plan.held] {
        for (at, step) in list.iter().enumerate() {
            assert_eq!(usize::try_from(step.no).unwrap(), at + 1);
            assert!(step.depends_on.is_sorted() && step.depends_on.iter().all(|no| *no < step.no));
        }
    }
    // steps that depend on another through a number share its group
    for step in plan.steps.iter().filter(|step| step.action.number().is_some()) {
        for no in &step.depends_on {
            let before = &plan.steps[usize::try_from(*no).unwrap() - 1];
            assert!(step.group.is_some() && step.group == before.group);
        }
    }
}

fn check_reached(tenant: &Tenant, plan: &Plan) {
    let verdicts: BTreeMap<_, _> = plan.users.iter().map(|planned| (planned.oid, &planned.verdict)).collect();
    for entry in &tenant.wanted {
        if !matches!(verdicts[&entry.oid], Verdict::Steps | Verdict::Unchanged) {
            continue;
        }
        if let Some(wanted) = entry.number.number() {
            assert_eq!(tenant.primary(entry.oid), Some(wanted), "{}", entry.user);
        } else {
            let standing = tenant.standing.get(&entry.oid).and_then(|standing| standing.number.as_ref());
            assert!(standing.is_none() || tenant.primary(entry.oid) != standing, "{}", entry.user);
        }
        for (policy_type, name) in &entry.policies {
            let effective = &tenant.users[&entry.oid].policies[policy_type];
            assert!(tandem_domain::policy::same_policy_name(&effective.name, name));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_can_be_carried_out_in_any_order_and_leaves_nothing_to_do(mut tenant in tenants(), random: u64) {
        let plan = tenant.plan();
        check_shape(&plan);
        let before = served(&tenant);
        tenant.carry_out(&plan, picker(random), |_| false);
        check_reached(&tenant, &plan);
        prop_assert!(before.is_subset(&served(&tenant)), "somebody was stripped");
        prop_assert_eq!(tenant.plan().steps, vec![]);
    }

    #[test]
    fn swaps_and_rings_of_any_size_come_out_right(mut tenant in permutations(), random: u64) {
        let plan = tenant.plan();
        check_shape(&plan);
        prop_assert!(plan.users.iter().all(|planned| matches!(planned.verdict, Verdict::Steps | Verdict::Unchanged)));
        let moves = plan.steps.len();
        let moved = plan.users.iter().filter(|planned| planned.verdict == Verdict::Steps).count();
        prop_assert!(moves <= 2 * moved);
        tenant.carry_out(&plan, picker(random), |_| false);
        check_reached(&tenant, &plan);
    }

    #[test]
    fn each_failed_write_strands_at_most_one_user(mut tenant in prop_oneof![tenants(), permutations()], random: u64) {
        let plan = tenant.plan();
        let before = served(&tenant);
        let mut chance = picker(random ^ 0xa5a5);
        let mut failures = 0;
        tenant.carry_out(&plan, picker(random), |_| {
            let fails = chance(5) == 0;
            failures += usize::from(fails);
            fails
        });
        prop_assert!(before.difference(&served(&tenant)).count() <= failures);
        // and a new plan finishes what was left, but for those that others made impossible meanwhile
        let next = tenant.plan();
        tenant.carry_out(&next, picker(random), |_| false);
        check_reached(&tenant, &next);
        check_reached(&tenant, &plan);
    }

    #[test]
    fn nothing_foreign_and_nothing_locked_is_touched(tenant in tenants()) {
        let plan = tenant.plan();
        let managed: BTreeSet<ObjectId> = tenant.wanted.iter().map(|entry| entry.oid).collect();
        let locked: BTreeSet<ObjectId> = tenant.locks.iter().map(|lock| lock.oid).collect();
        let locked_numbers: BTreeSet<&Number> =
            tenant.locks.iter().filter_map(|lock| lock.number.as_ref()).collect();
        for step in plan.steps.iter().chain(&plan.held) {
            prop_assert!(managed.contains(&step.oid) && !locked.contains(&step.oid));
            if let Some(number) = step.action.number() {
                prop_assert!(!locked_numbers.contains(number));
                if let Some(line) = tenant.lines.get(number) {
                    let free = line.holder == HolderKind::Unassigned;
                    prop_assert!(free || line.target.is_some_and(|oid| managed.contains(&oid)));
                    prop_assert!(line.direct_routing);
                }
            }
        }
        // without wish for another, only what stands by our hand comes off
        let wishes: BTreeMap<_, _> = tenant.wanted.iter().map(|entry| (entry.oid, entry)).collect();
        for step in plan.steps.iter().filter(|step| step.action.removes()) {
            let standing = tenant.standing.get(&step.oid);
            match &step.action {
                Action::UnassignNumber { number } => prop_assert!(
                    wishes[&step.oid].number.number().is_some()
                        || standing.is_some_and(|standing| standing.number.as_ref() == Some(number))
                ),
                Action::UnassignPolicy { policy_type, name } => {
                    let ours = standing.and_then(|standing| standing.policies.get(policy_type));
                    prop_assert_eq!(ours, Some(name));
                }
                Action::AssignNumber { .. } | Action::AssignPolicy { .. } => {}
            }
        }
    }

    #[test]
    fn users_with_steps_and_users_in_the_list_are_the_same(tenant in tenants()) {
        let plan = tenant.plan();
        let steps = steps_of(&plan);
        for planned in &plan.users {
            let has_steps = steps.contains_key(&planned.oid);
            prop_assert_eq!(has_steps, planned.verdict == Verdict::Steps);
        }
        prop_assert_eq!(plan.users.len(), tenant.wanted.len());
    }

    #[test]
    fn the_guard_holds_removals_and_nothing_else(mut tenant in tenants(), floor in 0..4_usize, all: bool) {
        let free = tenant.plan();
        tenant.guard = RemovalGuard { floor, percent: 10 };
        tenant.hold_all_removals = all;
        let plan = tenant.plan();
        check_shape(&plan);
        let wishes: BTreeMap<_, _> = tenant.wanted.iter().map(|entry| (entry.oid, entry)).collect();
        let losers: BTreeSet<ObjectId> = plan
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::UnassignNumber { .. }))
            .map(|step| step.oid)
            .filter(|oid| wishes[oid].number.number().is_none())
            .collect();
        let mapped = tenant.wanted.iter().filter(|entry| !entry.wants_nothing()).count();
        prop_assert!(!tenant.guard.holds(losers.len(), mapped));
        prop_assert!(!all || losers.is_empty());
        if plan.held.is_empty() {
            prop_assert_eq!(&plan, &free);
        } else {
            prop_assert!(losers.is_empty() && plan.held.iter().all(|step| step.action.removes()));
            prop_assert_ne!(&plan.fingerprint, &free.fingerprint);
        }
        // what is left can still be carried out
        tenant.carry_out(&plan, |_| 0, |_| false);
        check_reached(&tenant, &plan);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter_and_plans_survive_storage(tenant in tenants(), random: u64) {
        let plan_a = tenant.plan();
        let mut turned = tenant.clone();
        let mut pick = picker(random);
        let turns = pick(turned.wanted.len().max(1));
        if !turned.wanted.is_empty() {
            turned.wanted.rotate_left(turns);
        }
        turned.wanted.reverse();
        turned.locks.reverse();
        let plan_b = turned.plan();
        prop_assert_eq!(&plan_a, &plan_b);
        let stored = serde_json::to_string(&plan_a).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan_a);
    }

    #[test]
    fn a_scope_plans_its_users_as_the_whole_would(tenant in tenants(), seed in prop::collection::btree_set(0..10_u8, 1..3)) {
        let scope = Scope::Users(seed.iter().map(|n| user(*n)).collect());
        let part = tenant.input(scope).plan();
        let whole = tenant.plan();
        for planned in &part.users {
            prop_assert!(whole.users.contains(planned));
        }
        let action = |step: &Step| (step.oid, step.action.kind(), step.action.number().cloned());
        let inside: BTreeSet<ObjectId> = part.users.iter().map(|planned| planned.oid).collect();
        let expected: Vec<_> = whole.steps.iter().filter(|step| inside.contains(&step.oid)).map(action).collect();
        prop_assert_eq!(part.steps.iter().map(action).collect::<Vec<_>>(), expected);
        for n in seed {
            let managed = tenant.wanted.iter().any(|entry| entry.user == user(n));
            prop_assert_eq!(managed, part.users.iter().any(|planned| planned.user == user(n)));
        }
    }
}
