//! What people asked for. The debouncer carries out what needs a job, teams-sync what does not.

use sqlx::Row;
use tandem_domain::job::JobScope;
use tandem_domain::{AccountId, JobId, PbxUserId};
use uuid::Uuid;

use crate::sql::statements;
use crate::vault::{NewJobToken, keep_job_token};
use crate::{Store, StoreError, Tx};

statements! {
    /// Asks for something.
    ASK = "insert into admin.requests (request_id, account_id, kind, scope, person, reason, subject, linked_job) values ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// Asks for a Manual job that looks at one user.
    ASK_USER = "insert into admin.requests (request_id, account_id, kind, scope, person, reason, pbx_user_id)
                values ($1, $2, 'sync', 'changed', $3, $4, $5)";
    /// What became of a request.
    ANSWER = "select job_id, taken_at is not null as taken, answered_at is not null as answered, answer_code, answer_text from admin.requests where request_id = $1";
    /// Requests that teams-sync carries out, oldest first; one that a process left behind is taken again after a while.
    TAKE = "update admin.requests r set taken_at = clock_timestamp()
              from (select request_id from admin.requests
                     where kind in ('preview', 'preview_undo', 'reject', 'look', 'cancel') and answered_at is null
                       and (taken_at is null or taken_at < clock_timestamp() - $2 * interval '1 ms')
                     order by created_at limit $1 for update skip locked) w
             where r.request_id = w.request_id
            returning r.request_id, r.account_id, r.kind, r.scope, r.person, r.reason, r.subject, r.linked_job";
    /// Answers a request; a code says why it was refused.
    ANSWERED = "update admin.requests set answered_at = clock_timestamp(), answer_code = $2, answer_text = $3
                 where request_id = $1 and answered_at is null";
    /// Asks for a sync with the token of a person who has just signed in.
    ASK_SIGNED_IN = "insert into admin.requests (request_id, account_id, kind, scope, person, reason, signed_in_oid)
                     values ($1, $2, 'sync', $3, $4, $5, $6)";
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A Manual job.
    Sync(JobScope),
    /// The plan of such a job, without writing anything.
    Preview(JobScope),
    /// The plan of an undo, without writing anything.
    PreviewUndo(JobId),
    /// A Manual job that does exactly what a preview of this scope showed.
    Run(Uuid, JobScope),
    /// To carry out a held list.
    Approve(Uuid),
    /// To drop a held list.
    Reject(Uuid),
    /// To undo a job; exactly as a preview showed, when one is named.
    Undo(JobId, Option<Uuid>),
    /// To do anew, with this scope, what a job did not achieve.
    Replay(JobId, JobScope),
    /// To stop a job.
    Cancel(JobId),
    /// To look at the tenant with the account's own app, see [`crate::looks`].
    Look,
}

impl Ask {
    fn columns(self) -> (&'static str, JobScope, Option<Uuid>, Option<Uuid>) {
        let changed = JobScope::Changed;
        match self {
            Self::Sync(scope) => ("sync", scope, None, None),
            Self::Preview(scope) => ("preview", scope, None, None),
            Self::PreviewUndo(job) => ("preview_undo", changed, None, Some(job.0)),
            Self::Run(preview, scope) => ("run", scope, Some(preview), None),
            Self::Approve(held) => ("approve", changed, Some(held), None),
            Self::Reject(held) => ("reject", changed, Some(held), None),
            Self::Replay(job, scope) => ("replay", scope, None, Some(job.0)),
            Self::Cancel(job) => ("cancel", changed, None, Some(job.0)),
            Self::Look => ("look", changed, None, None),
            Self::Undo(job, preview) => ("undo", changed, preview, Some(job.0)),
        }
    }
}

/// Asks for something on behalf of a person.
///
/// # Errors
/// [`StoreError::Constraint`] for an unknown account.
pub async fn ask(
    tx: &mut Tx,
    request: Uuid,
    account: AccountId,
    ask: Ask,
    person: &str,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let (kind, scope, subject, linked_job) = ask.columns();
    sqlx::query(ASK)
        .bind(request)
        .bind(account.0)
        .bind(kind)
        .bind(scope.as_str())
        .bind(person)
        .bind(reason)
        .bind(subject)
        .bind(linked_job)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Asks for a Manual job that looks at one user, and besides at what waits anyway.
///
/// # Errors
/// [`StoreError::Constraint`] for an unknown account.
pub async fn ask_user(
    tx: &mut Tx,
    request: Uuid,
    account: AccountId,
    user: &PbxUserId,
    (person, reason): (&str, &str),
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(ASK_USER).bind(request).bind(account.0).bind(person).bind(reason);
    query.bind(user.as_str()).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Asks for a Manual job that works with the token of a person who has just signed in, and keeps the token: in one
/// transaction there is a request with its token, or neither.
///
/// # Errors
/// [`StoreError::Constraint`] for an unknown account.
pub async fn ask_signed_in(
    tx: &mut Tx,
    token: &NewJobToken<'_>,
    scope: JobScope,
    person: &str,
    reason: &str,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(ASK_SIGNED_IN)
        .bind(token.request)
        .bind(token.account.0)
        .bind(scope.as_str())
        .bind(person)
        .bind(reason)
        .bind(token.oid.0)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    keep_job_token(tx, token).await
}

/// What became of a request so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The job that carries it out.
    pub job: Option<JobId>,
    /// Whether somebody has begun to carry it out.
    pub taken: bool,
    /// Whether it was answered without a job.
    pub answered: bool,
    /// Stable code and text of why it was refused.
    pub refused: Option<(String, String)>,
}

/// What became of a request so far.
///
/// # Errors
/// [`StoreError`].
pub async fn answer(store: &Store, request: Uuid) -> Result<Answer, StoreError> {
    let mut tx = store.begin("requests.answer").await?;
    Ok(answer_in(&mut tx, request).await?.unwrap_or_default())
}

/// The same within a transaction, which may be that of one account; none where there is no such request.
///
/// # Errors
/// [`StoreError`].
pub async fn answer_in(tx: &mut Tx, request: Uuid) -> Result<Option<Answer>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(ANSWER).bind(request).fetch_optional(&mut **tx).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let code: Option<String> = row.get("answer_code");
    let text: Option<String> = row.get("answer_text");
    Ok(Some(Answer {
        job: row.get::<Option<Uuid>, _>("job_id").map(JobId),
        taken: row.get("taken"),
        answered: row.get("answered"),
        refused: code.map(|code| (code, text.unwrap_or_default())),
    }))
}

/// A request that teams-sync carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: Uuid,
    /// For which account.
    pub account: AccountId,
    /// What it asks for.
    pub ask: Ask,
    /// Who asked.
    pub person: String,
    /// Why.
    pub reason: Option<String>,
}

/// Takes up to `most` requests; what was taken longer than `patience` ago and not answered is taken again.
///
/// # Errors
/// [`StoreError`].
pub async fn take(store: &Store, most: i64, patience: std::time::Duration) -> Result<Vec<Taken>, StoreError> {
    const WORK: &str = "requests.take";
    let odd = |column| StoreError::Inconsistent { work: WORK, column };
    let rows = sqlx::query(TAKE)
        .bind(most)
        .bind(patience.as_secs_f64() * 1000.0)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of(WORK, source))?;
    rows.iter()
        .map(|row| {
            let scope = JobScope::parse(row.get("scope")).ok_or_else(|| odd("admin.requests.scope"))?;
            let subject: Option<Uuid> = row.get("subject");
            let linked: Option<Uuid> = row.get("linked_job");
            let ask = match (row.get("kind"), subject, linked) {
                ("preview", _, _) => Ask::Preview(scope),
                ("preview_undo", _, Some(job)) => Ask::PreviewUndo(JobId(job)),
                ("reject", Some(held), _) => Ask::Reject(held),
                ("cancel", _, Some(job)) => Ask::Cancel(JobId(job)),
                ("look", ..) => Ask::Look,
                _ => return Err(odd("admin.requests.kind")),
            };
            Ok(Taken {
                id: row.get("request_id"),
                account: AccountId(row.get("account_id")),
                ask,
                person: row.get("person"),
                reason: row.get("reason"),
            })
        })
        .collect()
}

/// Answers a request; `refused` is a stable code and a text.
///
/// # Errors
/// [`StoreError`].
pub async fn answered(tx: &mut Tx, request: Uuid, refused: Option<(&str, &str)>) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(ANSWERED)
        .bind(request)
        .bind(refused.map(|(code, _)| code))
        .bind(refused.map(|(_, text)| text))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}
