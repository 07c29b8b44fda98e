//! Accounts with everything that an operator declares about them.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::authorization::Reason;
use tandem_domain::policy::{PolicyRule, Service};
use tandem_domain::{AccountId, ObjectId, PbxUserId, TenantId};
use time::OffsetDateTime;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// An account by its short name; the row is locked, so that two operators save one after the other.
    LOCK = "select * from admin.accounts where name = $1 for update";
    /// An account by its short name.
    ACCOUNT = "select * from admin.accounts where name = $1";
    /// Names of all accounts.
    NAMES = "select account_id, name, label from admin.accounts order by name";
    /// Mappings.
    MAPPINGS = "select pbx_user_id, microsoft_user, service, number from admin.mappings where account_id = $1";
    /// Ordered policy rules.
    RULES = "select rule from admin.policy_rules where account_id = $1 order by position";
    /// Which customer of which source it is.
    BINDING = "select source, account_key from pbx.bindings where account_id = $1";
    /// Its tenant.
    AUTHORIZATION = "select tenant_id, client_id, state, reason, since, permissions, bound_by, bound_at, checked_at, next_canary, detail, admin_name
                       from vault.authorizations where account_id = $1";
    /// How many Microsoft users something of ours stands on.
    STANDING = "select count(*) from sync.standing where account_id = $1";
    /// Which account has a tenant, or a customer of a source.
    TAKEN = "select a.name from admin.accounts a
              where exists (select from vault.authorizations v where v.account_id = a.account_id and v.tenant_id = $1)
                 or exists (select from pbx.bindings b where b.account_id = a.account_id and b.source = $2 and b.account_key = $3)
              order by a.name";
    /// PBX users of an account with their extensions.
    USERS = "select pbx_user_id, profile ->> 'extension' as extension from pbx.profiles
              where account_id = $1 and deleted_at is null";
    /// How an account is doing.
    STANDS = "select coalesce(g.gen, 0) as gen, w.first_change_at, w.due_at,
                     (select count(*) from sync.deferred d where d.account_id = $1) as deferred,
                     (select count(*) from sync.held h where h.account_id = $1 and h.closed_at is null) as held,
                     (select j.job_id from queue.jobs j where j.account_id = $1 order by j.queued_at desc limit 1) as last_job
                from admin.accounts a left join change.generations g using (account_id) left join queue.windows w using (account_id)
               where a.account_id = $1";
}

/// What an operator declares about an account, but for mappings and rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its name for people.
    pub label: String,
    /// Syncs by itself.
    pub auto_sync: bool,
    /// Own quiet period in milliseconds.
    pub quiet_ms: Option<i32>,
    /// Own longest wait in milliseconds.
    pub max_wait_ms: Option<i32>,
    /// Integration licences sold.
    pub licences: i32,
    /// Voice routing policy of its Voice users.
    pub voice_routing_policy: Option<String>,
    /// Dial plan of its Voice users.
    pub dial_plan: Option<String>,
    /// Number shared by users without one of their own.
    pub shared_number: Option<String>,
    /// Emergency location.
    pub location_id: Option<String>,
    /// Paused until, with the reason.
    pub pause: Option<(OffsetDateTime, String)>,
}

/// A mapping, but for its PBX user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The Microsoft user.
    pub microsoft_user: ObjectId,
    /// Voice or App.
    pub service: Service,
    /// Its own number, where it is not the PBX user's.
    pub number: Option<String>,
}

/// A stored authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The tenant.
    pub tenant: TenantId,
    /// The app that it was given to.
    pub client_id: String,
    /// `healthy`, `weakened`, `revoked` ...
    pub state: String,
    /// Why, when it is not healthy.
    pub reason: Option<Reason>,
    /// Since when state and reason are what they are.
    pub since: OffsetDateTime,
    /// Permissions seen.
    pub permissions: Vec<String>,
    /// Who bound it.
    pub bound_by: String,
    /// When it was bound.
    pub bound_at: OffsetDateTime,
    /// When it was last proved.
    pub checked_at: Option<OffsetDateTime>,
    /// When it is looked at again without a job.
    pub next_canary: OffsetDateTime,
    /// What is wrong with it.
    pub detail: Option<String>,
    /// The Global Administrator linked to the account, where one has connected it.
    pub admin: Option<String>,
}

/// An account as it is stored.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub account: AccountId,
    /// Its short name.
    pub name: String,
    /// Settings.
    pub settings: Settings,
    /// Mappings by PBX user.
    pub mappings: BTreeMap<PbxUserId, Mapping>,
    /// Ordered policy rules.
    pub rules: Vec<PolicyRule>,
    /// Source and account key.
    pub binding: Option<(String, String)>,
    /// Its tenant.
    pub authorization: Option<Authorization>,
}

/// An account by its short name. `lock` keeps others from saving it until the transaction ends.
///
/// # Errors
/// [`StoreError`].
pub async fn find(tx: &mut Tx, name: &str, lock: bool) -> Result<Option<Account>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let row = sqlx::query(if lock { LOCK } else { ACCOUNT })
        .bind(name)
        .fetch_optional(&mut **tx)
        .await
        .map_err(&failed)?;
    let Some(row) = row else { return Ok(None) };
    let account = AccountId(row.get("account_id"));
    let mappings = sqlx::query(MAPPINGS).bind(account.0).fetch_all(&mut **tx).await.map_err(&failed)?;
    let rules: Vec<Value> =
        sqlx::query_scalar(RULES).bind(account.0).fetch_all(&mut **tx).await.map_err(&failed)?;
    let binding = sqlx::query(BINDING).bind(account.0).fetch_optional(&mut **tx).await.map_err(&failed)?;
    let authorization =
        sqlx::query(AUTHORIZATION).bind(account.0).fetch_optional(&mut **tx).await.map_err(&failed)?;
    let rules: Result<Vec<PolicyRule>, _> = rules.into_iter().map(serde_json::from_value).collect();
    Ok(Some(Account {
        account,
        name: row.get("name"),
        settings: settings(&row),
        mappings: mappings.iter().map(mapping).collect(),
        rules: rules.map_err(|_| StoreError::Inconsistent { work, column: "admin.policy_rules.rule" })?,
        binding: binding.map(|row| (row.get("source"), row.get("account_key"))),
        authorization: authorization.as_ref().map(authorized),
    }))
}

fn settings(row: &PgRow) -> Settings {
    let until: Option<OffsetDateTime> = row.get("paused_until");
    Settings {
        label: row.get("label"),
        auto_sync: row.get("auto_sync"),
        quiet_ms: row.get("quiet_ms"),
        max_wait_ms: row.get("max_wait_ms"),
        licences: row.get("licences"),
        voice_routing_policy: row.get("voice_routing_policy"),
        dial_plan: row.get("dial_plan"),
        shared_number: row.get("shared_number"),
        location_id: row.get("location_id"),
        pause: until.zip(row.get::<Option<String>, _>("pause_reason")),
    }
}

fn mapping(row: &PgRow) -> (PbxUserId, Mapping) {
    let service = match row.get("service") {
        "app" => Service::App,
        _ => Service::Voice,
    };
    let mapping =
        Mapping { microsoft_user: ObjectId(row.get("microsoft_user")), service, number: row.get("number") };
    (PbxUserId(row.get("pbx_user_id")), mapping)
}

fn authorized(row: &PgRow) -> Authorization {
    Authorization {
        tenant: TenantId(row.get("tenant_id")),
        client_id: row.get("client_id"),
        state: row.get("state"),
        reason: row.get::<Option<&str>, _>("reason").and_then(Reason::parse),
        since: row.get("since"),
        permissions: row.get("permissions"),
        bound_by: row.get("bound_by"),
        bound_at: row.get("bound_at"),
        checked_at: row.get("checked_at"),
        next_canary: row.get("next_canary"),
        detail: row.get("detail"),
        admin: row.get("admin_name"),
    }
}

/// Id, short name and label of every account, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn names(tx: &mut Tx) -> Result<Vec<(AccountId, String, String)>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(NAMES).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.iter().map(|row| (AccountId(row.get("account_id")), row.get("name"), row.get("label"))).collect())
}

/// PBX users of an account that are alive, with their extensions.
///
/// # Errors
/// [`StoreError`].
pub async fn users(
    tx: &mut Tx,
    account: AccountId,
) -> Result<BTreeMap<PbxUserId, Option<String>>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(USERS).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.iter().map(|row| (PbxUserId(row.get("pbx_user_id")), row.get("extension"))).collect())
}

/// Names of the accounts that have a tenant or a customer of a source.
///
/// # Errors
/// [`StoreError`].
pub async fn taken_by(
    tx: &mut Tx,
    tenant: Option<TenantId>,
    binding: Option<(&str, &str)>,
) -> Result<Vec<String>, StoreError> {
    let failed = tx.failed();
    let (source, key) = binding.unzip();
    sqlx::query_scalar(TAKEN)
        .bind(tenant.map(|tenant| tenant.0))
        .bind(source)
        .bind(key)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)
}

/// How many Microsoft users something of ours stands on.
///
/// # Errors
/// [`StoreError`].
pub async fn standing(tx: &mut Tx, account: AccountId) -> Result<i64, StoreError> {
    let failed = tx.failed();
    sqlx::query_scalar(STANDING).bind(account.0).fetch_one(&mut **tx).await.map_err(failed)
}

/// How an account is doing.
#[derive(Clone, Debug)]
pub struct Stands {
    /// Its newest change.
    pub generation: i64,
    /// First change of the open window.
    pub first_change_at: Option<OffsetDateTime>,
    /// When the window is cut by itself.
    pub due_at: Option<OffsetDateTime>,
    /// Users that could not be finished yet.
    pub deferred: i64,
    /// Removals that wait for a person.
    pub held: i64,
    /// Its newest job.
    pub last_job: Option<uuid::Uuid>,
}

/// How an account is doing.
///
/// # Errors
/// [`StoreError`].
pub async fn stands(tx: &mut Tx, account: AccountId) -> Result<Stands, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(STANDS).bind(account.0).fetch_one(&mut **tx).await.map_err(failed)?;
    Ok(Stands {
        generation: row.get("gen"),
        first_change_at: row.get("first_change_at"),
        due_at: row.get("due_at"),
        deferred: row.get("deferred"),
        held: row.get("held"),
        last_job: row.get("last_job"),
    })
}
