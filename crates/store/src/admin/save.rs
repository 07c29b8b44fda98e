//! Saving accounts.

use serde_json::{Map, Value, json};
use sqlx::types::Json;
use tandem_domain::policy::PolicyRule;
use tandem_domain::{AccountId, PbxUserId, TenantId};
use time::OffsetDateTime;

use super::accounts::{Mapping, Settings};
use crate::change::{ChangeKind, NewChange};
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Makes an account.
    INSERT = "insert into admin.accounts (account_id, name, label) values ($1, $2, $2)";
    /// Makes its counter.
    COUNTER = "insert into change.generations (account_id) values ($1) on conflict do nothing";
    /// Saves its settings.
    UPDATE = "update admin.accounts
                 set label = $2, auto_sync = $3, next_gen = next_gen or $3, quiet_ms = $4, max_wait_ms = $5, licences = $6, voice_routing_policy = $7,
                     dial_plan = $8, shared_number = $9, location_id = $10, paused_until = $11, pause_reason = $12, updated_at = now()
               where account_id = $1";
    /// Takes mappings away.
    UNMAP = "delete from admin.mappings where account_id = $1 and pbx_user_id = any ($2)";
    /// Adds mappings.
    MAP = "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service, number)
           select $1, * from unnest($2::text[], $3::uuid[], $4::text[], $5::text[])";
    /// Takes all policy rules away.
    CLEAR_RULES = "delete from admin.policy_rules where account_id = $1";
    /// Adds policy rules in order.
    PUT_RULES = "insert into admin.policy_rules (account_id, position, rule)
                 select $1, ord - 1, rule from unnest($2::jsonb[]) with ordinality as r (rule, ord)";
    /// Takes the binding away.
    UNBIND = "delete from pbx.bindings where account_id = $1";
    /// Binds it to a customer of a source.
    BIND = "insert into pbx.bindings (source, account_key, account_id) values ($2, $3, $1)";
    /// Stores an authorization that has been proved.
    AUTHORIZE = "insert into vault.authorizations (account_id, tenant_id, client_id, state, permissions, bound_by, checked_at, detail)
                 values ($1, $2, $3, $4, $5, $6, now(), $7)
                 on conflict (account_id) do update
                   set tenant_id = excluded.tenant_id, client_id = excluded.client_id, state = excluded.state,
                       permissions = excluded.permissions, bound_by = excluded.bound_by, bound_at = now(), checked_at = now(),
                       detail = excluded.detail,
                       admin_oid = case when authorizations.tenant_id = excluded.tenant_id then authorizations.admin_oid end,
                       admin_name = case when authorizations.tenant_id = excluded.tenant_id then authorizations.admin_name end";
    /// Forgets an authorization.
    DISCONNECT = "delete from vault.authorizations where account_id = $1";
}

/// Makes an account and its counter.
///
/// # Errors
/// [`StoreError::Constraint`] when the name is taken.
pub async fn create(tx: &mut Tx, account: AccountId, name: &str) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(INSERT).bind(account.0).bind(name).execute(&mut **tx).await.map_err(&failed)?;
    sqlx::query(COUNTER).bind(account.0).execute(&mut **tx).await.map_err(&failed)?;
    Ok(())
}

/// Saves the settings of an account.
///
/// # Errors
/// [`StoreError::Constraint`] `licences_cover_mappings` at the commit, when there are more mappings than licences.
pub async fn put_settings(tx: &mut Tx, account: AccountId, settings: &Settings) -> Result<(), StoreError> {
    let failed = tx.failed();
    let (until, reason) = settings.pause.as_ref().map(|(until, reason)| (*until, reason.as_str())).unzip();
    sqlx::query(UPDATE)
        .bind(account.0)
        .bind(&settings.label)
        .bind(settings.auto_sync)
        .bind(settings.quiet_ms)
        .bind(settings.max_wait_ms)
        .bind(settings.licences)
        .bind(&settings.voice_routing_policy)
        .bind(&settings.dial_plan)
        .bind(&settings.shared_number)
        .bind(&settings.location_id)
        .bind(until)
        .bind(reason)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(())
}

/// Takes mappings away, then adds others; a mapping that changes is in both.
///
/// # Errors
/// [`StoreError::Constraint`]: two mappings of one Microsoft user, or, at the commit, more mappings than licences.
pub async fn put_mappings(
    tx: &mut Tx,
    account: AccountId,
    away: &[&PbxUserId],
    new: &[(&PbxUserId, &Mapping)],
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let away: Vec<&str> = away.iter().map(|user| user.as_str()).collect();
    sqlx::query(UNMAP).bind(account.0).bind(away).execute(&mut **tx).await.map_err(&failed)?;
    sqlx::query(MAP)
        .bind(account.0)
        .bind(new.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, mapping)| mapping.microsoft_user.0).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, mapping)| mapping.service.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, mapping)| mapping.number.as_deref()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(())
}

type Field = (&'static str, Option<Value>);

fn mapping_fields(mapping: Option<&Mapping>) -> [Field; 3] {
    [
        ("microsoft_user", mapping.map(|mapping| json!(mapping.microsoft_user))),
        ("service", mapping.map(|mapping| json!(mapping.service))),
        ("number", mapping.map(|mapping| json!(mapping.number))),
    ]
}

/// The change that is recorded when the mapping of a user becomes another one; none where they are equal.
#[must_use]
pub fn mapping_change(
    account: AccountId,
    user: &PbxUserId,
    (old, new): (Option<&Mapping>, Option<&Mapping>),
    now: OffsetDateTime,
) -> Option<NewChange> {
    let pairs = mapping_fields(old).into_iter().zip(mapping_fields(new));
    let (before, after): (Vec<Field>, Vec<Field>) = pairs.filter(|(old, new)| old.1 != new.1).unzip();
    let map = |fields: &[Field]| -> Map<String, Value> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone().unwrap_or_default())).collect()
    };
    (!after.is_empty()).then(|| NewChange {
        account,
        user: Some(user.clone()),
        kind: if new.is_some() { ChangeKind::Mapped } else { ChangeKind::Unmapped },
        fields: after.iter().map(|(name, _)| *name).collect(),
        before: old.map(|_| map(&before)),
        after: new.map(|_| map(&after)),
        detected_at: now,
        saved_at: Some(now),
    })
}

/// Replaces the policy rules.
///
/// # Errors
/// [`StoreError`].
pub async fn put_rules(tx: &mut Tx, account: AccountId, rules: &[PolicyRule]) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(CLEAR_RULES).bind(account.0).execute(&mut **tx).await.map_err(&failed)?;
    let rules: Vec<Json<&PolicyRule>> = rules.iter().map(Json).collect();
    sqlx::query(PUT_RULES).bind(account.0).bind(rules).execute(&mut **tx).await.map_err(&failed)?;
    Ok(())
}

/// Binds an account to a customer of a source, or to none.
///
/// # Errors
/// [`StoreError::Constraint`] when another account is bound to it.
pub async fn put_binding(
    tx: &mut Tx,
    account: AccountId,
    binding: Option<(&str, &str)>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(UNBIND).bind(account.0).execute(&mut **tx).await.map_err(&failed)?;
    if let Some((source, key)) = binding {
        sqlx::query(BIND).bind(account.0).bind(source).bind(key).execute(&mut **tx).await.map_err(&failed)?;
    }
    Ok(())
}

/// An authorization that has been proved.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The tenant.
    pub tenant: TenantId,
    /// The app that it was given to.
    pub client_id: String,
    /// `healthy` or `weakened`.
    pub state: &'static str,
    /// Permissions seen.
    pub permissions: Vec<String>,
    /// What is missing.
    pub detail: Option<String>,
}

/// Stores an authorization that has been proved.
///
/// # Errors
/// [`StoreError::Constraint`] when another account has the tenant.
pub async fn authorize(
    tx: &mut Tx,
    account: AccountId,
    proved: &Proved,
    person: &str,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(AUTHORIZE)
        .bind(account.0)
        .bind(proved.tenant.0)
        .bind(&proved.client_id)
        .bind(proved.state)
        .bind(&proved.permissions)
        .bind(person)
        .bind(&proved.detail)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(())
}

/// Forgets the authorization of an account.
///
/// # Errors
/// [`StoreError`].
pub async fn disconnect(tx: &mut Tx, account: AccountId) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(DISCONNECT).bind(account.0).execute(&mut **tx).await.map_err(&failed)?;
    Ok(())
}
