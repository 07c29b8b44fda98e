//! Messages that cannot be handled.

use bytes::Bytes;
use tandem_runtime::BoxError;
use tandem_wire::Headers;
use time::OffsetDateTime;

/// A message that cannot be handled, whole and with the reason.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The stream it came from.
    pub stream: String,
    /// The consumer that could not handle it.
    pub consumer: String,
    /// Its subject.
    pub subject: String,
    /// Its place in the stream.
    pub sequence: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub payload: Bytes,
    /// A stable code for the reason.
    pub code: String,
    /// The reason, in words.
    pub reason: String,
    /// When it was given up.
    pub at: OffsetDateTime,
}

/// Where dead letters are kept. A message is ended only after its letter is stored; until then it comes again.
pub trait DeadLetters: Send + Sync + 'static {
    /// Keeps a letter. The same letter may come twice: (stream, consumer, sequence) names it.
    fn store(&self, letter: DeadLetter) -> impl Future<Output = Result<(), BoxError>> + Send;
}

impl<F, Fut> DeadLetters for F
where
    F: Fn(DeadLetter) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send,
{
    fn store(&self, letter: DeadLetter) -> impl Future<Output = Result<(), BoxError>> + Send {
        self(letter)
    }
}
