//! People who sign in, and what they are to accounts.

use sqlx::Row;
use tandem_domain::roles::Role;
use tandem_domain::{AccountId, ObjectId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Somebody has signed in.
    SIGNED_IN = "insert into admin.people as p (person_id, issuer, subject, tenant_id, oid, name, operator, created_at, signed_in_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
                 on conflict (issuer, subject) do update
                   set name = excluded.name, operator = excluded.operator, signed_in_at = excluded.signed_in_at
                 returning person_id, disabled_at is not null as disabled";
    /// Everybody, with whether they may sign in.
    LIST = "select person_id, issuer, name, operator, disabled_at, signed_in_at from admin.people order by name, person_id";
    /// Shuts somebody out, or lets them in again.
    DISABLE = "update admin.people set disabled_at = $2 where person_id = $1";
    /// Accounts and roles that somebody has by membership.
    MEMBERSHIPS = "select account_id, role from admin.memberships where person_id = $1 order by account_id, role";
    /// Roles that somebody has in one account by membership.
    ROLES = "select role from admin.memberships where account_id = $1 and person_id = $2";
    /// Takes away what claims of an earlier sign-in gave.
    FORGET_CLAIMS = "delete from admin.memberships where account_id = $1 and person_id = $2 and source = 'claims'";
    /// Gives a role.
    GRANT = "insert into admin.memberships (account_id, person_id, role, source, granted_by) values ($1, $2, $3, $4, $5)
             on conflict do nothing";
    /// The Global Admin linked to an account.
    LINKED = "select tenant_id, admin_oid from vault.authorizations where account_id = $1";
    /// The tenant of an account.
    TENANT = "select tenant_id from vault.authorizations where account_id = $1";
    /// The account that a Microsoft person is the linked Global Admin of.
    LINKED_TO = "select account_id from vault.authorizations where tenant_id = $1 and admin_oid = $2";
    /// Accounts by their short names.
    NAMED = "select account_id, name, label from admin.accounts where name = any ($1)";
    /// Names of accounts.
    NAMES = "select account_id, name, label from admin.accounts where account_id = any ($1) order by name";
    /// A page of all accounts.
    ALL = "select account_id, name, label from admin.accounts where name > $1 order by name limit $2";
}

/// Who signs people in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Issuer {
    /// Microsoft: Global Admins and Sync Contributors.
    Microsoft,
    /// The provider's own: Account Managers, Admins and operators.
    Provider,
}

impl Issuer {
    /// As it is stored and as it stands in addresses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Microsoft => "microsoft",
            Self::Provider => "provider",
        }
    }

    /// Reads it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Microsoft, Self::Provider].into_iter().find(|issuer| issuer.as_str() == text)
    }
}

/// Who has signed in, as the issuer proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proved {
    /// Of this tenant, with this object id.
    Microsoft(TenantId, ObjectId),
    /// With this subject; whether the claims make an operator of it.
    Provider {
        /// The claim `sub`.
        subject: String,
        /// Whether it is an operator.
        operator: bool,
    },
}

/// Keeps somebody who has signed in; the id, and whether that person is shut out.
///
/// # Errors
/// [`StoreError`].
pub async fn signed_in(
    tx: &mut Tx,
    id: Uuid,
    proved: &Proved,
    name: &str,
    now: OffsetDateTime,
) -> Result<(Uuid, bool), StoreError> {
    let failed = tx.failed();
    let (issuer, subject, tenant, oid, operator) = match proved {
        Proved::Microsoft(tenant, oid) => {
            (Issuer::Microsoft, format!("{tenant}/{oid}"), Some(tenant.0), Some(oid.0), false)
        }
        Proved::Provider { subject, operator } => (Issuer::Provider, subject.clone(), None, None, *operator),
    };
    let query = sqlx::query(SIGNED_IN).bind(id).bind(issuer.as_str()).bind(subject).bind(tenant).bind(oid);
    let query = query.bind(name).bind(operator).bind(now);
    let row = query.fetch_one(&mut **tx).await.map_err(failed)?;
    Ok((row.get("person_id"), row.get("disabled")))
}

/// Somebody as operators see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The id.
    pub person: Uuid,
    /// Who signs them in.
    pub issuer: String,
    /// The name.
    pub name: String,
    /// Whether an operator.
    pub operator: bool,
    /// Since when shut out.
    pub disabled_at: Option<OffsetDateTime>,
    /// When last signed in.
    pub signed_in_at: Option<OffsetDateTime>,
}

/// Everybody.
///
/// # Errors
/// [`StoreError`].
pub async fn list(tx: &mut Tx) -> Result<Vec<Listed>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(LIST).fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &sqlx::postgres::PgRow| Listed {
        person: row.get("person_id"),
        issuer: row.get("issuer"),
        name: row.get("name"),
        operator: row.get("operator"),
        disabled_at: row.get("disabled_at"),
        signed_in_at: row.get("signed_in_at"),
    };
    Ok(rows.iter().map(one).collect())
}

/// Shuts somebody out from a time on, or lets them in again; whether there is such a person.
///
/// # Errors
/// [`StoreError`].
pub async fn disable(tx: &mut Tx, person: Uuid, at: Option<OffsetDateTime>) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let done = sqlx::query(DISABLE).bind(person).bind(at).execute(&mut **tx).await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

fn role(text: &str, work: &'static str) -> Result<Role, StoreError> {
    Role::parse(text).ok_or(StoreError::Inconsistent { work, column: "admin.memberships.role" })
}

/// Accounts and roles that somebody has by membership; over all accounts, so as the fleet login.
///
/// # Errors
/// [`StoreError`].
pub async fn memberships(fleet: &mut Tx, person: Uuid) -> Result<Vec<(AccountId, Role)>, StoreError> {
    let (failed, work) = (fleet.failed(), fleet.work());
    let rows = sqlx::query(MEMBERSHIPS).bind(person).fetch_all(&mut **fleet).await.map_err(failed)?;
    rows.iter().map(|row| Ok((AccountId(row.get("account_id")), role(row.get("role"), work)?))).collect()
}

/// What somebody is to one account now: memberships, and the link of a Global Admin.
///
/// # Errors
/// [`StoreError`].
pub async fn roles(
    tx: &mut Tx,
    account: AccountId,
    person: Uuid,
    microsoft: Option<(TenantId, ObjectId)>,
) -> Result<Vec<Role>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query_scalar(ROLES).bind(account.0).bind(person);
    let rows: Vec<String> = query.fetch_all(&mut **tx).await.map_err(&failed)?;
    let mut found = rows.iter().map(|text| role(text, work)).collect::<Result<Vec<_>, _>>()?;
    if let Some((tenant, oid)) = microsoft {
        let row = sqlx::query(LINKED).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)?;
        let bound: Option<Uuid> = row.as_ref().map(|row| row.get("tenant_id"));
        let admin: Option<Uuid> = row.as_ref().and_then(|row| row.get("admin_oid"));
        if bound != Some(tenant.0) {
            // of a tenant that is not the account's any more: nothing that was named there counts
            found.clear();
        } else if admin == Some(oid.0) {
            found.push(Role::GlobalAdmin);
        }
    }
    Ok(found)
}

/// The account whose linked Global Admin a Microsoft person is; over all accounts, so as the fleet login.
///
/// # Errors
/// [`StoreError`].
pub async fn linked_to(
    fleet: &mut Tx,
    tenant: TenantId,
    oid: ObjectId,
) -> Result<Option<AccountId>, StoreError> {
    let failed = fleet.failed();
    let query = sqlx::query_scalar(LINKED_TO).bind(tenant.0).bind(oid.0);
    Ok(query.fetch_optional(&mut **fleet).await.map_err(failed)?.map(AccountId))
}

/// The tenant of an account; as the fleet login.
///
/// # Errors
/// [`StoreError`].
pub async fn tenant(fleet: &mut Tx, account: AccountId) -> Result<Option<TenantId>, StoreError> {
    let failed = fleet.failed();
    let query = sqlx::query_scalar(TENANT).bind(account.0);
    Ok(query.fetch_optional(&mut **fleet).await.map_err(failed)?.map(TenantId))
}

/// Replaces what earlier claims gave somebody in one account.
///
/// # Errors
/// [`StoreError`].
pub async fn renew_claims(
    tx: &mut Tx,
    account: AccountId,
    person: Uuid,
    role: Option<Role>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(FORGET_CLAIMS).bind(account.0).bind(person);
    query.execute(&mut **tx).await.map_err(failed)?;
    match role {
        Some(role) => grant(tx, account, person, role, "claims", "the sign-in").await,
        None => Ok(()),
    }
}

/// Gives somebody a role in an account.
///
/// # Errors
/// [`StoreError`].
pub async fn grant(
    tx: &mut Tx,
    account: AccountId,
    person: Uuid,
    role: Role,
    source: &str,
    by: &str,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(GRANT).bind(account.0).bind(person).bind(role.as_str()).bind(source).bind(by);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// An account by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountName {
    /// Its id.
    pub account: AccountId,
    /// Its short name.
    pub name: String,
    /// Its name for people.
    pub label: String,
}

fn named_rows(rows: &[sqlx::postgres::PgRow]) -> Vec<AccountName> {
    let one = |row: &sqlx::postgres::PgRow| AccountName {
        account: AccountId(row.get("account_id")),
        name: row.get("name"),
        label: row.get("label"),
    };
    rows.iter().map(one).collect()
}

/// Accounts by their short names; as the fleet login.
///
/// # Errors
/// [`StoreError`].
pub async fn named(fleet: &mut Tx, names: &[String]) -> Result<Vec<AccountName>, StoreError> {
    let failed = fleet.failed();
    let rows = sqlx::query(NAMED).bind(names).fetch_all(&mut **fleet).await.map_err(failed)?;
    Ok(named_rows(&rows))
}

/// Names of accounts, sorted; as the fleet login.
///
/// # Errors
/// [`StoreError`].
pub async fn names(fleet: &mut Tx, accounts: &[AccountId]) -> Result<Vec<AccountName>, StoreError> {
    let failed = fleet.failed();
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
    let rows = sqlx::query(NAMES).bind(ids).fetch_all(&mut **fleet).await.map_err(failed)?;
    Ok(named_rows(&rows))
}

/// A page of all accounts behind a name; as the fleet login.
///
/// # Errors
/// [`StoreError`].
pub async fn all(fleet: &mut Tx, after: &str, limit: i64) -> Result<Vec<AccountName>, StoreError> {
    let failed = fleet.failed();
    let rows = sqlx::query(ALL).bind(after).bind(limit).fetch_all(&mut **fleet).await.map_err(failed)?;
    Ok(named_rows(&rows))
}
