//! Records changes and announces them, within the caller's transaction.

use std::collections::BTreeMap;

use tandem_domain::PbxUserId;
use tandem_outbox::Announcer;
use tandem_store::change::{self, NewChange, Recorded};
use tandem_store::pbx::profiles;
use tandem_store::{StoreError, Tx, outbox};
use tandem_wire::WireError;

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

/// Does what was judged and tells it.
pub(crate) async fn carry_out(
    tx: &mut Tx,
    announcer: &Announcer,
    source: &str,
    judged: &Judged<'_>,
) -> Result<Vec<Recorded>, SaveError> {
    profiles::upsert(tx, source, &judged.writes).await?;
    profiles::clear_missing(tx, &judged.found).await?;
    tell(tx, announcer, source, &judged.changes).await
}

/// Records changes and announces them: one message for an account and up to 500 users.
pub(crate) async fn tell(
    tx: &mut Tx,
    announcer: &Announcer,
    source: &str,
    changes: &[NewChange],
) -> Result<Vec<Recorded>, SaveError> {
    let recorded = change::record(tx, source, changes).await?;
    let mut by_account: BTreeMap<_, Vec<&NewChange>> = BTreeMap::new();
    for change in changes {
        by_account.entry(change.account).or_default().push(change);
    }
    let mut announcements = Vec::with_capacity(recorded.len());
    for of in &recorded {
        let changes = by_account.remove(&of.account).unwrap_or_default();
        let users: Vec<PbxUserId> = changes.iter().filter_map(|change| change.user.clone()).collect();
        let times = || changes.iter().map(|change| change.detected_at);
        if let (Some(first), Some(last)) = (times().min(), times().max()) {
            announcements.extend(announcer.changed(of.account, of.generation, &users, first, last)?);
        }
    }
    outbox::put(tx, &announcements).await?;
    Ok(recorded)
}
