//! One step: intent, request, operation, outcome.

use std::sync::Arc;
use std::time::Duration;

use tandem_domain::TenantId;
use tandem_domain::job::JobType;
use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{Action, Step};
use tandem_graph::{
    AssignNumber, ErrorClass, GraphError, OperationRef, OperationStatus, PolicyId, RequestIds, TenantClient,
    TokenErrorKind,
};
use tandem_runtime::failpoint;
use tandem_store::intents::IntentEnd;
use tandem_store::undo::NOT_NEEDED;
use tandem_store::{StoreError, authorizations};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::Shared;
use crate::explain;
use crate::journal::Journal;
use crate::lease::Lease;

/// Once a successor waits, an operation is not followed for longer than this.
const GIVE_WAY: Duration = Duration::from_secs(20);

/// How a step ended.
#[derive(Clone, Debug)]
pub(crate) enum StepEnd {
    /// Its effect is there, as far as Microsoft says; the intent to open again should no read agree.
    Done { intent: Option<Uuid> },
    /// Not possible yet.
    Deferred { reason: DeferReason, text: String },
    /// Refused until something changes.
    Failed { code: String, text: String },
    /// Done, and then changed by somebody else.
    Outside { text: String },
    /// Not started: a successor waits, or trust in the claim has ended.
    NotStarted,
    /// The whole job cannot go on.
    Abort { code: &'static str, text: String },
}

/// What steps of one claim work with.
#[derive(Clone, Debug)]
pub(crate) struct Hands {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: TenantClient,
    pub(crate) journal: Journal,
    pub(crate) lease: Arc<Lease>,
    pub(crate) job_type: JobType,
    /// The request with which a person handed a token in, where the job works with one.
    pub(crate) token_request: Option<Uuid>,
}

/// What Microsoft answered to the request of a step.
enum Sent {
    Operation(OperationRef, RequestIds),
    AtOnce(RequestIds),
    NotNeeded,
}

impl Hands {
    /// Runs a step to its outcome.
    #[tracing::instrument(name = "teams-sync.step", skip_all, fields(step = step.no, action = step.action.kind()))]
    pub(crate) async fn run(&self, step: &Step) -> Result<StepEnd, StoreError> {
        let mut tries = self.shared.settings.step_retries.iter();
        loop {
            let end = self.attempt(step).await?;
            let StepEnd::Deferred { reason: DeferReason::Transient, .. } = &end else { return Ok(end) };
            let Some(wait) = tries.next() else { return Ok(end) };
            if self.lease.must_give_way() || !self.client.may_retry() {
                return Ok(end);
            }
            sleep(wait.mul_f64(0.75 + self.shared.ids.fraction() / 2.0)).await;
        }
    }

    async fn attempt(&self, step: &Step) -> Result<StepEnd, StoreError> {
        let _slot = match step.action.number() {
            Some(_) => Some(self.client.operation_slot().await),
            None => None,
        };
        if self.client.sign_in_is_over() {
            return Ok(sign_in_over());
        }
        if !self.lease.may_start() || !self.may_write().await? {
            return Ok(StepEnd::NotStarted);
        }
        let intent = self.shared.ids.v7(&self.shared.clock);
        let request_id = self.shared.ids.v4();
        if !self.open_intent(step, intent, request_id).await? {
            let text = "an earlier write to this user or number has no known outcome yet".to_owned();
            return Ok(StepEnd::Deferred { reason: DeferReason::OutcomeUnknown, text });
        }
        failpoint::hit("wrk.after_intent_before_send");
        match self.send(step, request_id).await {
            Ok(Sent::NotNeeded) => {
                self.effect_known(step, intent, None, Some(NOT_NEEDED)).await?;
                Ok(StepEnd::Done { intent: None })
            }
            Ok(Sent::AtOnce(ids)) => {
                self.effect_known(step, intent, Some(&ids), None).await?;
                Ok(StepEnd::Done { intent: None })
            }
            Ok(Sent::Operation(operation, ids)) => {
                failpoint::hit("wrk.after_202_before_location_saved");
                self.accepted(step, intent, &operation, &ids).await?;
                self.follow(step, intent, &operation).await
            }
            Err(error) => self.not_sent(step, intent, &error).await,
        }
    }

    /// Whether the job may go on writing. Auto Sync and the authorization are looked at again before each write, so
    /// that none starts later than the one under way when either ended. Switching Auto Sync off stops no job that a
    /// person asked for; taking away what that job writes with does.
    async fn may_write(&self) -> Result<bool, StoreError> {
        if self.lease.writes_forbidden() {
            return Ok(false);
        }
        let (store, account) = (&self.shared.store, self.journal.account);
        let may = match self.job_type {
            JobType::Auto => authorizations::may_write(store, account).await?,
            JobType::Manual => {
                let tenant = TenantId(self.client.id());
                authorizations::may_write_by_hand(store, account, tenant, self.token_request).await?
            }
        };
        if !may {
            self.lease.forbid_writes();
        }
        Ok(self.lease.may_write())
    }

    async fn send(&self, step: &Step, id: Uuid) -> Result<Sent, GraphError> {
        // a request may have to wait for its turn; whether it may be sent is asked again when that comes
        let lease = Arc::clone(&self.lease);
        let client = self.client.clone().with_start_check(Arc::new(move || lease.may_write()));
        match &step.action {
            Action::AssignNumber { number, location_id } => {
                let request = AssignNumber {
                    number: number.as_str().to_owned(),
                    target: step.oid.0,
                    location_id: location_id.clone(),
                };
                let accepted = client.assign_number(&request, id).await?;
                Ok(Sent::Operation(accepted.operation, accepted.ids))
            }
            Action::UnassignNumber { number } => {
                // the request names no holder, so who holds the number now is looked up first
                let held = client.number_assignment_by_number(number.as_str()).await?;
                if held.is_none_or(|held| held.holder() != Some(step.oid.0)) {
                    return Ok(Sent::NotNeeded);
                }
                let accepted = client.unassign_number(number.as_str(), id).await?;
                Ok(Sent::Operation(accepted.operation, accepted.ids))
            }
            Action::AssignPolicy { policy_type, policy_id, .. } => {
                let policy = PolicyId(policy_id.clone());
                Ok(Sent::AtOnce(client.assign_policy(step.oid.0, &policy_type.0, &policy, id).await?.ids))
            }
            Action::UnassignPolicy { policy_type, .. } => {
                Ok(Sent::AtOnce(client.unassign_policy(step.oid.0, &policy_type.0, id).await?.ids))
            }
        }
    }

    /// Polls an operation until it ends or patience does; then the user is deferred and the intent stays locked.
    async fn follow(
        &self,
        step: &Step,
        intent: Uuid,
        operation: &OperationRef,
    ) -> Result<StepEnd, StoreError> {
        let settings = &self.shared.settings;
        let started = Instant::now();
        let mut wait = self.shared.pace.first_poll(self.client.id(), settings.first_poll);
        let last = started + settings.operation_patience;
        let mut first = true;
        loop {
            sleep(wait.min(last.saturating_duration_since(Instant::now()))).await;
            failpoint::hit("wrk.op_running");
            let found = self.client.operation(operation).await;
            if let Ok(found) = &found
                && std::mem::take(&mut first)
            {
                let ended = found.status.is_final();
                self.shared.pace.polled_first(self.client.id(), started, ended);
            }
            match found {
                Ok(found) if found.status == OperationStatus::Succeeded => {
                    self.effect_known(step, intent, None, None).await?;
                    return Ok(StepEnd::Done { intent: Some(intent) });
                }
                Ok(found) if matches!(found.status, OperationStatus::Failed | OperationStatus::Skipped) => {
                    let detail = found.detail().unwrap_or("Microsoft gave no reason").to_owned();
                    self.end_intent(step, intent, IntentEnd::Refused, &detail, None, "failed").await?;
                    return Ok(self.explained(step, &detail).await);
                }
                Ok(_) => {}
                // the operation can still be asked for later; whatever this is, it says nothing about the write
                Err(error) => {
                    tracing::debug!(error = %tandem_runtime::chain(&error), "operation could not be read");
                }
            }
            // a user beside a swap can be left to the successor; its intent goes on to lock it
            let gives_way =
                step.group.is_none() && self.lease.must_give_way() && started.elapsed() >= GIVE_WAY;
            let over = gives_way || self.client.sign_in_is_over() || !self.lease.may_start();
            if Instant::now() >= last || over {
                let text = "Microsoft has accepted the change and not finished it yet".to_owned();
                return Ok(StepEnd::Deferred { reason: DeferReason::OperationRunning, text });
            }
            wait = wait.mul_f64(1.5).min(Duration::from_secs(30));
        }
    }

    async fn not_sent(&self, step: &Step, intent: Uuid, error: &GraphError) -> Result<StepEnd, StoreError> {
        let text = tandem_runtime::chain(error);
        if error.effect() == tandem_graph::Effect::Unknown {
            self.unknown(step, intent, error, &text).await?;
            let text = "the reply to a change was lost; reading will show whether it was made".to_owned();
            return Ok(StepEnd::Deferred { reason: DeferReason::OutcomeUnknown, text });
        }
        let outcome = if error.class() == ErrorClass::Stopped { "not_sent" } else { "failed" };
        self.end_intent(step, intent, IntentEnd::Refused, &text, error.ids(), outcome).await?;
        if matches!(error.class(), ErrorClass::BadRequest | ErrorClass::NotFound | ErrorClass::Conflict) {
            let theirs = error.refusal().map_or(text.as_str(), |refusal| refusal.message.as_str());
            if let StepEnd::Failed { code, text } = self.explained(step, theirs).await
                && code != "operation_failed"
            {
                return Ok(StepEnd::Failed { code, text });
            }
        }
        Ok(refusal_end(error, text))
    }

    /// How a refused step ends, told in our own words first.
    async fn explained(&self, step: &Step, theirs: &str) -> StepEnd {
        let facts = explain::look(&self.client, step).await;
        explain::explain(step, facts.as_ref(), theirs)
    }
}

/// The person's token ended in the middle of the job: what was done stays done, the rest waits for a new sign-in.
pub(crate) fn sign_in_over() -> StepEnd {
    let text = "the sign-in ended before this user's turn; sign in again to go on".to_owned();
    StepEnd::Deferred { reason: DeferReason::TokenExpired, text }
}

fn refusal_end(error: &GraphError, text: String) -> StepEnd {
    match error.class() {
        ErrorClass::Throttled { .. } => StepEnd::Deferred { reason: DeferReason::Throttled, text },
        ErrorClass::Transient | ErrorClass::Protocol | ErrorClass::Conflict | ErrorClass::Gone => {
            StepEnd::Deferred { reason: DeferReason::Transient, text }
        }
        ErrorClass::NotFound => StepEnd::Deferred { reason: DeferReason::NotInTeamsYet, text },
        ErrorClass::BadRequest => StepEnd::Failed { code: "refused_by_microsoft".to_owned(), text },
        ErrorClass::Unauthorized => StepEnd::Abort { code: "token_rejected", text },
        ErrorClass::Forbidden => StepEnd::Abort { code: "permission_missing", text },
        ErrorClass::Token(TokenErrorKind::SignInOver) => sign_in_over(),
        ErrorClass::Token(kind) => StepEnd::Abort { code: crate::job_error::token_code(kind), text },
        ErrorClass::Stopped => StepEnd::NotStarted,
        _ => StepEnd::Deferred { reason: DeferReason::Transient, text },
    }
}
