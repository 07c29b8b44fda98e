//! Waiting until an account is at rest: everything recorded is gathered, synced and settled.

use std::time::Duration;

use anyhow::{Result, bail};
use tandem_domain::{AccountId, Gen};
use tandem_store::log_read::{self, JobFilter, JobRow};
use tandem_store::{Store, admin, change, windows};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::screen::Screen;
use super::story::type_name;
use super::world::SOURCE;

/// How often tables are looked at.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// A first sync takes some seconds; after a crash, what was in hand is left alone for two minutes.
const PATIENCE: Duration = Duration::from_secs(240);

/// Where an account stands.
#[derive(Debug)]
enum Rest {
    /// Something is still under way; what, in words.
    Busy(String),
    /// Nothing waits; these are the jobs, the newest first.
    Quiet(Vec<JobRow>),
    /// No job is expected; whether changes wait in the open window.
    Idle { queued: bool },
}

/// Looks at an account once. Only reads and jobs after `since` count.
async fn look(store: &Store, watched: &Watched, since: OffsetDateTime) -> Result<Rest> {
    let busy = |why: &str| Ok(Rest::Busy(why.to_owned()));
    let sources = admin::sources::list(store).await?;
    let read = sources.iter().any(|row| row.source == SOURCE && row.last_ok_at.is_some_and(|at| at > since));
    if !read {
        return busy("the PBX was not read yet");
    }
    let account = watched.account;
    let mut tx = store.begin("demo.rest").await?;
    let Some(window) = windows::open(&mut tx, account).await? else {
        return busy("no change was gathered yet");
    };
    if !change::range(&mut tx, account, window.generation, Gen::MAX).await?.is_empty() {
        return busy("changes are being gathered");
    }
    if !watched.job {
        return Ok(Rest::Idle { queued: window.first_change_at.is_some() });
    }
    if window.first_change_at.is_some() {
        return busy("a window is open");
    }
    let filter = JobFilter { account: Some(account), since: Some(since), ..JobFilter::default() };
    let jobs = log_read::jobs(&mut tx, &filter, None, 20).await?;
    if let Some(job) = jobs.iter().find(|job| !job.state.is_final()) {
        return Ok(Rest::Busy(format!("job {} is {}", job.job, job.state.as_str())));
    }
    if let Some(job) = jobs.iter().find(|job| job.error_code.is_some()) {
        bail!("job {} failed: {}", job.job, job.error_text.as_deref().unwrap_or_default());
    }
    if let Some(job) = jobs.iter().find(|job| job.settled_at.is_none() && confirmed(job) > 0) {
        return Ok(Rest::Busy(format!("job {} settles", job.job)));
    }
    match admin::accounts::stands(&mut tx, account).await?.deferred {
        0 if jobs.is_empty() => busy("no job was cut yet"),
        0 => Ok(Rest::Quiet(jobs)),
        users => Ok(Rest::Busy(format!("{users} deferred users wait for another look"))),
    }
}

/// Users that a job changed something for: those have to settle.
fn confirmed(job: &JobRow) -> i64 {
    job.counts.as_ref().and_then(|counts| counts["confirmed"].as_i64()).unwrap_or_default()
}

/// An account that is to come to rest.
#[derive(Debug)]
pub(super) struct Watched {
    /// Its name.
    pub(super) name: &'static str,
    /// Its id.
    pub(super) account: AccountId,
    /// Whether it syncs by itself.
    pub(super) auto_sync: bool,
    /// Whether a job is expected now.
    pub(super) job: bool,
}

/// Waits until the accounts are at rest, and says how each got there.
///
/// # Errors
/// When a job fails, or it takes too long.
pub(super) async fn wait(
    store: &Store,
    screen: &Screen,
    watched: &[Watched],
    since: OffsetDateTime,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for watched in watched {
        let words = format!("{}: first sync", watched.name);
        let rest = screen.during(&words, until(store, watched, since, deadline)).await?;
        match rest {
            Rest::Quiet(jobs) => {
                for job in jobs.iter().rev() {
                    let users = job.counts.as_ref().map(counts).unwrap_or_default();
                    let (name, kind) = (watched.name, type_name(job.job_type));
                    screen.item(&format!("{name}: {kind} job {} is done; users: {users}", job.job));
                }
            }
            Rest::Idle { queued: true } => {
                screen.item(&format!("{}: Auto Sync is off, so its changes stay queued", watched.name));
            }
            Rest::Idle { queued: false } => screen.item(&format!("{}: nothing waits", watched.name)),
            Rest::Busy(_) => {}
        }
    }
    Ok(())
}

async fn until(store: &Store, watched: &Watched, since: OffsetDateTime, deadline: Instant) -> Result<Rest> {
    loop {
        let rest = look(store, watched, since).await?;
        let Rest::Busy(why) = &rest else { return Ok(rest) };
        if Instant::now() >= deadline {
            bail!("{} did not come to rest within {} s: {why}", watched.name, PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Counts of users by outcome, those that are not zero.
fn counts(counts: &serde_json::Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let told: Vec<_> = counts
        .filter(|(_, count)| count.as_i64() != Some(0))
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}
