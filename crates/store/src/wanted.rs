//! What a plan is made of: one repeatable-read look at everything that decides about an account.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::authorization::{self, AuthorizationState, Reason};
use tandem_domain::ladder::DeferReason;
use tandem_domain::plan::{Decisions, Lock};
use tandem_domain::policy::{PolicyRule, PolicyType, Service};
use tandem_domain::wanted::{AccountSettings, Mapping, Standing, WantedUser, leaving_user, wanted_user};
use tandem_domain::{AccountId, Gen, Number, ObjectId, PbxUserId, Profile, TenantId};
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx, decisions};

statements! {
    /// The rest of the transaction sees one moment.
    ONE_MOMENT = "set transaction isolation level repeatable read, read only";
    /// Account, authorization, generation and how far jobs have come.
    ACCOUNT = "select a.auto_sync, coalesce(a.paused_until > now(), false) or exists (select from admin.fleet_pause p where p.until > now()) as paused,
                      a.voice_routing_policy, a.dial_plan,
                      a.shared_number, a.location_id, coalesce(g.gen, 0) as gen, coalesce(s.covered_gen, 0) as covered_gen,
                      v.tenant_id, v.state as authorization, v.reason as authorization_reason
                 from admin.accounts a
                 left join change.generations g using (account_id)
                 left join sync.accounts s using (account_id)
                 left join vault.authorizations v using (account_id)
                where a.account_id = $1";
    /// Ordered policy rules.
    RULES = "select rule from admin.policy_rules where account_id = $1 order by position";
    /// Mappings with the profiles of their users.
    MAPPINGS = "select m.pbx_user_id, m.microsoft_user, m.service, m.number, p.profile,
                       p.deleted_at is not null or p.profile is null as gone
                  from admin.mappings m left join pbx.profiles p using (account_id, pbx_user_id)
                 where m.account_id = $1";
    /// The same of one user.
    MAPPING = "select m.pbx_user_id, m.microsoft_user, m.service, m.number, p.profile,
                      p.deleted_at is not null or p.profile is null as gone
                 from admin.mappings m left join pbx.profiles p using (account_id, pbx_user_id)
                where m.account_id = $1 and m.pbx_user_id = $2";
    /// What stands in the tenant.
    STANDING = "select microsoft_user, pbx_user_id, number, policies from sync.standing where account_id = $1";
    /// Open intents.
    LOCKS = "select microsoft_user, number, state from sync.intents where account_id = $1 and ended_at is null";
    /// Users changed within a range, and whether a setting that concerns everybody changed.
    CHANGED = "select array_agg(distinct pbx_user_id) filter (where pbx_user_id is not null) as users,
                      coalesce(bool_or(kind = 'settings' and fields && array['voice_routing_policy', 'dial_plan', 'shared_number',
                                                                             'location_id', 'policy_rules']), false) as everybody
                 from change.log where account_id = $1 and gen > $2 and gen <= $3";
    /// Users whom people asked the running job to look at.
    ASKED_FOR = "select r.pbx_user_id from queue.jobs j join admin.requests r on r.job_id = j.job_id and r.account_id = j.account_id
                  where j.account_id = $1 and j.state = 'running' and r.pbx_user_id is not null";
    /// Deferred users that are due.
    DEFERRED_DUE = "select pbx_user_id from sync.deferred where account_id = $1 and next_look <= now()";
}

/// Everything that decides about an account, as of one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Auto Sync is on.
    pub auto_sync: bool,
    /// Somebody has paused the account, or the fleet.
    pub paused: bool,
    /// Its tenant and what the authorization was worth at the last look.
    pub authorization: Option<(TenantId, authorization::Standing)>,
    /// The newest change.
    pub generation: Gen,
    /// Where the range of a job begins that has not planned before.
    pub covered: Gen,
    /// Wanted state of every managed user.
    pub wanted: Vec<WantedUser>,
    /// What stands.
    pub standing: BTreeMap<ObjectId, Standing>,
    /// Types of policies that are wanted or stand.
    pub policy_types: BTreeSet<PolicyType>,
    /// Open intents.
    pub locks: Vec<Lock>,
    /// What people have decided about users that have not changed since.
    pub decisions: Decisions,
    /// Users with a mapping.
    pub mapped_users: usize,
    /// Users changed within the range, and those whom people asked the running job to look at.
    pub changed: BTreeSet<PbxUserId>,
    /// A setting that concerns every user changed within the range.
    pub everybody_changed: bool,
    /// Deferred users that are due.
    pub deferred_due: BTreeSet<PbxUserId>,
}

/// Reads the snapshot. `from` is where the range begins, when an earlier claim of the job has set it.
///
/// # Errors
/// [`StoreError`].
pub async fn snapshot(store: &Store, account: AccountId, from: Option<Gen>) -> Result<Snapshot, StoreError> {
    let mut tx = store.begin("plan.snapshot").await?;
    let failed = tx.failed();
    sqlx::query(ONE_MOMENT).execute(&mut *tx).await.map_err(&failed)?;
    let row = sqlx::query(ACCOUNT)
        .bind(account.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(&failed)?
        .ok_or(StoreError::Superseded { work: "plan.snapshot" })?;
    let settings = settings(&mut tx, account, &row).await?;
    let standing = standing(&mut tx, account).await?;
    let (wanted, mapped_users) = wanted(&mut tx, account, &settings, &standing).await?;
    let stand = standing.values().flat_map(|standing| standing.policies.keys());
    let policy_types: BTreeSet<&PolicyType> =
        wanted.iter().flat_map(|user| user.policies.keys()).chain(stand).collect();
    let policy_types = policy_types.into_iter().cloned().collect();
    let locks = locks(&mut tx, account).await?;
    let decisions = decisions::standing(&mut tx, account).await?;
    let generation: Gen = row.get("gen");
    let covered: Gen = row.get("covered_gen");
    let changed = sqlx::query(CHANGED)
        .bind(account.0)
        .bind(from.unwrap_or(covered))
        .bind(generation)
        .fetch_one(&mut *tx)
        .await
        .map_err(&failed)?;
    let due: Vec<String> =
        sqlx::query_scalar(DEFERRED_DUE).bind(account.0).fetch_all(&mut *tx).await.map_err(&failed)?;
    let asked: Vec<String> =
        sqlx::query_scalar(ASKED_FOR).bind(account.0).fetch_all(&mut *tx).await.map_err(&failed)?;
    let tenant = row.get::<Option<Uuid>, _>("tenant_id").map(TenantId);
    let authorization = tenant.map(|tenant| Ok((tenant, authorized(&row)?))).transpose()?;
    let users: Option<Vec<String>> = changed.get("users");
    tx.commit().await?;
    Ok(Snapshot {
        auto_sync: row.get("auto_sync"),
        paused: row.get("paused"),
        authorization,
        generation,
        covered,
        wanted,
        standing,
        policy_types,
        locks,
        decisions,
        mapped_users,
        changed: users.unwrap_or_default().into_iter().chain(asked).map(PbxUserId).collect(),
        everybody_changed: changed.get("everybody"),
        deferred_due: due.into_iter().map(PbxUserId).collect(),
    })
}

fn authorized(row: &PgRow) -> Result<authorization::Standing, StoreError> {
    let state = row.get::<Option<&str>, _>("authorization").and_then(AuthorizationState::parse);
    let reason = row.get::<Option<&str>, _>("authorization_reason").map(Reason::parse);
    match (state, reason) {
        (Some(state), None) => Ok(authorization::Standing { state, reason: None }),
        (Some(state), Some(Some(reason))) => Ok(authorization::Standing { state, reason: Some(reason) }),
        _ => Err(inconsistent("vault.authorizations.state")),
    }
}

const WORK: &str = "plan.snapshot";

fn inconsistent(column: &'static str) -> StoreError {
    StoreError::Inconsistent { work: WORK, column }
}

fn number(text: Option<String>, column: &'static str) -> Result<Option<Number>, StoreError> {
    text.map(|text| Number::parse(&text)).transpose().map_err(|_| inconsistent(column))
}

async fn settings(tx: &mut Tx, account: AccountId, row: &PgRow) -> Result<AccountSettings, StoreError> {
    let failed = tx.failed();
    let rules: Vec<Value> =
        sqlx::query_scalar(RULES).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    let rules: Result<Vec<PolicyRule>, _> = rules.into_iter().map(serde_json::from_value).collect();
    Ok(AccountSettings {
        voice_routing_policy: row.get("voice_routing_policy"),
        dial_plan: row.get("dial_plan"),
        shared_number: number(row.get("shared_number"), "admin.accounts.shared_number")?,
        location_id: row.get("location_id"),
        rules: rules.map_err(|_| inconsistent("admin.policy_rules.rule"))?,
    })
}

pub(crate) async fn standing(
    tx: &mut Tx,
    account: AccountId,
) -> Result<BTreeMap<ObjectId, Standing>, StoreError> {
    let failed = tx.failed();
    let mut rows = sqlx::query(STANDING).bind(account.0).fetch(&mut **tx);
    let mut all = BTreeMap::new();
    while let Some(row) = rows.try_next().await.map_err(&failed)? {
        let policies = serde_json::from_value(row.get("policies"))
            .map_err(|_| inconsistent("sync.standing.policies"))?;
        let standing = Standing {
            user: PbxUserId(row.get("pbx_user_id")),
            number: number(row.get("number"), "sync.standing.number")?,
            policies,
        };
        all.insert(ObjectId(row.get("microsoft_user")), standing);
    }
    Ok(all)
}

async fn wanted(
    tx: &mut Tx,
    account: AccountId,
    settings: &AccountSettings,
    standing: &BTreeMap<ObjectId, Standing>,
) -> Result<(Vec<WantedUser>, usize), StoreError> {
    let failed = tx.failed();
    // one by one: the profiles of a large account are more than what is made of them
    let mut rows = sqlx::query(MAPPINGS).bind(account.0).fetch(&mut **tx);
    let mut wanted = Vec::new();
    let mut mapped = BTreeSet::new();
    while let Some(row) = rows.try_next().await.map_err(&failed)? {
        let user = mapped_user(&row, settings)?;
        mapped.insert(user.oid);
        wanted.push(user);
    }
    let mappings = wanted.len();
    // whatever stands on somebody who is not mapped any more comes off
    for (oid, standing) in standing {
        if !mapped.contains(oid) {
            wanted.push(leaving_user(&standing.user, *oid));
        }
    }
    Ok((wanted, mappings))
}

fn mapped_user(row: &PgRow, settings: &AccountSettings) -> Result<WantedUser, StoreError> {
    let user = PbxUserId(row.get("pbx_user_id"));
    let oid = ObjectId(row.get("microsoft_user"));
    if row.get("gone") {
        return Ok(leaving_user(&user, oid));
    }
    let service = match row.get("service") {
        "app" => Service::App,
        _ => Service::Voice,
    };
    let profile: Profile =
        serde_json::from_value(row.get("profile")).map_err(|_| inconsistent("pbx.profiles.profile"))?;
    let mapping = Mapping { user, oid, service, number: number(row.get("number"), "admin.mappings.number")? };
    Ok(wanted_user(&mapping, &profile, settings))
}

/// What one mapped user should have; none without a mapping.
///
/// # Errors
/// [`StoreError`].
pub async fn of_user(
    tx: &mut Tx,
    account: AccountId,
    user: &PbxUserId,
) -> Result<Option<WantedUser>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(MAPPING).bind(account.0).bind(user.as_str());
    let Some(mapping) = query.fetch_optional(&mut **tx).await.map_err(&failed)? else { return Ok(None) };
    let row = sqlx::query(ACCOUNT).bind(account.0).fetch_one(&mut **tx).await.map_err(&failed)?;
    let settings = settings(tx, account, &row).await?;
    mapped_user(&mapping, &settings).map(Some)
}

async fn locks(tx: &mut Tx, account: AccountId) -> Result<Vec<Lock>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(LOCKS).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let reason = match row.get("state") {
                "accepted" => DeferReason::OperationRunning,
                _ => DeferReason::OutcomeUnknown,
            };
            Ok(Lock {
                oid: ObjectId(row.get("microsoft_user")),
                number: number(row.get("number"), "sync.intents.number")?,
                reason,
            })
        })
        .collect()
}
