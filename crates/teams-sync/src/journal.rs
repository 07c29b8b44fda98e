//! Writing what happened: events in the transaction of the state they describe, under the claim's epoch.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tandem_domain::{AccountId, JobId};
use tandem_runtime::Batches;
use tandem_store::claims::{self, Event, NewEvent};
use tandem_store::{StoreError, Tx, outbox};
use tandem_wire::JobEvent;

use crate::Shared;

/// Writes of one transaction at most. All events of a job are numbered under the lock of its row, so that a commit for
/// each would make the steps of a large job wait for each other's.
const TOGETHER: usize = 50;

/// A change of state that an event tells of; false when there was nothing to change and nothing to tell.
pub(crate) type Write = Box<dyn for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<bool, StoreError>> + Send>;

/// Makes a [`Write`] of a closure.
pub(crate) fn write<F>(change: F) -> Write
where
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<bool, StoreError>> + Send + 'static,
{
    Box::new(change)
}

type Desk = Batches<(Write, NewEvent), Result<bool, Arc<StoreError>>>;

/// The pen of one claim.
#[derive(Clone)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    pub(crate) account: AccountId,
    pub(crate) job: JobId,
    pub(crate) epoch: i32,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("job", &self.job).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn new(shared: Arc<Shared>, account: AccountId, job: JobId, epoch: i32) -> Self {
        Self { shared, desk: Arc::new(Batches::new(1, TOGETHER)), account, job, epoch }
    }

    /// Makes a change and tells it; false when there was nothing to change. It is done in one transaction with what other steps of the job write at this moment. Nothing is
    /// written when the claim was taken over.
    pub(crate) async fn write(&self, change: Write, event: NewEvent) -> Result<bool, StoreError> {
        let written = self.desk.join((change, event), 1, async |writes| self.write_all(writes).await).await;
        match written {
            Some(written) => written.map_err(|source| StoreError::Together { work: "jobs.write", source }),
            None => Err(StoreError::Superseded { work: "jobs.write" }),
        }
    }

    async fn write_all(&self, writes: Vec<(Write, NewEvent)>) -> Vec<Result<bool, Arc<StoreError>>> {
        let count = writes.len();
        match self.try_write(writes).await {
            Ok(written) => written.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(Arc::new(error)); count],
        }
    }

    async fn try_write(&self, writes: Vec<(Write, NewEvent)>) -> Result<Vec<bool>, StoreError> {
        let mut tx = self.begin("jobs.write").await?;
        let mut written = Vec::with_capacity(writes.len());
        let mut events = Vec::with_capacity(writes.len());
        for (change, event) in writes {
            let changed = change(&mut tx).await?;
            events.extend(changed.then_some(event));
            written.push(changed);
        }
        if !events.is_empty() {
            self.commit(tx, events).await?;
        }
        Ok(written)
    }

    /// Starts a transaction; [`Journal::commit`] ends it.
    pub(crate) async fn begin(&self, work: &'static str) -> Result<Tx, StoreError> {
        self.shared.store.begin(work).await
    }

    /// Appends the events, announces them and commits. Nothing is written when the claim was taken over.
    pub(crate) async fn commit(&self, mut tx: Tx, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.append(&mut tx, events).await?;
        tx.commit().await?;
        self.shared.bell.ring();
        Ok(())
    }

    /// Appends the events and announces them. The transaction must be dropped when the claim was taken over.
    pub(crate) async fn append(&self, tx: &mut Tx, events: Vec<NewEvent>) -> Result<(), StoreError> {
        let events = claims::append(tx, self.job, self.epoch, events).await?;
        announce(&self.shared, tx, &events).await
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
