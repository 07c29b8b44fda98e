//! Messages that a consumer could not read.

use std::sync::Arc;

use tandem_bus::{DeadLetter, DeadLetters};
use tandem_runtime::BoxError;
use tandem_store::{Store, ops};

/// Keeps messages that could not be read, whole, with the reason, in `ops.dead_letters`.
#[derive(Clone, Debug)]
pub struct Letters(Store);

impl Letters {
    /// For the consumers of one role.
    #[must_use]
    pub fn new(store: Store) -> Arc<Self> {
        Arc::new(Self(store))
    }
}

impl DeadLetters for Letters {
    async fn store(&self, letter: DeadLetter) -> Result<(), BoxError> {
        let headers =
            letter.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let kept = ops::DeadLetter {
            stream: letter.stream,
            consumer: letter.consumer,
            subject: letter.subject,
            sequence: letter.sequence,
            attempts: letter.attempts,
            headers,
            payload: letter.payload.to_vec(),
            code: letter.code,
            reason: letter.reason,
        };
        ops::keep_dead_letter(&self.0, &kept).await.map_err(BoxError::from)
    }
}
