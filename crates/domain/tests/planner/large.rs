//! A plan of a very large account (I34, F61): what it takes to run must not grow with the square of its steps.

use tandem_domain::plan::{Action, Plan, Progress, Step, StepResult};
use tandem_domain::{Number, ObjectId, PbxUserId};
use uuid::Uuid;

const USERS: u32 = 50_000;

/// Users that get a new number for their old one; each gives the old one up first.
fn plan() -> Plan {
    let number = |n: u32| Number::parse(&format!("+1212{n:07}")).unwrap();
    let step = |user: u32, no: u32, action: Action, depends_on: Vec<u32>| Step {
        no,
        user: PbxUserId(format!("ext-{user}")),
        oid: ObjectId(Uuid::from_u128(u128::from(user) + 1)),
        before: None,
        before_own: true,
        after: None,
        reason: "".into(),
        depends_on,
        group: Some(user),
        action,
    };
    let steps = (0..USERS).flat_map(|user| {
        let (off, on) = (2 * user + 1, 2 * user + 2);
        let assign = Action::AssignNumber { number: number(USERS + user), location_id: None };
        let unassign = Action::UnassignNumber { number: number(user) };
        [step(user, off, unassign, vec![]), step(user, on, assign, vec![off])]
    });
    Plan { users: vec![], steps: steps.collect(), held: vec![], fingerprint: String::new() }
}

#[test]
fn i34_a_hundred_thousand_steps_are_run_and_every_failed_user_gets_its_number_back() {
    let plan = plan();
    let mut progress = Progress::new(&plan);
    let mut steps = 0;
    while let Some(index) = progress.next(false) {
        let planned = index < plan.steps.len();
        let fails = planned && plan.steps[index].no.is_multiple_of(20);
        progress.ended(index, if fails { StepResult::NotDone } else { StepResult::Done });
        steps += 1;
    }
    let run = progress.finish();
    let put_back = run.users.values().filter(|user| user.put_back.is_some()).count();
    assert_eq!(put_back, USERS as usize / 10);
    assert_eq!(run.users.values().filter(|user| user.without.is_some()).count(), 0);
    assert_eq!(steps, plan.steps.len() + put_back);
}
