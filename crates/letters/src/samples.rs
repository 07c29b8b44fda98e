//! A sample of every letter, with names as they should not be: tests render them all, and so may designers.

use tandem_domain::authorization::Reason as Authorization;
use tandem_domain::quarantine::Cause as Quarantine;
use tandem_domain::reminder::{Calendar, Cause, Reason, Reminder};
use tandem_store::mail::about::{About, Listed, Person};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use url::Url;

use crate::{
    Failing, Invitation, Letter, Office, Stopped, auto_sync_off, auto_sync_on, incident, invitation,
    quarantine, quarantine_day, reminder, test,
};

const NOW: OffsetDateTime = datetime!(2026-11-26 09:30 UTC);

fn user(name: &str, number: usize) -> Person {
    Person {
        user: Some(format!("{number}")),
        name: Some(name.to_owned()),
        extension: Some(format!("{}", 100 + number)),
        since: NOW - Duration::hours(2),
        what: vec!["did_numbers".to_owned(), "display_name".to_owned()],
        how: vec!["updated".to_owned()],
        detail: None,
    }
}

/// An account with changes that wait and users that are stuck; `odd` is somebody's name everywhere.
#[must_use]
pub fn account(odd: &str, auto_sync: bool) -> About {
    let names = [odd, "Ana Silva", "Bo Lindqvist", "\u{202e}evil\u{202c}", "名前"];
    let waiting: Vec<Person> = names.iter().enumerate().map(|(at, name)| user(name, at)).collect();
    let stuck = Person {
        how: vec!["conflict".to_owned()],
        what: vec!["number_held_by_unmanaged_user".to_owned()],
        detail: Some(format!("the number is with {odd}")),
        ..user(odd, 9)
    };
    About {
        name: "contoso".to_owned(),
        label: odd.to_owned(),
        auto_sync,
        authorization: Some(Quarantine::Authorization(Authorization::Revoked)),
        pause: Some((NOW + Duration::hours(3), odd.to_owned())),
        quarantine: Some((Quarantine::Authorization(Authorization::Revoked), NOW - Duration::days(2))),
        retry_at: Some(NOW + Duration::hours(6)),
        error_code: Some("microsoft_unavailable".to_owned()),
        error_text: Some(odd.to_owned()),
        held: 12,
        incident: true,
        waiting: Listed { users: waiting, all: 47 },
        troubled: Listed { users: vec![stuck], all: 1 },
    }
}

/// Every letter by name.
#[must_use]
pub fn all(odd: &str, office: &Office, calendar: &Calendar) -> Vec<(String, Letter)> {
    let mut found = Vec::new();
    for auto_sync in [false, true] {
        let account = account(odd, auto_sync);
        for cause in Cause::ALL {
            let since = NOW - Duration::days(3);
            let reasons = vec![
                Reason { cause: *cause, since, ready: since },
                Reason { cause: Cause::Waiting, since: NOW - Duration::hours(2), ready: NOW },
            ];
            let due = Reminder { day: calendar.day(NOW), reasons, second_contact: true };
            let name = format!("reminder-{cause}-{}", if auto_sync { "auto" } else { "manual" });
            found.push((name, reminder(office, &account, &due, calendar)));
        }
    }
    let account = account(odd, true);
    let mut link = office.base.clone();
    link.set_path("/connect/c2FtcGxl");
    let invited = Invitation { label: odd.to_owned(), link, until: calendar.text(NOW + Duration::hours(48)) };
    let stopped = Stopped { cause: Quarantine::TooManyFailures, since: NOW - Duration::days(14) };
    let failing = Failing {
        fingerprint: "5f0c6a".to_owned(),
        code: "microsoft_unavailable".to_owned(),
        text: odd.to_owned(),
        jobs: 212,
        accounts: 38,
        names: vec!["contoso".to_owned(), odd.to_owned()],
        since: calendar.text(NOW),
    };
    found.extend([
        ("invitation".to_owned(), invitation(office, &invited)),
        ("auto_sync_on".to_owned(), auto_sync_on(office, &account, NOW, calendar)),
        ("auto_sync_off".to_owned(), auto_sync_off(office, &account, Some(stopped.cause), NOW, calendar)),
        ("quarantine".to_owned(), quarantine(office, &account, stopped, calendar)),
        ("quarantine_day".to_owned(), quarantine_day(office, &account, stopped, 14, calendar)),
        ("incident".to_owned(), incident(office, &failing)),
        ("test".to_owned(), test(office, &account, odd)),
    ]);
    found
}

/// The office of the samples.
#[must_use]
pub fn office() -> Office {
    Office {
        base: Url::parse("https://portal.example/").unwrap_or_else(|_| unreachable!("an address")),
        provider: "Example Telecom".to_owned(),
        support: Some("+1 212 555 0100, day and night".to_owned()),
    }
}
