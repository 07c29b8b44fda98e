//! Cutting jobs: the debouncer's side of `queue.jobs`.

use serde_json::Value;
use sqlx::Row;
use tandem_domain::job::{JobScope, JobType};
use tandem_domain::{AccountId, JobId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Locks the queued jobs of the named accounts.
    QUEUED = "select j.account_id, j.job_id, j.job_type, j.scope, j.cause,
                     (select r.signed_in_oid from admin.requests r where r.request_id = j.token_request) as signed_in_oid
                from queue.jobs j where j.account_id = any ($1) and j.state = 'queued' for update of j";
    /// Queues jobs and writes their first event.
    INSERT = "with fresh as (
                insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, person, reason, linked_job, subject,
                                        token_request, first_change_at, due_at, event_number, traceparent)
                select j.job_id, j.account_id, $3, $4, 'queued', $5, $6, $7, $8, $12, $13, j.first_change_at, j.due_at, 1, j.traceparent
                  from unnest($1::uuid[], $2::uuid[], $9::timestamptz[], $10::timestamptz[], $11::text[])
                    as j (job_id, account_id, first_change_at, due_at, traceparent)
                returning *
              )
              insert into queue.events (account_id, job_id, number, kind, data)
              select account_id, job_id, 1, 'queued',
                     json_build_object('job_type', job_type, 'scope', scope, 'cause', cause, 'person', person, 'reason', reason,
                                       'linked_job', linked_job, 'subject', subject, 'due_at', due_at, 'first_change_at', first_change_at, 'queued_at', queued_at)
                from fresh
              returning account_id, job_id, at, data";
    /// Turns a queued job into a person's one: it starts next, and looks at everything if asked to.
    PROMOTE = "with job as (
                 update queue.jobs set job_type = 'manual', scope = case when $2 = 'all' then 'all' else scope end,
                                       cause = 'request', event_number = event_number + 1,
                                       person = case when token_request is not null and $5::uuid is null then person else $3 end,
                                       reason = case when token_request is not null and $5::uuid is null then reason else $4 end,
                                       token_request = coalesce($5, token_request)
                  where job_id = $1 and state = 'queued'
                 returning *
               )
               insert into queue.events (account_id, job_id, number, kind, data)
               select account_id, job_id, event_number, 'merged',
                      json_build_object('job_type', job_type, 'scope', scope, 'person', person, 'reason', reason)
                 from job
               returning number, at, data";
    /// Requests for a job that nobody has taken, oldest first. A job that does exactly what a person has seen is joined by
    /// nobody and joins nothing, so such a request waits until nothing is queued. One that came with a token waits while the
    /// queued job of its account uses the token of somebody else. What was asked for before a pause waits until it ends.
    REQUESTS = "select r.request_id, r.account_id, r.kind, r.scope, r.person, r.reason, r.subject, r.linked_job, r.signed_in_oid,
                       (select coalesce((select p.job_type from queue.jobs p where p.job_id = r.linked_job),
                                        (select p.job_type from log.jobs p where p.job_id = r.linked_job)) where r.kind = 'replay') as replayed_type
                  from admin.requests r
                 where r.taken_at is null and r.kind in ('sync', 'run', 'approve', 'undo', 'replay')
                   and not exists (select from admin.accounts a where a.account_id = r.account_id and a.paused_until > now())
                   and not exists (select from admin.fleet_pause p where p.until > now())
                   and not exists (select from queue.jobs j where j.account_id = r.account_id and j.state = 'queued'
                                      and (r.kind <> 'sync' or j.cause in ('preview', 'approval', 'undo')))
                   and (r.signed_in_oid is null or not exists (
                         select from queue.jobs j join admin.requests o on o.request_id = j.token_request
                          where j.account_id = r.account_id and j.state = 'queued' and o.signed_in_oid <> r.signed_in_oid))
                 order by r.created_at limit $1 for update of r skip locked";
    /// Marks a request as carried out by a job.
    TAKEN = "update admin.requests set taken_at = now(), job_id = $2 where request_id = $1";
    /// Accounts with Auto Sync and a stored authorization whose deferred users or whose retry are due, and which have no job yet.
    FOLLOW_UPS = "select a.account_id, d.cause, d.linked_job, d.due_at
                    from admin.accounts a
                    join vault.authorizations v on v.account_id = a.account_id and v.state in ('healthy', 'weakened')
                   cross join lateral (
                      select 'deferred' as cause, (array_agg(f.job_id order by f.next_look))[1] as linked_job, min(f.next_look) as due_at
                        from sync.deferred f where f.account_id = a.account_id and f.next_look <= now() having count(*) > 0
                      union all
                      select 'retry', s.last_job, s.retry_at from sync.accounts s where s.account_id = a.account_id and s.retry_at <= now()
                   ) d
                   where a.auto_sync and (a.paused_until is null or a.paused_until <= now())
                     and not exists (select from admin.fleet_pause p where p.until > now())
                     and not exists (select from queue.jobs j where j.account_id = a.account_id and j.state in ('queued', 'running'))
                     and (exists (select from sync.deferred f where f.account_id = a.account_id and f.next_look <= now())
                       or exists (select from sync.accounts s where s.account_id = a.account_id and s.retry_at <= now()))
                   limit $1";
}

/// A job that was queued just now.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Whose.
    pub account: AccountId,
    /// The job.
    pub job: JobId,
    /// When its first event was written.
    pub at: OffsetDateTime,
    /// Data of its first event.
    pub data: Value,
}

/// Why and how a batch of jobs is cut.
#[derive(Clone, Debug)]
pub struct Cut<'a> {
    /// Auto or Manual.
    pub job_type: JobType,
    /// What the jobs look at.
    pub scope: JobScope,
    /// `window`, `request`, `deferred`, `retry`, `preview`, `approval`, `undo` or `replay`.
    pub cause: &'a str,
    /// Who asked.
    pub person: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The job this one follows up or undoes.
    pub linked_job: Option<JobId>,
    /// The preview that it runs, or the held list that was approved.
    pub subject: Option<Uuid>,
    /// The request whose token it uses.
    pub token_request: Option<Uuid>,
}

/// One account of a batch.
#[derive(Clone, Debug)]
pub struct CutAccount {
    /// Whose.
    pub account: AccountId,
    /// Id for its job.
    pub job: JobId,
    /// First change of its window, if it had one.
    pub first_change_at: Option<OffsetDateTime>,
    /// When the job became due.
    pub due_at: OffsetDateTime,
    /// Trace of the edit or the request.
    pub traceparent: Option<String>,
}

/// Queues jobs for the accounts that have none queued. The window rows of these accounts must be locked by the
/// transaction. Accounts with a queued job are left: it will cover the changes, since a plan reads the generation
/// after the claim and the queued row is locked until this transaction has committed.
///
/// # Errors
/// [`StoreError`].
pub async fn queue(tx: &mut Tx, cut: &Cut<'_>, accounts: &[CutAccount]) -> Result<Vec<Queued>, StoreError> {
    let failed = tx.failed();
    let ids: Vec<Uuid> = accounts.iter().map(|a| a.account.0).collect();
    let queued: Vec<Uuid> = sqlx::query(QUEUED)
        .bind(ids)
        .fetch_all(&mut **tx)
        .await
        .map_err(&failed)?
        .iter()
        .map(|row| row.get("account_id"))
        .collect();
    let fresh: Vec<&CutAccount> = accounts.iter().filter(|a| !queued.contains(&a.account.0)).collect();
    if fresh.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(INSERT)
        .bind(fresh.iter().map(|a| a.job.0).collect::<Vec<_>>())
        .bind(fresh.iter().map(|a| a.account.0).collect::<Vec<_>>())
        .bind(cut.job_type.as_str())
        .bind(cut.scope.as_str())
        .bind(cut.cause)
        .bind(cut.person)
        .bind(cut.reason)
        .bind(cut.linked_job.map(|j| j.0))
        .bind(fresh.iter().map(|a| a.first_change_at).collect::<Vec<_>>())
        .bind(fresh.iter().map(|a| a.due_at).collect::<Vec<_>>())
        .bind(fresh.iter().map(|a| a.traceparent.as_deref()).collect::<Vec<_>>())
        .bind(cut.subject)
        .bind(cut.token_request)
        .fetch_all(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(rows
        .iter()
        .map(|row| Queued {
            account: AccountId(row.get("account_id")),
            job: JobId(row.get("job_id")),
            at: row.get("at"),
            data: row.get("data"),
        })
        .collect())
}

/// What became of a person's request.
#[derive(Clone, Debug)]
pub enum Requested {
    /// A new job was queued for it.
    Queued(Queued),
    /// It joined the job that was already queued; number, time and data of the event that says so.
    Joined {
        /// The job.
        job: JobId,
        /// Number of the event.
        number: i64,
        /// When.
        at: OffsetDateTime,
        /// Data of the event.
        data: Value,
    },
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A sync.
    Sync,
    /// To run exactly what a preview showed.
    Run,
    /// To carry out held removals.
    Approve,
    /// To undo a job.
    Undo,
    /// To do anew what a job did not achieve.
    Replay,
}

impl Asked {
    /// Why its job is cut.
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::Sync => "request",
            Self::Run => "preview",
            Self::Approve => "approval",
            Self::Undo => "undo",
            Self::Replay => "replay",
        }
    }

    /// Whether its job carries the changes of the window.
    #[must_use]
    pub fn covers(self) -> bool {
        matches!(self, Self::Sync | Self::Run | Self::Replay)
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "sync" => Self::Sync,
            "run" => Self::Run,
            "approve" => Self::Approve,
            "undo" => Self::Undo,
            "replay" => Self::Replay,
            _ => return None,
        })
    }
}

/// A request that waits.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id.
    pub id: Uuid,
    /// For which account.
    pub account: AccountId,
    /// What it asks for.
    pub asked: Asked,
    /// The preview to run, or the held list to carry out.
    pub subject: Option<Uuid>,
    /// The job to undo or to replay.
    pub linked_job: Option<JobId>,
    /// What the job shall be: that of the job that is replayed, else Manual.
    pub job_type: JobType,
    /// What the job shall look at.
    pub scope: JobScope,
    /// Who asked.
    pub person: String,
    /// Why.
    pub reason: Option<String>,
    /// Who signed in for it; then a token came with it.
    pub signed_in: Option<Uuid>,
}

/// Takes up to `most` waiting requests; they stay locked until the transaction ends.
///
/// # Errors
/// [`StoreError`].
pub async fn take_requests(tx: &mut Tx, most: i64) -> Result<Vec<Request>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let rows = sqlx::query(REQUESTS).bind(most).fetch_all(&mut **tx).await.map_err(&failed)?;
    rows.iter()
        .map(|row| {
            Ok(Request {
                id: row.get("request_id"),
                account: AccountId(row.get("account_id")),
                asked: Asked::parse(row.get("kind"))
                    .ok_or(StoreError::Inconsistent { work, column: "admin.requests.kind" })?,
                subject: row.get("subject"),
                linked_job: row.get::<Option<Uuid>, _>("linked_job").map(JobId),
                job_type: row
                    .get::<Option<&str>, _>("replayed_type")
                    .and_then(JobType::parse)
                    .unwrap_or(JobType::Manual),
                scope: JobScope::parse(row.get("scope"))
                    .ok_or(StoreError::Inconsistent { work, column: "admin.requests.scope" })?,
                person: row.get("person"),
                reason: row.get("reason"),
                signed_in: row.get("signed_in_oid"),
            })
        })
        .collect()
}

/// Carries out a request: the queued job becomes a Manual one, or a new job is queued. `None`: the queued job
/// and this request do not go together, and the request waits. The window row of the account must be locked by the
/// transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn carry_out(
    tx: &mut Tx,
    request: &Request,
    fresh: CutAccount,
) -> Result<Option<Requested>, StoreError> {
    let failed = tx.failed();
    let queued =
        sqlx::query(QUEUED).bind(vec![request.account.0]).fetch_optional(&mut **tx).await.map_err(&failed)?;
    let token_request = request.signed_in.map(|_| request.id);
    let done = if let Some(row) = queued {
        let exact = matches!(row.get("cause"), "preview" | "approval" | "undo");
        let other: Option<Uuid> = row.get("signed_in_oid");
        let anothers = other.is_some() && request.signed_in.is_some() && other != request.signed_in;
        if exact || anothers || request.asked != Asked::Sync {
            return Ok(None);
        }
        let job: Uuid = row.get("job_id");
        let event = sqlx::query(PROMOTE)
            .bind(job)
            .bind(request.scope.as_str())
            .bind(&request.person)
            .bind(&request.reason)
            .bind(token_request)
            .fetch_one(&mut **tx)
            .await
            .map_err(&failed)?;
        Requested::Joined {
            job: JobId(job),
            number: event.get("number"),
            at: event.get("at"),
            data: event.get("data"),
        }
    } else {
        let cut = Cut {
            job_type: request.job_type,
            scope: request.scope,
            cause: request.asked.cause(),
            person: Some(&request.person),
            reason: request.reason.as_deref(),
            linked_job: request.linked_job,
            subject: request.subject,
            token_request,
        };
        let queued = queue(tx, &cut, std::slice::from_ref(&fresh)).await?;
        Requested::Queued(
            queued.into_iter().next().ok_or(StoreError::Superseded { work: "requests.carry_out" })?,
        )
    };
    let job = match &done {
        Requested::Queued(queued) => queued.job,
        Requested::Joined { job, .. } => *job,
    };
    sqlx::query(TAKEN).bind(request.id).bind(job.0).execute(&mut **tx).await.map_err(&failed)?;
    Ok(Some(done))
}

/// An account that needs a job without a new change: deferred users are due, or a failed job is tried again.
#[derive(Clone, Debug)]
pub struct FollowUp {
    /// Whose.
    pub account: AccountId,
    /// `deferred` or `retry`.
    pub cause: String,
    /// The job that is followed up.
    pub linked_job: Option<JobId>,
    /// Since when it is due.
    pub due_at: OffsetDateTime,
}

/// Accounts that need a follow-up job, at most `most`, each once.
///
/// # Errors
/// [`StoreError`].
pub async fn follow_ups(tx: &mut Tx, most: i64) -> Result<Vec<FollowUp>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(FOLLOW_UPS).bind(most).fetch_all(&mut **tx).await.map_err(failed)?;
    let mut found: Vec<FollowUp> = Vec::new();
    for row in &rows {
        let account = AccountId(row.get("account_id"));
        if found.iter().all(|f| f.account != account) {
            found.push(FollowUp {
                account,
                cause: row.get("cause"),
                linked_job: row.get::<Option<Uuid>, _>("linked_job").map(JobId),
                due_at: row.get("due_at"),
            });
        }
    }
    Ok(found)
}
