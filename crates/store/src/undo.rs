//! What a job did, and what has happened since: all that undoing it needs.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::Row;
use tandem_domain::plan::{Did, Since, Step, Write};
use tandem_domain::policy::{PolicyType, bare_policy_name};
use tandem_domain::{AccountId, Gen, JobId, Number, ObjectId, PbxUserId};
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

/// Detail of an intent that turned out not to be needed: nothing was sent.
pub const NOT_NEEDED: &str = "nothing to do";

statements! {
    /// State of the job to undo, and the newest change that it looked at.
    JOB = "select state, coalesce(to_gen, 0) as to_gen from queue.jobs where job_id = $1 and account_id = $2";
    /// Writes of a job that had their effect, in order, each with its step as it was planned. The plan of a release that
    /// kept it as one document still has its steps there.
    WRITES = "select i.pbx_user_id, i.microsoft_user, i.action, i.number, i.policy_type, i.policy_name,
                     coalesce(s.step, r.plan->'steps'->(i.step - 1)) as step
                from sync.intents i
                left join sync.steps s on s.job_id = i.job_id and s.epoch = i.epoch and s.no = i.step
                left join sync.runs r on r.job_id = i.job_id and r.epoch = i.epoch
               where i.job_id = $1 and i.state = 'done' and i.detail is distinct from $2
               order by i.created_at, i.intent_id";
    /// Writes of a job without a known outcome.
    OPEN = "select count(*) from sync.intents where job_id = $1 and ended_at is null";
    /// The last other job that wrote to each Microsoft user after this one.
    LATER = "select distinct on (i.microsoft_user) i.microsoft_user, i.job_id from sync.intents i
              where i.account_id = $1 and i.microsoft_user = any ($3) and i.job_id <> $2 and i.state = 'done'
                and i.created_at > (select max(own.created_at) from sync.intents own
                                     where own.account_id = $1 and own.microsoft_user = i.microsoft_user and own.job_id = $2)
              order by i.microsoft_user, i.created_at desc";
    /// Users whose being or mapping changed after the job, and users with a change that no job has carried.
    CHANGED = "select array_agg(distinct pbx_user_id) filter (where gen > $2 and kind in ('mapped', 'unmapped', 'created', 'deleted')) as remapped,
                      array_agg(distinct pbx_user_id) filter (where gen > $3) as pending
                 from change.log where account_id = $1 and gen > least($2, $3) and pbx_user_id = any ($4)";
}

/// A job that may be undone.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whether it is over.
    pub over: bool,
    /// Writes without a known outcome.
    pub open: i64,
    /// The newest change that it looked at.
    pub to: Gen,
    /// Its writes that had their effect, in order.
    pub writes: Vec<Write>,
}

/// What a job did; `None` when the account has no such job any more.
///
/// # Errors
/// [`StoreError`].
pub async fn record(tx: &mut Tx, account: AccountId, job: JobId) -> Result<Option<Record>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let row =
        sqlx::query(JOB).bind(job.0).bind(account.0).fetch_optional(&mut **tx).await.map_err(&failed)?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.get("state");
    let open = sqlx::query_scalar(OPEN).bind(job.0).fetch_one(&mut **tx).await.map_err(&failed)?;
    let rows =
        sqlx::query(WRITES).bind(job.0).bind(NOT_NEEDED).fetch_all(&mut **tx).await.map_err(&failed)?;
    let mut writes = Vec::with_capacity(rows.len());
    for row in &rows {
        let step: Option<Step> =
            row.get::<Option<Value>, _>("step").and_then(|step| serde_json::from_value(step).ok());
        let number = || {
            let text: Option<String> = row.get("number");
            text.and_then(|text| Number::parse(&text).ok())
                .ok_or(StoreError::Inconsistent { work, column: "sync.intents.number" })
        };
        let bare = |name: String| bare_policy_name(&name).to_owned();
        let policy = || row.get::<Option<String>, _>("policy_type").map(PolicyType);
        let name = row.get::<Option<String>, _>("policy_name").map(bare);
        let action: String = row.get("action");
        let did = match (action.as_str(), policy()) {
            ("assign_number", _) => Did::NumberOn(number()?),
            ("unassign_number", _) => Did::NumberOff(number()?),
            ("assign_policy", Some(policy_type)) => {
                let before = step.filter(|step| step.before_own).and_then(|step| step.before).map(bare);
                Did::Policy(policy_type, before, name)
            }
            (_, Some(policy_type)) => Did::Policy(policy_type, name, None),
            _ => return Err(StoreError::Inconsistent { work, column: "sync.intents.action" }),
        };
        writes.push(Write {
            user: PbxUserId(row.get("pbx_user_id")),
            oid: ObjectId(row.get("microsoft_user")),
            did,
        });
    }
    let over = !matches!(state.as_str(), "queued" | "running");
    Ok(Some(Record { over, open, to: row.get("to_gen"), writes }))
}

/// What has happened to users since a job.
///
/// # Errors
/// [`StoreError`].
pub async fn since(
    tx: &mut Tx,
    account: AccountId,
    job: JobId,
    to: Gen,
    covered: Gen,
    users: &[(PbxUserId, ObjectId)],
) -> Result<Since, StoreError> {
    let failed = tx.failed();
    let later = sqlx::query(LATER)
        .bind(account.0)
        .bind(job.0)
        .bind(users.iter().map(|(_, oid)| oid.0).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await
        .map_err(&failed)?;
    let changed = sqlx::query(CHANGED)
        .bind(account.0)
        .bind(to)
        .bind(covered)
        .bind(users.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>())
        .fetch_one(&mut **tx)
        .await
        .map_err(&failed)?;
    let named = |column: &str| -> BTreeSet<PbxUserId> {
        let names: Option<Vec<String>> = changed.get(column);
        names.unwrap_or_default().into_iter().map(PbxUserId).collect()
    };
    Ok(Since {
        later: later
            .iter()
            .map(|row| (ObjectId(row.get::<Uuid, _>("microsoft_user")), JobId(row.get("job_id"))))
            .collect(),
        remapped: named("remapped"),
        pending: named("pending"),
    })
}
