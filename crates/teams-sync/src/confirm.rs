//! Reading back: a step counts as confirmed when its operation succeeded and one read agrees.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use tandem_domain::plan::{Action, Plan, Step, UserKey};
use tandem_domain::policy::same_policy_name;
use tandem_domain::{Number, ObjectId};
use tandem_graph::{AssignmentCategory, AssignmentType, GraphError, UserConfiguration};
use tandem_store::{StoreError, intents};
use tokio::time::sleep;

use crate::execute::Executed;
use crate::step::{Hands, StepEnd, sign_in_over};
use tandem_domain::ladder::DeferReason;

/// Users read one by one at most; more are read in pages.
const SINGLE: usize = 3;
/// Waits before reads that follow a read which did not agree.
const AGAIN: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(6)];

/// Reads back every user whose steps are done. Those of which no read agrees are moved to the stopped ones, their
/// intents open again: Microsoft says it is done, so nothing is sent again before reading shows otherwise.
pub(crate) async fn read_back(hands: &Hands, plan: &Plan, executed: &mut Executed) -> Result<(), StoreError> {
    let mut waits = AGAIN.iter();
    loop {
        let pending = match differing(hands, plan, executed).await {
            Ok(pending) => pending,
            Err(error) => {
                let text = tandem_runtime::chain(&error);
                executed
                    .done
                    .keys()
                    .map(|user| (user.clone(), Why::Differs(format!("reading back failed: {text}"))))
                    .collect()
            }
        };
        if pending.is_empty() {
            return Ok(());
        }
        let Some(wait) = waits.next() else { return give_back(hands, executed, pending).await };
        if hands.client.sign_in_is_over() || !hands.lease.may_start() {
            return give_back(hands, executed, pending).await;
        }
        sleep(*wait).await;
    }
}

/// Why a read does not agree.
enum Why {
    /// The effect does not show, perhaps not yet.
    Differs(String),
    /// Somebody else has changed the user since.
    Outside(String),
}

async fn differing(
    hands: &Hands,
    plan: &Plan,
    executed: &Executed,
) -> Result<BTreeMap<UserKey, Why>, GraphError> {
    // by Microsoft user, in lists: a map of lists takes ten times the room
    let mut steps: Vec<&Step> = plan.steps.iter().collect();
    steps.sort_by_key(|step| step.oid);
    let mut users: Vec<&UserKey> = executed.done.keys().collect();
    users.sort_by_key(|user| user.1);
    let mut pending = BTreeMap::new();
    let mut judge = |users: &[&UserKey], record: Option<&UserConfiguration>| {
        for user in users {
            let steps = &steps[range(&steps, user.1, |step| step.oid)];
            let why = last_steps(steps).into_iter().find_map(|step| disagrees(&step.action, record));
            let outside = || record.and_then(|record| changed_outside(steps, record));
            let why = why.map(|why| outside().map_or(Why::Differs(why), Why::Outside));
            pending.extend(why.map(|why| ((*user).clone(), why)));
        }
    };
    if users.len() <= SINGLE {
        for users in users.chunk_by(|one, other| one.1 == other.1) {
            let record = hands.client.user_configuration(users[0].1.0).await?;
            judge(users, record.as_ref());
        }
        return Ok(pending);
    }
    // judged as they come: of a large tenant the records together are far more than the plan
    let mut read = vec![false; users.len()];
    let mut pages = hands.client.user_configurations();
    while let Some(page) = pages.next().await? {
        for record in &page {
            let of_record = range(&users, ObjectId(record.id), |user| user.1);
            judge(&users[of_record.clone()], Some(record));
            read[of_record].fill(true);
        }
    }
    let unread: Vec<&UserKey> =
        users.into_iter().zip(read).filter_map(|(user, read)| (!read).then_some(user)).collect();
    judge(&unread, None);
    Ok(pending)
}

/// Where those of one Microsoft user stand in a list that is sorted by it.
fn range<T>(sorted: &[T], oid: ObjectId, of: impl Fn(&T) -> ObjectId) -> Range<usize> {
    let begin = sorted.partition_point(|one| of(one) < oid);
    begin..begin + sorted[begin..].partition_point(|one| of(one) == oid)
}

/// A primary number that the user neither had before the job nor got from it: a late landing cannot bring that.
fn changed_outside(steps: &[&Step], record: &UserConfiguration) -> Option<String> {
    let known: Vec<&Number> = steps.iter().filter_map(|step| step.action.number()).collect();
    if known.is_empty() {
        return None;
    }
    let primary = record
        .telephone_numbers
        .iter()
        .find(|held| matches!(held.assignment_category, None | Some(AssignmentCategory::Primary)))?;
    let number = Number::from_microsoft(&primary.telephone_number).ok()?;
    let name = record.user_principal_name.as_deref().unwrap_or("the user");
    (!known.contains(&&number))
        .then(|| format!("somebody gave {name} the number {number} in Teams during the job"))
}

/// Of the steps of one user, those whose effect should still be there: a number that came off and went on again, or
/// the other way round, is judged by the later step.
fn last_steps<'a>(steps: &[&'a Step]) -> Vec<&'a Step> {
    let mut last: BTreeMap<String, &Step> = BTreeMap::new();
    for step in steps {
        let what = match &step.action {
            Action::AssignNumber { number, .. } | Action::UnassignNumber { number } => number.to_string(),
            Action::AssignPolicy { policy_type, .. } | Action::UnassignPolicy { policy_type, .. } => {
                policy_type.0.to_lowercase()
            }
        };
        last.insert(what, step);
    }
    last.into_values().collect()
}

/// Why a user's record does not show the effect of an action; `None` when it does.
pub(crate) fn disagrees(action: &Action, record: Option<&UserConfiguration>) -> Option<String> {
    let holds = |number: &Number| {
        record.is_some_and(|r| {
            r.telephone_numbers
                .iter()
                .any(|held| Number::from_microsoft(&held.telephone_number).as_ref() == Ok(number))
        })
    };
    let policy = |policy_type: &str| record.and_then(|r| r.policy(policy_type));
    match action {
        Action::AssignNumber { number, .. } if !holds(number) => {
            Some(format!("{number} is not on the user's record yet"))
        }
        // a number without Enterprise Voice does not ring
        Action::AssignNumber { .. } => record
            .is_some_and(|r| r.is_enterprise_voice_enabled == Some(false))
            .then(|| "Enterprise Voice is not on yet".to_owned()),
        Action::UnassignNumber { number } => {
            holds(number).then(|| format!("{number} is still on the user's record"))
        }
        Action::AssignPolicy { policy_type, name, .. } => {
            let there = policy(&policy_type.0)
                .and_then(|p| p.display_name.as_deref())
                .is_some_and(|shown| same_policy_name(shown, name));
            (!there).then(|| format!("{policy_type} {name} is not in effect yet"))
        }
        Action::UnassignPolicy { policy_type, name } => {
            let there = policy(&policy_type.0).is_some_and(|p| {
                matches!(p.assignment_type, None | Some(AssignmentType::Direct))
                    && p.display_name.as_deref().is_some_and(|shown| same_policy_name(shown, name))
            });
            there.then(|| format!("{policy_type} {name} is still in effect"))
        }
    }
}

async fn give_back(
    hands: &Hands,
    executed: &mut Executed,
    pending: BTreeMap<UserKey, Why>,
) -> Result<(), StoreError> {
    if hands.client.sign_in_is_over() {
        // Microsoft reports the changes as done, and nobody can look: no write is open, the next sign-in reads
        for (user, _) in pending {
            executed.done.remove(&user);
            executed.stopped.insert(user, sign_in_over());
        }
        return Ok(());
    }
    let patience = hands.shared.settings.ladder(time::Duration::minutes(1));
    let mut tx = hands.journal.begin("intents.reopen").await?;
    for (user, why) in pending {
        let intents = executed.done.remove(&user).unwrap_or_default();
        let why = match why {
            Why::Differs(why) => why,
            Why::Outside(text) => {
                executed.stopped.insert(user, StepEnd::Outside { text });
                continue;
            }
        };
        for intent in intents {
            intents::reopen(&mut tx, intent, &why, patience).await?;
        }
        let text = format!("Microsoft reports the change as done, but {why}");
        executed.stopped.insert(user, StepEnd::Deferred { reason: DeferReason::OperationRunning, text });
    }
    hands.journal.commit(tx, Vec::new()).await
}
