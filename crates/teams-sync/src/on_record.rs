//! What a step has on record: its intent before the request goes out, and what became of it.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_domain::plan::{Action, Step};
use tandem_graph::{GraphError, OperationRef, RequestIds};
use tandem_store::StoreError;
use tandem_store::claims::NewEvent;
use tandem_store::intents::{self, IntentEnd, NewIntent};
use tandem_store::standing::{self, Stood};
use uuid::Uuid;

use crate::step::Hands;

impl Hands {
    pub(crate) async fn open_intent(
        &self,
        step: &Step,
        id: Uuid,
        client_request_id: Uuid,
    ) -> Result<bool, StoreError> {
        let (policy_type, policy_name) = match &step.action {
            Action::AssignPolicy { policy_type, name, .. } | Action::UnassignPolicy { policy_type, name } => {
                (Some(policy_type.0.as_str()), Some(name.as_str()))
            }
            Action::AssignNumber { .. } | Action::UnassignNumber { .. } => (None, None),
        };
        let new = NewIntent {
            id,
            account: self.journal.account,
            job: self.journal.job,
            epoch: self.journal.epoch,
            step: step.no,
            user: &step.user,
            oid: step.oid,
            action: step.action.kind(),
            number: step.action.number().map(tandem_domain::Number::as_str),
            policy_type,
            policy_name,
            client_request_id,
            look_after: self.shared.settings.intent_patience,
        };
        let mut tx = self.journal.begin("intents.open").await?;
        if !intents::open(&mut tx, &new).await? {
            return Ok(false);
        }
        let event = self.event(step, "sent", None, json!({ "client_request_id": client_request_id }));
        self.journal.commit(tx, vec![event]).await?;
        Ok(true)
    }

    pub(crate) async fn accepted(
        &self,
        step: &Step,
        intent: Uuid,
        operation: &OperationRef,
        ids: &RequestIds,
    ) -> Result<(), StoreError> {
        let mut tx = self.journal.begin("intents.accepted").await?;
        let patience = self.shared.settings.intent_patience;
        intents::accepted(&mut tx, intent, operation.as_str(), ids.request_id.as_deref(), patience).await?;
        let event = self.event(step, "accepted", Some(ids), json!({ "operation": operation.as_str() }));
        self.journal.commit(tx, vec![event]).await
    }

    /// The reply was lost: reading will decide, and the first of its two equal reads follows at once.
    pub(crate) async fn unknown(
        &self,
        step: &Step,
        intent: Uuid,
        error: &GraphError,
        text: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.journal.begin("intents.unknown").await?;
        intents::unknown(&mut tx, intent, text, Duration::ZERO).await?;
        let event = self.event(step, "unknown", error.ids(), json!({ "detail": text }));
        self.journal.commit(tx, vec![event]).await
    }

    /// The write had its effect: the intent ends and what stands is noted, in one transaction.
    pub(crate) async fn effect_known(
        &self,
        step: &Step,
        intent: Uuid,
        ids: Option<&RequestIds>,
        detail: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.journal.begin("intents.done").await?;
        let request_id = ids.and_then(|ids| ids.request_id.as_deref());
        intents::end(&mut tx, intent, IntentEnd::Done, detail, request_id).await?;
        standing::stood(&mut tx, self.journal.account, step.oid, &step.user, &effect_of(&step.action))
            .await?;
        let event = self.event(step, "done", ids, json!({}));
        self.journal.commit(tx, vec![event]).await
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
        let mut tx = self.journal.begin("intents.end").await?;
        let request_id = ids.and_then(|ids| ids.request_id.as_deref());
        intents::end(&mut tx, intent, end, Some(detail), request_id).await?;
        let event = self.event(step, outcome, ids, json!({ "detail": detail }));
        self.journal.commit(tx, vec![event]).await
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

/// The effect of an action on what stands.
pub(crate) fn effect_of(action: &Action) -> Stood<'_> {
    match action {
        Action::AssignNumber { number, .. } => Stood::NumberOn(number.as_str()),
        Action::UnassignNumber { number } => Stood::NumberOff(number.as_str()),
        Action::AssignPolicy { policy_type, name, .. } => Stood::PolicyOn(policy_type, name),
        Action::UnassignPolicy { policy_type, .. } => Stood::PolicyOff(policy_type),
    }
}
