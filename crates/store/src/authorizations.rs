//! What stored authorizations are worth, when they are looked at without a job, and the provider's own app.
//!
//! A trigger writes `vault.authorization_history` with every change of state or reason, whoever makes it.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::authorization::{AuthorizationState, Reason, Standing};
use tandem_domain::{AccountId, ObjectId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Names the Global Administrator of a tenant that was bound without one.
    LINK_ADMIN = "update vault.authorizations set admin_oid = $2, admin_name = $3 where account_id = $1 and admin_oid is null";
    /// The authorization of an account, locked.
    LOCK = "select account_id, tenant_id, client_id, state, reason from vault.authorizations where account_id = $1 for update";
    /// Stores what it is worth now.
    RECORD = "update vault.authorizations v
                 set state = $2, reason = $3, checked_at = clock_timestamp(), permissions = coalesce($5, permissions),
                     detail = case when (v.state, v.reason) is distinct from ($2, $3) then $4 else coalesce($4, v.detail) end
               where account_id = $1";
    /// Takes authorizations that are due for a look, for the time of the look.
    CANARIES = "update vault.authorizations v set next_canary = clock_timestamp() + $2 * interval '1 ms'
                  from (select d.account_id from vault.authorizations d
                         where d.next_canary <= clock_timestamp() and d.state <> 'none'
                         order by d.next_canary limit $1 for update skip locked) due
                 where v.account_id = due.account_id
                returning v.account_id, v.tenant_id, v.client_id, v.state, v.reason";
    /// When an authorization is looked at again.
    NEXT_CANARY = "update vault.authorizations set next_canary = clock_timestamp() + $2 * interval '1 ms' where account_id = $1";
    /// Accounts by state of their authorization.
    STATES = "select state, count(*) from vault.authorizations group by state";
    /// Whether an automatic job may still write.
    MAY_WRITE = "select a.auto_sync and coalesce(v.state in ('healthy', 'weakened'), false)
                   from admin.accounts a left join vault.authorizations v using (account_id) where a.account_id = $1";
    /// Whether a job that a person asked for may still write to this tenant: with the stored authorization, or with the
    /// token of the person that this request handed in.
    MAY_WRITE_BY_HAND = "select v.tenant_id = $2
                            and case when $3::uuid is null then v.state in ('healthy', 'weakened')
                                     else exists (select from vault.job_tokens t where t.request_id = $3) end
                           from vault.authorizations v where v.account_id = $1";
    /// The provider's own app, while it is at fault.
    FAULT = "select client_id, detail, since, probes, next_probe <= clock_timestamp() as due from vault.apps
              where state = 'own_fault' and (client_id = $1 or $1 is null)";
    /// Notes that the provider's own credential is refused; a row when that is news.
    AT_FAULT = "insert into vault.apps as p (client_id, state, detail, next_probe)
                values ($1, 'own_fault', $2, clock_timestamp() + $3 * interval '1 ms')
                on conflict (client_id) do update
                  set state = 'own_fault', detail = excluded.detail, since = clock_timestamp(), probes = 0, next_probe = excluded.next_probe
                where p.state = 'healthy'
                returning client_id";
    /// Another tenant that knows the app and is well.
    OTHER_TENANT = "select tenant_id from vault.authorizations where client_id = $1 and tenant_id <> $2 and state = 'healthy'
                     order by checked_at desc nulls last limit 1";
    /// Notes that it works again; a row when that is news.
    WORKS = "update vault.apps set state = 'healthy', detail = null, since = clock_timestamp(), probes = 0, next_probe = null
              where client_id = $1 and state = 'own_fault' returning client_id";
    /// Takes the right to ask whether it works again; nobody else asks until the next time.
    PROBE = "update vault.apps set probes = probes + 1, next_probe = clock_timestamp() + $3 * interval '1 ms'
              where client_id = $1 and state = 'own_fault' and probes = $2 and next_probe <= clock_timestamp() returning client_id";
    /// A tenant to ask in, another one each time; those that were well before are asked first.
    PROBE_TENANT = "with known as (
                      select v.account_id, v.tenant_id from vault.authorizations v
                       where v.client_id = $1
                         and (v.state in ('healthy', 'weakened')
                           or not exists (select from vault.authorizations o where o.client_id = $1 and o.state in ('healthy', 'weakened')))
                    )
                    select tenant_id from known order by account_id
                    offset $2 % greatest((select count(*) from known), 1) limit 1";
}

/// A stored authorization, as the judge needs it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Whose.
    pub account: AccountId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The app that the tenant has consented to.
    pub client_id: String,
    /// What it was worth at the last look.
    pub standing: Standing,
}

fn stored(row: &PgRow, work: &'static str) -> Result<Stored, StoreError> {
    let unknown = |column| StoreError::Inconsistent { work, column };
    let state =
        AuthorizationState::parse(row.get("state")).ok_or_else(|| unknown("vault.authorizations.state"))?;
    let reason = row
        .get::<Option<&str>, _>("reason")
        .map(|text| Reason::parse(text).ok_or_else(|| unknown("vault.authorizations.reason")))
        .transpose()?;
    Ok(Stored {
        account: AccountId(row.get("account_id")),
        tenant: TenantId(row.get("tenant_id")),
        client_id: row.get("client_id"),
        standing: Standing { state, reason },
    })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The authorization of an account; its row stays locked until the transaction ends.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, account: AccountId) -> Result<Option<Stored>, StoreError> {
    let failed = tx.failed();
    let work = tx.work();
    let row = sqlx::query(LOCK).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    row.map(|row| stored(&row, work)).transpose()
}

/// Stores what an authorization is worth now, and the permissions that a token showed.
///
/// # Errors
/// [`StoreError`].
pub async fn record(
    tx: &mut Tx,
    account: AccountId,
    standing: Standing,
    detail: Option<&str>,
    permissions: Option<&[String]>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(RECORD)
        .bind(account.0)
        .bind(standing.state.as_str())
        .bind(standing.reason.map(Reason::as_str))
        .bind(detail)
        .bind(permissions)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Takes up to `most` authorizations that are due for a look, for `hold`; nobody else looks at them meanwhile.
///
/// # Errors
/// [`StoreError`].
pub async fn take_canaries(store: &Store, most: i64, hold: Duration) -> Result<Vec<Stored>, StoreError> {
    const WORK: &str = "authorizations.canaries";
    let rows = sqlx::query(CANARIES)
        .bind(most)
        .bind(millis(hold))
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of(WORK, source))?;
    rows.iter().map(|row| stored(row, WORK)).collect()
}

/// Sets when an authorization is looked at again.
///
/// # Errors
/// [`StoreError`].
pub async fn next_canary(tx: &mut Tx, account: AccountId, wait: Duration) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(NEXT_CANARY).bind(account.0).bind(millis(wait)).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// How many accounts have an authorization of each state; states that none has are left out.
///
/// # Errors
/// [`StoreError`].
pub async fn states(store: &Store) -> Result<Vec<(String, i64)>, StoreError> {
    sqlx::query_as(STATES)
        .fetch_all(store.pool())
        .await
        .map_err(|source| StoreError::of("authorizations.states", source))
}

/// Whether an automatic job may still write: Auto Sync is on and the authorization is not known to be bad.
///
/// # Errors
/// [`StoreError`].
pub async fn may_write(store: &Store, account: AccountId) -> Result<bool, StoreError> {
    let may: Option<bool> = sqlx::query_scalar(MAY_WRITE)
        .bind(account.0)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("authorizations.may_write", source))?;
    Ok(may.unwrap_or(false))
}

/// Whether a job that a person asked for may still write: the account is still bound to the tenant, and what the job
/// writes with is still there. Auto Sync is no matter of such a job.
///
/// # Errors
/// [`StoreError`].
pub async fn may_write_by_hand(
    store: &Store,
    account: AccountId,
    tenant: TenantId,
    token_request: Option<Uuid>,
) -> Result<bool, StoreError> {
    let may: Option<bool> = sqlx::query_scalar(MAY_WRITE_BY_HAND)
        .bind(account.0)
        .bind(tenant.0)
        .bind(token_request)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("authorizations.may_write", source))?;
    Ok(may.unwrap_or(false))
}

/// The provider's own app, whose credential is refused.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The app.
    pub client_id: String,
    /// What Microsoft said.
    pub detail: Option<String>,
    /// Since when.
    pub since: OffsetDateTime,
    /// How often it was asked in vain whether it works again.
    pub probes: u32,
    /// Whether it is time to ask.
    pub due: bool,
}

/// The fault of one app, or of any.
///
/// # Errors
/// [`StoreError`].
pub async fn fault(store: &Store, client_id: Option<&str>) -> Result<Option<Fault>, StoreError> {
    let row = sqlx::query(FAULT)
        .bind(client_id)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("apps.fault", source))?;
    Ok(row.map(|row| Fault {
        client_id: row.get("client_id"),
        detail: row.get("detail"),
        since: row.get("since"),
        probes: u32::try_from(row.get::<i32, _>("probes")).unwrap_or(0),
        due: row.get("due"),
    }))
}

/// Notes that the provider's own credential is refused, to be asked about after `wait`. True when that is news.
///
/// # Errors
/// [`StoreError`].
pub async fn at_fault(
    store: &Store,
    client_id: &str,
    detail: &str,
    wait: Duration,
) -> Result<bool, StoreError> {
    let news = sqlx::query(AT_FAULT)
        .bind(client_id)
        .bind(detail)
        .bind(millis(wait))
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("apps.at_fault", source))?;
    Ok(news.is_some())
}

/// A tenant other than this one that knows the app and is well, to tell our own fault from that of one tenant.
///
/// # Errors
/// [`StoreError`].
pub async fn other_tenant(
    store: &Store,
    client_id: &str,
    than: TenantId,
) -> Result<Option<TenantId>, StoreError> {
    let tenant: Option<Uuid> = sqlx::query_scalar(OTHER_TENANT)
        .bind(client_id)
        .bind(than.0)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("apps.other_tenant", source))?;
    Ok(tenant.map(TenantId))
}

/// Notes that it works again. True when that is news.
///
/// # Errors
/// [`StoreError`].
pub async fn works(store: &Store, client_id: &str) -> Result<bool, StoreError> {
    let news = sqlx::query(WORKS)
        .bind(client_id)
        .fetch_optional(store.pool())
        .await
        .map_err(|source| StoreError::of("apps.works", source))?;
    Ok(news.is_some())
}

/// Takes the right to ask once whether a faulty app works again, and a tenant to ask in. None when somebody else asks
/// or no tenant knows the app.
///
/// # Errors
/// [`StoreError`].
pub async fn take_probe(
    store: &Store,
    fault: &Fault,
    wait: Duration,
) -> Result<Option<TenantId>, StoreError> {
    let failed = |source| StoreError::of("apps.probe", source);
    let probes = i32::try_from(fault.probes).unwrap_or(i32::MAX);
    let taken = sqlx::query(PROBE)
        .bind(&fault.client_id)
        .bind(probes)
        .bind(millis(wait))
        .fetch_optional(store.pool())
        .await
        .map_err(failed)?;
    if taken.is_none() {
        return Ok(None);
    }
    let tenant: Option<Uuid> = sqlx::query_scalar(PROBE_TENANT)
        .bind(&fault.client_id)
        .bind(i64::from(probes))
        .fetch_optional(store.pool())
        .await
        .map_err(failed)?;
    Ok(tenant.map(TenantId))
}

/// Names the Global Administrator of a tenant that was bound without one. It gives nothing by itself: each sign-in has to
/// show the role.
///
/// # Errors
/// [`StoreError`].
pub async fn link_admin(
    tx: &mut Tx,
    account: AccountId,
    oid: ObjectId,
    name: &str,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(LINK_ADMIN).bind(account.0).bind(oid.0).bind(name);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}
