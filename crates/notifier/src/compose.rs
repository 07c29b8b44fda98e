//! The words of a mail, made when it is handed over: from how things stand now, or not at all.

use serde_json::Value;
use tandem_consent::{LinkCode, NewLink};
use tandem_domain::AccountId;
use tandem_domain::mail::Kind;
use tandem_domain::quarantine::Cause;
use tandem_domain::reminder::{Calendar, Decision, decide};
use tandem_letters::{Failing, Invitation, Letter, Office, Stopped};
use tandem_runtime::BoxError;
use tandem_store::admin::provider;
use tandem_store::connect::Purpose;
use tandem_store::mail::about::{self, About};
use tandem_store::mail::outbox::Claimed;
use tandem_store::mail::{accounts, invite, people};
use tandem_store::{Store, Tx};
use time::{Duration, OffsetDateTime};

/// Users that a list of a mail names.
const NAMED: i64 = 10;
/// How long the link of an invitation works.
const INVITED: Duration = Duration::hours(48);

/// What became of the words.
pub(crate) enum Composed {
    /// Here they are, with the link that was made for them.
    Letter(Box<Letter>, Option<LinkCode>),
    /// The mail is not needed any more.
    NotNeeded,
}

/// What a mail of an account says of its cause.
struct Told {
    cause: Option<Cause>,
    at: OffsetDateTime,
    day: Option<i64>,
}

impl Told {
    fn read(about: &Value) -> Result<Self, BoxError> {
        let seconds = about["at"].as_i64().ok_or("a mail that does not say when")?;
        Ok(Self {
            cause: about["cause"].as_str().and_then(Cause::parse),
            at: OffsetDateTime::from_unix_timestamp(seconds)?,
            day: about["day"].as_i64(),
        })
    }
}

/// Makes the words of a claimed mail.
pub(crate) async fn compose(
    store: &Store,
    office: &Office,
    usual: &Calendar,
    claimed: &Claimed,
    now: OffsetDateTime,
) -> Result<Composed, BoxError> {
    let Some(account) = claimed.account else {
        let failing: Failing = serde_json::from_value(claimed.about.clone())?;
        return Ok(letter(tandem_letters::incident(office, &failing)));
    };
    let mut tx = store.begin("mail.compose").await?;
    let Some(stands) = about::about(&mut tx, account, NAMED).await? else { return Ok(Composed::NotNeeded) };
    let calendar = people::calendar(&mut tx, account).await?.over(usual);
    match claimed.kind {
        Kind::Reminder => reminder(&mut tx, office, &calendar, claimed, (account, &stands), now).await,
        // nobody of the customer brings back what the provider has removed since
        Kind::Invitation if provider::removed(&mut tx, account).await? => Ok(Composed::NotNeeded),
        Kind::Invitation => {
            tx.commit().await?;
            invitation(store, office, &calendar, claimed, (account, &stands), now).await
        }
        Kind::Test => {
            let asked_by = claimed.about["asked_by"].as_str().unwrap_or_default();
            Ok(letter(tandem_letters::test(office, &stands, asked_by)))
        }
        kind => notice(office, &calendar, kind, &Told::read(&claimed.about)?, &stands),
    }
}

fn letter(letter: Letter) -> Composed {
    Composed::Letter(Box::new(letter), None)
}

/// A reminder is decided anew: a sync may have succeeded, its day may be over, another one may have gone out.
async fn reminder(
    tx: &mut Tx,
    office: &Office,
    calendar: &Calendar,
    claimed: &Claimed,
    (account, about): (AccountId, &About),
    now: OffsetDateTime,
) -> Result<Composed, BoxError> {
    let found = accounts::stand(tx, &[account], Some(claimed.mail), now).await?;
    let Some(stands) = found.first() else { return Ok(Composed::NotNeeded) };
    match decide(&stands.facts, stands.last.as_ref(), calendar, now) {
        Decision::Send(reminder) if reminder.day.to_string() == claimed.period => {
            Ok(letter(tandem_letters::reminder(office, about, &reminder, calendar)))
        }
        _ => Ok(Composed::NotNeeded),
    }
}

/// The link of an invitation is made for this very mail, so that its secret is nowhere but in the mail. An invitation that
/// is not the newest one any more gets none.
async fn invitation(
    store: &Store,
    office: &Office,
    calendar: &Calendar,
    claimed: &Claimed,
    (account, about): (AccountId, &About),
    now: OffsetDateTime,
) -> Result<Composed, BoxError> {
    let mut tx = store.begin_for("mail.invitation", account).await?;
    let link = tandem_consent::make_link_in(
        &mut tx,
        &NewLink {
            account,
            purpose: &Purpose::Connect,
            expected_tenant: claimed.about["tenant"].as_str(),
            made_by: claimed.about["made_by"].as_str().unwrap_or("notifier"),
            life: INVITED,
        },
    )
    .await?;
    if !invite::linked(&mut tx, account, claimed.mail, &link.hash()).await? {
        return Ok(Composed::NotNeeded);
    }
    tx.commit().await?;
    let invitation = Invitation {
        label: about.label.clone(),
        link: tandem_consent::address(&office.base, &link),
        until: calendar.text(now + INVITED),
    };
    let letter = tandem_letters::invitation(office, &invitation);
    Ok(Composed::Letter(Box::new(letter), Some(link)))
}

/// What happened to an account. A quarantine that is over, or has another reason by now, is not told.
fn notice(
    office: &Office,
    calendar: &Calendar,
    kind: Kind,
    told: &Told,
    account: &About,
) -> Result<Composed, BoxError> {
    let stopped = account.quarantine.map(|(cause, since)| Stopped { cause, since });
    let same = stopped.filter(|stopped| told.cause == Some(stopped.cause));
    Ok(match (kind, same) {
        (Kind::AutoSyncOn, _) if account.auto_sync => {
            letter(tandem_letters::auto_sync_on(office, account, told.at, calendar))
        }
        (Kind::AutoSyncOff, _) if !account.auto_sync => {
            letter(tandem_letters::auto_sync_off(office, account, told.cause, told.at, calendar))
        }
        (Kind::Quarantine, Some(stopped)) => {
            letter(tandem_letters::quarantine(office, account, stopped, calendar))
        }
        (Kind::QuarantineDay, Some(stopped)) if account.auto_sync => {
            let day = told.day.ok_or("a mail that does not say which day")?;
            letter(tandem_letters::quarantine_day(office, account, stopped, day, calendar))
        }
        _ => Composed::NotNeeded,
    })
}
