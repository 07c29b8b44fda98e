//! The end of a job: outcomes of users, what stands, who is deferred, and the job's own state, in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tandem_domain::job::{Counts, JobState, JobType, Outcome};
use tandem_domain::ladder;
use tandem_domain::plan::{Plan, UserKey};
use tandem_domain::quarantine::{self as ladder_of_accounts, Cause, Next, Trial};
use tandem_domain::wanted::WantedUser;
use tandem_domain::{AccountId, Gen, ObjectId, PbxUserId};
use tandem_store::claims::{self, Claim, Ending, NewEvent};
use tandem_store::users::{self, UserOutcome};
use tandem_store::{StoreError, Tx, authorizations, decisions, held, intents, quarantine, standing};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Shared;
use crate::authority;
use crate::deferring::{self, Wait};
use crate::execute::Executed;
use crate::journal::{Journal, announce};
use crate::orders::Order;
use crate::results::{self, Made, Result};

/// Events written down in one statement: all of a large account together would be most of a job's memory.
const TOGETHER: usize = 500;

/// Everything the end of a job needs.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) wanted: &'a [WantedUser],
    pub(crate) plan: &'a Plan,
    pub(crate) executed: &'a Executed,
    pub(crate) upto: Gen,
    /// Deferred users that were due; those that nothing is wanted for any more are let go.
    pub(crate) deferred_due: &'a BTreeSet<PbxUserId>,
    /// Users written to under an earlier claim of the same job.
    pub(crate) written_before: &'a BTreeSet<PbxUserId>,
    /// The plan looked at everybody: users that were fine get no event of their own.
    pub(crate) everybody: bool,
    /// Users that somebody else changed while the last job of theirs ran.
    pub(crate) outside: &'a BTreeSet<PbxUserId>,
    /// What the job was ordered to do.
    pub(crate) order: &'a Order,
}

/// Writes the end of a job that came as far as a plan.
pub(crate) async fn write(
    shared: &Shared,
    journal: &Journal,
    work: &Work<'_>,
) -> std::result::Result<JobState, StoreError> {
    let mut results = results::results(Made {
        plan: work.plan,
        executed: work.executed,
        written_before: work.written_before,
        undo: matches!(work.order, Order::Undo(_)),
    });
    let mut tx = journal.begin("jobs.finish").await?;
    deferring::given_up(&mut tx, work, &mut results).await?;
    let waits = deferring::waits(shared, &mut tx, work, &mut results).await?;
    let gaps = intents::gaps(&mut tx, work.claim.job).await?;
    let mut counts = Counts::default();
    for result in results.values() {
        counts.add(result.outcome);
    }
    let state = match &work.executed.abort {
        Some(_) => JobState::Failed,
        // Auto Sync was switched off, or the authorization ended: what is left waits
        None if work.executed.halted => JobState::Cancelled,
        None => counts.state(),
    };
    let too_many = state == JobState::Partly && ladder_of_accounts::too_many(counts);
    // everything below is under the fence: the end of the job names the epoch
    let ending = Ending {
        state,
        counts,
        error: work.executed.abort.clone().map(|(code, text)| (code.to_owned(), text)),
        settled: !results.values().any(|r| r.moved),
    };
    let per_user = results::one_per_user(&results);
    deferring::defer(&mut tx, work, &per_user, &waits).await?;
    // an undo is about what the job changed; what stands beside that is as it was, and each write has noted its own
    if !matches!(work.order, Order::Undo(_)) {
        stand(&mut tx, work, &results).await?;
    }
    let outcomes: Vec<UserOutcome<'_>> = per_user
        .iter()
        .map(|(user, result)| UserOutcome {
            user,
            outcome: result.outcome.as_str(),
            code: result.code.as_deref(),
            detail: result.detail.as_deref(),
            reached: matches!(result.outcome, Outcome::Confirmed | Outcome::Unchanged | Outcome::Kept),
            moved: result.moved,
        })
        .collect();
    let first = ladder::settle_look(0, time::Duration::ZERO).unwrap_or(time::Duration::MINUTE);
    let (account, job) = (work.claim.account, work.claim.job);
    users::outcomes(&mut tx, account, work.upto, job, shared.settings.ladder(first), &outcomes).await?;
    if !matches!(work.order, Order::Undo(_)) {
        hold(shared, &mut tx, work).await?;
    }
    let fine = |result: &Result| result.outcome == Outcome::Unchanged && result.warning.is_none();
    let mut told = results
        .iter()
        .filter(|(_, result)| !(work.everybody && fine(result)))
        .map(|(user, result)| told(shared, user, result, waits.get(&user.0), gaps.get(user)));
    loop {
        let some: Vec<NewEvent> = told.by_ref().take(TOGETHER).collect();
        if some.is_empty() {
            break;
        }
        journal.append(&mut tx, some).await?;
    }
    let mut events: Vec<NewEvent> = work
        .executed
        .without
        .iter()
        .map(|((user, oid), number)| {
            let result = results.get(&(user.clone(), *oid));
            NewEvent {
                kind: "alert",
                data: json!({
                    "pbx_user_id": user, "microsoft_user": oid, "code": "left_without_number", "before": number,
                    "detail": result.and_then(|result| result.detail.clone()),
                }),
            }
        })
        .collect();
    if work.executed.handed_over {
        events.push(NewEvent { kind: "handed_over", data: json!({}) });
    }
    journal.append(&mut tx, events).await?;
    if state == JobState::Failed || too_many {
        // the range stays uncovered: the next try plans it again
        let code = work.executed.abort.as_ref().map_or(Cause::TooManyFailures.as_str(), |(code, _)| code);
        fail_account(shared, &mut tx, work.claim, Cause::parse(code)).await?;
    } else if state == JobState::Cancelled {
        users::cancelled(&mut tx, account, job).await?;
    } else {
        // what worked with a person's token does not end the quarantine of the stored authorization
        let by_person = work.claim.token_request.is_some();
        let stays = by_person
            && quarantine::standing(&mut tx, account, authority::scale(shared)).await?.quarantine.is_some();
        if !stays && quarantine::worked(&mut tx, account).await? {
            tracing::info!(%account, %job, "a job worked: the quarantine is over");
        }
        if work.order.covers() {
            users::covered(&mut tx, account, work.upto, job).await?;
        }
    }
    let reached: Vec<UserKey> = results
        .iter()
        .filter(|(_, result)| matches!(result.outcome, Outcome::Confirmed | Outcome::Unchanged))
        .map(|(user, _)| user.clone())
        .collect();
    let everything = work.order.brings_everything(work.claim);
    decisions::lift(&mut tx, account, work.upto, &reached, everything && state != JobState::Failed).await?;
    end(shared, &mut tx, work.claim, &ending).await?;
    tx.commit().await?;
    shared.bell.ring();
    report(shared, work.claim, &ending);
    shared.metrics.moved(gaps.values(), work.executed.without.len());
    Ok(state)
}

/// What is said of a user at the end.
fn told(
    shared: &Shared,
    (user, oid): &UserKey,
    result: &Result,
    wait: Option<&Wait>,
    gap: Option<&Duration>,
) -> NewEvent {
    let now = shared.clock.now();
    let at = |moment: OffsetDateTime| moment.replace_nanosecond(0).ok().and_then(|m| m.format(&Rfc3339).ok());
    let within = result.defer.and_then(ladder::expected_within).map(|within| shared.settings.ladder(within));
    NewEvent {
        kind: "user",
        data: json!({
            "pbx_user_id": user, "microsoft_user": oid, "outcome": result.outcome,
            "code": result.code, "detail": result.detail,
            "next_look": wait.and_then(|wait| at(now + wait.next)),
            "expected_by": wait.zip(within).and_then(|(wait, within)| at(now - wait.waited + within)),
            "gap_s": gap.map(|gap| (gap.as_secs_f64() * 10.0).round() / 10.0),
            "warning_code": result.warning.as_ref().map(|warning| warning.code.as_str()),
            "warning": result.warning.as_ref().map(|warning| &warning.text),
        }),
    }
}

/// Removals that wait for a person: those of this plan, and earlier ones of users that it did not look at.
async fn hold(shared: &Shared, tx: &mut Tx, work: &Work<'_>) -> std::result::Result<(), StoreError> {
    let looked_at: BTreeSet<UserKey> = work.plan.users.iter().map(|u| (u.user.clone(), u.oid)).collect();
    let before = held::open(tx, work.claim.account).await?;
    let mut removals = before.map(|held| held.removals).unwrap_or_default();
    removals.retain(|step| !looked_at.contains(&(step.user.clone(), step.oid)));
    removals.extend(work.plan.held.iter().cloned());
    let hold = held::Hold {
        id: shared.ids.v7(&shared.clock),
        account: work.claim.account,
        job: work.claim.job,
        generation: work.upto,
        removals: &removals,
    };
    held::hold(tx, &hold).await
}

/// Users that are as wanted: what is wanted is what stands of ours.
async fn stand(
    tx: &mut Tx,
    work: &Work<'_>,
    results: &BTreeMap<UserKey, Result>,
) -> std::result::Result<(), StoreError> {
    let reached = |wanted: &&WantedUser| {
        let result = results.get(&(wanted.user.clone(), wanted.oid));
        result.is_some_and(|r| matches!(r.outcome, Outcome::Confirmed | Outcome::Unchanged))
    };
    let (nothing, something): (Vec<&WantedUser>, Vec<&WantedUser>) =
        work.wanted.iter().filter(reached).partition(|wanted| wanted.wants_nothing());
    // first what is over: a Microsoft user that one PBX user leaves may be another one's now
    standing::clear(tx, work.claim.account, &nothing).await?;
    let by_oid: BTreeMap<ObjectId, &WantedUser> =
        something.into_iter().map(|wanted| (wanted.oid, wanted)).collect();
    let stands: Vec<&WantedUser> = by_oid.into_values().collect();
    standing::stand(tx, work.claim.account, &stands).await
}

/// Puts the account on its own ladder, and into quarantine where there is a cause. What a person tried by hand moves
/// nothing while the account is in quarantine.
pub(crate) async fn fail_account(
    shared: &Shared,
    tx: &mut Tx,
    claim: &Claim,
    cause: Option<Cause>,
) -> std::result::Result<(), StoreError> {
    let account = claim.account;
    let before = quarantine::standing(tx, account, authority::scale(shared)).await?;
    if before.quarantine.is_some() && claim.job_type == JobType::Manual {
        return quarantine::failed_by_hand(tx, account, claim.job).await;
    }
    if claim.token_request.is_some() {
        // a person's sign-in says nothing about the stored authorization: where there is one, it goes on at once
        let failures = before.failures.max(1);
        let next = Next { failures, retry: None, cause: None, enters: false, give_up: false };
        quarantine::failed(tx, account, &before, &next, Duration::ZERO, Some(claim.job)).await?;
        return Ok(());
    }
    let next = ladder_of_accounts::next(&before, Trial::Failed(cause));
    let wait = authority::wait(shared, next.retry.unwrap_or(time::Duration::ZERO));
    if matches!(next.cause, Some(Cause::Authorization(reason)) if reason.stops_jobs()) {
        // a harmless question in place of the next job
        authorizations::next_canary(tx, account, wait).await?;
    }
    if quarantine::failed(tx, account, &before, &next, wait, Some(claim.job)).await? {
        gave_up(account);
    }
    Ok(())
}

/// Says that Auto Sync was switched off.
pub(crate) fn gave_up(account: AccountId) {
    tracing::warn!(%account, "Auto Sync was switched off after 28 days in quarantine");
}

/// Ends the job and writes its last event.
pub(crate) async fn end(
    shared: &Shared,
    tx: &mut Tx,
    claim: &Claim,
    ending: &Ending,
) -> std::result::Result<(), StoreError> {
    let finished = claims::finish(tx, claim.job, claim.epoch, ending).await?;
    let event = NewEvent {
        kind: "finished",
        data: json!({
            "state": ending.state, "counts": ending.counts, "finished_at": finished.at.unix_timestamp(),
            "error_code": ending.error.as_ref().map(|(code, _)| code),
            "error_text": ending.error.as_ref().map(|(_, text)| text),
        }),
    };
    let event =
        claims::append_numbered(tx, finished.account, claim.job, finished.event_number, event).await?;
    announce(shared, tx, std::slice::from_ref(&event)).await?;
    if ending.settled && matches!(ending.state, JobState::Succeeded | JobState::Partly) {
        // nothing was written, so nothing has to be looked at again
        let event = NewEvent { kind: "settled", data: json!({ "settled_at": finished.at.unix_timestamp() }) };
        let event = claims::append_afterwards(tx, claim.job, event).await?;
        announce(shared, tx, event.as_slice()).await?;
    }
    Ok(())
}

/// Counts and logs the end of a job, once it is committed.
pub(crate) fn report(shared: &Shared, claim: &Claim, ending: &Ending) {
    let seconds = (shared.clock.now() - claim.started_at).as_seconds_f64();
    shared.metrics.ended(claim.job_type, ending.state, seconds, ending.counts);
    let counts = ending.counts;
    tracing::info!(
        account = %claim.account, job = %claim.job, state = %ending.state, duration_s = seconds,
        users.planned = counts.planned, users.confirmed = counts.confirmed, users.unchanged = counts.unchanged,
        users.deferred = counts.deferred, users.held = counts.held, users.conflict = counts.conflict,
        users.failed = counts.failed, error.code = ending.error.as_ref().map_or("", |(code, _)| code),
        "job ended"
    );
}
