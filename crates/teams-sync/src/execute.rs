//! Executing a plan: the steps that may start run side by side, in the order that the domain gives.

use std::collections::BTreeMap;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tandem_domain::Number;
use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{Fate, Plan, Progress, StepResult, UserKey};
use tandem_store::StoreError;
use uuid::Uuid;

use crate::step::{Hands, StepEnd};

/// What became of the users that had steps.
#[derive(Debug, Default)]
pub(crate) struct Executed {
    /// Users whose every step is done, with their intents.
    pub(crate) done: BTreeMap<UserKey, Vec<Uuid>>,
    /// Users that stopped at a step; steps before it may be done.
    pub(crate) stopped: BTreeMap<UserKey, StepEnd>,
    /// Users that gave up a number in vain and have it again.
    pub(crate) put_back: BTreeMap<UserKey, Number>,
    /// Users that should have a number and have none, with the one that they had.
    pub(crate) without: BTreeMap<UserKey, Number>,
    /// The whole job has to stop.
    pub(crate) abort: Option<(&'static str, String)>,
    /// Users were left to the successor.
    pub(crate) handed_over: bool,
    /// They were, because nothing may be written any more.
    pub(crate) halted: bool,
}

/// Runs the steps of a plan.
pub(crate) async fn run(hands: &Hands, plan: &Plan) -> Result<Executed, StoreError> {
    let mut progress = Progress::new(plan);
    let mut executed = Executed::default();
    let mut ends: BTreeMap<usize, StepEnd> = BTreeMap::new();
    let mut intents: BTreeMap<UserKey, Vec<Uuid>> = BTreeMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        while executed.abort.is_none() && running.len() < hands.shared.settings.in_flight {
            let give_way = hands.lease.must_give_way() || !hands.lease.may_start();
            let Some(index) = progress.next(give_way) else { break };
            let step = progress.step(index).clone();
            running.push(async move { (index, hands.run(&step).await) });
        }
        let Some((index, end)) = running.next().await else { break };
        let end = end?;
        progress.ended(index, result_of(&end));
        let step = progress.step(index);
        match &end {
            StepEnd::Done { intent } => {
                // room for one: nearly every user has no more, and there may be a hundred thousand
                let own = intents.entry((step.user.clone(), step.oid));
                own.or_insert_with(|| Vec::with_capacity(1)).extend(*intent);
                if step.group.is_some() {
                    tandem_runtime::failpoint::hit("wrk.between_halves");
                }
            }
            StepEnd::Abort { code, text } => executed.abort = Some((code, text.clone())),
            StepEnd::NotStarted => executed.handed_over = true,
            StepEnd::Deferred { .. } | StepEnd::Failed { .. } | StepEnd::Outside { .. } => {}
        }
        if !matches!(end, StepEnd::Done { .. }) {
            ends.insert(index, end);
        }
    }
    for (user, run) in progress.finish().users {
        let stopped = match run.fate {
            Fate::Done => None,
            Fate::Ended(index) => Some(ends.remove(&index).unwrap_or(StepEnd::NotStarted)),
            Fate::Depends => {
                let text = "a step that it depends on was not finished".to_owned();
                Some(StepEnd::Deferred { reason: DeferReason::DependsOnDeferred, text })
            }
            Fate::Left => {
                executed.handed_over |= executed.abort.is_none();
                Some(StepEnd::NotStarted)
            }
        };
        match stopped {
            None => {
                let own = intents.remove(&user).unwrap_or_default();
                executed.done.insert(user.clone(), own);
            }
            Some(end) => _ = executed.stopped.insert(user.clone(), end),
        }
        executed.put_back.extend(run.put_back.map(|number| (user.clone(), number)));
        executed.without.extend(run.without.map(|number| (user, number)));
    }
    executed.halted = executed.handed_over && hands.lease.writes_forbidden();
    Ok(executed)
}

fn result_of(end: &StepEnd) -> StepResult {
    match end {
        StepEnd::Done { .. } => StepResult::Done,
        StepEnd::Deferred { reason: DeferReason::OperationRunning | DeferReason::OutcomeUnknown, .. } => {
            StepResult::Open
        }
        StepEnd::Deferred { .. } | StepEnd::Failed { .. } | StepEnd::Outside { .. } => StepResult::NotDone,
        StepEnd::NotStarted | StepEnd::Abort { .. } => StepResult::NotStarted,
    }
}
