//! How accounts stand: everything that their state, their button and their countdown are made of, in one statement.
//!
//! The same function serves one account's people and the fleet login, which sees all accounts.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::account_state::Facts;
use tandem_domain::authorization::{AuthorizationState, Reason};
use tandem_domain::job::{JobState, JobType};
use tandem_domain::{AccountId, JobId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// How accounts stand. A change counts as queued while no job has covered it and it is one that opens a window.
    STAND = "select a.account_id, a.name, a.label, a.auto_sync, a.licences, a.paused_until, a.pause_reason,
                    exists (select from pbx.bindings b where b.account_id = a.account_id) as bound,
                    v.tenant_id, v.state as authorization_state, v.reason, v.since, v.checked_at, v.admin_name, v.detail,
                    m.mapped, m.landed, st.standing, st.leaving,
                    w.first_change_at, w.due_at, s.retry_at,
                    q.job_id as current_job, q.state as current_state, q.job_type as current_type, q.parked,
                    l.job_id as last_job, l.state as last_state, l.job_type as last_type, l.finished_at as last_finished,
                    u.issues, u.landing, c.queued, c.oldest,
                    (select count(*) from sync.held h where h.account_id = a.account_id and h.closed_at is null) as held
               from admin.accounts a
               left join vault.authorizations v using (account_id)
               left join queue.windows w using (account_id)
               left join sync.accounts s using (account_id)
               left join lateral (select count(*) as mapped, count(*) filter (where us.settled_at is not null) as landed
                                    from admin.mappings m
                                    left join sync.users us on us.account_id = m.account_id and us.pbx_user_id = m.pbx_user_id
                                                           and us.microsoft_user = m.microsoft_user
                                   where m.account_id = a.account_id) m on true
               left join lateral (select count(*) as standing, count(*) filter (where not exists (
                                           select from admin.mappings m where m.account_id = t.account_id
                                              and m.microsoft_user = t.microsoft_user)) as leaving
                                    from sync.standing t where t.account_id = a.account_id) st on true
               left join lateral (select j.job_id, j.state, j.job_type, j.parked from queue.jobs j
                                   where j.account_id = a.account_id and j.state in ('queued', 'running')
                                   order by j.state desc limit 1) q on true
               left join lateral (select j.job_id, j.state, j.job_type, j.finished_at from log.jobs j
                                   where j.account_id = a.account_id and j.finished_at is not null
                                   order by j.job_id desc limit 1) l on true
               left join lateral (select count(*) filter (where x.outcome in ('conflict', 'failed') or x.settle_issue is not null) as issues,
                                         count(*) filter (where x.confirmed_gen > x.settled_gen and x.settle_issue is null) as landing
                                    from sync.users x where x.account_id = a.account_id) u on true
               left join lateral (select count(*) as queued, min(g.detected_at) as oldest from change.counting g
                                   where g.account_id = a.account_id and g.gen > coalesce(s.covered_gen, 0)
                                 ) c on true
              where a.account_id = any ($1) order by a.name";
}

/// A job in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortJob {
    /// Its id.
    pub job: JobId,
    /// Where it is in its life.
    pub state: JobState,
    /// Auto or Manual.
    pub job_type: JobType,
    /// When it ended.
    pub finished_at: Option<OffsetDateTime>,
    /// Why it may not start.
    pub parked: Option<String>,
}

/// The authorization of an account in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortAuthorization {
    /// The tenant.
    pub tenant: TenantId,
    /// What it is worth.
    pub state: AuthorizationState,
    /// Why it is not healthy.
    pub reason: Option<Reason>,
    /// Since when.
    pub since: OffsetDateTime,
    /// When it was last proved.
    pub checked_at: Option<OffsetDateTime>,
    /// The linked Global Admin.
    pub admin: Option<String>,
    /// What Microsoft said.
    pub detail: Option<String>,
}

/// How one account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Its id.
    pub account: AccountId,
    /// Its short name.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// What its state is made of.
    pub facts: Facts,
    /// Its authorization.
    pub authorization: Option<ShortAuthorization>,
    /// Paused until, and why.
    pub pause: Option<(OffsetDateTime, String)>,
    /// When the oldest queued change was noticed.
    pub oldest: Option<OffsetDateTime>,
    /// By when a job for the queued changes is cut by itself.
    pub due_at: Option<OffsetDateTime>,
    /// When a failed job is tried again by itself.
    pub retry_at: Option<OffsetDateTime>,
    /// The job that waits or runs.
    pub current: Option<ShortJob>,
    /// The last job that ended.
    pub last: Option<ShortJob>,
    /// Integration licences sold.
    pub licences: i32,
    /// Licences given to users.
    pub mapped: i64,
    /// Of those, how many have landed in Teams.
    pub landed: i64,
    /// Former users on whom something of ours still stands.
    pub leaving: i64,
}

/// How accounts stand, by name. `now` decides whether a pause lasts.
///
/// # Errors
/// [`StoreError`].
pub async fn stand(
    tx: &mut Tx,
    accounts: &[AccountId],
    now: OffsetDateTime,
) -> Result<Vec<Overview>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
    let rows = sqlx::query(STAND).bind(ids).fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter().map(|row| read(row, work, now)).collect()
}

fn short(row: &PgRow, work: &'static str, current: bool) -> Result<Option<ShortJob>, StoreError> {
    let odd = |column| StoreError::Inconsistent { work, column };
    let [id, state, job_type] = match current {
        true => ["current_job", "current_state", "current_type"],
        false => ["last_job", "last_state", "last_type"],
    };
    let Some(job) = row.get::<Option<Uuid>, _>(id) else { return Ok(None) };
    Ok(Some(ShortJob {
        job: JobId(job),
        state: JobState::parse(row.get(state)).ok_or_else(|| odd("jobs.state"))?,
        job_type: JobType::parse(row.get(job_type)).ok_or_else(|| odd("jobs.job_type"))?,
        finished_at: if current { None } else { row.get("last_finished") },
        parked: if current { row.get("parked") } else { None },
    }))
}

fn authorization(row: &PgRow, work: &'static str) -> Result<Option<ShortAuthorization>, StoreError> {
    let column = "vault.authorizations.state";
    let Some(tenant) = row.get::<Option<Uuid>, _>("tenant_id") else { return Ok(None) };
    let state = AuthorizationState::parse(row.get("authorization_state"));
    Ok(Some(ShortAuthorization {
        tenant: TenantId(tenant),
        state: state.ok_or(StoreError::Inconsistent { work, column })?,
        reason: row.get::<Option<&str>, _>("reason").and_then(Reason::parse),
        since: row.get("since"),
        checked_at: row.get("checked_at"),
        admin: row.get("admin_name"),
        detail: row.get("detail"),
    }))
}

fn read(row: &PgRow, work: &'static str, now: OffsetDateTime) -> Result<Overview, StoreError> {
    let authorization = authorization(row, work)?;
    let (current, last) = (short(row, work, true)?, short(row, work, false)?);
    let state = authorization.as_ref().map(|authorization| authorization.state);
    let until: Option<OffsetDateTime> = row.get("paused_until");
    let facts = Facts {
        bound: row.get("bound"),
        connected: authorization.is_some(),
        mapped: row.get::<i64, _>("mapped") + row.get::<i64, _>("standing") > 0,
        auto_sync: row.get("auto_sync"),
        broken: state
            .is_some_and(|state| !matches!(state, AuthorizationState::None | AuthorizationState::Healthy)),
        healthy: state == Some(AuthorizationState::Healthy),
        under_way: current.as_ref().is_some_and(|job| job.parked.is_none()),
        last: last.as_ref().map(|job| job.state),
        held: row.get::<i64, _>("held") > 0,
        issues: row.get("issues"),
        queued: row.get("queued"),
        landing: row.get("landing"),
    };
    Ok(Overview {
        account: AccountId(row.get("account_id")),
        name: row.get("name"),
        label: row.get("label"),
        facts,
        authorization,
        pause: until.filter(|until| *until > now).zip(row.get::<Option<String>, _>("pause_reason")),
        oldest: row.get("oldest"),
        due_at: row.get("due_at"),
        retry_at: row.get("retry_at"),
        current,
        last,
        licences: row.get("licences"),
        mapped: row.get("mapped"),
        landed: row.get("landed"),
        leaving: row.get("leaving"),
    })
}
