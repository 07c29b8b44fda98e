//! Takes messages: effect, announcement and receipt of each in one transaction.
//!
//! A message that comes while [`PLACES`] transactions are under way waits for the next one, together with the others that
//! wait: a transaction costs much the same for one message as for ten. An idle endpoint saves a message at once.

use std::sync::Arc;

use tandem_domain::{AccountId, PbxUserId};
use tandem_runtime::Batches;
use tandem_store::StoreError;
use tandem_store::pbx::push::Answer;
use tracing::Span;

use crate::announce::{CHUNK, SaveError};
use crate::changes::{Edit, Times};
use crate::push::App;

/// Transactions at once. Fewer would leave the database idle while a group is put together or a commit reaches the disk,
/// more would make the groups smaller.
const PLACES: usize = 3;
/// Tries of a transaction that loses a race.
const TRIES: u32 = 3;

/// What a message asks for.
#[derive(Debug)]
pub(crate) enum Effect {
    Upsert(Vec<Edit>),
    Delete(PbxUserId),
}

/// A message whose signature was right.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) account: AccountId,
    pub(crate) webhook_id: String,
    /// Tells a repeated message from another one under the same id: method, user and digest of the body.
    pub(crate) tag: Vec<u8>,
    pub(crate) times: Times,
    pub(crate) effect: Effect,
    /// The span that it came in; its announcement belongs there.
    pub(crate) span: Span,
}

impl Message {
    /// Users that it names.
    pub(crate) fn users(&self) -> usize {
        match &self.effect {
            Effect::Upsert(edits) => edits.len(),
            Effect::Delete(_) => 1,
        }
    }
}

/// Why a message was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TakeError {
    /// Shared by the messages of a group.
    #[error("take a push message")]
    Save(#[source] Arc<SaveError>),
    /// The id was used for another message.
    #[error("the webhook-id was used before")]
    Reused,
    /// The account was removed a moment ago.
    #[error("the account is gone")]
    Gone,
    /// The transaction that the message was part of broke off.
    #[error("the work on the message broke off")]
    BrokenOff,
}

/// What a message came to.
pub(crate) type Taken = Result<Answer, TakeError>;

/// Messages that wait for a transaction.
pub(crate) type Queue = Batches<Message, Taken>;

/// The queue of an endpoint.
pub(crate) fn queue() -> Queue {
    Batches::new(PLACES, CHUNK)
}

impl App {
    /// Takes a message, with others that wait.
    pub(crate) async fn take(&self, message: Message) -> Taken {
        // so no two messages of a group are of one account
        let _lane = self.lanes.enter(message.account).await;
        let users = message.users();
        let taken = self.queue.join(message, users, async |messages| self.take_group(&messages).await).await;
        taken.unwrap_or(Err(TakeError::BrokenOff))
    }

    async fn take_group(&self, messages: &[Message]) -> Vec<Taken> {
        match self.transaction(messages).await {
            Ok(taken) => taken,
            // what is wrong with one message must not keep the others out
            Err(error) if messages.len() > 1 && error.of_the_account() => {
                let mut all = Vec::with_capacity(messages.len());
                for message in messages {
                    let alone = self.transaction(std::slice::from_ref(message)).await;
                    all.extend(alone.unwrap_or_else(|error| failed(1, error)));
                }
                all
            }
            Err(error) => failed(messages.len(), error),
        }
    }

    /// One transaction, again when it loses a race.
    async fn transaction(&self, messages: &[Message]) -> Result<Vec<Taken>, SaveError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_take(messages).await {
                Err(SaveError::Store(StoreError::Conflict { .. })) if tries < TRIES => {}
                other => return other,
            }
        }
    }
}

fn failed(messages: usize, error: SaveError) -> Vec<Taken> {
    let error = Arc::new(error);
    (0..messages).map(|_| Err(TakeError::Save(Arc::clone(&error)))).collect()
}
