//! Writing what happened: events in the transaction of the state they describe, under the claim's epoch.

use std::sync::Arc;

use serde_json::Value;
use tandem_domain::{AccountId, JobId};
use tandem_store::claims::{self, Event, NewEvent};
use tandem_store::{StoreError, Tx, outbox};
use tandem_wire::JobEvent;

use crate::Shared;

/// The pen of one claim.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    pub(crate) account: AccountId,
    pub(crate) job: JobId,
    pub(crate) epoch: i32,
}

impl Journal {
    pub(crate) fn new(shared: Arc<Shared>, account: AccountId, job: JobId, epoch: i32) -> Self {
        Self { shared, account, job, epoch }
    }

    /// Starts a transaction; [`Journal::commit`] ends it.
    pub(crate) async fn begin(&self, work: &'static str) -> Result<Tx, StoreError> {
        self.shared.store.begin(work).await
    }

    /// Appends the events, announces them and commits. Nothing is written when the claim was taken over.
    pub(crate) async fn commit(&self, mut tx: Tx, events: Vec<NewEvent>) -> Result<(), StoreError> {
        let events = claims::append(&mut tx, self.job, self.epoch, events).await?;
        announce(&self.shared, &mut tx, &events).await?;
        tx.commit().await?;
        self.shared.bell.ring();
        Ok(())
    }

    /// Writes one event that describes no other state.
    pub(crate) async fn note(&self, kind: &'static str, data: Value) -> Result<(), StoreError> {
        let tx = self.begin("jobs.note").await?;
        self.commit(tx, vec![NewEvent { kind, data }]).await
    }
}

/// Puts the announcements of events into the outbox. An event too large for a message is kept all the same; the
/// log finds it by sweeping.
pub(crate) async fn announce(shared: &Shared, tx: &mut Tx, events: &[Event]) -> Result<(), StoreError> {
    let announcements: Vec<_> = events
        .iter()
        .filter_map(|event| {
            let message = JobEvent {
                account: event.account.0,
                job: event.job.0,
                number: event.number,
                at: event.at,
                kind: event.kind.clone(),
                data: event.data.clone(),
            };
            shared.announcer.event(&message).ok()
        })
        .collect();
    outbox::put(tx, &announcements).await
}
