//! Replaying many jobs at once. What is replayed, and how many that are, is shown, confirmed and then fixed; the debouncer
//! hands it in, account by account.

use std::collections::BTreeSet;

use tandem_domain::audit::PROVIDER;
use tandem_domain::job::JobState;
use tandem_domain::roles::Act;
use tandem_domain::{AccountId, replay};
use tandem_store::bulk::{self, Bulk, BulkAccount, Count, Made, NewBulk};
use tandem_store::fleet_jobs;
use tandem_store::portal::{audit, pause};
use time::Duration;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::fleet_jobs::Asked;
use super::{PAGE, Page, fingerprint};
use crate::extract::is_line;
use crate::fault::Fault;
use crate::fault::bulk::BulkFault;
use crate::guard::{Visitor, of};
use crate::{App, acts};

/// How far back a filter reaches that names no time.
const USUAL: Duration = Duration::days(7);
/// Accounts of a bulk act on a page.
const ACCOUNTS: i64 = 200;

/// What a bulk act is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Jobs named one by one.
    Chosen(Vec<Uuid>),
    /// Whatever matches.
    Filter(Asked),
}

/// A bulk act before it is made: what it would be over.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The filter with its time range fixed; none for a selection.
    pub(crate) filter: Option<Asked>,
    /// The jobs that would be replayed.
    pub(crate) jobs: Vec<Uuid>,
    /// Of how many accounts.
    pub(crate) accounts: usize,
    /// Jobs of the selection that left nothing to be done anew.
    pub(crate) left_out: usize,
}

impl Draft {
    fn of(found: Vec<(Uuid, AccountId)>, filter: Option<Asked>, left_out: usize) -> Result<Self, Fault> {
        if found.is_empty() {
            return Err(Fault::Bulk(BulkFault::Nothing));
        }
        let accounts: BTreeSet<AccountId> = found.iter().map(|(_, account)| *account).collect();
        let jobs = found.into_iter().map(|(job, _)| job).collect();
        Ok(Self { filter, jobs, accounts: accounts.len(), left_out })
    }
}

/// Fixes the time range of a filter: the last seven days where it names none.
fn fixed(app: &App, asked: &Asked) -> Result<Asked, Fault> {
    let keys = asked.pairs().into_iter().filter(|(key, _)| !matches!(*key, "from" | "to"));
    if keys.count() == 0 {
        return Err(Fault::Bulk(BulkFault::EmptyFilter));
    }
    let mut asked = Asked { after: String::new(), ..asked.clone() };
    let now = app.clock.now();
    let text = |at: time::OffsetDateTime| at.format(&Rfc3339).map_err(|_| Fault::Internal);
    if asked.from.is_empty() {
        asked.from = text(now - USUAL)?;
    }
    if asked.to.is_empty() {
        asked.to = text(now)?;
    }
    Ok(asked)
}

/// What a bulk act would be over.
pub(crate) async fn draft(app: &App, over: &Over) -> Result<Draft, Fault> {
    let mut fleet = app.fleet.begin("portal.bulk_draft").await?;
    match over {
        Over::Chosen(jobs) => {
            if jobs.len() > replay::MOST_CHOSEN {
                return Err(Fault::Bulk(BulkFault::TooManyChosen));
            }
            let wanted: BTreeSet<&Uuid> = jobs.iter().collect();
            let found = fleet_jobs::chosen(&mut fleet, jobs).await?;
            if found.len() < wanted.len() {
                return Err(Fault::Bulk(BulkFault::UnknownJob));
            }
            let all = found.len();
            let left = found.into_iter().filter(|(_, _, state)| replay::leaves_something(*state));
            let left: Vec<_> = left.map(|(job, account, _)| (job.0, account)).collect();
            let left_out = all - left.len();
            Draft::of(left, None, left_out)
        }
        Over::Filter(asked) => {
            let asked = fixed(app, asked)?;
            let mut search = asked.search(&mut fleet).await?;
            if search.states.is_empty() {
                // what a person cancelled is done anew only where it is asked for
                search.states = vec![JobState::Failed, JobState::Partly];
            }
            search.states.retain(|state| replay::leaves_something(*state));
            if search.states.is_empty() {
                return Err(Fault::Bulk(BulkFault::Nothing));
            }
            let found = fleet_jobs::matching(&mut fleet, &search).await?;
            let found = found.ok_or(Fault::Bulk(BulkFault::TooWide))?;
            Draft::of(found.into_iter().map(|(job, account)| (job.0, account)).collect(), Some(asked), 0)
        }
    }
}

/// A bulk act that somebody confirms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New<'a> {
    pub(crate) name: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) over: &'a Over,
    /// How many jobs the person saw.
    pub(crate) count: usize,
    pub(crate) key: &'a str,
}

/// Makes a bulk act with its audit record, or neither. The same key again is the same bulk act.
pub(crate) async fn make(app: &App, visitor: &Visitor, new: &New<'_>) -> Result<Uuid, Fault> {
    let reason = acts::reason(new.reason)?;
    let name = new.name.trim();
    if !is_line(name, 100) {
        return Err(Fault::BadInput("name", "is one line of 1 to 100 characters"));
    }
    let digest = fingerprint(format!("{name}\n{reason}\n{:?}\n{}", new.over, new.count).as_bytes());
    let key = (new.key, digest);
    let (id, now) = (app.ids.v7(&app.clock), app.clock.now());
    let mut tx = app.store.begin_for("portal.bulk", PROVIDER).await?;
    if let Some(before) = bulk::used(&mut tx, visitor.person, key).await? {
        return made(before, id);
    }
    // every account would be refused
    if let Some(pause) = pause::fleet(&mut tx, now).await? {
        return Err(Fault::Paused(pause.to_string()));
    }
    let draft = draft(app, new.over).await?;
    if draft.jobs.len() != new.count {
        return Err(Fault::Bulk(BulkFault::Changed));
    }
    let filter = draft.filter.as_ref().map(serde_json::to_value).transpose().map_err(|_| Fault::Internal)?;
    let person = (visitor.person, visitor.name.as_str());
    let jobs = draft.jobs.as_slice();
    let kept = NewBulk { id, name, reason, person, key, filter: filter.as_ref(), jobs, now };
    let id = made(bulk::make(&mut tx, &kept).await?, id)?;
    let subject = format!("{id} {name}: {} jobs of {} accounts", jobs.len(), draft.accounts);
    audit::append(&mut tx, &of(visitor, PROVIDER, Act::BulkReplay, now, &subject, reason, true)).await?;
    tx.commit().await?;
    tracing::info!(bulk = %id, jobs = jobs.len(), accounts = draft.accounts, "a bulk act was made in the portal");
    Ok(id)
}

fn made(made: Made, id: Uuid) -> Result<Uuid, Fault> {
    match made {
        Made::New => Ok(id),
        Made::Same(before) => Ok(before),
        Made::OtherKey => Err(Fault::KeyReused),
        Made::Running => Err(Fault::Bulk(BulkFault::Running)),
    }
}

/// Sees to it that nothing more of a bulk act is handed in.
pub(crate) async fn abort(app: &App, visitor: &Visitor, id: Uuid, reason: &str) -> Result<(), Fault> {
    let (reason, now) = (acts::reason(reason)?, app.clock.now());
    let mut tx = app.store.begin_for("portal.bulk_abort", PROVIDER).await?;
    if bulk::find(&mut tx, id).await?.is_none() {
        return Err(Fault::NotFound);
    }
    if !bulk::abort(&mut tx, id, &visitor.name, now).await? {
        return Err(Fault::Bulk(BulkFault::Over));
    }
    let subject = format!("abort {id}");
    audit::append(&mut tx, &of(visitor, PROVIDER, Act::BulkReplay, now, &subject, reason, true)).await?;
    tx.commit().await?;
    tracing::info!(bulk = %id, "a bulk act was aborted in the portal");
    Ok(())
}

/// A page of bulk acts, newest first.
pub(crate) async fn list(app: &App, after: Option<Uuid>) -> Result<Page<Bulk, Uuid>, Fault> {
    let mut fleet = app.fleet.begin("portal.bulk_acts").await?;
    Ok(Page::cut(bulk::list(&mut fleet, after, PAGE + 1).await?, PAGE, |bulk| bulk.id))
}

/// How far a bulk act is.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) bulk: Bulk,
    pub(crate) counts: Vec<Count>,
    pub(crate) accounts: Page<BulkAccount, AccountId>,
}

/// How far a bulk act is, with a page of its accounts.
pub(crate) async fn seen(app: &App, id: Uuid, after: Option<Uuid>) -> Result<Seen, Fault> {
    let mut fleet = app.fleet.begin("portal.bulk_act").await?;
    let found = bulk::find(&mut fleet, id).await?.ok_or(Fault::NotFound)?;
    let mut counts = bulk::progress(&mut fleet, id).await?;
    if counts.is_empty() && found.finished_at.is_none() {
        counts.push(Count { state: "waiting".to_owned(), jobs: found.jobs, accounts: 0 });
    }
    let after = AccountId(after.unwrap_or_default());
    let accounts = bulk::accounts(&mut fleet, id, after, ACCOUNTS + 1).await?;
    Ok(Seen { bulk: found, counts, accounts: Page::cut(accounts, ACCOUNTS, |row| row.account) })
}
