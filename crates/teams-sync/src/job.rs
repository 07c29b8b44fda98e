//! One job from claim to end.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use tandem_domain::authorization::{Observation, Standing};
use tandem_domain::guard::RemovalGuard;
use tandem_domain::job::{Counts, JobState, JobType};
use tandem_domain::plan::{Observed, Plan, PlanInput, Scope, plan};
use tandem_domain::quarantine::Cause;
use tandem_domain::{AccountId, Gen, PbxUserId};
use tandem_graph::{Priority, TenantClient};
use tandem_runtime::failpoint;
use tandem_store::claims::{Claim, Ending, NewEvent};
use tandem_store::users::PlannedRun;
use tandem_store::wanted::{self, Snapshot};
use tandem_store::{StoreError, intents, users};
use uuid::Uuid;

use crate::authority::{self, Met};
use crate::execute;
use crate::finish::{self, Work};
use crate::job_error::JobError;
use crate::journal::Journal;
use crate::lease::Lease;
use crate::orders::Order;
use crate::park::{self, Because};
use crate::reads::Reads;
use crate::results;
use crate::step::Hands;
use crate::{Shared, confirm, discovery, observe};

/// Runs a claimed job to its end. An error of the database leaves it to the next claim.
#[tracing::instrument(name = "teams-sync.job", skip_all, fields(account = %claim.account, job = %claim.job, epoch = claim.epoch))]
pub(crate) async fn run(shared: Arc<Shared>, claim: Claim, lease: Arc<Lease>) -> Result<(), StoreError> {
    shared.metrics.started(&claim);
    failpoint::hit("wrk.after_claim");
    let journal = Journal::new(Arc::clone(&shared), claim.account, claim.job, claim.epoch);
    let failed = |code: &str, text| Ending {
        state: JobState::Failed,
        counts: Counts::default(),
        error: Some((code.to_owned(), text)),
        settled: true,
    };
    let mut refused = false;
    let ending = match work(&shared, &claim, &journal, &lease).await {
        Ok(()) => return Ok(()),
        Err(JobError::Store(error)) => return Err(error),
        Err(JobError::Whole { code, text }) => match authority::met(&shared, &claim, code, text).await? {
            Met::Failed(code, text) => failed(code, text),
            Met::Waits(text) => {
                return park::put_back(&shared, &claim, &journal, Because::OwnCredential, &text).await;
            }
        },
        Err(JobError::Waits { text }) => {
            return park::put_back(&shared, &claim, &journal, Because::OwnCredential, &text).await;
        }
        Err(JobError::Refused { code, text, difference }) => {
            if !difference.is_empty() {
                journal.note("plan_changed", json!(difference)).await?;
            }
            refused = true;
            failed(code, text)
        }
        Err(JobError::Parked { wait, text }) => {
            return park::put_back(&shared, &claim, &journal, Because::Throttled(wait), &text).await;
        }
        Err(JobError::Cancelled { text }) => {
            journal.note("cancelled", json!({ "detail": text })).await?;
            Ending::cancelled()
        }
    };
    let mut tx = journal.begin("jobs.finish").await?;
    if refused && claim.cause != "preview" {
        // the changes of the account are none of this job's business
    } else if ending.state == JobState::Failed && !refused {
        let code = ending.error.as_ref().map(|(code, _)| code.as_str());
        finish::fail_account(&shared, &mut tx, &claim, code.and_then(Cause::parse)).await?;
    } else {
        users::cancelled(&mut tx, claim.account, claim.job).await?;
    }
    finish::end(&shared, &mut tx, &claim, &ending).await?;
    tx.commit().await?;
    shared.bell.ring();
    finish::report(&shared, &claim, &ending);
    Ok(())
}

async fn work(
    shared: &Arc<Shared>,
    claim: &Claim,
    journal: &Journal,
    lease: &Arc<Lease>,
) -> Result<(), JobError> {
    let mut snapshot = wanted::snapshot(&shared.store, claim.account, claim.from_gen).await?;
    if claim.job_type == JobType::Auto && (!snapshot.auto_sync || snapshot.paused) {
        return Err(JobError::Cancelled {
            text: "Auto Sync is off, or there is a pause; the changes stay queued",
        });
    }
    let trusted = Arc::clone(lease);
    let client = client(shared, &snapshot, claim.account, claim.job_type, claim.token_request)
        .await?
        .with_correlation(claim.job.0)
        .with_start_check(Arc::new(move || trusted.may_start()));
    check_permissions(&client).await?;
    authority::seen_by_job(shared, claim, &snapshot, &Observation::Proved).await?;
    let order = Order::of(shared, claim, &snapshot).await?;
    let scope = order.prepare(claim, &mut snapshot);
    let already = discovery::refresh(shared, claim, journal, &client, &snapshot, &scope).await?;
    let look = look(shared, &client, &snapshot, &scope, already).await?;
    journal.note("read", json!({ "what": look.how, "users": look.users })).await?;
    let refused = match &order {
        Order::Undo(undo) => undo.undoing.refused(&look.observed, &mut snapshot),
        Order::Sync | Order::Preview(_) | Order::Approval(_) => Vec::new(),
    };
    let guard = order.guard(shared.settings.guard);
    let mut plan = make_plan(shared, &client, &snapshot, &scope, &look.observed, guard).await?;
    // of a large tenant it is the largest part of what a job holds, and nothing below asks for it
    drop(look);
    if let Order::Undo(undo) = &order {
        undo.undoing.told(&mut plan, refused);
    }
    order.check(claim, &plan)?;
    keep_plan(shared, claim, journal, &order, &snapshot, &plan).await?;

    let hands = Hands {
        shared: Arc::clone(shared),
        client,
        journal: journal.clone(),
        lease: Arc::clone(lease),
        job_type: claim.job_type,
        token_request: claim.token_request,
    };
    let mut executed = execute::run(&hands, &plan).await?;
    if let Some((code, text)) = executed.abort.take() {
        match authority::met(shared, claim, code, text).await? {
            Met::Failed(code, text) => executed.abort = Some((code, text)),
            Met::Waits(text) => return Err(JobError::Waits { text }),
        }
    }
    confirm::read_back(&hands, &plan, &mut executed).await?;
    // what the end is about are the users
    plan.steps = Vec::new();
    failpoint::hit("wrk.after_last_user_before_finish");
    // under an earlier claim: by a worker that fell silent, or before the job was put back
    let written_before: BTreeSet<PbxUserId> = if claim.epoch > 1 {
        intents::users_written(&shared.store, claim.job).await?.into_iter().collect()
    } else {
        BTreeSet::new()
    };
    let outside = users::with_code(&shared.store, claim.account, results::CHANGED_OUTSIDE).await?;
    let work = Work {
        claim,
        wanted: &snapshot.wanted,
        plan: &plan,
        executed: &executed,
        upto: range(claim, &order, &snapshot).1,
        deferred_due: &snapshot.deferred_due,
        written_before: &written_before,
        everybody: scope == Scope::All,
        outside: &outside,
        order: &order,
    };
    if executed.abort.is_none() && !executed.halted {
        // before the end is written: whoever sees the end finds the state that it proves
        authority::seen_by_job(shared, claim, &snapshot, &Observation::JobWorked).await?;
    }
    finish::write(shared, journal, &work).await?;
    failpoint::hit("wrk.after_finish_before_ack");
    Ok(())
}

/// Application permissions without which a job cannot work (Graph permission reference).
pub const REQUIRED_ROLES: [&str; 4] = tandem_domain::permission::PERMISSION_NAMES;

pub(crate) async fn check_permissions(client: &TenantClient) -> Result<(), JobError> {
    if client.token_info().await?.missing(&REQUIRED_ROLES).is_empty() {
        return Ok(());
    }
    // what is missing may have been granted since the token was issued
    let token = client.fresh_token_info().await?;
    let missing = token.missing(&REQUIRED_ROLES);
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("the tenant has not granted {}", missing.join(", "));
    Err(JobError::Whole { code: "permission_missing", text })
}

/// The client of the account's tenant. With a person's token the stored authorization need not be usable, or even be
/// there; the tenant must be the one that is bound all the same.
pub(crate) async fn client(
    shared: &Shared,
    snapshot: &Snapshot,
    account: AccountId,
    job_type: JobType,
    token_request: Option<Uuid>,
) -> Result<TenantClient, JobError> {
    let client = match (&snapshot.authorization, token_request) {
        (Some((tenant, _)), Some(request)) => shared.signed_in_client(account, *tenant, request).await?,
        (Some((tenant, standing)), None) if authority::may_try(job_type, *standing) => {
            shared.account_client(account, *tenant).await?
        }
        (Some((_, Standing { state, .. })), None) => {
            let text = format!("the stored authorization is {state}; the Global Admin has to consent again");
            return Err(JobError::Whole { code: "not_authorized", text });
        }
        (None, _) => {
            let text = "no tenant is bound to this account".to_owned();
            return Err(JobError::Whole { code: "not_authorized", text });
        }
    };
    let priority = if job_type == JobType::Manual { Priority::Normal } else { Priority::Low };
    Ok(client.with_priority(priority))
}

/// Reads the tenant as far as the plan needs it, but for what has been read already.
pub(crate) async fn look(
    shared: &Shared,
    client: &TenantClient,
    snapshot: &Snapshot,
    scope: &Scope,
    already: Option<Reads>,
) -> Result<observe::Look, JobError> {
    let look = observe::look(client, snapshot, scope, shared.tenants.pages(client.id()), already).await?;
    if look.how == "pages" {
        shared.tenants.seen(client.id(), look.users);
    }
    Ok(look)
}

/// Plans from what is wanted and what was seen.
pub(crate) async fn make_plan(
    shared: &Shared,
    client: &TenantClient,
    snapshot: &Snapshot,
    scope: &Scope,
    observed: &Observed,
    guard: RemovalGuard,
) -> Result<Plan, JobError> {
    let policy_ids = shared.policies.ids_of(client, &snapshot.wanted).await?;
    let input = PlanInput {
        wanted: &snapshot.wanted,
        standing: &snapshot.standing,
        observed,
        scope,
        locks: &snapshot.locks,
        policy_ids: &policy_ids,
        guard,
        mapped_users: snapshot.mapped_users,
        hold_all_removals: false,
        decisions: &snapshot.decisions,
    };
    Ok(plan(&input))
}

async fn keep_plan(
    shared: &Shared,
    claim: &Claim,
    journal: &Journal,
    order: &Order,
    snapshot: &Snapshot,
    plan: &Plan,
) -> Result<(), JobError> {
    let (from, to) = range(claim, order, snapshot);
    let mut tx = journal.begin("jobs.planned").await?;
    let run = PlannedRun {
        account: claim.account,
        job: claim.job,
        epoch: claim.epoch,
        from,
        to,
        fingerprint: &plan.fingerprint,
        steps: &plan.steps,
        users: &plan.users,
    };
    users::planned(&mut tx, &run).await?;
    let event = NewEvent {
        kind: "planned",
        data: json!({
            "epoch": claim.epoch, "from_gen": from, "to_gen": to, "fingerprint": plan.fingerprint,
            "users": plan.users.len(), "steps": plan.steps.len(), "held": plan.held.len(),
        }),
    };
    order.planned(shared, &mut tx, claim, snapshot, plan).await?;
    journal.commit(tx, vec![event]).await?;
    Ok(())
}

/// The changes that a job carries; an approval or an undo carries none.
fn range(claim: &Claim, order: &Order, snapshot: &Snapshot) -> (Gen, Gen) {
    let from = claim.from_gen.unwrap_or(snapshot.covered);
    (from, if order.covers() { snapshot.generation } else { from })
}
