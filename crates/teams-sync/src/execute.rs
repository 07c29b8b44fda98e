//! Executing a plan: steps whose predecessors are done run side by side; a step that fails takes its successors out.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{Plan, Step};
use tandem_domain::{ObjectId, PbxUserId};
use tandem_store::StoreError;
use uuid::Uuid;

use crate::step::{Hands, StepEnd};

/// A Microsoft user within a plan.
pub(crate) type UserKey = (PbxUserId, ObjectId);

/// What became of the users that had steps.
#[derive(Debug, Default)]
pub(crate) struct Executed {
    /// Users whose every step is done, with their intents.
    pub(crate) done: BTreeMap<UserKey, Vec<Uuid>>,
    /// Users that stopped at a step; steps before it may be done.
    pub(crate) stopped: BTreeMap<UserKey, StepEnd>,
    /// Users of which at least one step is done.
    pub(crate) touched: BTreeSet<UserKey>,
    /// The whole job has to stop.
    pub(crate) abort: Option<(&'static str, String)>,
    /// Users were left to the successor.
    pub(crate) handed_over: bool,
    /// They were, because nothing may be written any more.
    pub(crate) halted: bool,
}

/// Runs the steps of a plan.
pub(crate) async fn run(hands: &Hands, plan: &Plan) -> Result<Executed, StoreError> {
    let mut state = Progress::new(plan);
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < hands.shared.settings.in_flight {
            if state.executed.abort.is_some() {
                break;
            }
            let Some(index) = state.next(hands.lease.must_give_way() || !hands.lease.may_start()) else {
                break;
            };
            let step = &plan.steps[index];
            running.push(async move { (index, hands.run(step).await) });
        }
        let Some((index, end)) = running.next().await else { break };
        state.ended(index, end?);
    }
    let mut executed = state.finish();
    executed.halted = executed.handed_over && hands.lease.writes_forbidden();
    Ok(executed)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Waiting,
    Running,
    Done,
    Out,
}

struct Progress<'a> {
    steps: &'a [Step],
    marks: Vec<Mark>,
    busy: BTreeSet<ObjectId>,
    executed: Executed,
    intents: BTreeMap<UserKey, Vec<Uuid>>,
}

fn key(step: &Step) -> UserKey {
    (step.user.clone(), step.oid)
}

impl<'a> Progress<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            steps: &plan.steps,
            marks: vec![Mark::Waiting; plan.steps.len()],
            busy: BTreeSet::new(),
            executed: Executed::default(),
            intents: BTreeMap::new(),
        }
    }

    fn mark_of(&self, no: u32) -> Mark {
        usize::try_from(no).ok().and_then(|no| self.marks.get(no - 1)).copied().unwrap_or(Mark::Out)
    }

    /// The next step that may start. While giving way only users and groups that have been started go on.
    fn next(&mut self, give_way: bool) -> Option<usize> {
        let started: BTreeSet<u32> = self
            .steps
            .iter()
            .zip(&self.marks)
            .filter(|(_, mark)| matches!(mark, Mark::Running | Mark::Done))
            .filter_map(|(step, _)| step.group)
            .collect();
        for (index, step) in self.steps.iter().enumerate() {
            if self.marks[index] != Mark::Waiting || self.busy.contains(&step.oid) {
                continue;
            }
            if self.executed.stopped.contains_key(&key(step)) {
                self.marks[index] = Mark::Out;
                continue;
            }
            let marks = step.depends_on.iter().map(|no| self.mark_of(*no));
            if marks.clone().any(|mark| mark == Mark::Out) {
                self.marks[index] = Mark::Out;
                let text = "a step that it depends on was not finished".to_owned();
                let end = StepEnd::Deferred { reason: DeferReason::DependsOnDeferred, text };
                self.executed.stopped.entry(key(step)).or_insert(end);
                continue;
            }
            if !marks.clone().all(|mark| mark == Mark::Done) {
                continue;
            }
            if self.earlier_step_waits(index) {
                continue;
            }
            let in_hand = step.group.is_some_and(|group| started.contains(&group))
                || self.executed.touched.contains(&key(step));
            if give_way && !in_hand {
                self.marks[index] = Mark::Out;
                self.executed.handed_over = true;
                self.executed.stopped.entry(key(step)).or_insert(StepEnd::NotStarted);
                continue;
            }
            self.marks[index] = Mark::Running;
            self.busy.insert(step.oid);
            return Some(index);
        }
        None
    }

    /// Steps of one Microsoft user run in the order of the plan.
    fn earlier_step_waits(&self, index: usize) -> bool {
        let oid = self.steps[index].oid;
        self.steps[..index]
            .iter()
            .zip(&self.marks)
            .any(|(step, mark)| step.oid == oid && *mark == Mark::Waiting)
    }

    fn ended(&mut self, index: usize, end: StepEnd) {
        let step = &self.steps[index];
        self.busy.remove(&step.oid);
        match end {
            StepEnd::Done { intent } => {
                self.marks[index] = Mark::Done;
                self.executed.touched.insert(key(step));
                self.intents.entry(key(step)).or_default().extend(intent);
                if step.group.is_some() {
                    tandem_runtime::failpoint::hit("wrk.between_halves");
                }
            }
            end => {
                self.marks[index] = Mark::Out;
                if let StepEnd::Abort { code, text } = &end {
                    self.executed.abort = Some((code, text.clone()));
                }
                self.executed.handed_over |= matches!(end, StepEnd::NotStarted);
                self.executed.stopped.insert(key(step), end);
            }
        }
    }

    fn finish(mut self) -> Executed {
        let mut all_done: BTreeMap<UserKey, bool> = BTreeMap::new();
        for (step, mark) in self.steps.iter().zip(&self.marks) {
            *all_done.entry(key(step)).or_insert(true) &= *mark == Mark::Done;
        }
        for (user, all_done) in all_done {
            if self.executed.stopped.contains_key(&user) {
                continue;
            }
            if all_done {
                let intents = self.intents.remove(&user).unwrap_or_default();
                self.executed.done.insert(user, intents);
            } else {
                self.executed.stopped.insert(user, StepEnd::NotStarted);
            }
        }
        self.executed
    }
}
