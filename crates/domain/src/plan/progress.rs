//! Running a plan: which step may start, what becomes of those that depend on one that was not made, and how a user
//! that gave its number up in vain gets it back.
//!
//! Promised, whatever step fails: a user that had a number and should have one ends with the new one or the old one, or
//! is told as being without. The old number is not put back where another user already has it or is about to get it
//! and could not go back itself.

use std::collections::{BTreeMap, BTreeSet};

use super::types::{Action, Plan, Step};
use crate::ids::{ObjectId, PbxUserId};
use crate::number::Number;

/// A Microsoft user within a plan.
pub type UserKey = (PbxUserId, ObjectId);

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// Its effect is there.
    Done,
    /// It had no effect and will have none.
    NotDone,
    /// It may still have its effect: its user and number are locked.
    Open,
    /// It was not started, and nothing else can be.
    NotStarted,
}

/// Why a user's steps were not all made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All were.
    Done,
    /// The step at this place ended otherwise.
    Ended(usize),
    /// A step of somebody else that it depends on was not made.
    Depends,
    /// It was not begun, because something else waits.
    Left,
}

/// What became of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRun {
    /// Why it went as it did.
    pub fate: Fate,
    /// Places of its steps that were made.
    pub done: Vec<usize>,
    /// The number that it had before and has again.
    pub put_back: Option<Number>,
    /// The number that it had before, when it has none now although it should.
    pub without: Option<Number>,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// By user.
    pub users: BTreeMap<UserKey, UserRun>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Waiting,
    Running,
    Done,
    Out,
}

/// A plan on its way.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The steps of the plan, then those that put numbers back.
    steps: Vec<Step>,
    planned: usize,
    marks: Vec<Mark>,
    busy: BTreeSet<ObjectId>,
    stopped: BTreeMap<UserKey, Fate>,
    touched: BTreeSet<UserKey>,
    /// Users with a request of unknown outcome, and the numbers of those requests.
    open: BTreeSet<UserKey>,
    open_numbers: BTreeSet<Number>,
}

fn key(step: &Step) -> UserKey {
    (step.user.clone(), step.oid)
}

impl Progress {
    /// Nothing has begun.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            steps: plan.steps.clone(),
            planned: plan.steps.len(),
            marks: vec![Mark::Waiting; plan.steps.len()],
            busy: BTreeSet::new(),
            stopped: BTreeMap::new(),
            touched: BTreeSet::new(),
            open: BTreeSet::new(),
            open_numbers: BTreeSet::new(),
        }
    }

    /// The step at a place; those beyond the plan put numbers back.
    #[must_use]
    pub fn step(&self, index: usize) -> &Step {
        &self.steps[index]
    }

    /// The next step that may start. While giving way only users and groups that have begun go on.
    pub fn next(&mut self, give_way: bool) -> Option<usize> {
        // a user without a number goes first
        let put_back = (self.planned..self.steps.len()).find(|index| {
            self.marks[*index] == Mark::Waiting && !self.busy.contains(&self.steps[*index].oid)
        });
        if let Some(index) = put_back {
            return Some(self.start(index));
        }
        let begun: BTreeSet<u32> = self
            .steps
            .iter()
            .zip(&self.marks)
            .filter(|(_, mark)| matches!(mark, Mark::Running | Mark::Done))
            .filter_map(|(step, _)| step.group)
            .collect();
        for index in 0..self.planned {
            if self.marks[index] != Mark::Waiting || self.busy.contains(&self.steps[index].oid) {
                continue;
            }
            if self.stopped.contains_key(&key(&self.steps[index])) {
                self.marks[index] = Mark::Out;
                continue;
            }
            let marks: Vec<Mark> = self.steps[index].depends_on.iter().map(|no| self.mark_of(*no)).collect();
            if marks.contains(&Mark::Out) {
                self.stop(index, Fate::Depends);
                if self.put_back() {
                    return self.next(give_way);
                }
                continue;
            }
            if marks.iter().any(|mark| *mark != Mark::Done) || self.earlier_step_waits(index) {
                continue;
            }
            let step = &self.steps[index];
            let in_hand =
                step.group.is_some_and(|group| begun.contains(&group)) || self.touched.contains(&key(step));
            if give_way && !in_hand {
                self.stop(index, Fate::Left);
                continue;
            }
            return Some(self.start(index));
        }
        None
    }

    /// A step that was started has ended.
    pub fn ended(&mut self, index: usize, result: StepResult) {
        let user = key(&self.steps[index]);
        self.busy.remove(&user.1);
        if result == StepResult::Done {
            self.marks[index] = Mark::Done;
            self.touched.insert(user);
        } else if index < self.planned {
            self.stop(index, Fate::Ended(index));
        } else {
            self.marks[index] = Mark::Out;
        }
        if result == StepResult::Open {
            self.open.insert(key(&self.steps[index]));
            self.open_numbers.extend(self.steps[index].action.number().cloned());
        }
        match result {
            // what cannot be started now cannot be put back either
            StepResult::NotStarted => {}
            StepResult::Done | StepResult::NotDone | StepResult::Open => {
                self.put_back();
            }
        }
    }

    /// What became of every user; nothing may be running any more.
    #[must_use]
    pub fn finish(self) -> Run {
        let mut users: BTreeMap<UserKey, UserRun> = BTreeMap::new();
        for index in 0..self.planned {
            let user = key(&self.steps[index]);
            let run = users.entry(user.clone()).or_insert_with(|| UserRun {
                fate: self.stopped.get(&user).copied().unwrap_or(Fate::Done),
                done: vec![],
                put_back: None,
                without: None,
            });
            match self.marks[index] {
                Mark::Done => run.done.push(index),
                Mark::Out => {}
                // never reached, because the whole job had to end
                Mark::Waiting | Mark::Running if run.fate == Fate::Done => run.fate = Fate::Left,
                Mark::Waiting | Mark::Running => {}
            }
        }
        for (user, run) in &mut users {
            let Some(lost) = self.lost(user) else { continue };
            let back = self.put_back_step(user);
            if back.is_some_and(|index| self.marks[index] == Mark::Done) {
                run.put_back = Some(lost);
            } else {
                run.without = Some(lost);
            }
        }
        Run { users }
    }

    fn start(&mut self, index: usize) -> usize {
        self.marks[index] = Mark::Running;
        self.busy.insert(self.steps[index].oid);
        index
    }

    fn stop(&mut self, index: usize, fate: Fate) {
        self.marks[index] = Mark::Out;
        let user = key(&self.steps[index]);
        let known = self.stopped.entry(user).or_insert(fate);
        if matches!(fate, Fate::Ended(_)) {
            *known = fate;
        }
    }

    fn mark_of(&self, no: u32) -> Mark {
        usize::try_from(no).ok().and_then(|no| self.marks.get(no - 1)).copied().unwrap_or(Mark::Out)
    }

    /// Steps of one Microsoft user run in the order of the plan.
    fn earlier_step_waits(&self, index: usize) -> bool {
        let oid = self.steps[index].oid;
        (0..index).any(|earlier| self.steps[earlier].oid == oid && self.marks[earlier] == Mark::Waiting)
    }

    /// The primary number that a user gave up for another one, as long as it has not got that one.
    fn lost(&self, user: &UserKey) -> Option<Number> {
        let mut lost = None;
        let mut wants = false;
        for (step, mark) in self.steps[..self.planned].iter().zip(&self.marks) {
            if key(step) != *user {
                continue;
            }
            match &step.action {
                Action::UnassignNumber { number } if *mark == Mark::Done => {
                    lost = lost.or(Some(number.clone()));
                }
                Action::AssignNumber { .. } if *mark == Mark::Done => return None,
                Action::AssignNumber { .. } => wants = true,
                _ => {}
            }
        }
        lost.filter(|_| wants)
    }

    fn put_back_step(&self, user: &UserKey) -> Option<usize> {
        (self.planned..self.steps.len()).find(|index| key(&self.steps[*index]) == *user)
    }

    /// Adds the steps that put numbers back; true when there are new ones.
    fn put_back(&mut self) -> bool {
        let before = self.steps.len();
        let stopped: Vec<UserKey> = self.stopped.keys().cloned().collect();
        for user in stopped {
            if self.put_back_step(&user).is_some() || self.is_locked(&user) {
                continue;
            }
            let mut others = vec![];
            if self.lost(&user).is_none() || !self.can_go_back(&user, &mut others) {
                continue;
            }
            for other in others {
                for index in 0..self.planned {
                    if key(&self.steps[index]) == other && self.marks[index] == Mark::Waiting {
                        self.stop(index, Fate::Depends);
                    }
                }
                self.give_back(&other);
            }
            self.give_back(&user);
        }
        self.steps.len() > before
    }

    /// A request without a known outcome locks its user.
    fn is_locked(&self, user: &UserKey) -> bool {
        self.busy.contains(&user.1) || self.open.contains(user)
    }

    /// Whether the number that a user lost is free, or will be when the others named are left as they are.
    fn can_go_back(&self, user: &UserKey, others: &mut Vec<UserKey>) -> bool {
        let Some(lost) = self.lost(user) else { return true };
        if self.open_numbers.contains(&lost) {
            return false;
        }
        for (step, mark) in self.steps[..self.planned].iter().zip(&self.marks) {
            let takes = matches!(&step.action, Action::AssignNumber { number, .. } if *number == lost);
            let taker = key(step);
            let never = *mark == Mark::Out || *mark == Mark::Waiting && self.stopped.contains_key(&taker);
            if !takes || taker == *user || never || others.contains(&taker) {
                continue;
            }
            if *mark != Mark::Waiting || self.is_locked(&taker) {
                return false;
            }
            others.push(taker.clone());
            if !self.can_go_back(&taker, others) {
                return false;
            }
        }
        true
    }

    fn give_back(&mut self, user: &UserKey) {
        let Some(number) = self.lost(user) else { return };
        if self.put_back_step(user).is_some() {
            return;
        }
        let mut steps = self.steps[..self.planned].iter().filter(|step| key(step) == *user);
        let Some(assign) = steps.find(|step| matches!(step.action, Action::AssignNumber { .. })) else {
            return;
        };
        let Action::AssignNumber { location_id, .. } = &assign.action else { return };
        let step = Step {
            no: u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX),
            user: user.0.clone(),
            oid: user.1,
            action: Action::AssignNumber { number: number.clone(), location_id: location_id.clone() },
            before: None,
            before_own: true,
            after: Some(number.to_string()),
            reason: "put back, since the new number could not be given".to_owned(),
            depends_on: vec![],
            group: assign.group,
        };
        self.steps.push(step);
        self.marks.push(Mark::Waiting);
    }
}
