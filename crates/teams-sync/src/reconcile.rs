//! Intents whose outcome is open: left behind by a lost reply, a slow operation or a process that died.
//!
//! A known operation is asked for. Without one, reading decides: two equal reads some minutes apart show whether the
//! write happened. Nothing is ever sent again from here; when an intent ends, its user becomes due and a new job
//! plans from what is really there.

use std::sync::Arc;
use std::time::Duration;

use tandem_domain::ladder::DeferReason;
use tandem_domain::policy::{PolicyType, same_policy_name};
use tandem_domain::{AccountId, Number, PbxUserId};
use tandem_graph::{ErrorClass, GraphError, OperationRef, OperationStatus, TenantClient};
use tandem_runtime::{BoxError, chain};
use tandem_store::intents::{self, DueIntent, IntentEnd};
use tandem_store::standing::{self, Stood};
use tandem_store::users;
use tandem_store::{StoreError, vault};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::results::NOT_FINISHED;
use crate::who::NoClient;

/// Intents looked at in one go.
const BATCH: i64 = 50;
/// While one process looks, others leave the intent alone.
const HOLD: time::Duration = time::Duration::MINUTE;
/// However fast the ladders run, a look takes a moment.
const SHORTEST_HOLD: Duration = Duration::from_secs(5);

/// Looks at open intents until stopped.
pub(crate) async fn run_until(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Err(error) = pass(&shared).await {
            tracing::warn!(error = %chain(&error), "open intents could not be looked at; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(shared.settings.look) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn pass(shared: &Shared) -> Result<(), StoreError> {
    if shared.gate.is_shut() {
        // no tenant gives a token to anybody; what is due stays due
        return Ok(());
    }
    let hold = shared.settings.ladder(HOLD).max(SHORTEST_HOLD);
    let due = intents::take_due(&shared.store, BATCH, hold).await?;
    if due.is_empty() {
        return Ok(());
    }
    let accounts: Vec<AccountId> = due.iter().map(|intent| intent.account).collect();
    let authorities = vault::authorities(&shared.store, &accounts).await?;
    for intent in due {
        let Some(tenant) = intent.tenant else { continue };
        let authority = authorities.get(&intent.account).copied().unwrap_or_default();
        let client = match shared.looking_client(intent.account, tenant, &authority).await {
            Ok(client) => client.with_correlation(intent.job.0),
            Err(NoClient::Store(error)) => return Err(error),
            Err(error) if intent.ended => {
                tracing::debug!(error = %chain(&error), "a write that may land late could not be looked at");
                continue;
            }
            Err(error) => {
                record(shared, &intent, unseen(shared, &intent, &error)).await?;
                continue;
            }
        };
        if intent.ended {
            watch(shared, &client, &intent).await?;
        } else {
            let found = look(shared, &client, &intent).await;
            record(shared, &intent, found).await?;
        }
    }
    Ok(())
}

#[derive(Debug)]
enum Found {
    /// The intent ends.
    End(IntentEnd, String),
    /// What a read showed; not yet twice.
    Read(String),
    /// Look again later.
    Later(String),
}

/// What becomes of an intent that nobody can look at now.
fn unseen(shared: &Shared, intent: &DueIntent, error: &NoClient) -> Found {
    if intent.now - intent.created_at >= shared.settings.operation_life {
        return given_up();
    }
    Found::Later(chain(error))
}

fn given_up() -> Found {
    Found::End(IntentEnd::GivenUp, "Microsoft did not finish the change within a day".to_owned())
}

async fn look(shared: &Shared, client: &TenantClient, intent: &DueIntent) -> Found {
    let age = intent.now - intent.created_at;
    if age >= shared.settings.operation_life {
        return given_up();
    }
    let followed = match &intent.operation {
        Some(operation) => by_operation(shared, client, intent, operation).await,
        None => by_reading(shared, client, intent).await,
    };
    followed.unwrap_or_else(|error| Found::Later(chain(&error)))
}

async fn by_operation(
    shared: &Shared,
    client: &TenantClient,
    intent: &DueIntent,
    operation: &str,
) -> Result<Found, GraphError> {
    match client.operation(&OperationRef::new(operation)).await {
        Ok(found) if found.status == OperationStatus::Succeeded => {
            // the operation says so; it counts once a read agrees
            if effect_shows(client, intent).await? {
                Ok(Found::End(IntentEnd::Done, "operation succeeded".to_owned()))
            } else {
                Ok(Found::Later("operation succeeded, its effect does not show yet".to_owned()))
            }
        }
        Ok(found) if matches!(found.status, OperationStatus::Failed | OperationStatus::Skipped) => {
            Ok(Found::End(IntentEnd::Refused, found.detail().unwrap_or("operation failed").to_owned()))
        }
        Ok(found) => Ok(Found::Later(format!("operation is {}", found.status.as_str()))),
        // Microsoft has forgotten the operation: it cannot end any more, so reading decides
        Err(error) if error.class() == ErrorClass::NotFound => by_reading(shared, client, intent).await,
        Err(error) => Err(error),
    }
}

const SHOWS: &str = "effect shows";
const ABSENT: &str = "effect does not show";

async fn by_reading(shared: &Shared, client: &TenantClient, intent: &DueIntent) -> Result<Found, GraphError> {
    let value = if effect_shows(client, intent).await? { SHOWS } else { ABSENT };
    if let Some((at, before)) = &intent.read
        && before == value
        && intent.now - *at >= shared.settings.equal_reads
    {
        let end = if value == SHOWS { IntentEnd::Done } else { IntentEnd::NotDone };
        return Ok(Found::End(end, format!("two equal reads: {value}")));
    }
    Ok(Found::Read(value.to_owned()))
}

/// Whether the tenant looks as it would after the write.
async fn effect_shows(client: &TenantClient, intent: &DueIntent) -> Result<bool, GraphError> {
    match (intent.action.as_str(), &intent.number, &intent.policy_type) {
        ("assign_number" | "unassign_number", Some(number), _) => {
            let held = client.number_assignment_by_number(number).await?;
            let ours = held.is_some_and(|held| held.holder() == Some(intent.oid.0));
            Ok(ours == (intent.action == "assign_number"))
        }
        (action, _, Some(policy_type)) => {
            let record = client.user_configuration(intent.oid.0).await?;
            let name = intent.policy_name.as_deref().unwrap_or_default();
            let there = record
                .as_ref()
                .and_then(|r| r.policy(policy_type))
                .and_then(|p| p.display_name.as_deref())
                .is_some_and(|shown| same_policy_name(shown, name));
            Ok(there == (action == "assign_policy"))
        }
        _ => Ok(false),
    }
}

async fn record(shared: &Shared, intent: &DueIntent, found: Found) -> Result<(), StoreError> {
    let mut tx = shared.store.begin("intents.reconcile").await?;
    match found {
        Found::End(end, detail) => {
            if !intents::end(&mut tx, intent.id, end, Some(&detail), None).await? {
                // the job that wrote it has learned the outcome meanwhile, and nobody waits for it any more
                return Ok(());
            }
            tracing::info!(account = %intent.account, job = %intent.job, action = %intent.action, outcome = end.as_str(), detail = %detail, "open write resolved");
            if end == IntentEnd::Done
                && let Some(effect) = Effect::of(intent)
            {
                standing::stood(&mut tx, intent.account, intent.oid, &intent.user, &effect.as_stood())
                    .await?;
            }
            if matches!(end, IntentEnd::NotDone | IntentEnd::GivenUp) {
                intents::watch(&mut tx, intent.id, Some(shared.settings.ladder(time::Duration::MINUTE)))
                    .await?;
            }
            if end == IntentEnd::GivenUp {
                users::give_up(&mut tx, intent.account, &intent.user, NOT_FINISHED, &detail).await?;
            } else {
                resolved(&mut tx, intent, &intent.user).await?;
            }
        }
        Found::Read(value) => {
            // the same value read again keeps the time of the first read, which the distance is counted from
            let same = intent.read.as_ref().is_some_and(|(_, before)| *before == value);
            let (at, wait) = match &intent.read {
                Some((at, _)) if same => {
                    let left = shared
                        .settings
                        .equal_reads
                        .saturating_sub(Duration::try_from(intent.now - *at).unwrap_or_default());
                    (*at, left.max(Duration::from_millis(100)))
                }
                _ => (intent.now, shared.settings.equal_reads),
            };
            intents::noted(&mut tx, intent.id, Some((at, &value)), wait, None).await?;
        }
        Found::Later(detail) => {
            let waited = Duration::try_from(intent.now - intent.created_at).unwrap_or_default();
            let wait = (waited / 2).clamp(
                shared.settings.ladder(time::Duration::seconds(10)),
                shared.settings.ladder(time::Duration::minutes(15)),
            );
            let read = intent.read.as_ref().map(|(at, value)| (*at, value.as_str()));
            intents::noted(&mut tx, intent.id, read, wait, Some(&detail)).await?;
        }
    }
    tx.commit().await
}

/// A write taken for not done may land late, and undo what a successor did. Its effect then stands against what
/// should stand: whoever it hurts becomes due, and a new job corrects it. Watching ends a day after the write.
async fn watch(shared: &Shared, client: &TenantClient, intent: &DueIntent) -> Result<(), StoreError> {
    let hurt = match hurt_by(client, intent).await {
        Ok(hurt) => hurt,
        Err(error) => {
            tracing::debug!(error = %chain(&error), "a write that may land late could not be looked at");
            Vec::new()
        }
    };
    let age = intent.now - intent.created_at;
    let minute = shared.settings.ladder(time::Duration::MINUTE);
    let mut tx = shared.store.begin("intents.watch").await?;
    // while a job writes, what was read and what should stand are of different moments
    let landed_late = !hurt.is_empty() && intents::quiet(&mut tx, intent.account, intent.now).await?;
    let go_on = !landed_late && shared.settings.ladder_time(age) < time::Duration::DAY;
    let wait =
        if hurt.is_empty() { minute.max(Duration::try_from(age / 4).unwrap_or_default()) } else { minute };
    intents::watch(&mut tx, intent.id, go_on.then_some(wait)).await?;
    if landed_late {
        tracing::warn!(account = %intent.account, user = %intent.user, action = %intent.action, "a late write of our own is corrected by a new job");
        // what landed on the user is ours, so that the planner may take it off again
        if intent.action.starts_with("assign")
            && let Some(effect) = Effect::of(intent)
        {
            standing::stood(&mut tx, intent.account, intent.oid, &intent.user, &effect.as_stood()).await?;
        }
        let detail = "a late write of ours undid a change";
        for user in hurt {
            users::due_now(&mut tx, intent.account, user, DeferReason::Transient, detail, intent.job).await?;
        }
    }
    tx.commit().await
}

/// Users whose state is not what it should be because of this write. A request that takes a number off names no
/// holder, so the one it hurts may be somebody else than the one it was meant for.
async fn hurt_by<'a>(client: &TenantClient, intent: &'a DueIntent) -> Result<Vec<&'a PbxUserId>, GraphError> {
    let should_hold = intent.should_hold.as_ref();
    let Some(number) = &intent.number else {
        let against = effect_shows(client, intent).await? && policy_against_standing(intent);
        return Ok(against.then_some(&intent.user).into_iter().collect());
    };
    let holder = client.number_assignment_by_number(number).await?.and_then(|held| held.holder());
    let missed_by = should_hold.filter(|(_, oid)| holder != Some(oid.0)).map(|(user, _)| user);
    if intent.action == "unassign_number" {
        return Ok(missed_by.filter(|_| holder.is_none()).into_iter().collect());
    }
    let strays = holder == Some(intent.oid.0) && should_hold.is_none_or(|(_, oid)| *oid != intent.oid);
    Ok(if strays { missed_by.into_iter().chain([&intent.user]).collect() } else { Vec::new() })
}

fn policy_against_standing(intent: &DueIntent) -> bool {
    let kind = intent.policy_type.as_deref().unwrap_or_default().to_lowercase();
    let name = intent.policy_name.as_deref().unwrap_or_default();
    let stands = intent.standing_policies.get(&kind).is_some_and(|standing| same_policy_name(standing, name));
    stands == (intent.action == "unassign_policy")
}

async fn resolved(tx: &mut tandem_store::Tx, intent: &DueIntent, user: &PbxUserId) -> Result<(), StoreError> {
    let detail = "the outcome of an earlier change is known now";
    users::due_now(tx, intent.account, user, DeferReason::OutcomeUnknown, detail, intent.job).await
}

/// An intent's effect on what stands, with its texts owned.
enum Effect {
    NumberOn(String),
    NumberOff(String),
    PolicyOn(PolicyType, String),
    PolicyOff(PolicyType),
}

impl Effect {
    fn of(intent: &DueIntent) -> Option<Self> {
        let number = || Number::parse(intent.number.as_deref()?).ok().map(|n| n.to_string());
        let policy = || intent.policy_type.clone().map(PolicyType);
        Some(match intent.action.as_str() {
            "assign_number" => Self::NumberOn(number()?),
            "unassign_number" => Self::NumberOff(number()?),
            "assign_policy" => Self::PolicyOn(policy()?, intent.policy_name.clone()?),
            _ => Self::PolicyOff(policy()?),
        })
    }

    fn as_stood(&self) -> Stood<'_> {
        match self {
            Self::NumberOn(number) => Stood::NumberOn(number),
            Self::NumberOff(number) => Stood::NumberOff(number),
            Self::PolicyOn(policy_type, name) => Stood::PolicyOn(policy_type, name),
            Self::PolicyOff(policy_type) => Stood::PolicyOff(policy_type),
        }
    }
}
