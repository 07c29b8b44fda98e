//! What Tandem has put on Microsoft users and has not taken off again.

use serde_json::json;
use tandem_domain::policy::PolicyType;
use tandem_domain::wanted::WantedUser;
use tandem_domain::{AccountId, Number, ObjectId, PbxUserId};

use crate::sql::{TOGETHER, statements};
use crate::{StoreError, Tx};

statements! {
    /// What stands on Microsoft users now.
    STAND = "insert into sync.standing as s (account_id, microsoft_user, pbx_user_id, number, policies)
             select $1, i.oid, i.user_id, i.number, i.policies::jsonb
               from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) as i (oid, user_id, number, policies)
             on conflict (account_id, microsoft_user) do update
               set pbx_user_id = excluded.pbx_user_id, number = excluded.number, policies = excluded.policies, since = clock_timestamp()
               where (s.pbx_user_id, s.number, s.policies) is distinct from (excluded.pbx_user_id, excluded.number, excluded.policies)";
    /// Nothing stands on Microsoft users any more.
    CLEAR = "delete from sync.standing where account_id = $1 and microsoft_user = any ($2)";
    /// A number of ours came onto a Microsoft user.
    STAND_NUMBER = "insert into sync.standing as s (account_id, microsoft_user, pbx_user_id, number) values ($1, $2, $3, $4)
                    on conflict (account_id, microsoft_user) do update set number = excluded.number, pbx_user_id = excluded.pbx_user_id, since = clock_timestamp()";
    /// A number of ours came off a Microsoft user.
    UNSTAND_NUMBER = "update sync.standing set number = null, since = clock_timestamp() where account_id = $1 and microsoft_user = $2 and number = $3";
    /// A policy of ours came onto a Microsoft user.
    STAND_POLICY = "insert into sync.standing as s (account_id, microsoft_user, pbx_user_id, policies) values ($1, $2, $3, jsonb_build_object($4::text, $5::text))
                    on conflict (account_id, microsoft_user) do update
                      set policies = s.policies || excluded.policies, pbx_user_id = excluded.pbx_user_id, since = clock_timestamp()";
    /// A policy of ours came off a Microsoft user.
    UNSTAND_POLICY = "update sync.standing set policies = policies - $3::text, since = clock_timestamp() where account_id = $1 and microsoft_user = $2";
}

/// Notes that what is wanted stands; no Microsoft user may come twice, and each must want something.
///
/// # Errors
/// [`StoreError`].
pub async fn stand(tx: &mut Tx, account: AccountId, users: &[&WantedUser]) -> Result<(), StoreError> {
    let failed = tx.failed();
    for users in users.chunks(TOGETHER) {
        sqlx::query(STAND)
            .bind(account.0)
            .bind(users.iter().map(|user| user.oid.0).collect::<Vec<_>>())
            .bind(users.iter().map(|user| user.user.as_str()).collect::<Vec<_>>())
            .bind(users.iter().map(|user| user.number.number().map(Number::as_str)).collect::<Vec<_>>())
            .bind(users.iter().map(|user| json!(user.policies).to_string()).collect::<Vec<_>>())
            .execute(&mut **tx)
            .await
            .map_err(&failed)?;
    }
    Ok(())
}

/// Notes that nothing of ours stands on Microsoft users.
///
/// # Errors
/// [`StoreError`].
pub async fn clear(tx: &mut Tx, account: AccountId, users: &[&WantedUser]) -> Result<(), StoreError> {
    let failed = tx.failed();
    for users in users.chunks(TOGETHER) {
        let oids: Vec<_> = users.iter().map(|user| user.oid.0).collect();
        sqlx::query(CLEAR).bind(account.0).bind(oids).execute(&mut **tx).await.map_err(&failed)?;
    }
    Ok(())
}

/// The effect of one write on what stands.
#[derive(Clone, Debug)]
pub enum Stood<'a> {
    /// A number came on.
    NumberOn(&'a str),
    /// A number came off.
    NumberOff(&'a str),
    /// A policy came on.
    PolicyOn(&'a PolicyType, &'a str),
    /// A policy came off.
    PolicyOff(&'a PolicyType),
}

/// Notes the effect of one write, as soon as it is known.
///
/// # Errors
/// [`StoreError`].
pub async fn stood(
    tx: &mut Tx,
    account: AccountId,
    oid: ObjectId,
    user: &PbxUserId,
    effect: &Stood<'_>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = match effect {
        Stood::NumberOn(number) => {
            sqlx::query(STAND_NUMBER).bind(account.0).bind(oid.0).bind(user.as_str()).bind(number.to_owned())
        }
        Stood::NumberOff(number) => {
            sqlx::query(UNSTAND_NUMBER).bind(account.0).bind(oid.0).bind(number.to_owned())
        }
        Stood::PolicyOn(policy_type, name) => sqlx::query(STAND_POLICY)
            .bind(account.0)
            .bind(oid.0)
            .bind(user.as_str())
            .bind(&policy_type.0)
            .bind(name.to_owned()),
        Stood::PolicyOff(policy_type) => {
            sqlx::query(UNSTAND_POLICY).bind(account.0).bind(oid.0).bind(&policy_type.0)
        }
    };
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}
