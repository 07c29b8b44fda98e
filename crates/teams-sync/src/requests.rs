//! What people ask for that needs no job: previews, dropping held removals, stopping a job, and looks at tenants whose
//! accounts have an app of their own.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tandem_domain::job::{JobScope, JobType};
use tandem_domain::plan::Decision;
use tandem_domain::{JobId, plan};
use tandem_runtime::{BoxError, chain};
use tandem_store::admin::requests::{self, Ask, Taken};
use tandem_store::cancel::{self, Cancelled};
use tandem_store::decisions::{self, NewDecision};
use tandem_store::held;
use tandem_store::previews::{self, Planned, Preview};
use tandem_store::{StoreError, authorizations, looks, users, wanted};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Shared;
use crate::job;
use crate::job_error::JobError;
use crate::journal::announce;
use crate::look::Question;
use crate::orders::{self, NO_GUARD};
use crate::undo::Undoing;

/// Requests in hand at once.
const AT_ONCE: i64 = 8;
/// A request that a process left behind is taken again after this.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longest wait of one question to Microsoft, while somebody sits at a terminal.
const ONE_LOOK: Duration = Duration::from_secs(20);

/// Answers requests until stopped.
pub(crate) async fn run_until(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        let pass = async {
            let taken = requests::take(&shared.store, AT_ONCE, PATIENCE).await?;
            let answers = taken.iter().map(|request| answer(&shared, request));
            futures_util::future::try_join_all(answers).await.map(drop)
        };
        if let Err(error) = pass.await {
            tracing::warn!(error = %chain(&error), "requests could not be answered; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(shared.settings.look) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

async fn answer(shared: &Shared, request: &Taken) -> Result<(), StoreError> {
    match request.ask {
        Ask::Preview(scope) => preview(shared, request, scope, None).await,
        Ask::PreviewUndo(job) => preview(shared, request, JobScope::Changed, Some(job)).await,
        Ask::Reject(id) => reject(shared, request, id).await,
        Ask::Cancel(job) => cancel(shared, request, job).await,
        Ask::Look => look_for(shared, request).await,
        Ask::Sync(_) | Ask::Run(..) | Ask::Approve(_) | Ask::Undo(..) | Ask::Replay(..) => Ok(()),
    }
}

async fn preview(
    shared: &Shared,
    request: &Taken,
    scope: JobScope,
    undone: Option<JobId>,
) -> Result<(), StoreError> {
    let result = told(look(shared, request, scope, undone).await)?;
    let preview = Preview {
        id: request.id,
        account: request.account,
        scope,
        undone,
        person: request.person.clone(),
        result,
    };
    let mut tx = shared.store.begin("previews.keep").await?;
    previews::keep(&mut tx, &preview).await?;
    let refused = preview.result.as_ref().err().map(|(code, text)| (code.as_str(), text.as_str()));
    requests::answered(&mut tx, request.id, refused).await?;
    tx.commit().await
}

/// Why there is no answer, as stable code and text; an error of the database is no answer at all.
fn told<T>(result: Result<T, JobError>) -> Result<Result<T, (String, String)>, StoreError> {
    Ok(Err(match result {
        Ok(answer) => return Ok(Ok(answer)),
        Err(JobError::Store(error)) => return Err(error),
        Err(JobError::Whole { code, text } | JobError::Refused { code, text, .. }) => (code.to_owned(), text),
        Err(JobError::Parked { text, .. }) => ("throttled".to_owned(), text),
        Err(JobError::Waits { text }) => ("own_credential".to_owned(), text),
        Err(JobError::Cancelled { text }) => ("cancelled".to_owned(), text.to_owned()),
    }))
}

/// Looks at the tenant for an operator's command that cannot do so itself.
async fn look_for(shared: &Shared, request: &Taken) -> Result<(), StoreError> {
    let seen = told(Box::pin(see(shared, request)).await)?;
    let mut tx = shared.store.begin("looks.answer").await?;
    if let Ok(seen) = &seen {
        looks::answer(&mut tx, request.id, seen).await?;
    }
    let refused = seen.as_ref().err().map(|(code, text)| (code.as_str(), text.as_str()));
    requests::answered(&mut tx, request.id, refused).await?;
    tx.commit().await
}

async fn see(shared: &Shared, request: &Taken) -> Result<Value, JobError> {
    let unreadable = |text: &str| JobError::Whole { code: "question_unreadable", text: text.to_owned() };
    let question = looks::question(&shared.store, request.id).await?;
    let question = question.ok_or_else(|| unreadable("nobody waits for the answer any more"))?;
    let question: Question = serde_json::from_value(question)
        .map_err(|_| unreadable("the command is of another release than teams-sync; use the same"))?;
    let mut tx = shared.store.begin("looks.tenant").await?;
    let stored = authorizations::lock(&mut tx, request.account).await?;
    tx.commit().await?;
    let text =
        "no tenant is bound to the account; bind one with `tandem accounts apply` or `accounts connect`";
    let stored = stored.ok_or_else(|| JobError::Whole { code: "not_authorized", text: text.to_owned() })?;
    let client = shared.account_client(request.account, stored.tenant).await?;
    let client = client.with_max_wait(ONE_LOOK).with_correlation(request.id);
    let seen = crate::look::look(&client, &stored.client_id, &question).await?;
    serde_json::to_value(&seen).map_err(|_| unreadable("the answer cannot be written down"))
}

/// Plans as a job of a person would, and writes nothing.
async fn look(
    shared: &Shared,
    request: &Taken,
    scope: JobScope,
    undone: Option<JobId>,
) -> Result<Planned, JobError> {
    let mut snapshot = wanted::snapshot(&shared.store, request.account, None).await?;
    let client = job::client(shared, &snapshot, request.account, JobType::Manual, None)
        .await?
        .with_correlation(request.id);
    job::check_permissions(&client).await?;
    let undoing = match undone {
        Some(job) => {
            let mut tx = shared.store.begin("previews.undo").await?;
            Some(Undoing::load(&mut tx, request.account, job, snapshot.covered).await?)
        }
        None => None,
    };
    let (whom, guard) = match &undoing {
        Some(undoing) => (undoing.prepare(&mut snapshot), NO_GUARD),
        None => {
            if scope == JobScope::All {
                snapshot.decisions.retain(|_, decision| *decision != Decision::Undone);
            }
            (orders::scope_of(scope, &snapshot), shared.settings.guard)
        }
    };
    let observed = job::look(shared, &client, &snapshot, &whom, None).await?.observed;
    let refused =
        undoing.as_ref().map(|undoing| undoing.refused(&observed, &mut snapshot)).unwrap_or_default();
    let mut plan: plan::Plan = job::make_plan(shared, &client, &snapshot, &whom, &observed, guard).await?;
    if let Some(undoing) = &undoing {
        undoing.told(&mut plan, refused);
    }
    let from = if undone.is_some() { snapshot.generation } else { snapshot.covered };
    Ok(Planned { from, to: snapshot.generation, plan })
}

/// Stops a job: one that is queued at once, one that runs with its worker's next heartbeat, between two users.
async fn cancel(shared: &Shared, request: &Taken, job: JobId) -> Result<(), StoreError> {
    let mut tx = shared.store.begin("jobs.cancel").await?;
    let (account, reason) = (request.account, request.reason.as_deref());
    let refused = match cancel::cancel(&mut tx, account, job, &request.person, reason).await? {
        Cancelled::Queued(events) => {
            users::cancelled(&mut tx, account, job).await?;
            announce(shared, &mut tx, &events).await?;
            None
        }
        Cancelled::Running(events) => {
            announce(shared, &mut tx, &events).await?;
            None
        }
        Cancelled::Nothing => Some(("cancel_nothing", "the sync is over, or stops already")),
    };
    requests::answered(&mut tx, request.id, refused).await?;
    tx.commit().await?;
    shared.bell.ring();
    tracing::info!(%account, %job, stopped = refused.is_none(), "somebody stops a job");
    Ok(())
}

async fn reject(shared: &Shared, request: &Taken, id: Uuid) -> Result<(), StoreError> {
    let mut tx = shared.store.begin("held.reject").await?;
    let held = held::lock(&mut tx, id).await?.filter(|held| held.account == request.account);
    let refused = match &held {
        None => Some(("held_unknown", format!("there are no held removals {id}"))),
        Some(held) => orders::undecidable(held),
    };
    if let Some((code, text)) = refused {
        requests::answered(&mut tx, request.id, Some((code, &text))).await?;
        return tx.commit().await;
    }
    if let Some(held) = held {
        let (person, reason) = (request.person.as_str(), request.reason.as_deref());
        held::close(&mut tx, id, "rejected", Some(person), reason, None).await?;
        let mut users: Vec<plan::UserKey> =
            held.removals.iter().map(|step| (step.user.clone(), step.oid)).collect();
        users.sort();
        users.dedup();
        let decision = NewDecision {
            account: held.account,
            users: &users,
            decision: Decision::Rejected,
            generation: held.generation,
            person,
            reason,
            job: Some(held.job),
        };
        decisions::decide(&mut tx, &decision).await?;
        orders::decided(shared, &mut tx, &held, "rejected", person, reason).await?;
        requests::answered(&mut tx, request.id, None).await?;
        tx.commit().await?;
        shared.bell.ring();
    }
    Ok(())
}
