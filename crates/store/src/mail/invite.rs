//! Mails that somebody asks for: invitations and test mails.

use serde_json::json;
use tandem_domain::AccountId;
use tandem_domain::mail::{Address, Kind};
use time::OffsetDateTime;
use uuid::Uuid;

use super::outbox::{self, NewMail};
use super::people;
use crate::connect::SecretHash;
use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Notes who is invited by a mail.
    NOTE = "insert into admin.invitations (mail_id, account_id, invited, invited_by, created_at) values ($1, $2, $3, $4, clock_timestamp())";
    /// Whether an invitation by mail still counts: no newer one is there, and the integration was not removed since.
    COUNTS = "select exists (select from admin.invitations i join admin.accounts a using (account_id)
                              where i.account_id = $1 and i.mail_id = $2 and a.removed_at is null
                                and not exists (select from admin.invitations n where n.account_id = $1 and n.created_at > i.created_at))";
    /// Notes the link of an invitation by mail.
    LINKED = "update admin.invitations i set link_hash = l.link_hash, expires_at = l.expires_at
                from admin.connect_links l where l.account_id = $1 and l.link_hash = $3 and i.account_id = $1 and i.mail_id = $2";
}

/// An invitation to connect the tenant of an account. Its link is made when the mail is handed over and works for 48 hours
/// from then: no secret is stored, not even until then.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// Its id.
    pub id: Uuid,
    /// The account.
    pub account: AccountId,
    /// Name or address of who is invited, for the record.
    pub invited: String,
    /// Where the mail goes.
    pub to: Address,
    /// The only tenant that the link is good for: an id or a verified domain.
    pub expected_tenant: Option<String>,
    /// Who invites.
    pub made_by: String,
}

/// Invites somebody. Invitations by mail that did not go out yet count no more.
///
/// # Errors
/// [`StoreError`].
pub async fn invite(tx: &mut Tx, new: &NewInvitation, now: OffsetDateTime) -> Result<(), StoreError> {
    let mail = NewMail {
        id: new.id,
        account: Some(new.account),
        kind: Kind::Invitation,
        period: new.id.to_string(),
        about: json!({ "tenant": new.expected_tenant, "made_by": new.made_by }),
        quiet_until: None,
        to: vec![new.to.clone()],
    };
    outbox::put(tx, &[mail], now).await?;
    let failed = tx.failed();
    let query = sqlx::query(NOTE).bind(new.id).bind(new.account.0).bind(&new.invited).bind(&new.made_by);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Notes the link that was made for an invitation by mail; false when the invitation counts no more, and then no link may
/// be kept. Whoever invites or removes holds the row of the account, and so does whoever made a link until the transaction
/// ends: ask in the transaction that made it.
///
/// # Errors
/// [`StoreError`].
pub async fn linked(
    tx: &mut Tx,
    account: AccountId,
    mail: Uuid,
    link: &SecretHash,
) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(COUNTS).bind(account.0).bind(mail);
    if !query.fetch_one(&mut **tx).await.map_err(&failed)? {
        return Ok(false);
    }
    let query = sqlx::query(LINKED).bind(account.0).bind(mail).bind(link.as_slice());
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(true)
}

/// Sends a test mail to everybody who gets reminders; to how many addresses.
///
/// # Errors
/// [`StoreError`].
pub async fn test_mail(
    tx: &mut Tx,
    account: AccountId,
    id: Uuid,
    asked_by: &str,
    now: OffsetDateTime,
) -> Result<usize, StoreError> {
    let found = people::addresses(tx, &[account], now).await?;
    let to: Vec<Address> = found.first().map(|addresses| addresses.of(true)).unwrap_or_default();
    let asked = to.len();
    let mail = NewMail {
        id,
        account: Some(account),
        kind: Kind::Test,
        period: id.to_string(),
        about: json!({ "asked_by": asked_by }),
        quiet_until: None,
        to,
    };
    outbox::put(tx, &[mail], now).await?;
    Ok(asked)
}
