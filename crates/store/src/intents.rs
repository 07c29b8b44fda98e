//! Intents: every write to Microsoft is on record before it is sent, and locks its user and its number until its
//! outcome is known.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::{AccountId, JobId, ObjectId, PbxUserId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Records an intent; the unique indexes refuse it while the user or the number is locked.
    OPEN = "insert into sync.intents (intent_id, account_id, job_id, epoch, step, pbx_user_id, microsoft_user, action, number,
                                      policy_type, policy_name, state, client_request_id, next_look)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'sent', $12, clock_timestamp() + $13 * interval '1 ms')
            on conflict do nothing";
    /// Notes the operation of an accepted write.
    ACCEPTED = "update sync.intents set state = 'accepted', operation = $2, request_id = $3, accepted_at = clock_timestamp(),
                       next_look = clock_timestamp() + $4 * interval '1 ms'
                 where intent_id = $1 and ended_at is null";
    /// Notes that the reply was lost.
    UNKNOWN = "update sync.intents set state = 'unknown', detail = $2, next_look = clock_timestamp() + $3 * interval '1 ms'
                where intent_id = $1 and ended_at is null";
    /// Ends an intent.
    END = "update sync.intents set state = $2, detail = coalesce($3, detail), request_id = coalesce($4, request_id),
                  ended_at = clock_timestamp(), next_look = null
            where intent_id = $1 and ended_at is null";
    /// Goes on watching a write that was taken for not done: it may land late. `null` = not any longer.
    WATCH = "update sync.intents set next_look = clock_timestamp() + $2 * interval '1 ms' where intent_id = $1 and ended_at is not null";
    /// Opens an intent again whose operation succeeded but whose effect no read shows yet.
    REOPEN = "update sync.intents set state = 'accepted', ended_at = null, detail = $2, next_look = clock_timestamp() + $3 * interval '1 ms'
               where intent_id = $1 and state = 'done' and operation is not null";
    /// Takes open intents that are due for a look; others leave them alone for the time of the look.
    DUE = "update sync.intents i set next_look = clock_timestamp() + $2 * interval '1 ms'
             from (select intent_id from sync.intents where next_look <= clock_timestamp()
                    order by next_look limit $1 for update skip locked) d
            where i.intent_id = d.intent_id
           returning i.intent_id, i.account_id, i.job_id, i.pbx_user_id, i.microsoft_user, i.action, i.number, i.policy_type, i.policy_name,
                     i.state, i.ended_at is not null as ended, i.operation, i.created_at, i.read_at, i.read_value, clock_timestamp() as now,
                     (select tenant_id from vault.authorizations v where v.account_id = i.account_id) as tenant_id,
                     (select json_build_object('number', t.number, 'policies', t.policies) from sync.standing t
                       where t.account_id = i.account_id and t.microsoft_user = i.microsoft_user) as standing,
                     (select json_build_object('user', t.pbx_user_id, 'oid', t.microsoft_user) from sync.standing t
                       where t.account_id = i.account_id and t.number = i.number limit 1) as should_hold";
    /// Whether no job of the account has run since a moment, so that what stands is what was read.
    QUIET = "select not exists (select from queue.jobs where account_id = $1 and (state = 'running' or finished_at >= $2))";
    /// Notes what a read showed.
    READ = "update sync.intents set state = case when state = 'sent' then 'unknown' else state end, read_at = $2, read_value = $3,
                   detail = coalesce($5, detail), next_look = clock_timestamp() + $4 * interval '1 ms'
             where intent_id = $1 and ended_at is null";
    /// How long users that changed numbers within this job had none: from the end of the unassign to that of the assign.
    GAPS = "select w.pbx_user_id, w.microsoft_user, extract(epoch from w.ended_at - w.off_at)::float8 as gap
              from (select i.pbx_user_id, i.microsoft_user, i.action, i.ended_at,
                           max(i.ended_at) filter (where i.action = 'unassign_number')
                             over (partition by i.microsoft_user order by i.created_at) as off_at
                      from sync.intents i
                     where i.job_id = $1 and i.action in ('assign_number', 'unassign_number') and i.state = 'done') w
             where w.action = 'assign_number' and w.off_at is not null";
    /// Keeps open intents of Microsoft users from ending before the transaction does.
    HOLD_OPEN = "select intent_id from sync.intents where account_id = $1 and microsoft_user = any ($2) and ended_at is null
                  order by intent_id for share";
    /// Users whose last intent was given up since a moment; nothing has been sent to them after it.
    GIVEN_UP = "select l.pbx_user_id, l.microsoft_user, l.detail from unnest($2::uuid[]) as u (oid)
                 cross join lateral (select i.pbx_user_id, i.microsoft_user, i.state, i.ended_at, i.detail from sync.intents i
                                      where i.account_id = $1 and i.microsoft_user = u.oid order by i.created_at desc limit 1) l
                 where l.state = 'given_up' and l.ended_at >= $3";
    /// Users whose writes of this job had their effect.
    DONE_OF_JOB = "select distinct pbx_user_id from sync.intents where job_id = $1 and state = 'done'";
}

/// An intent to record.
#[derive(Clone, Debug)]
pub struct NewIntent<'a> {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub account: AccountId,
    /// For which job.
    pub job: JobId,
    /// Under which claim.
    pub epoch: i32,
    /// Number of the step.
    pub step: u32,
    /// The PBX user.
    pub user: &'a PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// `assign_number`, `unassign_number`, `assign_policy` or `unassign_policy`.
    pub action: &'a str,
    /// The number, for number actions.
    pub number: Option<&'a str>,
    /// Type of the policy, for policy actions.
    pub policy_type: Option<&'a str>,
    /// Name of the policy, for policy actions.
    pub policy_name: Option<&'a str>,
    /// Sent along with the request.
    pub client_request_id: Uuid,
    /// When somebody else looks, should this process be gone.
    pub look_after: Duration,
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Records an intent before its request is sent. `Ok(false)`: the user or the number is locked by an open intent.
///
/// # Errors
/// [`StoreError`].
pub async fn open(tx: &mut Tx, intent: &NewIntent<'_>) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(OPEN)
        .bind(intent.id)
        .bind(intent.account.0)
        .bind(intent.job.0)
        .bind(intent.epoch)
        .bind(i32::try_from(intent.step).unwrap_or(i32::MAX))
        .bind(intent.user.as_str())
        .bind(intent.oid.0)
        .bind(intent.action)
        .bind(intent.number)
        .bind(intent.policy_type)
        .bind(intent.policy_name)
        .bind(intent.client_request_id)
        .bind(millis(intent.look_after))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

/// Notes the operation of an accepted write.
///
/// # Errors
/// [`StoreError`].
pub async fn accepted(
    tx: &mut Tx,
    id: Uuid,
    operation: &str,
    request_id: Option<&str>,
    look_after: Duration,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(ACCEPTED)
        .bind(id)
        .bind(operation)
        .bind(request_id)
        .bind(millis(look_after))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Notes that the reply was lost: reading will decide.
///
/// # Errors
/// [`StoreError`].
pub async fn unknown(tx: &mut Tx, id: Uuid, detail: &str, look_after: Duration) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(UNKNOWN)
        .bind(id)
        .bind(detail)
        .bind(millis(look_after))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// How an intent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentEnd {
    /// Its effect is there.
    Done,
    /// Microsoft refused it.
    Refused,
    /// Its reply was lost and reading shows that it had no effect.
    NotDone,
    /// Its operation did not end within a day; a person decides.
    GivenUp,
}

impl IntentEnd {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::NotDone => "not_done",
            Self::GivenUp => "given_up",
        }
    }
}

/// Ends an intent and so releases its user and its number. False: it had ended already.
///
/// # Errors
/// [`StoreError`].
pub async fn end(
    tx: &mut Tx,
    id: Uuid,
    end: IntentEnd,
    detail: Option<&str>,
    request_id: Option<&str>,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(END)
        .bind(id)
        .bind(end.as_str())
        .bind(detail)
        .bind(request_id)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

/// Opens an intent again: its operation succeeded, but no read shows the effect yet.
///
/// # Errors
/// [`StoreError`].
pub async fn reopen(tx: &mut Tx, id: Uuid, detail: &str, look_after: Duration) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(REOPEN)
        .bind(id)
        .bind(detail)
        .bind(millis(look_after))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// An open intent that is due for a look.
#[derive(Clone, Debug)]
pub struct DueIntent {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub account: AccountId,
    /// Its tenant, while the account has one.
    pub tenant: Option<TenantId>,
    /// For which job it was recorded.
    pub job: JobId,
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// What was sent.
    pub action: String,
    /// The number, for number actions.
    pub number: Option<String>,
    /// Type of the policy.
    pub policy_type: Option<String>,
    /// Name of the policy.
    pub policy_name: Option<String>,
    /// Its operation, when Microsoft accepted it.
    pub operation: Option<String>,
    /// It ended as not done or was given up, and is only watched for landing late.
    pub ended: bool,
    /// Who should hold the number now.
    pub should_hold: Option<(PbxUserId, ObjectId)>,
    /// Policies that should stand on it now, by type in lower case.
    pub standing_policies: BTreeMap<String, String>,
    /// When it was recorded.
    pub created_at: OffsetDateTime,
    /// When it was last read, and what was seen.
    pub read: Option<(OffsetDateTime, String)>,
    /// The database's clock at the look.
    pub now: OffsetDateTime,
}

fn due_of(row: &PgRow) -> DueIntent {
    let standing: Value = row.get::<Option<Value>, _>("standing").unwrap_or_default();
    let policies = standing["policies"].as_object().cloned().unwrap_or_default();
    DueIntent {
        ended: row.get("ended"),
        should_hold: holder_of(&row.get::<Option<Value>, _>("should_hold").unwrap_or_default()),
        standing_policies: policies
            .iter()
            .map(|(kind, name)| (kind.to_lowercase(), name.as_str().unwrap_or_default().to_owned()))
            .collect(),
        id: row.get("intent_id"),
        account: AccountId(row.get("account_id")),
        tenant: row.get::<Option<Uuid>, _>("tenant_id").map(TenantId),
        job: JobId(row.get("job_id")),
        user: PbxUserId(row.get("pbx_user_id")),
        oid: ObjectId(row.get("microsoft_user")),
        action: row.get("action"),
        number: row.get("number"),
        policy_type: row.get("policy_type"),
        policy_name: row.get("policy_name"),
        operation: row.get("operation"),
        created_at: row.get("created_at"),
        read: row.get::<Option<OffsetDateTime>, _>("read_at").zip(row.get::<Option<String>, _>("read_value")),
        now: row.get("now"),
    }
}

fn holder_of(value: &Value) -> Option<(PbxUserId, ObjectId)> {
    let oid = Uuid::parse_str(value["oid"].as_str()?).ok()?;
    Some((PbxUserId(value["user"].as_str()?.to_owned()), ObjectId(oid)))
}

/// Takes up to `most` open intents that are due for a look, for `hold`.
///
/// # Errors
/// [`StoreError`].
pub async fn take_due(store: &Store, most: i64, hold: Duration) -> Result<Vec<DueIntent>, StoreError> {
    let rows = sqlx::query(DUE)
        .bind(most)
        .bind(millis(hold))
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("intents.due", source))?;
    Ok(rows.iter().map(due_of).collect())
}

/// Notes what a read showed and when to look again.
///
/// # Errors
/// [`StoreError`].
pub async fn noted(
    tx: &mut Tx,
    id: Uuid,
    read: Option<(OffsetDateTime, &str)>,
    look_after: Duration,
    detail: Option<&str>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(READ)
        .bind(id)
        .bind(read.map(|(at, _)| at))
        .bind(read.map(|(_, value)| value))
        .bind(millis(look_after))
        .bind(detail)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Whether no job of the account has run since `since`.
///
/// # Errors
/// [`StoreError`].
pub async fn quiet(tx: &mut Tx, account: AccountId, since: OffsetDateTime) -> Result<bool, StoreError> {
    let failed = tx.failed();
    sqlx::query_scalar(QUIET).bind(account.0).bind(since).fetch_one(&mut **tx).await.map_err(failed)
}

/// Watches a write that was taken for not done for another while, or not any longer.
///
/// # Errors
/// [`StoreError`].
pub async fn watch(tx: &mut Tx, id: Uuid, look_after: Option<Duration>) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(WATCH).bind(id).bind(look_after.map(millis)).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Users whose writes of this job had their effect, under whichever claim.
///
/// # Errors
/// [`StoreError`].
pub async fn users_written(store: &Store, job: JobId) -> Result<Vec<PbxUserId>, StoreError> {
    let users: Vec<String> = sqlx::query_scalar(DONE_OF_JOB)
        .bind(job.0)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("intents.of_job", source))?;
    Ok(users.into_iter().map(PbxUserId).collect())
}

/// Those of these Microsoft users whose write was given up since a moment, with what was said of it. Writes of theirs that
/// are open now stay open until the transaction ends, so that none is given up unseen.
///
/// # Errors
/// [`StoreError`].
pub async fn given_up(
    tx: &mut Tx,
    account: AccountId,
    users: &[ObjectId],
    since: OffsetDateTime,
) -> Result<BTreeMap<(PbxUserId, ObjectId), String>, StoreError> {
    if users.is_empty() {
        return Ok(BTreeMap::new());
    }
    let failed = tx.failed();
    let oids: Vec<Uuid> = users.iter().map(|oid| oid.0).collect();
    sqlx::query(HOLD_OPEN).bind(account.0).bind(&oids).execute(&mut **tx).await.map_err(&failed)?;
    let rows = sqlx::query(GIVEN_UP)
        .bind(account.0)
        .bind(&oids)
        .bind(since)
        .fetch_all(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(rows
        .iter()
        .map(|row| {
            let user = (PbxUserId(row.get("pbx_user_id")), ObjectId(row.get("microsoft_user")));
            (user, row.get::<Option<String>, _>("detail").unwrap_or_default())
        })
        .collect())
}

/// How long users of a job were without a number while they changed it, by PBX user and Microsoft user.
///
/// # Errors
/// [`StoreError`].
pub async fn gaps(tx: &mut Tx, job: JobId) -> Result<BTreeMap<(PbxUserId, ObjectId), Duration>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(GAPS).bind(job.0).fetch_all(&mut **tx).await.map_err(failed)?;
    let mut gaps = BTreeMap::new();
    for row in &rows {
        let user = (PbxUserId(row.get("pbx_user_id")), ObjectId(row.get("microsoft_user")));
        let gap = Duration::try_from_secs_f64(row.get("gap")).unwrap_or_default();
        let known: &mut Duration = gaps.entry(user).or_default();
        *known = gap.max(*known);
    }
    Ok(gaps)
}
