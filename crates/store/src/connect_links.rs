//! Links that lead to the connect pages of one account.

use sqlx::Row;
use tandem_domain::job::JobScope;
use tandem_domain::{AccountId, ObjectId, TenantId};
use time::Duration;
use uuid::Uuid;

use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Forgets the account's links of long ago, with their attempts.
    FORGET = "delete from admin.connect_links where account_id = $1 and expires_at < now() - interval '30 days'";
    /// Makes a link.
    PUT_LINK = "insert into admin.connect_links (link_hash, account_id, purpose, expected_tenant, sync_scope, sync_reason, made_by, expires_at)
                values ($1, $2, $3, $4, $5, $6, $7, now() + $8)";
    /// Nobody can begin with the link any more.
    CLOSE_LINK = "update admin.connect_links set expires_at = least(expires_at, now()) where account_id = $1 and link_hash = $2";
    /// A link with the account it is for.
    LINK = "select l.made_by, l.expected_tenant, l.sync_scope, l.sync_reason, l.expires_at <= now() as expired, a.name, a.label,
                   v.tenant_id, v.client_id, v.admin_oid, v.admin_name,
                   exists (select from vault.secrets s where s.account_id = l.account_id and s.kind = 'app_credential') as own_app,
                   exists (select from admin.connect_attempts t left join vault.proofs p on p.proof_id = t.proof_id
                            where t.link_hash = l.link_hash and (t.request_id is not null or p.outcome in ('healthy', 'weakened'))) as spent
              from admin.connect_links l join admin.accounts a using (account_id) left join vault.authorizations v using (account_id)
             where l.account_id = $1 and l.link_hash = $2";
}

/// What a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Connecting the account's tenant.
    Connect,
    /// Asking for a sync as a person.
    Sync {
        /// How much of the account.
        scope: JobScope,
        /// Why; kept with the job.
        reason: String,
    },
}

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// Of its secret.
    pub hash: SecretHash,
    /// For whom.
    pub account: AccountId,
    /// What for.
    pub purpose: &'a Purpose,
    /// The only tenant it is good for: an id or a verified domain.
    pub expected_tenant: Option<&'a str>,
    /// Who made it.
    pub made_by: &'a str,
    /// How long it is good.
    pub life: Duration,
}

/// A link with the account it is for.
#[derive(Clone, Debug)]
pub struct Link {
    /// What for.
    pub purpose: Purpose,
    /// The only tenant it is good for: an id or a verified domain.
    pub expected_tenant: Option<String>,
    /// Who made it.
    pub made_by: String,
    /// Too old.
    pub expired: bool,
    /// Has done its work.
    pub spent: bool,
    /// Short name of the account.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// The tenant that is bound to it.
    pub bound: Option<Bound>,
    /// It has an app registration of its own, which connecting puts the provider's in place of.
    pub own_app: bool,
}

/// The tenant that is bound to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The tenant.
    pub tenant: TenantId,
    /// The Global Administrator linked to the account, with the name for display.
    pub admin: Option<(ObjectId, String)>,
}

/// Makes a link.
///
/// # Errors
/// [`StoreError::Constraint`] for an unknown account.
pub async fn put_link(tx: &mut Tx, link: &NewLink<'_>) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(FORGET).bind(link.account.0).execute(&mut **tx).await.map_err(&failed)?;
    let (purpose, scope, reason) = match link.purpose {
        Purpose::Connect => ("connect", None, None),
        Purpose::Sync { scope, reason } => ("sync", Some(scope.as_str()), Some(reason.as_str())),
    };
    sqlx::query(PUT_LINK)
        .bind(link.hash.as_slice())
        .bind(link.account.0)
        .bind(purpose)
        .bind(link.expected_tenant)
        .bind(scope)
        .bind(reason)
        .bind(link.made_by)
        .bind(link.life)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(())
}

/// Nobody can begin with the link any more.
///
/// # Errors
/// [`StoreError`].
pub async fn close_link(tx: &mut Tx, account: AccountId, hash: &SecretHash) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(CLOSE_LINK).bind(account.0).bind(hash.as_slice());
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// A link with the account it is for.
///
/// # Errors
/// [`StoreError`].
pub async fn link(tx: &mut Tx, account: AccountId, hash: &[u8]) -> Result<Option<Link>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(LINK).bind(account.0).bind(hash);
    let Some(row) = query.fetch_optional(&mut **tx).await.map_err(failed)? else { return Ok(None) };
    let purpose = match (row.get::<Option<String>, _>("sync_scope"), row.get("sync_reason")) {
        (Some(scope), Some(reason)) => {
            let column = "admin.connect_links.sync_scope";
            let scope = JobScope::parse(&scope).ok_or(StoreError::Inconsistent { work, column })?;
            Purpose::Sync { scope, reason }
        }
        _ => Purpose::Connect,
    };
    let admin = row.get::<Option<Uuid>, _>("admin_oid").map(ObjectId).zip(row.get("admin_name"));
    let bound =
        row.get::<Option<Uuid>, _>("tenant_id").map(|tenant| Bound { tenant: TenantId(tenant), admin });
    Ok(Some(Link {
        purpose,
        expected_tenant: row.get("expected_tenant"),
        made_by: row.get("made_by"),
        expired: row.get("expired"),
        spent: row.get("spent"),
        name: row.get("name"),
        label: row.get("label"),
        bound,
        own_app: row.get("own_app"),
    }))
}
