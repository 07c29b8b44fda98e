//! Mail of an account: what was sent, what comes next, who gets it and when.

use tandem_domain::mail::{Address, RecipientRole};
use tandem_domain::reminder::{Calendar, Chosen, Decision, Reminder, decide};
use tandem_domain::roles::{Act, Role};
use tandem_letters::Letter;
use tandem_store::Tx;
use tandem_store::mail::history::{self, Mail};
use tandem_store::mail::people::{self, Recipient};
use tandem_store::mail::{about, accounts, invite};
use tandem_store::portal::{audit, overview};
use time::OffsetDateTime;

use crate::App;
use crate::fault::Fault;
use crate::guard::{InAccount, of};
use crate::settings::Mailing;
use crate::work::claim;

/// Mails of the history.
const MAILS: i64 = 60;
/// Users that a list of a mail names.
const NAMED: i64 = 10;
/// Addresses of an account.
const MOST_RECIPIENTS: usize = 20;
/// Test mails within an hour.
const MOST_TESTS: i64 = 5;

/// Mail of an account.
pub(crate) struct Found {
    pub(crate) mails: Vec<Mail>,
    pub(crate) recipients: Vec<Recipient>,
    /// The name under which the Global Admin signs in, which gets mail unless an address is saved.
    pub(crate) admin: Option<String>,
    /// Time zone and hour, as far as the account has its own.
    pub(crate) own: Chosen,
    /// None where this installation sends no mail.
    pub(crate) next: Option<Next>,
}

/// The next reminder.
pub(crate) enum Next {
    /// Nothing gives cause for one.
    Rest,
    /// It goes out then, if nothing changes until then; its time as the account's people write it.
    At { at: OffsetDateTime, text: String, letter: Box<Letter> },
}

/// Mail of an account.
pub(crate) async fn read(app: &App, inside: &InAccount) -> Result<Found, Fault> {
    let account = inside.id();
    let mut tx = app.store.begin_for("portal.mail", account).await?;
    let own = people::calendar(&mut tx, account).await?;
    let next = match &app.mail {
        Some(mailing) => Some(next(&mut tx, mailing, inside, &own, app.clock.now()).await?),
        None => None,
    };
    let stands = overview::stand(&mut tx, &[account], app.clock.now()).await?;
    Ok(Found {
        mails: history::mails(&mut tx, account, MAILS).await?,
        recipients: people::recipients(&mut tx, account).await?,
        admin: stands.into_iter().next().and_then(|row| row.authorization).and_then(|known| known.admin),
        own,
        next,
    })
}

async fn next(
    tx: &mut Tx,
    mailing: &Mailing,
    inside: &InAccount,
    own: &Chosen,
    now: OffsetDateTime,
) -> Result<Next, Fault> {
    let calendar = own.over(&mailing.calendar);
    let stands = accounts::stand(tx, &[inside.id()], None, now).await?;
    let stands = stands.first().ok_or(Fault::NotFound)?;
    let decided = |at| decide(&stands.facts, stands.last.as_ref(), &calendar, at);
    let due: Option<(OffsetDateTime, Reminder)> = match decided(now) {
        Decision::Rest => None,
        Decision::Send(reminder) => Some((now, reminder)),
        Decision::Wait(until) => match decided(until) {
            Decision::Send(reminder) => Some((until, reminder)),
            Decision::Rest | Decision::Wait(_) => None,
        },
    };
    let Some((at, reminder)) = due else { return Ok(Next::Rest) };
    let about = about::about(tx, inside.id(), NAMED).await?.ok_or(Fault::NotFound)?;
    let letter = tandem_letters::reminder(&mailing.office, &about, &reminder, &calendar);
    Ok(Next::At { at, text: calendar.text(at), letter: Box::new(letter) })
}

async fn saved(tx: &mut Tx, inside: &InAccount, subject: &str, now: OffsetDateTime) -> Result<(), Fault> {
    let reason = inside.visit.as_deref().unwrap_or_default();
    let record = of(&inside.visitor, inside.id(), Act::SaveMail, now, subject, reason, true);
    audit::append(tx, &record).await?;
    Ok(())
}

/// Saves time zone and hour.
pub(crate) async fn save_calendar(app: &App, inside: &InAccount, zone: &str, hour: i16) -> Result<(), Fault> {
    if let Err(error) = Calendar::new(zone, hour) {
        return Err(match error.code() {
            "mail_hour" => Fault::BadInput("hour", "is a whole number from 0 to 23"),
            _ => Fault::BadInput("time_zone", "is a name such as Europe/Berlin or America/New_York"),
        });
    }
    let now = app.clock.now();
    let mut tx = app.store.begin_for("portal.save_mail", inside.id()).await?;
    people::save_calendar(&mut tx, inside.id(), (zone, hour), now).await?;
    saved(&mut tx, inside, &format!("mail at {hour}:00 {zone}"), now).await?;
    Ok(tx.commit().await?)
}

/// Adds an address. Customers add addresses of domains that their own people sign in under; the provider may add others.
pub(crate) async fn add(
    app: &App,
    inside: &InAccount,
    address: &str,
    role: RecipientRole,
) -> Result<(), Fault> {
    let address = Address::parse(address.trim()).map_err(|_| {
        Fault::BadInput(
            "address",
            "is one mailbox such as name@example.com, in plain letters; an internationalised domain in its xn-- form",
        )
    })?;
    let now = app.clock.now();
    let mut tx = app.store.begin_for("portal.save_mail", inside.id()).await?;
    let provider = inside.roles.has(Role::Operator);
    if !provider && !people::domains(&mut tx, inside.id()).await?.iter().any(|own| own == address.domain()) {
        return Err(Fault::BadInput(
            "address",
            "is of a domain under which nobody of your organisation signs in; your provider can add it",
        ));
    }
    if people::recipients(&mut tx, inside.id()).await?.len() >= MOST_RECIPIENTS {
        return Err(Fault::BadInput("address", "is one too many: an account has 20 at most"));
    }
    let subject = format!("{} gets mail as {role}", address.as_str());
    let added_by = inside.visitor.name.clone();
    people::add(&mut tx, inside.id(), &Recipient { address, role, added_by, added_at: now }).await?;
    saved(&mut tx, inside, &subject, now).await?;
    Ok(tx.commit().await?)
}

/// Takes an address off.
pub(crate) async fn remove(app: &App, inside: &InAccount, address: &str) -> Result<(), Fault> {
    let now = app.clock.now();
    let mut tx = app.store.begin_for("portal.save_mail", inside.id()).await?;
    if !people::remove(&mut tx, inside.id(), address).await? {
        return Err(Fault::NotFound);
    }
    saved(&mut tx, inside, &format!("{address} gets no mail any more"), now).await?;
    Ok(tx.commit().await?)
}

/// Sends a test mail to everybody who would get a reminder. The same key again is the same mail.
pub(crate) async fn test(app: &App, inside: &InAccount, key: &str) -> Result<(), Fault> {
    if app.mail.is_none() {
        return Err(Fault::BadInput("A test mail", "cannot be sent: this installation sends no mail"));
    }
    let (now, id) = (app.clock.now(), app.ids.v7(&app.clock));
    let mut tx = app.store.begin_for("portal.test_mail", inside.id()).await?;
    if claim(&mut tx, inside, (key, b"test mail"), id, now).await?.is_some() {
        return Ok(());
    }
    if history::tests(&mut tx, inside.id(), now).await? >= MOST_TESTS {
        return Err(Fault::BadInput(
            "A test mail",
            "was asked for five times within the hour; wait a little",
        ));
    }
    if invite::test_mail(&mut tx, inside.id(), id, &inside.visitor.name, now).await? == 0 {
        return Err(Fault::BadInput("A test mail", "has nobody to go to; add an address first"));
    }
    saved(&mut tx, inside, "test mail", now).await?;
    Ok(tx.commit().await?)
}
