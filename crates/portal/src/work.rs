//! What pages and API do alike: reading in the context of one account, and asking for what others carry out.

pub(crate) mod bulk;
pub(crate) mod detector;
pub(crate) mod fleet;
pub(crate) mod fleet_jobs;
pub(crate) mod imports;
pub(crate) mod invite;
pub(crate) mod provider;
pub(crate) mod users;

use aws_lc_rs::digest;
use tandem_consent::{NewLink, make_link_in};
use tandem_domain::account_state::AccountState;
use tandem_domain::audit::PROVIDER;
use tandem_domain::job::JobScope;
use tandem_domain::roles::{Act, Field};
use tandem_domain::{AccountId, JobId, PbxUserId};
use tandem_store::admin::requests::{self, Ask};
use tandem_store::connect::{Purpose, SecretHash};
use tandem_store::log_read::{self, JobFilter, JobRow, StepFilter, StepRow};
use tandem_store::portal::changes::{self, Change};
use tandem_store::portal::charts;
use tandem_store::portal::idempotency::{self, Key};
use tandem_store::portal::names::{self, Names};
use tandem_store::portal::overview::{self, Overview};
use tandem_store::portal::{audit, fleet as stored_fleet, people, users as stored_users};
use tandem_store::{Tx, admin};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::chart::Chart;
use crate::fault::Fault;
use crate::guard::{InAccount, Visitor, of};
use crate::{App, pausing, plots};

/// Rows of a page.
pub(crate) const PAGE: i64 = 50;
/// How long a link to a sync with a sign-in is good.
const LINK_LIFE: Duration = Duration::minutes(15);
/// Changes of a job that are shown.
const CHANGES: i64 = 200;

/// A page of something, and what the next one begins behind.
#[derive(Clone, Debug)]
pub(crate) struct Page<T, N> {
    pub(crate) rows: Vec<T>,
    pub(crate) next: Option<N>,
}

impl<T, N> Page<T, N> {
    /// Of one row more than a page has, the last only says that there is more.
    pub(crate) fn cut(mut rows: Vec<T>, size: i64, key: impl Fn(&T) -> N) -> Self {
        let size = usize::try_from(size).unwrap_or_default();
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(key);
        Self { rows, next }
    }
}

/// Which accounts somebody has: a page of all of them for an operator, or of those in a state, otherwise those of a role.
/// An operator's look is on record.
pub(crate) async fn accounts(
    app: &App,
    visitor: &Visitor,
    state: Option<AccountState>,
    after: &str,
) -> Result<Page<Overview, String>, Fault> {
    if visitor.operator {
        let state = state.map_or("all", AccountState::as_str);
        let subject: String = format!("{state}, behind {after:?}").chars().take(200).collect();
        let mut tx = app.store.begin_for("portal.list_accounts", PROVIDER).await?;
        let look = of(visitor, PROVIDER, Act::ListAccounts, app.clock.now(), &subject, "", true);
        audit::append(&mut tx, &look).await?;
        tx.commit().await?;
    }
    let mut fleet = app.fleet.begin("portal.accounts").await?;
    let ids: Vec<AccountId> = if let Some(state) = state.filter(|_| visitor.operator) {
        stored_fleet::in_state(&mut fleet, state, after, PAGE + 1).await?
    } else if visitor.operator {
        people::all(&mut fleet, after, PAGE + 1).await?.into_iter().map(|account| account.account).collect()
    } else {
        let mut ids: Vec<AccountId> =
            people::memberships(&mut fleet, visitor.person).await?.into_iter().map(|(id, _)| id).collect();
        if let Some((tenant, oid)) = visitor.microsoft {
            // what was named in another account's tenant counts no more; the guard says the same
            let mut own = Vec::new();
            for id in ids {
                if people::tenant(&mut fleet, id).await? == Some(tenant) {
                    own.push(id);
                }
            }
            ids = own;
            if visitor.global_admin {
                ids.extend(people::linked_to(&mut fleet, tenant, oid).await?);
            }
        }
        ids.sort_unstable_by_key(|id| id.0);
        ids.dedup();
        let names = people::names(&mut fleet, &ids).await?;
        let behind = names.into_iter().filter(|account| account.name.as_str() > after);
        behind.take(usize::try_from(PAGE + 1).unwrap_or_default()).map(|account| account.account).collect()
    };
    let rows = overview::stand(&mut fleet, &ids, app.clock.now()).await?;
    Ok(Page::cut(rows, PAGE, |row| row.name.clone()))
}

/// How the account stands; what this person's roles do not see is left out.
pub(crate) async fn overview(app: &App, inside: &InAccount) -> Result<Overview, Fault> {
    let mut tx = app.store.begin_for("portal.overview", inside.id()).await?;
    let rows = overview::stand(&mut tx, &[inside.id()], app.clock.now()).await?;
    let mut found = rows.into_iter().next().ok_or(Fault::NotFound)?;
    if !inside.roles.sees(Field::AuthorizationDetail)
        && let Some(authorization) = &mut found.authorization
    {
        authorization.detail = None;
    }
    Ok(found)
}

/// What jobs of the last day came to, as a chart.
pub(crate) async fn chart(app: &App, inside: &InAccount) -> Result<Chart, Fault> {
    let mut tx = app.store.begin_for("portal.chart", inside.id()).await?;
    let now = app.clock.now();
    let jobs = charts::throughput(&mut tx, Some(inside.id()), now - Duration::DAY).await?;
    Ok(plots::throughput(&jobs, 24, now))
}

/// A page of the account's jobs, newest first.
pub(crate) async fn jobs(
    app: &App,
    inside: &InAccount,
    filter: JobFilter,
    after: Option<JobId>,
) -> Result<Page<JobRow, JobId>, Fault> {
    let mut tx = app.store.begin_for("portal.jobs", inside.id()).await?;
    let filter = JobFilter { account: Some(inside.id()), ..filter };
    let rows = log_read::jobs(&mut tx, &filter, after, PAGE + 1).await?;
    Ok(Page::cut(rows, PAGE, |row| row.job))
}

/// One job of the account, as the log has it or, before the log has caught up, as the queue has it.
pub(crate) async fn job(app: &App, inside: &InAccount, job: JobId) -> Result<JobRow, Fault> {
    let mut tx = app.store.begin_for("portal.job", inside.id()).await?;
    find_job(&mut tx, job).await
}

/// The same within a transaction.
pub(crate) async fn find_job(tx: &mut Tx, job: JobId) -> Result<JobRow, Fault> {
    if let Some(row) = log_read::job(tx, job).await? {
        return Ok(row);
    }
    admin::jobs::job(tx, job).await?.ok_or(Fault::NotFound)
}

/// A page of a job's steps behind a number, in the order they happened.
pub(crate) async fn steps(
    app: &App,
    inside: &InAccount,
    job: JobId,
    after: i64,
) -> Result<Page<StepRow, i64>, Fault> {
    let mut tx = app.store.begin_for("portal.steps", inside.id()).await?;
    let size = log_read::MAX_PAGE - 1;
    let rows = log_read::steps(&mut tx, job, &StepFilter::default(), after, size + 1).await?;
    Ok(Page::cut(rows, size, |row| row.number))
}

/// The changes that a job carried.
pub(crate) async fn carried(app: &App, inside: &InAccount, job: &JobRow) -> Result<Vec<Change>, Fault> {
    let Some(range) = job.from_gen.zip(job.to_gen) else { return Ok(Vec::new()) };
    let mut tx = app.store.begin_for("portal.carried", inside.id()).await?;
    Ok(changes::range(&mut tx, inside.id(), range, CHANGES).await?)
}

/// What the named users of the account are called.
pub(crate) async fn names(app: &App, inside: &InAccount, users: &[&str]) -> Result<Names, Fault> {
    let mut tx = app.store.begin_for("portal.names", inside.id()).await?;
    Ok(names::names(&mut tx, inside.id(), users).await?)
}

/// What a sync with the stored authorization is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About<'a> {
    /// Everything managed.
    Everybody,
    /// One user, and besides what waits anyway.
    User(&'a PbxUserId),
}

/// What tells one request under a key from another.
pub(crate) fn fingerprint(what: &[u8]) -> SecretHash {
    let mut hash: SecretHash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, what).as_ref());
    hash
}

/// Claims a key for a request; gives the request that the key stands for already. `what` tells one request from another
/// under the same key.
pub(crate) async fn claim(
    tx: &mut Tx,
    inside: &InAccount,
    (key, what): (&str, &[u8]),
    request: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Uuid>, Fault> {
    let hash = fingerprint(what);
    let whose = (inside.id(), inside.visitor.person);
    match idempotency::claim(tx, whose, key, &hash, request, now).await? {
        Key::New => Ok(None),
        Key::Same(before) => Ok(Some(before)),
        Key::Other => Err(Fault::KeyReused),
    }
}

/// Asks for a sync with the stored authorization: a request, its audit record and its key, or none of them. The same
/// key again is the same request.
pub(crate) async fn ask_sync(
    app: &App,
    inside: &InAccount,
    about: About<'_>,
    key: (&str, &[u8]),
    reason: &str,
) -> Result<Uuid, Fault> {
    let (account, visitor) = (inside.id(), &inside.visitor);
    let now = app.clock.now();
    let request = app.ids.v7(&app.clock);
    let reason = match about {
        About::Everybody if reason.is_empty() => "Sync Now, Teams",
        About::User(_) if reason.is_empty() => "Sync this user now",
        _ => reason,
    };
    let mut tx = app.store.begin_for("portal.ask_sync", account).await?;
    if let Some(before) = claim(&mut tx, inside, key, request, now).await? {
        return Ok(before);
    }
    let stands = overview::stand(&mut tx, &[account], now).await?;
    pausing::refuse(&mut tx, account, now).await?;
    let facts = stands.first().ok_or(Fault::NotFound)?.facts;
    if !facts.auto_sync {
        return Err(Fault::TeamsNeedsAutoSync);
    }
    if !facts.healthy {
        return Err(Fault::NotAuthorized);
    }
    let subject = match about {
        About::Everybody => {
            let ask = Ask::Sync(JobScope::All);
            requests::ask(&mut tx, request, account, ask, &visitor.name, Some(reason)).await?;
            request.to_string()
        }
        About::User(user) => {
            let row = stored_users::one(&mut tx, account, user).await?.ok_or(Fault::NotFound)?;
            if !row.facts.mapped && !row.facts.standing {
                return Err(Fault::BadInput("The user", "is not mapped, so there is nothing to sync"));
            }
            requests::ask_user(&mut tx, request, account, user, (visitor.name.as_str(), reason)).await?;
            format!("{request} {user}")
        }
    };
    audit::append(&mut tx, &of(visitor, account, Act::SyncStored, now, &subject, reason, true)).await?;
    tx.commit().await?;
    tracing::info!(%account, %request, "a sync was asked for in the portal");
    Ok(request)
}

/// Makes the link to the pages on which the Global Admin signs in for one sync.
pub(crate) async fn manual_sync(app: &App, inside: &InAccount) -> Result<String, Fault> {
    if !app.manual_sync {
        return Err(Fault::ManualSyncOff);
    }
    let (account, visitor) = (inside.id(), &inside.visitor);
    let reason = "Sync Now, Manual Sync".to_owned();
    let purpose = Purpose::Sync { scope: JobScope::All, reason: reason.clone() };
    let mut tx = app.store.begin_for("portal.manual_sync", account).await?;
    // whoever removes the integration takes the link away, or is seen here
    stored_users::lock(&mut tx, account).await?;
    if admin::provider::removed(&mut tx, account).await? {
        return Err(Fault::IntegrationRemoved);
    }
    let now = app.clock.now();
    pausing::refuse(&mut tx, account, now).await?;
    audit::append(&mut tx, &of(visitor, account, Act::SyncSignedIn, now, "", &reason, true)).await?;
    let new = NewLink {
        account,
        purpose: &purpose,
        expected_tenant: None,
        made_by: &visitor.name,
        life: LINK_LIFE,
    };
    let link = make_link_in(&mut tx, &new).await?;
    tx.commit().await?;
    Ok(format!("/connect/{}", link.text()))
}
