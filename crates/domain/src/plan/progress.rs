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

/// A Microsoft user within the plan that is carried out.
type Key<'p> = (&'p PbxUserId, ObjectId);

/// A plan on its way.
///
/// Its steps are looked up by user and by number: a plan may have a hundred thousand of them.
#[derive(Clone, Debug)]
pub struct Progress<'p> {
    plan: &'p [Step],
    /// Steps that put numbers back, behind those of the plan; each with the step that it stands for.
    back: Vec<(usize, Step)>,
    /// Where the step is that puts a user's number back.
    back_of: BTreeMap<Key<'p>, usize>,
    /// Which of them wait.
    waiting_back: BTreeSet<usize>,
    marks: Vec<Mark>,
    /// No step before this place waits.
    first: usize,
    /// Places of the steps of each Microsoft user.
    of_oid: BTreeMap<ObjectId, Vec<usize>>,
    /// Places of the steps that give a number.
    giving: BTreeMap<&'p Number, Vec<usize>>,
    busy: BTreeSet<ObjectId>,
    stopped: BTreeMap<Key<'p>, Fate>,
    touched: BTreeSet<Key<'p>>,
    /// How many steps of each group run or are done.
    begun: BTreeMap<u32, usize>,
    /// Users that have given a number up, have not got the one that they get for it, and have none coming back.
    without: BTreeSet<Key<'p>>,
    /// Users with a request of unknown outcome, and the numbers of those requests.
    open: BTreeSet<Key<'p>>,
    open_numbers: BTreeSet<Number>,
}

fn key(step: &Step) -> Key<'_> {
    (&step.user, step.oid)
}

impl<'p> Progress<'p> {
    /// Nothing has begun.
    #[must_use]
    pub fn new(plan: &'p Plan) -> Self {
        let mut of_oid: BTreeMap<ObjectId, Vec<usize>> = BTreeMap::new();
        let mut giving: BTreeMap<&Number, Vec<usize>> = BTreeMap::new();
        for (index, step) in plan.steps.iter().enumerate() {
            of_oid.entry(step.oid).or_default().push(index);
            if let Action::AssignNumber { number, .. } = &step.action {
                giving.entry(number).or_default().push(index);
            }
        }
        Self {
            plan: &plan.steps,
            back: vec![],
            back_of: BTreeMap::new(),
            waiting_back: BTreeSet::new(),
            marks: vec![Mark::Waiting; plan.steps.len()],
            first: 0,
            of_oid,
            giving,
            busy: BTreeSet::new(),
            stopped: BTreeMap::new(),
            touched: BTreeSet::new(),
            begun: BTreeMap::new(),
            without: BTreeSet::new(),
            open: BTreeSet::new(),
            open_numbers: BTreeSet::new(),
        }
    }

    /// The step at a place; those beyond the plan put numbers back.
    #[must_use]
    pub fn step(&self, index: usize) -> &Step {
        match self.plan.get(index) {
            Some(step) => step,
            None => &self.back[index - self.plan.len()].1,
        }
    }

    fn key(&self, index: usize) -> Key<'p> {
        let of_plan = if index < self.plan.len() { index } else { self.back[index - self.plan.len()].0 };
        key(&self.plan[of_plan])
    }

    /// The next step that may start. While giving way only users and groups that have begun go on.
    pub fn next(&mut self, give_way: bool) -> Option<usize> {
        // a user without a number goes first
        let mut put_back = self.waiting_back.iter().copied();
        let put_back = put_back.find(|index| !self.busy.contains(&self.step(*index).oid));
        if let Some(index) = put_back {
            self.waiting_back.remove(&index);
            return Some(self.start(index));
        }
        let waiting = self.marks[self.first..self.plan.len()].iter().position(|mark| *mark == Mark::Waiting);
        self.first = waiting.map_or(self.plan.len(), |at| self.first + at);
        for index in self.first..self.plan.len() {
            let step = &self.plan[index];
            if self.marks[index] != Mark::Waiting || self.busy.contains(&step.oid) {
                continue;
            }
            if self.stopped.contains_key(&key(step)) {
                self.marks[index] = Mark::Out;
                continue;
            }
            let marks: Vec<Mark> = step.depends_on.iter().map(|no| self.mark_of(*no)).collect();
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
            let in_hand =
                step.group.is_some_and(|group| self.begun.get(&group).is_some_and(|steps| *steps > 0))
                    || self.touched.contains(&key(step));
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
        let user = self.key(index);
        self.busy.remove(&user.1);
        if result == StepResult::Done {
            self.marks[index] = Mark::Done;
            self.touched.insert(user);
            match self.step(index).action {
                Action::UnassignNumber { .. } if self.lost(user).is_some() => _ = self.without.insert(user),
                Action::AssignNumber { .. } if index < self.plan.len() => _ = self.without.remove(&user),
                _ => {}
            }
        } else {
            let group = self.step(index).group;
            if let Some(steps) = group.and_then(|group| self.begun.get_mut(&group)) {
                *steps -= 1;
            }
            if index < self.plan.len() {
                self.stop(index, Fate::Ended(index));
            } else {
                self.marks[index] = Mark::Out;
            }
        }
        if result == StepResult::Open {
            self.open.insert(user);
            let number = self.step(index).action.number().cloned();
            self.open_numbers.extend(number);
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
        let mut users: BTreeMap<Key<'p>, UserRun> = BTreeMap::new();
        for (index, step) in self.plan.iter().enumerate() {
            let run = users.entry(key(step)).or_insert_with(|| UserRun {
                fate: self.stopped.get(&key(step)).copied().unwrap_or(Fate::Done),
                put_back: None,
                without: None,
            });
            // never reached, because the whole job had to end
            let left = matches!(self.marks[index], Mark::Waiting | Mark::Running);
            if left && run.fate == Fate::Done {
                run.fate = Fate::Left;
            }
        }
        for (user, run) in &mut users {
            let Some(lost) = self.lost(*user) else { continue };
            let back = self.back_of.get(user);
            if back.is_some_and(|index| self.marks[*index] == Mark::Done) {
                run.put_back = Some(lost.clone());
            } else {
                run.without = Some(lost.clone());
            }
        }
        // of a large plan, what steps are looked up in is as large as what became of it
        drop(self);
        Run { users: users.into_iter().map(|((user, oid), run)| ((user.clone(), oid), run)).collect() }
    }

    fn start(&mut self, index: usize) -> usize {
        self.marks[index] = Mark::Running;
        self.busy.insert(self.key(index).1);
        if let Some(group) = self.step(index).group {
            *self.begun.entry(group).or_default() += 1;
        }
        index
    }

    fn stop(&mut self, index: usize, fate: Fate) {
        self.marks[index] = Mark::Out;
        let known = self.stopped.entry(self.key(index)).or_insert(fate);
        if matches!(fate, Fate::Ended(_)) {
            *known = fate;
        }
    }

    fn mark_of(&self, no: u32) -> Mark {
        usize::try_from(no).ok().and_then(|no| self.marks.get(no - 1)).copied().unwrap_or(Mark::Out)
    }

    /// Places of the steps that the plan has for a user, in its order.
    fn places(&self, user: Key<'p>) -> impl Iterator<Item = usize> {
        let all = self.of_oid.get(&user.1).into_iter().flatten();
        all.copied().filter(move |index| self.plan[*index].user == *user.0)
    }

    /// Steps of one Microsoft user run in the order of the plan.
    fn earlier_step_waits(&self, index: usize) -> bool {
        let all = self.of_oid.get(&self.plan[index].oid).into_iter().flatten();
        all.take_while(|earlier| **earlier < index).any(|earlier| self.marks[*earlier] == Mark::Waiting)
    }

    /// The primary number that a user gave up for another one, as long as it has not got that one.
    fn lost(&self, user: Key<'p>) -> Option<&'p Number> {
        let mut lost = None;
        let mut wants = false;
        for index in self.places(user) {
            match (&self.plan[index].action, self.marks[index]) {
                (Action::UnassignNumber { number }, Mark::Done) => lost = lost.or(Some(number)),
                (Action::AssignNumber { .. }, Mark::Done) => return None,
                (Action::AssignNumber { .. }, _) => wants = true,
                _ => {}
            }
        }
        lost.filter(|_| wants)
    }

    /// Adds the steps that put numbers back; true when there are new ones.
    fn put_back(&mut self) -> bool {
        let before = self.back.len();
        let stopped: Vec<Key<'p>> =
            self.without.iter().filter(|user| self.stopped.contains_key(*user)).copied().collect();
        for user in stopped {
            if self.back_of.contains_key(&user) || self.is_locked(user) {
                continue;
            }
            let mut others = vec![];
            if !self.can_go_back(user, &mut others) {
                continue;
            }
            for other in others {
                let waiting: Vec<usize> =
                    self.places(other).filter(|index| self.marks[*index] == Mark::Waiting).collect();
                for index in waiting {
                    self.stop(index, Fate::Depends);
                }
                self.give_back(other);
            }
            self.give_back(user);
        }
        self.back.len() > before
    }

    /// A request without a known outcome locks its user.
    fn is_locked(&self, user: Key<'p>) -> bool {
        self.busy.contains(&user.1) || self.open.contains(&user)
    }

    /// Whether the number that a user lost is free, or will be when the others named are left as they are.
    fn can_go_back(&self, user: Key<'p>, others: &mut Vec<Key<'p>>) -> bool {
        let Some(lost) = self.lost(user) else { return true };
        if self.open_numbers.contains(lost) {
            return false;
        }
        for index in self.giving.get(lost).into_iter().flatten() {
            let (taker, mark) = (self.key(*index), self.marks[*index]);
            let never = mark == Mark::Out || mark == Mark::Waiting && self.stopped.contains_key(&taker);
            if taker == user || never || others.contains(&taker) {
                continue;
            }
            if mark != Mark::Waiting || self.is_locked(taker) {
                return false;
            }
            others.push(taker);
            if !self.can_go_back(taker, others) {
                return false;
            }
        }
        true
    }

    fn give_back(&mut self, user: Key<'p>) {
        let Some(number) = self.lost(user) else { return };
        if self.back_of.contains_key(&user) {
            return;
        }
        let assign = self.places(user).find_map(|index| match &self.plan[index].action {
            Action::AssignNumber { location_id, .. } => Some((index, location_id.clone())),
            _ => None,
        });
        let Some((index, location_id)) = assign else { return };
        let step = Step {
            no: u32::try_from(self.marks.len() + 1).unwrap_or(u32::MAX),
            user: user.0.clone(),
            oid: user.1,
            action: Action::AssignNumber { number: number.clone(), location_id },
            before: None,
            before_own: true,
            after: Some(number.to_string()),
            reason: "put back, since the new number could not be given".into(),
            depends_on: vec![],
            group: self.plan[index].group,
        };
        self.without.remove(&user);
        self.back_of.insert(user, self.marks.len());
        self.waiting_back.insert(self.marks.len());
        self.back.push((index, step));
        self.marks.push(Mark::Waiting);
    }
}
