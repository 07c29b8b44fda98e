//! Inviting the Global Admin of an account: by a link that the operator passes on, or by mail.

use tandem_consent::{NewLink, make_link_in};
use tandem_domain::mail::Address;
use tandem_domain::roles::Act;
use tandem_store::admin::provider::{self, Details};
use tandem_store::connect::Purpose;
use tandem_store::mail::invite::{self, NewInvitation};
use tandem_store::portal::audit;
use time::{Duration, OffsetDateTime};

use super::provider::{begin, line, tenant};
use crate::fault::Fault;
use crate::guard::{InAccount, of};
use crate::{App, acts};

/// How long an invitation is good (P11).
const INVITATION: Duration = Duration::hours(48);

/// Who is invited, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invite<'a> {
    /// Name or address, for the record.
    pub(crate) invited: &'a str,
    /// The only tenant that the link is good for: an id or a domain.
    pub(crate) tenant: &'a str,
    /// Where the mail goes; none to be shown the link.
    pub(crate) mail_to: Option<&'a str>,
}

/// An invitation that was made.
pub(crate) enum Invited {
    /// The link, which is shown this once and kept nowhere.
    Shown(Link),
    /// It goes out by mail; its link is made when the mail is handed over, and nobody but its reader sees it.
    Mailed,
}

/// A link that is shown once.
pub(crate) struct Link {
    pub(crate) link: String,
    pub(crate) tenant: String,
    pub(crate) until: OffsetDateTime,
}

/// Invites the Global Admin to connect the expected tenant. Invitations of earlier, shown or mailed, are closed by it.
pub(crate) async fn invite(
    app: &App,
    inside: &InAccount,
    wish: &Invite<'_>,
    reason: &str,
) -> Result<Invited, Fault> {
    let reason = acts::reason(reason)?;
    let invited = line("invited", wish.invited, 320)?;
    let missing = Fault::BadInput("tenant", "is needed: an invitation is good for one tenant only");
    let expected = tenant(wish.tenant)?.ok_or(missing)?;
    let to = wish.mail_to.map(|text| address(app, text)).transpose()?;
    if app.microsoft.is_none() {
        return Err(Fault::SignInOff);
    }
    let (account, visitor, now) = (inside.id(), &inside.visitor, app.clock.now());
    let (mut tx, stored) = begin(app, inside, true).await?;
    if stored.binding.is_none() {
        return Err(Fault::PbxFirst);
    }
    let details = provider::details(&mut tx, account).await?.ok_or(Fault::NotFound)?;
    provider::put_details(&mut tx, account, &Details { expected_tenant: Some(expected.clone()), ..details })
        .await?;
    provider::put_removed(&mut tx, account, None).await?;
    provider::close_links(&mut tx, account).await?;
    let mut subject = format!("{invited}, tenant {expected}");
    let made = if let Some(to) = to {
        subject.push_str(&format!(", by mail to {}", to.as_str()));
        let new = NewInvitation {
            id: app.ids.v7(&app.clock),
            account,
            invited: invited.to_owned(),
            to,
            expected_tenant: Some(expected),
            made_by: visitor.name.clone(),
        };
        invite::invite(&mut tx, &new, now).await?;
        Invited::Mailed
    } else {
        let new = NewLink {
            account,
            purpose: &Purpose::Connect,
            expected_tenant: Some(&expected),
            made_by: &visitor.name,
            life: INVITATION,
        };
        let link = make_link_in(&mut tx, &new).await?;
        let until = provider::put_invitation(&mut tx, account, &link.hash(), invited).await?;
        let link = tandem_consent::address(&app.base, &link).to_string();
        Invited::Shown(Link { link, tenant: expected, until })
    };
    audit::append(&mut tx, &of(visitor, account, Act::InviteAdmin, now, &subject, reason, true)).await?;
    tx.commit().await?;
    Ok(made)
}

fn address(app: &App, text: &str) -> Result<Address, Fault> {
    if app.mail.is_none() {
        return Err(Fault::BadInput(
            "mail_to",
            "cannot be: this installation sends no mail; have the link shown",
        ));
    }
    Address::parse(text.trim()).map_err(|_| {
        Fault::BadInput(
            "mail_to",
            "is one mailbox such as name@example.com, in plain letters; an internationalised domain in its xn-- form",
        )
    })
}
