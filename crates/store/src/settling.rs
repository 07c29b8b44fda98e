//! Users that were confirmed and are looked at again until every read path agrees.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row;
use tandem_domain::policy::PolicyType;
use tandem_domain::{AccountId, JobId, ObjectId, PbxUserId, TenantId};
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Takes users that are due for a settle check, with what should stand, for the time of the check.
    SETTLE_DUE = "update sync.users u set settle_next = clock_timestamp() + $2 * interval '1 ms'
                    from (select s.account_id, s.pbx_user_id from sync.users s where s.settle_next <= clock_timestamp()
                           order by s.settle_next limit $1 for update skip locked) d
                   where u.account_id = d.account_id and u.pbx_user_id = d.pbx_user_id
                  returning u.account_id, u.pbx_user_id, u.microsoft_user, u.job_id, u.confirmed_gen, u.settle_looks,
                            extract(epoch from clock_timestamp() - u.confirmed_at)::float8 as waited,
                            (select v.tenant_id from vault.authorizations v where v.account_id = u.account_id) as tenant_id,
                            (select json_build_object('number', t.number, 'policies', t.policies) from sync.standing t
                              where t.account_id = u.account_id and t.microsoft_user = u.microsoft_user) as standing,
                            (select array_agg(i.number) from sync.intents i
                              where i.account_id = u.account_id and i.microsoft_user = u.microsoft_user and i.job_id = u.job_id
                                and i.action = 'unassign_number' and i.state = 'done') as removed";
    /// Result of a settle check.
    SETTLED = "update sync.users set settle_looks = settle_looks + 1,
                      settle_next = case when $3 then null else clock_timestamp() + $4 * interval '1 ms' end,
                      settled_gen = case when $3 then confirmed_gen else settled_gen end,
                      settled_at = case when $3 then clock_timestamp() end,
                      settle_issue = $5
                where account_id = $1 and pbx_user_id = $2";
    /// Gives up settling: a sync issue that a person should see.
    SETTLE_ISSUE = "update sync.users set settle_looks = settle_looks + 1, settle_next = null, settle_issue = $3
                     where account_id = $1 and pbx_user_id = $2";
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A user that is due for a settle check.
#[derive(Clone, Debug)]
pub struct ToSettle {
    /// Whose.
    pub account: AccountId,
    /// Its tenant, while the account has one.
    pub tenant: Option<TenantId>,
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// The job that confirmed it.
    pub job: Option<JobId>,
    /// Checks so far.
    pub looks: u32,
    /// Time since the confirmation.
    pub waited: time::Duration,
    /// Number that should stand.
    pub number: Option<String>,
    /// Policies that should stand.
    pub policies: BTreeMap<PolicyType, String>,
    /// Numbers that the job took off the Microsoft user.
    pub removed: Vec<String>,
}

/// Takes up to `most` users that are due for a settle check, for `hold`.
///
/// # Errors
/// [`StoreError`].
pub async fn take_to_settle(store: &Store, most: i64, hold: Duration) -> Result<Vec<ToSettle>, StoreError> {
    let rows = sqlx::query(SETTLE_DUE)
        .bind(most)
        .bind(millis(hold))
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("settle.due", source))?;
    rows.iter()
        .map(|row| {
            let standing: Option<Value> = row.get("standing");
            let standing = standing.unwrap_or_else(|| json!({ "number": null, "policies": {} }));
            let number = standing["number"].as_str().map(str::to_owned);
            let mut removed: Vec<String> = row.get::<Option<Vec<String>>, _>("removed").unwrap_or_default();
            removed.retain(|taken_off| Some(taken_off) != number.as_ref());
            Ok(ToSettle {
                removed,
                account: AccountId(row.get("account_id")),
                tenant: row.get::<Option<Uuid>, _>("tenant_id").map(TenantId),
                user: PbxUserId(row.get("pbx_user_id")),
                oid: ObjectId(row.get("microsoft_user")),
                job: row.get::<Option<Uuid>, _>("job_id").map(JobId),
                looks: u32::try_from(row.get::<i32, _>("settle_looks")).unwrap_or(0),
                waited: time::Duration::seconds_f64(row.get::<Option<f64>, _>("waited").unwrap_or(0.0)),
                number,
                policies: serde_json::from_value(standing["policies"].clone()).map_err(|_| {
                    StoreError::Inconsistent { work: "settle.due", column: "sync.standing.policies" }
                })?,
            })
        })
        .collect()
}

/// Result of a settle check.
#[derive(Clone, Debug)]
pub enum SettleResult {
    /// Every read path agrees.
    Agrees,
    /// Look again after this long.
    Again(Duration, String),
    /// It never agreed within the time given: a sync issue.
    Issue(String),
}

/// Records the result of a settle check.
///
/// # Errors
/// [`StoreError`].
pub async fn settled(
    tx: &mut Tx,
    account: AccountId,
    user: &PbxUserId,
    result: &SettleResult,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = match result {
        SettleResult::Agrees => {
            sqlx::query(SETTLED).bind(account.0).bind(user.as_str()).bind(true).bind(0.0).bind(None::<String>)
        }
        SettleResult::Again(wait, why) => sqlx::query(SETTLED)
            .bind(account.0)
            .bind(user.as_str())
            .bind(false)
            .bind(millis(*wait))
            .bind(Some(why.clone())),
        SettleResult::Issue(why) => {
            sqlx::query(SETTLE_ISSUE).bind(account.0).bind(user.as_str()).bind(why.clone())
        }
    };
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}
