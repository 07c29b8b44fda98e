//! Records changes and announces them, within the caller's transaction.

use std::collections::BTreeMap;

use tandem_domain::AccountId;
use tandem_outbox::Announcer;
use tandem_runtime::trace;
use tandem_store::change::{self, NewChange, Recorded};
use tandem_store::outbox;
use tandem_store::pbx::profiles;
use tandem_store::{StoreError, Tx};
use tandem_wire::{Changed, WireError};
use tracing::Span;

use crate::changes::Judged;

/// Why something could not be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    /// The database.
    #[error("save changes")]
    Store(#[from] StoreError),
    /// An announcement did not fit.
    #[error("announce changes")]
    Wire(#[from] WireError),
    /// The spooled differences are not all there any more: another reader took over, or the database lost them.
    #[error("the spooled differences are gone")]
    SpoolLost,
    /// A spooled profile cannot be read.
    #[error("read a spooled profile")]
    Spooled(#[source] serde_json::Error),
}

impl SaveError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Store(_) => "save_store",
            Self::Wire(_) => "save_announce",
            Self::SpoolLost => "spool_lost",
            Self::Spooled(_) => "spool_unreadable",
        }
    }

    /// Whether it is about the data of one account rather than about the database.
    pub(crate) fn of_the_account(&self) -> bool {
        match self {
            Self::Store(error) => !error.retryable(),
            Self::Wire(_) | Self::Spooled(_) => true,
            Self::SpoolLost => false,
        }
    }
}

/// Rows of one statement.
pub(crate) const CHUNK: usize = 500;

/// The spans of the messages that changes came with, by account. Announcements of other accounts belong to the span they
/// are made in.
pub(crate) type Spans = BTreeMap<AccountId, Span>;

/// Does what was judged and tells it.
pub(crate) async fn carry_out(
    tx: &mut Tx,
    announcer: &Announcer,
    source: &str,
    judged: &Judged<'_>,
    spans: &Spans,
) -> Result<Vec<Recorded>, SaveError> {
    for writes in judged.writes.chunks(CHUNK) {
        profiles::upsert(tx, source, writes).await?;
    }
    for found in judged.found.chunks(CHUNK) {
        profiles::clear_missing(tx, found).await?;
    }
    tell(tx, announcer, source, &judged.changes, spans).await
}

/// Records changes and announces them, those of a statement together. An account comes more than once in what is returned
/// when its changes took more than one statement.
pub(crate) async fn tell(
    tx: &mut Tx,
    announcer: &Announcer,
    source: &str,
    changes: &[NewChange],
    spans: &Spans,
) -> Result<Vec<Recorded>, SaveError> {
    let mut all = Vec::new();
    for changes in changes.chunks(CHUNK) {
        let recorded = change::record(tx, source, changes).await?;
        let mut by_account: BTreeMap<_, Vec<&NewChange>> = BTreeMap::new();
        for change in changes {
            by_account.entry(change.account).or_default().push(change);
        }
        let together = recorded.iter().filter_map(|of| {
            let traceparent = spans.get(&of.account).map_or_else(trace::inject, trace::inject_span);
            changed(of, by_account.get(&of.account)?, traceparent)
        });
        outbox::put(tx, &announcer.changed_together(together.collect())?).await?;
        all.extend(recorded);
    }
    Ok(all)
}

fn changed(of: &Recorded, changes: &[&NewChange], traceparent: Option<String>) -> Option<Changed> {
    let times = || changes.iter().map(|change| change.detected_at);
    let users = changes.iter().filter_map(|change| change.user.as_ref());
    Some(Changed {
        account: of.account.0,
        generation: of.generation,
        users: users.map(|user| user.0.clone()).collect(),
        first_detected_at: times().min()?,
        last_detected_at: times().max()?,
        traceparent,
    })
}
