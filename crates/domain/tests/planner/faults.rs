//! Whatever step fails: who had a number and should have one has the new one, the old one, or is told as being without.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tandem_domain::ObjectId;
use tandem_domain::plan::{Action, Fate, Run, Step, StepResult};

use crate::made_up::{permutations, tenants};
use crate::tenant::{Tenant, number, oid, user};

fn picker(mut random: u64) -> impl FnMut(usize) -> usize {
    move |choices| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % choices
    }
}

fn served(tenant: &Tenant) -> BTreeSet<ObjectId> {
    let wanting = tenant.wanted.iter().filter(|entry| entry.number.number().is_some());
    wanting.map(|entry| entry.oid).filter(|oid| tenant.primary(*oid).is_some()).collect()
}

fn without(run: &Run) -> BTreeSet<ObjectId> {
    run.users.iter().filter(|(_, run)| run.without.is_some()).map(|((_, oid), _)| *oid).collect()
}

fn assigns(step: &Step) -> bool {
    matches!(step.action, Action::AssignNumber { .. })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 768, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i10_nobody_ends_without_a_number_in_silence(
        mut tenant in prop_oneof![tenants(), permutations()], random: u64, width in 1..5_usize, rate in 2..8_usize,
    ) {
        let plan = tenant.plan();
        let before = tenant.clone();
        let mut chance = picker(random ^ 0x5a5a);
        let run = tenant.run(&plan, width, picker(random), |_| match chance(rate) {
            0 => StepResult::NotDone,
            1 if rate > 4 => StepResult::Open,
            _ => StepResult::Done,
        });
        let lost: BTreeSet<ObjectId> = served(&before).difference(&served(&tenant)).copied().collect();
        let told = without(&run);
        prop_assert!(lost.is_subset(&told), "{lost:?} lost their numbers, told were {told:?}");
        for ((name, oid), run) in &run.users {
            if run.without.is_some() {
                prop_assert_eq!(tenant.primary(*oid), None);
            }
            if let Some(number) = &run.put_back {
                prop_assert_eq!(tenant.primary(*oid), Some(number), "{}", name);
                prop_assert_eq!(before.primary(*oid), Some(number));
            }
        }
        // nothing that was done stands in the way of the next job
        let next = tenant.plan();
        tenant.run(&next, width, picker(random), |_| StepResult::Done);
    }

    #[test]
    fn i10_one_refused_assign_in_a_chain_leaves_everybody_with_a_number(users in 2..7_u8, fails in 0..7_u8, random: u64) {
        // user n takes the number of user n + 1, the last one a free one
        let mut tenant = Tenant::new();
        for n in 0..users {
            tenant.mapped(n, Some(n), Some(n + 1));
        }
        let plan = tenant.plan();
        let before = served(&tenant);
        let refused = oid(fails % users);
        let mut once = true;
        let run = tenant.run(&plan, 1, picker(random), |step| {
            let fails = step.oid == refused && assigns(step) && std::mem::take(&mut once);
            if fails { StepResult::NotDone } else { StepResult::Done }
        });
        prop_assert_eq!(served(&tenant), before);
        prop_assert!(without(&run).is_empty());
        prop_assert_eq!(run.users[&(user(fails % users), refused)].put_back.as_ref(), Some(&number(fails % users)));
    }
}

#[test]
fn f56_a_swap_whose_first_assign_is_refused_is_turned_back() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(2));
    tenant.mapped(2, Some(2), Some(1));
    let plan = tenant.plan();
    let mut refusals = 1;
    let run = tenant.run(
        &plan,
        1,
        |_| 0,
        |step| {
            if assigns(step) && refusals > 0 {
                refusals -= 1;
                return StepResult::NotDone;
            }
            StepResult::Done
        },
    );
    for n in [1, 2] {
        assert_eq!(tenant.primary(oid(n)), Some(&number(n)));
        assert_eq!(run.users[&(user(n), oid(n))].put_back, Some(number(n)));
    }
    assert_eq!(run.users[&(user(2), oid(2))].fate, Fate::Depends);
}

#[test]
fn f56_who_cannot_go_back_is_told_as_being_without() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(2));
    tenant.mapped(2, Some(2), Some(1));
    let plan = tenant.plan();
    // the second assign is refused when the first user has the other number already
    let mut seen = 0;
    let run = tenant.run(
        &plan,
        1,
        |_| 0,
        |step| {
            seen += usize::from(assigns(step));
            if assigns(step) && seen == 2 { StepResult::NotDone } else { StepResult::Done }
        },
    );
    assert_eq!(without(&run), BTreeSet::from([oid(2)]));
    assert_eq!(run.users[&(user(2), oid(2))].without, Some(number(2)));
}

#[test]
fn i10_a_write_of_unknown_outcome_is_not_worked_around() {
    let mut tenant = Tenant::new();
    tenant.mapped(1, Some(1), Some(2));
    let plan = tenant.plan();
    let run =
        tenant.run(&plan, 2, |_| 0, |step| if assigns(step) { StepResult::Open } else { StepResult::Done });
    assert_eq!(tenant.primary(oid(1)), None);
    let user = &run.users[&(user(1), oid(1))];
    assert_eq!((user.put_back.clone(), user.without.clone()), (None, Some(number(1))));
}
