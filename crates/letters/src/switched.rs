//! Letters about Auto Sync and quarantines, and the test mail.

use tandem_domain::quarantine::{Cause, dates};
use tandem_domain::reminder::Calendar;
use tandem_store::mail::about::About;
use time::OffsetDateTime;

use crate::{Button, Letter, Office, about, said};

/// A quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub since: OffsetDateTime,
}

fn settings(office: &Office, account: &About) -> Button {
    Button { label: "Open the settings".to_owned(), url: office.page(&account.name, "settings") }
}

fn remedy_steps(cause: Cause) -> Vec<String> {
    vec![
        "Open the settings with the button below and sign in as the Global Admin linked to the account."
            .to_owned(),
        format!("Set right what is wrong: {}.", cause.remedy()),
        "Start a sync with Sync Now. The first sync that works ends this.".to_owned(),
    ]
}

/// Auto Sync was switched on.
#[must_use]
pub fn auto_sync_on(office: &Office, account: &About, at: OffsetDateTime, calendar: &Calendar) -> Letter {
    let label = said(&account.label);
    let mut letter = Letter::new(&format!("{label}: Auto Sync is on"), "Auto Sync is on");
    letter.intro = vec![
        format!("Auto Sync of {label} was switched on: {}.", calendar.text(at)),
        format!(
            "From now on {} brings saved changes to Teams by itself, within ten minutes. It uses the authorization that the Global Admin has given; it does not end by time, and no password was stored.",
            office.provider
        ),
    ];
    letter.next = vec!["If a sync fails, or if the authorization is taken back, you get a mail.".to_owned()];
    letter.steps = vec![
        "If that was you, there is nothing to do.".to_owned(),
        "If not, open the settings with the button below and switch Auto Sync off.".to_owned(),
    ];
    letter.button = Some(settings(office, account));
    letter.closing = vec![office.help()];
    letter
}

/// Auto Sync was switched off by the system.
#[must_use]
pub fn auto_sync_off(
    office: &Office,
    account: &About,
    cause: Option<Cause>,
    at: OffsetDateTime,
    calendar: &Calendar,
) -> Letter {
    let label = said(&account.label);
    let mut letter =
        Letter::new(&format!("{label}: Auto Sync was switched off"), "Auto Sync was switched off");
    letter.intro = vec![format!(
        "No automatic sync of {label} has worked for 28 days, so Auto Sync was switched off: {}.",
        calendar.text(at)
    )];
    letter.intro.extend(cause.map(|cause| format!("The reason: {}.", cause.text())));
    letter.next = vec!["Nothing. Changes are kept and wait; service goes on as it is.".to_owned()];
    letter.steps = vec![
        "Open the settings with the button below and sign in as the Global Admin linked to the account."
            .to_owned(),
        cause.map_or("Switch Auto Sync on again.".to_owned(), |cause| {
            format!("Set right what is wrong ({}), then switch Auto Sync on again.", cause.remedy())
        }),
    ];
    letter.button = Some(settings(office, account));
    letter.closing = vec![office.help()];
    letter
}

/// Automatic work of an account stopped, or its reason changed.
#[must_use]
pub fn quarantine(office: &Office, account: &About, stopped: Stopped, calendar: &Calendar) -> Letter {
    let label = said(&account.label);
    let mut letter =
        Letter::new(&format!("{label}: automatic syncs have stopped"), "Automatic syncs have stopped");
    letter.intro = vec![
        format!("Automatic syncs of {label} have stopped since {}.", calendar.text(stopped.since)),
        format!("The reason: {}.", stopped.cause.text()),
    ];
    letter.intro.extend(about::pause(office, account, calendar));
    letter.next = about::retry(account, calendar).into_iter().collect();
    letter
        .next
        .push("Changes are kept and wait. They go to Teams with the first sync that works.".to_owned());
    letter.steps = remedy_steps(stopped.cause);
    letter.button = Some(settings(office, account));
    letter.closing = vec![office.help()];
    letter
}

/// Automatic work of an account has stopped for `day` days.
#[must_use]
pub fn quarantine_day(
    office: &Office,
    account: &About,
    stopped: Stopped,
    day: i64,
    calendar: &Calendar,
) -> Letter {
    let label = said(&account.label);
    let days = crate::count(day, "day", "days");
    let off = calendar.text(dates(stopped.since).1);
    let mut letter = Letter::new(
        &format!("{label}: no automatic sync for {days}"),
        &format!("No automatic sync for {days}"),
    );
    letter.intro = vec![
        format!("Automatic syncs of {label} have not worked since {}.", calendar.text(stopped.since)),
        format!("The reason: {}.", stopped.cause.text()),
    ];
    letter.next = about::retry(account, calendar).into_iter().collect();
    letter.next.push(format!("If it stays so, Auto Sync is switched off: {off}."));
    letter.steps = remedy_steps(stopped.cause);
    letter.button = Some(settings(office, account));
    letter.closing = vec![office.help()];
    letter
}

/// Somebody wants to know whether mail arrives.
#[must_use]
pub fn test(office: &Office, account: &About, asked_by: &str) -> Letter {
    let label = said(&account.label);
    let mut letter = Letter::new(&format!("{label}: test mail"), "This is a test mail");
    letter.intro = vec![format!(
        "{} asked for it in the portal, to see whether mail about {label} arrives. It does.",
        said(asked_by)
    )];
    letter.button =
        Some(Button { label: "Open the account".to_owned(), url: office.page(&account.name, "") });
    letter.closing = vec!["There is nothing to do.".to_owned()];
    letter
}
