//! What the provider's operators do to one account beside saving its settings.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::mail::Outcome;
use tandem_domain::{AccountId, PbxUserId};
use time::OffsetDateTime;

use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// What is known of an account before its tenant is connected.
    DETAILS = "select time_zone, expected_tenant, removed_at from admin.accounts where account_id = $1";
    /// Saves it.
    PUT_DETAILS = "update admin.accounts set time_zone = $2, expected_tenant = $3, updated_at = now() where account_id = $1";
    /// Whether the provider has removed the integration.
    REMOVED = "select removed_at is not null from admin.accounts where account_id = $1";
    /// The provider removes the integration, or lets it come back.
    PUT_REMOVED = "update admin.accounts set removed_at = $2, updated_at = now() where account_id = $1";
    /// Links of the account are gone, with whoever has begun by one.
    FORGET_LINKS = "delete from admin.connect_links where account_id = $1";
    /// Names of the sources that have ever been read or pushed to.
    SOURCES = "select source from pbx.sources order by source";
    /// Mappings, the newest first.
    NEWEST = "select m.pbx_user_id, p.profile ->> 'display_name' as name
                from admin.mappings m left join pbx.profiles p using (account_id, pbx_user_id)
               where m.account_id = $1 order by m.created_at desc, m.pbx_user_id desc limit $2";
    /// Nobody can begin with a link of the account any more.
    CLOSE_LINKS = "update admin.connect_links set expires_at = now() where account_id = $1 and expires_at > now()";
    /// Notes who was invited by a link.
    INVITE = "insert into admin.invitations (link_hash, account_id, invited, invited_by, created_at, expires_at)
              select link_hash, account_id, $3, made_by, clock_timestamp(), expires_at from admin.connect_links where account_id = $1 and link_hash = $2
              returning expires_at";
    /// Invitations of an account, the newest first. One by mail has no link until its mail is handed over.
    INVITATIONS = "select i.invited, i.invited_by, i.created_at, l.expires_at, d.address, d.outcome
                     from admin.invitations i left join admin.connect_links l using (link_hash) left join mail.deliveries d on d.mail_id = i.mail_id
                    where i.account_id = $1 order by i.created_at desc limit 5";
    /// An authorization counts no more; the tenant stays bound, since something of ours stands there.
    END_AUTHORIZATION = "update vault.authorizations set state = 'none', detail = $2 where account_id = $1";
    /// Whether something may stand in Teams that nobody knows of yet: a job runs, or the outcome of a write is open.
    UNDER_WAY = "select exists (select from sync.intents where account_id = $1 and ended_at is null)
                     or exists (select from queue.jobs where account_id = $1 and state = 'running')";
    /// Tokens that people have handed in count no more.
    END_TOKENS = "delete from vault.job_tokens where account_id = $1";
}

/// What is known of an account before its tenant is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// An IANA name; none for that of the installation.
    pub time_zone: Option<String>,
    /// The only tenant that it may be connected to: an id or a verified domain.
    pub expected_tenant: Option<String>,
    /// Since when the integration is removed.
    pub removed_at: Option<OffsetDateTime>,
}

/// What is known of an account before its tenant is connected.
///
/// # Errors
/// [`StoreError`].
pub async fn details(tx: &mut Tx, account: AccountId) -> Result<Option<Details>, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(DETAILS).bind(account.0).fetch_optional(&mut **tx).await.map_err(failed)?;
    Ok(row.map(|row| Details {
        time_zone: row.get("time_zone"),
        expected_tenant: row.get("expected_tenant"),
        removed_at: row.get("removed_at"),
    }))
}

/// Saves it, but for a removal.
///
/// # Errors
/// [`StoreError`].
pub async fn put_details(tx: &mut Tx, account: AccountId, details: &Details) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(PUT_DETAILS).bind(account.0).bind(&details.time_zone);
    query.bind(&details.expected_tenant).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Whether the provider has removed the integration.
///
/// # Errors
/// [`StoreError`].
pub async fn removed(tx: &mut Tx, account: AccountId) -> Result<bool, StoreError> {
    let failed = tx.failed();
    sqlx::query_scalar(REMOVED).bind(account.0).fetch_one(&mut **tx).await.map_err(failed)
}

/// The provider removes the integration, with all links of the account, or lets it come back.
///
/// # Errors
/// [`StoreError`].
pub async fn put_removed(
    tx: &mut Tx,
    account: AccountId,
    removed_at: Option<OffsetDateTime>,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(PUT_REMOVED).bind(account.0).bind(removed_at).execute(&mut **tx).await.map_err(&failed)?;
    if removed_at.is_some() {
        sqlx::query(FORGET_LINKS).bind(account.0).execute(&mut **tx).await.map_err(failed)?;
    }
    Ok(())
}

/// Names of the sources that have ever been read or pushed to.
///
/// # Errors
/// [`StoreError`].
pub async fn sources(tx: &mut Tx) -> Result<Vec<String>, StoreError> {
    let failed = tx.failed();
    sqlx::query_scalar(SOURCES).fetch_all(&mut **tx).await.map_err(failed)
}

/// The users that were mapped last, with their names.
///
/// # Errors
/// [`StoreError`].
pub async fn newest_mappings(
    tx: &mut Tx,
    account: AccountId,
    limit: i64,
) -> Result<Vec<(PbxUserId, Option<String>)>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(NEWEST).bind(account.0).bind(limit);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.iter().map(|row| (PbxUserId(row.get("pbx_user_id")), row.get("name"))).collect())
}

/// Nobody can begin with a link of the account any more; who has begun may finish.
///
/// # Errors
/// [`StoreError`].
pub async fn close_links(tx: &mut Tx, account: AccountId) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(CLOSE_LINKS).bind(account.0).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Notes who was invited by a link; gives until when it is good.
///
/// # Errors
/// [`StoreError`].
pub async fn put_invitation(
    tx: &mut Tx,
    account: AccountId,
    hash: &SecretHash,
    invited: &str,
) -> Result<OffsetDateTime, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(INVITE).bind(account.0).bind(hash.as_slice()).bind(invited);
    query.fetch_one(&mut **tx).await.map_err(failed)
}

/// Somebody who was invited to connect an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Name or address.
    pub invited: String,
    /// Who invited.
    pub invited_by: String,
    /// When.
    pub created_at: OffsetDateTime,
    /// Until when the link is, or was, good; none while there is no link.
    pub expires_at: Option<OffsetDateTime>,
    /// Where it goes by mail, and what became of that; none where the link was shown.
    pub mailed: Option<(String, Outcome)>,
}

/// The last invitations of an account, the newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn invitations(tx: &mut Tx, account: AccountId) -> Result<Vec<Invitation>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let rows = sqlx::query(INVITATIONS).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    let odd = StoreError::Inconsistent { work, column: "mail.deliveries.outcome" };
    let one = |row: &PgRow| {
        let outcome: Option<&str> = row.get("outcome");
        let outcome = outcome.map(|text| Outcome::parse(text).ok_or(())).transpose()?;
        Ok(Invitation {
            invited: row.get("invited"),
            invited_by: row.get("invited_by"),
            created_at: row.get("created_at"),
            expires_at: row.get("expires_at"),
            mailed: row.get::<Option<String>, _>("address").zip(outcome),
        })
    };
    rows.iter().map(one).collect::<Result<_, ()>>().map_err(|()| odd)
}

/// The authorization of an account, and tokens that people have handed in, count no more: whatever writes now stops
/// before its next write. The tenant stays bound.
///
/// # Errors
/// [`StoreError`].
pub async fn end_authorization(tx: &mut Tx, account: AccountId, detail: &str) -> Result<(), StoreError> {
    let failed = tx.failed();
    sqlx::query(END_AUTHORIZATION).bind(account.0).bind(detail).execute(&mut **tx).await.map_err(&failed)?;
    sqlx::query(END_TOKENS).bind(account.0).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Whether something may stand in Teams that nobody knows of yet: a job runs, or the outcome of a write is open.
///
/// # Errors
/// [`StoreError`].
pub async fn under_way(tx: &mut Tx, account: AccountId) -> Result<bool, StoreError> {
    let failed = tx.failed();
    sqlx::query_scalar(UNDER_WAY).bind(account.0).fetch_one(&mut **tx).await.map_err(failed)
}
