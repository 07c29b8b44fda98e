//! Users that a job leaves for later: how long each waits, and who does not wait any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tandem_domain::job::Outcome;
use tandem_domain::ladder::{self, DeferReason};
use tandem_domain::plan::UserKey;
use tandem_domain::{ObjectId, PbxUserId};
use tandem_store::users::{self, Deferral, Looks};
use tandem_store::{StoreError, Tx, intents};

use crate::Shared;
use crate::finish::Work;
use crate::results::{self, NOT_FINISHED, Result};

/// Users whose write was given up while the job ran, which planned before that: they wait for a person now, and a
/// deferral would have the write sent again.
pub(crate) async fn given_up(
    tx: &mut Tx,
    work: &Work<'_>,
    results: &mut BTreeMap<UserKey, Result>,
) -> std::result::Result<(), StoreError> {
    let open = [Some(DeferReason::OperationRunning), Some(DeferReason::OutcomeUnknown)];
    let waiting: BTreeSet<ObjectId> =
        results.iter().filter(|(_, result)| open.contains(&result.defer)).map(|((_, oid), _)| *oid).collect();
    let waiting: Vec<ObjectId> = waiting.into_iter().collect();
    let given_up = intents::given_up(tx, work.claim.account, &waiting, work.claim.started_at).await?;
    for (user, detail) in given_up {
        if let Some(result) = results.get_mut(&user).filter(|result| open.contains(&result.defer)) {
            *result = Result {
                outcome: Outcome::Failed,
                code: Some(NOT_FINISHED.to_owned()),
                detail: Some(detail),
                defer: None,
                ..result.clone()
            };
        }
    }
    Ok(())
}

/// How long a deferred user waits.
pub(crate) struct Wait {
    /// Until the next look.
    pub(crate) next: Duration,
    /// So far, for the same reason.
    pub(crate) waited: time::Duration,
}

/// How long deferred users wait. One whose ladder has ended has failed.
pub(crate) async fn waits(
    shared: &Shared,
    tx: &mut Tx,
    work: &Work<'_>,
    results: &mut BTreeMap<UserKey, Result>,
) -> std::result::Result<BTreeMap<PbxUserId, Wait>, StoreError> {
    let deferred = results.iter().filter(|(_, result)| result.defer.is_some());
    let names: Vec<String> = deferred.map(|((user, _), _)| user.0.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let looks = users::looks(tx, work.claim.account, &names).await?;
    let mut waits = BTreeMap::new();
    for ((user, _), result) in results {
        let Some(reason) = result.defer else { continue };
        let before = work.outside.contains(user);
        if before && result.code.as_deref() == Some(results::CHANGED_OUTSIDE) {
            *result = Result { outcome: Outcome::Conflict, defer: None, ..result.clone() };
            continue;
        }
        match wait_for(shared, reason, looks.get(user)) {
            Some(next) => {
                let same = looks.get(user).filter(|known| known.reason == reason.as_str());
                let waited = same.map_or(time::Duration::ZERO, |known| known.waited);
                waits.insert(user.clone(), Wait { next, waited });
            }
            None => *result = Result { outcome: Outcome::Failed, defer: None, ..result.clone() },
        }
    }
    Ok(waits)
}

/// Defers users, and ends the deferral of the others.
pub(crate) async fn defer(
    tx: &mut Tx,
    work: &Work<'_>,
    per_user: &BTreeMap<&PbxUserId, &Result>,
    waits: &BTreeMap<PbxUserId, Wait>,
) -> std::result::Result<(), StoreError> {
    let mut deferrals = Vec::new();
    let mut over: Vec<&str> =
        work.deferred_due.iter().filter(|user| !per_user.contains_key(user)).map(PbxUserId::as_str).collect();
    for (user, result) in per_user {
        match (result.defer, waits.get(*user)) {
            (Some(reason), Some(wait)) => deferrals.push(Deferral {
                user: (*user).clone(),
                reason,
                detail: result.detail.clone().unwrap_or_default(),
                wait: wait.next,
            }),
            _ => over.push(user.as_str()),
        }
    }
    users::undefer(tx, work.claim.account, &over).await?;
    users::defer(tx, work.claim.account, work.claim.job, &deferrals).await
}

fn wait_for(shared: &Shared, reason: DeferReason, before: Option<&Looks>) -> Option<Duration> {
    let (looks, waited) = match before {
        Some(known) if known.reason == reason.as_str() => {
            (known.looks + 1, shared.settings.ladder_time(known.waited))
        }
        _ => (0, time::Duration::ZERO),
    };
    ladder::next_look(reason, looks, waited).map(|wait| shared.settings.ladder(wait))
}
