//! What people save of an account in the portal: the switches, windows, policy rules, and who may sync.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::policy::PolicyRule;
use tandem_domain::{AccountId, ObjectId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Settings of an account. Whoever syncs by itself has Next Gen Teams Sync, whoever switched that on.
    FIND = "select next_gen or auto_sync as next_gen, auto_sync, quiet_ms, max_wait_ms, licences from admin.accounts where account_id = $1";
    /// The same, locked, so that two people save one after the other.
    LOCK = "select next_gen or auto_sync as next_gen, auto_sync, quiet_ms, max_wait_ms, licences from admin.accounts where account_id = $1 for update";
    /// Ordered policy rules.
    RULES = "select rule from admin.policy_rules where account_id = $1 order by position";
    /// Saves what people may save of an account.
    SAVE = "update admin.accounts set next_gen = $2, auto_sync = $3, quiet_ms = $4, max_wait_ms = $5, updated_at = now() where account_id = $1";
    /// Sync Contributors of an account.
    CONTRIBUTORS = "select m.person_id, p.name, m.granted_by, m.created_at from admin.memberships m join admin.people p using (person_id)
                     where m.account_id = $1 and m.role = 'sync_contributor' order by p.name, m.person_id";
    /// A user of the account's tenant by sign-in name, as a full sync has listed it.
    USER = "select microsoft_user, upn from sync.microsoft_users where account_id = $1 and lower(upn) = lower($2) and gone_at is null";
    /// Somebody who is named before ever signing in.
    NAME = "insert into admin.people (person_id, issuer, subject, tenant_id, oid, name, created_at) values ($1, 'microsoft', $2, $3, $4, $5, $6)
            on conflict (issuer, subject) do nothing";
    /// Who that is.
    NAMED = "select person_id from admin.people where issuer = 'microsoft' and subject = $1";
    /// Somebody is no Sync Contributor any more.
    UNNAME = "delete from admin.memberships where account_id = $1 and person_id = $2 and role = 'sync_contributor'";
}

/// Settings of an account as people see and save them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Next Gen Teams Sync, which gates Auto Sync.
    pub next_gen: bool,
    /// Auto Sync.
    pub auto_sync: bool,
    /// Own quiet period in milliseconds.
    pub quiet_ms: Option<i32>,
    /// Own longest wait in milliseconds.
    pub max_wait_ms: Option<i32>,
    /// Ordered policy rules.
    pub rules: Vec<PolicyRule>,
    /// Integration licences; the provider alone changes them.
    pub licences: i32,
}

/// Settings of an account. `lock` keeps others from saving them until the transaction ends.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    tx: &mut Tx,
    account: AccountId,
    lock: bool,
) -> Result<Option<AccountSettings>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let statement = if lock { LOCK } else { FIND };
    let row = sqlx::query(statement).bind(account.0).fetch_optional(&mut **tx).await.map_err(&failed)?;
    let Some(row) = row else { return Ok(None) };
    let rules: Vec<Value> =
        sqlx::query_scalar(RULES).bind(account.0).fetch_all(&mut **tx).await.map_err(&failed)?;
    let rules: Result<Vec<PolicyRule>, _> = rules.into_iter().map(serde_json::from_value).collect();
    Ok(Some(AccountSettings {
        next_gen: row.get("next_gen"),
        auto_sync: row.get("auto_sync"),
        quiet_ms: row.get("quiet_ms"),
        max_wait_ms: row.get("max_wait_ms"),
        rules: rules.map_err(|_| StoreError::Inconsistent { work, column: "admin.policy_rules.rule" })?,
        licences: row.get("licences"),
    }))
}

/// Saves switches and windows; rules are saved by [`crate::admin::save::put_rules`].
///
/// # Errors
/// [`StoreError`].
pub async fn save(tx: &mut Tx, account: AccountId, settings: &AccountSettings) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(SAVE).bind(account.0).bind(settings.next_gen).bind(settings.auto_sync);
    let query = query.bind(settings.quiet_ms).bind(settings.max_wait_ms);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// A Sync Contributor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// Who.
    pub person: Uuid,
    /// The name.
    pub name: String,
    /// Who named that person.
    pub granted_by: String,
    /// Since when.
    pub since: OffsetDateTime,
}

/// Sync Contributors of an account, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn contributors(tx: &mut Tx, account: AccountId) -> Result<Vec<Contributor>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(CONTRIBUTORS).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| Contributor {
        person: row.get("person_id"),
        name: row.get("name"),
        granted_by: row.get("granted_by"),
        since: row.get("created_at"),
    };
    Ok(rows.iter().map(one).collect())
}

/// A user of the account's tenant by sign-in name: object id, and the name as Microsoft writes it.
///
/// # Errors
/// [`StoreError`].
pub async fn user(
    tx: &mut Tx,
    account: AccountId,
    sign_in_name: &str,
) -> Result<Option<(ObjectId, String)>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(USER).bind(account.0).bind(sign_in_name);
    let row = query.fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.map(|row| (ObjectId(row.get("microsoft_user")), row.get("upn"))))
}

/// Keeps somebody who is named before ever signing in; the id, also of one who is known.
///
/// # Errors
/// [`StoreError`].
pub async fn name(
    tx: &mut Tx,
    id: Uuid,
    (tenant, oid): (TenantId, ObjectId),
    name: &str,
    now: OffsetDateTime,
) -> Result<Uuid, StoreError> {
    let failed = tx.failed();
    let subject = format!("{tenant}/{oid}");
    let query = sqlx::query(NAME).bind(id).bind(&subject).bind(tenant.0).bind(oid.0).bind(name).bind(now);
    query.execute(&mut **tx).await.map_err(&failed)?;
    sqlx::query_scalar(NAMED).bind(&subject).fetch_one(&mut **tx).await.map_err(failed)
}

/// Somebody is no Sync Contributor any more; whether that person was one.
///
/// # Errors
/// [`StoreError`].
pub async fn unname(tx: &mut Tx, account: AccountId, person: Uuid) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(UNNAME).bind(account.0).bind(person);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}
