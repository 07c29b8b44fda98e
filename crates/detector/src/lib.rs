//! The detector: notices what changed in a PBX and records it.
//!
//! It reads SQL sources as complete snapshots and takes signed pushes, compares with the stored profiles, and saves
//! the differences of an account with their generation and announcement in one transaction. Promised: a difference is
//! recorded exactly once however often it is seen; a deletion is told after two complete looks only; a source that
//! fails, shows nothing or suddenly loses many users never reads as "all gone"; a read that began before a push came
//! does not overwrite it. Not promised: intermediate states between two reads.

mod announce;
mod changes;
mod config;
mod losses;
mod metrics;
mod push;
mod reading;
mod save;
mod source;

use std::net::SocketAddr;

use tandem_outbox::{Announcer, Bell};
use tandem_runtime::Ctx;
use tandem_store::Store;
use tandem_wire::Subjects;

pub use config::{DetectorConfig, DetectorSettings, PushConfig, PushSettings, SourceConfig, SourceSettings};
pub use push::PushStartError;

use crate::metrics::Metrics;
use crate::source::{Nudges, SourceLoop};

/// Name of the push endpoint among the sources of changes.
pub const PUSH_SOURCE: &str = "push";

/// What the role works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database as `Login::Detector`.
    pub store: Store,
    /// Names of subjects and streams.
    pub subjects: Subjects,
    /// Rung after a commit.
    pub bell: Bell,
}

/// What has been started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Where the push endpoint listens, if it does.
    pub push: Option<SocketAddr>,
}

/// Starts the role's tasks and returns; they end when `ctx.shutdown` fires.
///
/// # Errors
/// [`PushStartError`] when the push endpoint cannot listen where it should.
pub async fn start(ctx: &Ctx, parts: &Parts, settings: &DetectorSettings) -> Result<Started, PushStartError> {
    let metrics = Metrics::new(&ctx.meter);
    let announcer = Announcer::new(parts.subjects.clone(), "detector", ctx);
    let nudges = Nudges::new(settings.sources.iter().map(|source| source.name.clone()));
    let push = match &settings.push {
        Some(push) => {
            let timing = (settings.timing, settings.after_due);
            let (announcer, metrics) = (announcer.clone(), metrics.clone());
            Some(push::start(ctx, parts, announcer, metrics, push, timing, nudges.clone()).await?)
        }
        None => None,
    };
    for source in &settings.sources {
        let source_loop =
            SourceLoop::new(ctx, parts, &announcer, &metrics, source.clone(), settings, &nudges);
        let stop = ctx.shutdown.clone();
        ctx.spawn("detector.source", async move { source_loop.run_until(stop).await });
    }
    Ok(Started { push })
}
