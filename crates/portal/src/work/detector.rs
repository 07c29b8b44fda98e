//! What the detector has read and was told.

use tandem_store::admin::sources::{self, SourceRow};
use tandem_store::portal::detector::{self, Hold, Push, Read};
use tandem_store::portal::people;
use time::OffsetDateTime;

use super::{PAGE, Page};
use crate::App;
use crate::fault::Fault;

/// Held losses that are shown.
const HOLDS: i64 = 200;

/// Of what the log is asked for.
pub(crate) struct Narrowed {
    pub(crate) source: Option<String>,
    /// The short name of an account: its source, its losses, its messages.
    pub(crate) account: Option<String>,
    pub(crate) after: Option<(OffsetDateTime, String)>,
}

/// What there is.
pub(crate) struct Found {
    pub(crate) sources: Vec<SourceRow>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) reads: Page<Read, (OffsetDateTime, String)>,
    pub(crate) pushes: Vec<Push>,
}

/// Sources, a page of their reads, losses that are held, and the last messages of senders.
pub(crate) async fn log(app: &App, asked: Narrowed) -> Result<Found, Fault> {
    let mut sources = sources::list(&app.fleet).await?;
    let mut tx = app.fleet.begin("portal.detector").await?;
    let account = match asked.account {
        Some(name) => {
            let found = people::named(&mut tx, &[name]).await?.into_iter().next();
            Some(found.ok_or(Fault::BadInput("account", "is the short name of an account"))?.account)
        }
        None => None,
    };
    let source = match (asked.source, account) {
        (Some(source), _) => Some(source),
        // an account without a source has no reads
        (None, Some(account)) => Some(detector::source_of(&mut tx, account).await?.unwrap_or_default()),
        (None, None) => None,
    };
    if let Some(source) = &source {
        sources.retain(|row| row.source == *source);
    }
    let after = asked.after.as_ref().map(|(started, name)| (*started, name.as_str()));
    let reads = detector::reads(&mut tx, source.as_deref(), after, PAGE + 1).await?;
    Ok(Found {
        sources,
        holds: detector::holds(&mut tx, account, HOLDS).await?,
        reads: Page::cut(reads, PAGE, |read| (read.started_at, read.source.clone())),
        pushes: detector::pushes(&mut tx, account, PAGE).await?,
    })
}
