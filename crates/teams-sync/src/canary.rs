//! Canaries: a harmless question a day to each tenant keeps the state of its authorization true, and on the ladder one
//! in place of the jobs of an account in quarantine. Beside that everything that follows from a state alone: which
//! queued jobs may start, which quarantines are over, and whether our own credential works again.
//!
//! Promised: two workers never ask for the same tenant at the same time; while our own credential is refused one
//! tenant at a time is asked, not all of them. Not promised: that a state is true at every moment; jobs find out too.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tandem_domain::authorization::{self, Effect, Observation};
use tandem_domain::quarantine::{self as ladder, Cause, Trial};
use tandem_graph::{ErrorClass, GraphError, NumberFilter, TenantClient, TokenInfo};
use tandem_runtime::health::Check;
use tandem_runtime::{BoxError, Ctx, chain};
use tandem_store::authorizations::{self, Fault, Stored};
use tandem_store::{StoreError, parking, quarantine};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Shared;
use crate::authority;
use crate::job::REQUIRED_ROLES;
use crate::journal::announce;
use crate::who::NoClient;

/// Authorizations taken in one go, and asked side by side.
const BATCH: i64 = 20;
const SIDE_BY_SIDE: usize = 5;
/// Queued jobs marked, and quarantines ended, in one go.
const MARKS: i64 = 500;
/// While one process asks, others leave the tenant alone.
const HOLD: time::Duration = time::Duration::minutes(10);
/// However fast the ladders run, a question takes a moment.
const SHORTEST_HOLD: Duration = Duration::from_secs(5);
/// Wait after a question that had no clear answer.
const UNCLEAR: time::Duration = time::Duration::HOUR;
/// Longest wait for throttling and retries of one question.
const PATIENCE: Duration = Duration::from_secs(20);
/// Name of the health check.
const CHECK: &str = "microsoft.credential";

/// Starts both loops of the module.
pub(crate) fn start(ctx: &Ctx, shared: &Arc<Shared>) {
    let (stop, asking) = (ctx.shutdown.clone(), Arc::clone(shared));
    ctx.spawn("teams-sync.canary", async move { ask_until(asking, stop).await });
    let (stop, shared, check) = (ctx.shutdown.clone(), Arc::clone(shared), ctx.health.register(CHECK));
    ctx.spawn("teams-sync.standing", async move { stand_until(shared, check, stop).await });
}

async fn ask_until(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        tokio::select! {
            asked = ask(&shared) => if let Err(error) = asked {
                tracing::warn!(error = %chain(&error), "authorizations could not be looked at; trying again");
            },
            // a question that is not answered yet is asked again when its hold ends
            () = stop.cancelled() => break,
        }
        tokio::select! {
            () = tokio::time::sleep(shared.settings.sweep) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn stand_until(shared: Arc<Shared>, check: Check, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Err(error) = stand(&shared, &check).await {
            tracing::warn!(error = %chain(&error), "what follows from authorizations could not be brought up to date; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(shared.settings.sweep) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// What follows from states: the gate, the marks of queued jobs, quarantines that are over.
async fn stand(shared: &Shared, check: &Check) -> Result<(), StoreError> {
    let mut fault = authorizations::fault(&shared.store, Some(shared.graph.client_id())).await?;
    if let Some(known) = &fault
        && known.due
        && works_again(shared, known).await?
    {
        fault = None;
    }
    shared.gate.set(fault.is_some());
    match &fault {
        None => check.ok(),
        Some(fault) => check.degraded(format!(
            "Microsoft refuses our own credential since {}: the jobs of all tenants wait; {}",
            fault.since,
            fault.detail.as_deref().unwrap_or("no reason given")
        )),
    }
    for account in quarantine::heal(&shared.store, MARKS).await? {
        tracing::info!(%account, "the authorization is well again: what waited is due now");
    }
    let mut tx = shared.store.begin("jobs.park").await?;
    let events = parking::mark(&mut tx, MARKS).await?;
    announce(shared, &mut tx, &events).await?;
    tx.commit().await?;
    if !events.is_empty() {
        shared.bell.ring();
    }
    shared.metrics.standing(fault.is_some(), &authorizations::states(&shared.store).await?);
    Ok(())
}

/// Asks one tenant for a token, if nobody else does.
async fn works_again(shared: &Shared, fault: &Fault) -> Result<bool, StoreError> {
    let wait = authority::wait(shared, authorization::probe_wait(fault.probes.saturating_add(1)));
    let Some(tenant) = authorizations::take_probe(&shared.store, fault, wait).await? else {
        return Ok(false);
    };
    let client = shared.graph.tenant(tenant.0).with_max_wait(PATIENCE);
    client.forget_token().await;
    if let Err(error) = client.token_info().await {
        // whatever else is wrong with this tenant, it does not show that we are well; the next one is asked next time
        tracing::info!(%tenant, error = %chain(&error), "our own credential does not work yet");
        return Ok(false);
    }
    if authorizations::works(&shared.store, shared.graph.client_id()).await? {
        tracing::warn!("Microsoft takes our own credential again: the jobs that waited go on");
    }
    Ok(true)
}

/// Asks the tenants that are due.
async fn ask(shared: &Shared) -> Result<(), StoreError> {
    if shared.gate.is_shut() {
        return Ok(());
    }
    let hold = shared.settings.ladder(HOLD).max(SHORTEST_HOLD);
    let due = authorizations::take_canaries(&shared.store, BATCH, hold).await?;
    let mut asked = stream::iter(due).map(|stored| one(shared, stored)).buffer_unordered(SIDE_BY_SIDE);
    while let Some(done) = asked.next().await {
        done?;
    }
    Ok(())
}

async fn one(shared: &Shared, stored: Stored) -> Result<(), StoreError> {
    if shared.gate.is_shut() {
        return Ok(());
    }
    let asked = match shared.account_client(stored.account, stored.tenant).await {
        Ok(client) => Ok(question(&client.with_max_wait(PATIENCE)).await),
        Err(NoClient::Store(error)) => return Err(error),
        Err(error) => Err(chain(&error)),
    };
    let (seen, token) = match asked {
        Err(said) => (Observation::Unclear(said), None),
        Ok(Ok(token)) => {
            let missing = token.missing(&REQUIRED_ROLES);
            let seen = if missing.is_empty() {
                Observation::Proved
            } else {
                Observation::Missing(missing.into_iter().map(str::to_owned).collect())
            };
            (seen, Some(token))
        }
        Ok(Err(error)) => (authority::seen(&error), None),
    };
    let permissions = token.as_ref().map(|token| token.roles.as_slice());
    let Some(verdict) = authority::observed(shared, stored.account, &seen, permissions).await? else {
        return Ok(());
    };
    let cause = verdict.effects.iter().find_map(|effect| match effect {
        Effect::Quarantine(reason) => Some(Cause::Authorization(*reason)),
        _ => None,
    });
    let mut tx = shared.store.begin("authorizations.asked").await?;
    let day = authorization::canary_wait(shared.ids.fraction());
    let next = match (&cause, &seen) {
        (Some(_), _) => {
            let before = quarantine::standing(&mut tx, stored.account, authority::scale(shared)).await?;
            let next = ladder::next(&before, Trial::Failed(cause));
            let retry = authority::wait(shared, next.retry.unwrap_or(day));
            if quarantine::failed(&mut tx, stored.account, &before, &next, retry, None).await? {
                crate::finish::gave_up(stored.account);
            }
            retry
        }
        (None, Observation::Unclear(said)) => {
            tracing::info!(account = %stored.account, detail = %said, "the authorization could not be looked at");
            authority::wait(shared, UNCLEAR)
        }
        // nothing is known of this tenant: it comes again soon after
        (None, Observation::CredentialRefused(_)) => authority::wait(shared, UNCLEAR),
        (None, _) => authority::wait(shared, day),
    };
    authorizations::next_canary(&mut tx, stored.account, next).await?;
    tx.commit().await
}

/// A token fetched now, and one harmless read with it. The tenant's own record shows that it is the right tenant; where
/// the consent does not cover it, the numbers of nobody are asked for, which it does cover.
async fn question(client: &TenantClient) -> Result<TokenInfo, GraphError> {
    client.forget_token().await;
    let token = client.token_info().await?;
    if !token.missing(&REQUIRED_ROLES).is_empty() {
        return Ok(token);
    }
    match client.organization().await {
        Ok(_) => Ok(token),
        Err(error) if error.class() == ErrorClass::Forbidden => {
            client.number_assignments(&NumberFilter::HeldBy(Uuid::nil())).collect().await?;
            Ok(token)
        }
        Err(error) => Err(error),
    }
}
