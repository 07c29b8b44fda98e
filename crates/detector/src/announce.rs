//! Records changes and announces them, within the caller's transaction.

use std::collections::BTreeMap;

use tandem_domain::{AccountId, PbxUserId};
use tandem_outbox::Announcer;
use tandem_store::change::{self, NewChange, Recorded};
use tandem_store::outbox::{self, Announcement};
use tandem_store::pbx::profiles;
use tandem_store::{StoreError, Tx};
use tandem_wire::WireError;
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

/// Records changes and announces them: one message for an account and up to 500 users. An account comes more than once
/// in what is returned when its changes took more than one statement.
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
        let mut announcements = Vec::with_capacity(recorded.len());
        for of in &recorded {
            let changes = by_account.remove(&of.account).unwrap_or_default();
            let announce = || announcement(announcer, of, &changes);
            let told = spans.get(&of.account).map_or_else(announce, |span| span.in_scope(announce))?;
            announcements.extend(told);
        }
        outbox::put(tx, &announcements).await?;
        all.extend(recorded);
    }
    Ok(all)
}

fn announcement(
    announcer: &Announcer,
    of: &Recorded,
    changes: &[&NewChange],
) -> Result<Vec<Announcement>, WireError> {
    let users: Vec<PbxUserId> = changes.iter().filter_map(|change| change.user.clone()).collect();
    let times = || changes.iter().map(|change| change.detected_at);
    match (times().min(), times().max()) {
        (Some(first), Some(last)) => announcer.changed(of.account, of.generation, &users, first, last),
        _ => Ok(Vec::new()),
    }
}
