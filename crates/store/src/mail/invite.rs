//! Mails that somebody asks for: invitations and test mails.

use serde_json::json;
use tandem_domain::AccountId;
use tandem_domain::mail::{Address, Kind};
use time::OffsetDateTime;
use uuid::Uuid;

use super::outbox::{self, NewMail};
use super::people;
use crate::{StoreError, Tx};

/// An invitation to connect the tenant of an account. Its link is made when the mail is handed over and works for 48 hours
/// from then: no secret is stored, not even until then.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// Its id.
    pub id: Uuid,
    /// The account.
    pub account: AccountId,
    /// Who is invited.
    pub to: Address,
    /// The only tenant that the link is good for: an id or a verified domain.
    pub expected_tenant: Option<String>,
    /// Who invites.
    pub made_by: String,
}

/// Invites somebody.
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
    Ok(())
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
