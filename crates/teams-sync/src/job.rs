//! One job from claim to end.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use tandem_domain::authorization::{Observation, Standing};
use tandem_domain::job::{Counts, JobScope, JobState, JobType};
use tandem_domain::plan::{Plan, PlanInput, Scope, plan};
use tandem_domain::quarantine::Cause;
use tandem_domain::{ObjectId, PbxUserId};
use tandem_graph::{ErrorClass, GraphError, Priority, TenantClient, TokenErrorKind};
use tandem_runtime::failpoint;
use tandem_store::claims::{Claim, Ending, NewEvent};
use tandem_store::users::PlannedRun;
use tandem_store::wanted::{self, Snapshot};
use tandem_store::{StoreError, intents, users};

use crate::authority::{self, Met};
use crate::execute::{self, Executed};
use crate::finish::{self, Work};
use crate::journal::Journal;
use crate::lease::Lease;
use crate::step::Hands;
use crate::who::NoClient;
use crate::{Shared, confirm, discovery, observe};

/// Why a job as a whole could not work.
#[derive(Debug)]
pub(crate) enum JobError {
    /// The database; the job stays ours or is taken over, nothing is decided.
    Store(StoreError),
    /// It ends as failed, with a stable code.
    Whole { code: &'static str, text: String },
    /// It ends without having done anything, and that is right.
    Cancelled { text: &'static str },
    /// It goes back into the queue, uncounted: our own credential is at fault.
    Waits { text: String },
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<GraphError> for JobError {
    fn from(error: GraphError) -> Self {
        let code = match error.class() {
            ErrorClass::Token(kind) => token_code(kind),
            ErrorClass::Unauthorized => "token_rejected",
            ErrorClass::Forbidden => "permission_missing",
            ErrorClass::Throttled { .. } => "throttled",
            _ => "microsoft_unavailable",
        };
        Self::Whole { code, text: tandem_runtime::chain(&error) }
    }
}

impl From<NoClient> for JobError {
    fn from(error: NoClient) -> Self {
        let text = tandem_runtime::chain(&error);
        match (error.code(), error) {
            (_, NoClient::Store(error)) => Self::Store(error),
            (code, _) => Self::Whole { code: code.unwrap_or("sealed_secret_unusable"), text },
        }
    }
}

/// Stable code of a failed token request.
pub(crate) fn token_code(kind: TokenErrorKind) -> &'static str {
    match kind {
        TokenErrorKind::Grant => "authorization_revoked",
        TokenErrorKind::OwnCredential => "own_credential",
        TokenErrorKind::Policy => "authorization_blocked",
        TokenErrorKind::TenantGone => "tenant_gone",
        TokenErrorKind::WrongTenant => "wrong_tenant",
        TokenErrorKind::SignInOver => "sign_in_over",
        TokenErrorKind::Transient => "microsoft_unavailable",
        _ => "authorization_failed",
    }
}

/// Runs a claimed job to its end. An error of the database leaves it to the next claim.
#[tracing::instrument(name = "teams-sync.job", skip_all, fields(account = %claim.account, job = %claim.job, epoch = claim.epoch))]
pub(crate) async fn run(shared: Arc<Shared>, claim: Claim, lease: Arc<Lease>) -> Result<(), StoreError> {
    shared.metrics.started(&claim);
    failpoint::hit("wrk.after_claim");
    let journal = Journal::new(Arc::clone(&shared), claim.account, claim.job, claim.epoch);
    let ending = match work(&shared, &claim, &journal, &lease).await {
        Ok(()) => return Ok(()),
        Err(JobError::Store(error)) => return Err(error),
        Err(JobError::Whole { code, text }) => match authority::met(&shared, &claim, code, text).await? {
            Met::Failed(code, text) => Ending {
                state: JobState::Failed,
                counts: Counts::default(),
                error: Some((code.to_owned(), text)),
                settled: true,
            },
            Met::Waits(text) => return authority::put_back(&shared, &journal, &claim, &text).await,
        },
        Err(JobError::Waits { text }) => return authority::put_back(&shared, &journal, &claim, &text).await,
        Err(JobError::Cancelled { text }) => {
            journal.note("cancelled", json!({ "detail": text })).await?;
            Ending::cancelled()
        }
    };
    let mut tx = journal.begin("jobs.finish").await?;
    if ending.state == JobState::Failed {
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
    let snapshot = wanted::snapshot(&shared.store, claim.account, claim.from_gen).await?;
    if claim.job_type == JobType::Auto && (!snapshot.auto_sync || snapshot.paused) {
        return Err(JobError::Cancelled {
            text: "Auto Sync is off or the account is paused; the changes stay queued",
        });
    }
    let client = client(shared, claim, &snapshot, lease).await?;
    check_permissions(&client).await?;
    authority::seen_by_job(shared, claim, &snapshot, &Observation::Proved).await?;
    let scope = scope(claim, &snapshot);
    let already = discovery::refresh(shared, claim, journal, &client, &snapshot, &scope).await?;
    let look = observe::look(&client, &snapshot, &scope, shared.tenants.pages(client.id()), already).await?;
    if look.how == "pages" {
        shared.tenants.seen(client.id(), look.users);
    }
    journal.note("read", json!({ "what": look.how, "users": look.users })).await?;
    let plan = make_plan(shared, &client, &snapshot, scope.clone(), look).await?;
    let from = claim.from_gen.unwrap_or(snapshot.covered);
    keep_plan(claim, journal, &plan, from, snapshot.generation).await?;

    let hands = Hands {
        shared: Arc::clone(shared),
        client,
        journal: journal.clone(),
        lease: Arc::clone(lease),
        job_type: claim.job_type,
    };
    let mut executed = execute::run(&hands, &plan).await?;
    if let Some((code, text)) = executed.abort.take() {
        match authority::met(shared, claim, code, text).await? {
            Met::Failed(code, text) => executed.abort = Some((code, text)),
            Met::Waits(text) => return Err(JobError::Waits { text }),
        }
    }
    confirm::read_back(&hands, &plan, &mut executed).await?;
    failpoint::hit("wrk.after_last_user_before_finish");
    end(shared, claim, journal, &snapshot, &plan, &executed, &scope).await?;
    failpoint::hit("wrk.after_finish_before_ack");
    Ok(())
}

/// Application permissions without which a job cannot work (Graph permission reference).
pub const REQUIRED_ROLES: [&str; 4] = [
    "User.Read.All",
    "TeamsUserConfiguration.Read.All",
    "TeamsTelephoneNumber.ReadWrite.All",
    "TeamsPolicyUserAssign.ReadWrite.All",
];

async fn check_permissions(client: &TenantClient) -> Result<(), JobError> {
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

/// The client of this job. With a person's token the stored authorization need not be usable, or even be there; the
/// tenant must be the one that is bound all the same.
async fn client(
    shared: &Shared,
    claim: &Claim,
    snapshot: &Snapshot,
    lease: &Arc<Lease>,
) -> Result<TenantClient, JobError> {
    let client = match (&snapshot.authorization, claim.token_request) {
        (Some((tenant, _)), Some(request)) => {
            shared.signed_in_client(claim.account, *tenant, request).await?
        }
        (Some((tenant, standing)), None) if authority::may_try(claim.job_type, *standing) => {
            shared.account_client(claim.account, *tenant).await?
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
    let priority = if claim.job_type == JobType::Manual { Priority::Normal } else { Priority::Low };
    let trusted = Arc::clone(lease);
    Ok(client
        .with_priority(priority)
        .with_correlation(claim.job.0)
        .with_start_check(Arc::new(move || trusted.may_start())))
}

fn scope(claim: &Claim, snapshot: &Snapshot) -> Scope {
    if claim.scope == JobScope::All || snapshot.everybody_changed {
        return Scope::All;
    }
    Scope::Users(snapshot.changed.union(&snapshot.deferred_due).cloned().collect())
}

async fn make_plan(
    shared: &Shared,
    client: &TenantClient,
    snapshot: &Snapshot,
    scope: Scope,
    look: observe::Look,
) -> Result<Plan, JobError> {
    let policy_ids = shared.policies.ids_of(client, &snapshot.wanted).await?;
    let input = PlanInput {
        wanted: snapshot.wanted.clone(),
        standing: snapshot.standing.clone(),
        observed: look.observed,
        scope,
        locks: snapshot.locks.clone(),
        policy_ids,
        guard: shared.settings.guard,
        mapped_users: snapshot.mapped_users,
        hold_all_removals: false,
    };
    Ok(plan(&input))
}

async fn keep_plan(
    claim: &Claim,
    journal: &Journal,
    plan: &Plan,
    from: i64,
    to: i64,
) -> Result<(), StoreError> {
    let covered: Vec<(PbxUserId, ObjectId)> = plan.users.iter().map(|u| (u.user.clone(), u.oid)).collect();
    let kept = json!(plan);
    let mut tx = journal.begin("jobs.planned").await?;
    let run = PlannedRun {
        account: claim.account,
        job: claim.job,
        epoch: claim.epoch,
        from,
        to,
        fingerprint: &plan.fingerprint,
        plan: &kept,
        users: &covered,
    };
    users::planned(&mut tx, &run).await?;
    let event = NewEvent {
        kind: "planned",
        data: json!({
            "epoch": claim.epoch, "from_gen": from, "to_gen": to, "fingerprint": plan.fingerprint,
            "users": plan.users.len(), "steps": plan.steps.len(), "held": plan.held.len(),
        }),
    };
    journal.commit(tx, vec![event]).await
}

async fn end(
    shared: &Shared,
    claim: &Claim,
    journal: &Journal,
    snapshot: &Snapshot,
    plan: &Plan,
    executed: &Executed,
    scope: &Scope,
) -> Result<(), StoreError> {
    // under an earlier claim: by a worker that fell silent, or before the job was put back
    let written_before: BTreeSet<PbxUserId> = if claim.epoch > 1 {
        intents::users_written(&shared.store, claim.job).await?.into_iter().collect()
    } else {
        BTreeSet::new()
    };
    let work = Work {
        claim,
        wanted: &snapshot.wanted,
        plan,
        executed,
        upto: snapshot.generation,
        deferred_due: &snapshot.deferred_due,
        written_before: &written_before,
        everybody: *scope == Scope::All,
    };
    let state = finish::write(shared, journal, &work).await?;
    if matches!(state, JobState::Succeeded | JobState::Partly) {
        authority::seen_by_job(shared, claim, snapshot, &Observation::JobWorked).await?;
    }
    Ok(())
}
