//! What a step has on record: its intent before the request goes out, and what became of it.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tandem_domain::plan::{Action, Step};
use tandem_graph::{GraphError, OperationRef, RequestIds};
use tandem_store::StoreError;
use tandem_store::claims::NewEvent;
use tandem_store::intents::{self, IntentEnd, NewIntent};
use tandem_store::standing::{self, Stood};
use uuid::Uuid;

use crate::journal::write;
use crate::step::Hands;

impl Hands {
    pub(crate) async fn open_intent(
        &self,
        step: &Step,
        id: Uuid,
        client_request_id: Uuid,
    ) -> Result<bool, StoreError> {
        let event = self.event(step, "sent", None, json!({ "client_request_id": client_request_id }));
        let (account, job, epoch) = (self.journal.account, self.journal.job, self.journal.epoch);
        let look_after = self.shared.settings.intent_patience;
        let step = step.clone();
        let open = write(move |tx| {
            async move {
                let (policy_type, policy_name) = policy_of(&step.action);
                let new = NewIntent {
                    id,
                    account,
                    job,
                    epoch,
                    step: step.no,
                    user: &step.user,
                    oid: step.oid,
                    action: step.action.kind(),
                    number: step.action.number().map(tandem_domain::Number::as_str),
                    policy_type,
                    policy_name,
                    client_request_id,
                    look_after,
                };
                intents::open(tx, &new).await
            }
            .boxed()
        });
        self.journal.write(open, event).await
    }

    pub(crate) async fn accepted(
        &self,
        step: &Step,
        intent: Uuid,
        operation: &OperationRef,
        ids: &RequestIds,
    ) -> Result<(), StoreError> {
        let patience = self.shared.settings.intent_patience;
        let event = self.event(step, "accepted", Some(ids), json!({ "operation": operation.as_str() }));
        let (operation, request_id) = (operation.as_str().to_owned(), ids.request_id.clone());
        let accepted = write(move |tx| {
            async move {
                intents::accepted(tx, intent, &operation, request_id.as_deref(), patience).await?;
                Ok(true)
            }
            .boxed()
        });
        self.journal.write(accepted, event).await.map(|_| ())
    }

    /// The reply was lost: reading will decide, and the first of its two equal reads follows at once.
    pub(crate) async fn unknown(
        &self,
        step: &Step,
        intent: Uuid,
        error: &GraphError,
        text: &str,
    ) -> Result<(), StoreError> {
        let event = self.event(step, "unknown", error.ids(), json!({ "detail": text }));
        let text = text.to_owned();
        let lost = write(move |tx| {
            async move {
                intents::unknown(tx, intent, &text, Duration::ZERO).await?;
                Ok(true)
            }
            .boxed()
        });
        self.journal.write(lost, event).await.map(|_| ())
    }

    /// The write had its effect: the intent ends and what stands is noted, in one transaction.
    pub(crate) async fn effect_known(
        &self,
        step: &Step,
        intent: Uuid,
        ids: Option<&RequestIds>,
        detail: Option<&str>,
    ) -> Result<(), StoreError> {
        let event = self.event(step, "done", ids, json!({}));
        let request_id = ids.and_then(|ids| ids.request_id.clone());
        let (account, step, detail) = (self.journal.account, step.clone(), detail.map(str::to_owned));
        let done = write(move |tx| {
            async move {
                intents::end(tx, intent, IntentEnd::Done, detail.as_deref(), request_id.as_deref()).await?;
                standing::stood(tx, account, step.oid, &step.user, &effect_of(&step.action)).await?;
                Ok(true)
            }
            .boxed()
        });
        self.journal.write(done, event).await.map(|_| ())
    }

    pub(crate) async fn end_intent(
        &self,
        step: &Step,
        intent: Uuid,
        end: IntentEnd,
        detail: &str,
        ids: Option<&RequestIds>,
        outcome: &'static str,
    ) -> Result<(), StoreError> {
        let event = self.event(step, outcome, ids, json!({ "detail": detail }));
        let (detail, request_id) = (detail.to_owned(), ids.and_then(|ids| ids.request_id.clone()));
        let ended = write(move |tx| {
            async move {
                intents::end(tx, intent, end, Some(&detail), request_id.as_deref()).await?;
                Ok(true)
            }
            .boxed()
        });
        self.journal.write(ended, event).await.map(|_| ())
    }

    pub(crate) fn event(
        &self,
        step: &Step,
        outcome: &str,
        ids: Option<&RequestIds>,
        more: Value,
    ) -> NewEvent {
        let mut data = json!({
            "step": step.no,
            "pbx_user_id": step.user,
            "microsoft_user": step.oid,
            "action": step.action.kind(),
            "outcome": outcome,
            "before": step.before,
            "after": step.after,
            "reason": step.reason,
            "request_id": ids.and_then(|ids| ids.request_id.clone()),
        });
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        NewEvent { kind: "step", data }
    }
}

/// Type and name of the policy of an action.
fn policy_of(action: &Action) -> (Option<&str>, Option<&str>) {
    match action {
        Action::AssignPolicy { policy_type, name, .. } | Action::UnassignPolicy { policy_type, name } => {
            (Some(policy_type.0.as_str()), Some(name.as_str()))
        }
        Action::AssignNumber { .. } | Action::UnassignNumber { .. } => (None, None),
    }
}

/// The effect of an action on what stands.
pub(crate) fn effect_of(action: &Action) -> Stood<'_> {
    match action {
        Action::AssignNumber { number, .. } => Stood::NumberOn(number.as_str()),
        Action::UnassignNumber { number } => Stood::NumberOff(number.as_str()),
        Action::AssignPolicy { policy_type, name, .. } => Stood::PolicyOn(policy_type, name),
        Action::UnassignPolicy { policy_type, .. } => Stood::PolicyOff(policy_type),
    }
}
