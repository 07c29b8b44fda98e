//! The reminder: one mail for all causes.

use tandem_domain::quarantine::Cause as Quarantine;
use tandem_domain::reminder::{Calendar, Cause, Reason, Reminder};
use tandem_store::mail::about::About;

use crate::{Button, Letter, Office, about, count, said};

/// The reminder of an account.
#[must_use]
pub fn reminder(office: &Office, account: &About, due: &Reminder, calendar: &Calendar) -> Letter {
    let label = said(&account.label);
    let worst = due.reasons.first().map_or(Cause::Waiting, |reason| reason.cause);
    let (subject, title) = headline(worst, account, &label);
    let mut letter = Letter::new(&subject, &title);
    letter.intro = due.reasons.iter().map(|reason| happened(reason, account, calendar)).collect();
    letter.intro.extend(about::known(office, account));
    letter.intro.extend(about::pause(office, account, calendar));
    let has = |cause| due.reasons.iter().any(|reason| reason.cause == cause);
    if (has(Cause::Partly) || has(Cause::Failed)) && !account.troubled.users.is_empty() {
        letter.sections.push(about::troubled(&account.troubled));
    }
    if !account.waiting.users.is_empty() {
        letter.sections.push(about::waiting(&account.waiting, calendar));
    }
    letter.next = by_itself(account, &has, calendar);
    let (steps, button) = to_do(office, account, worst);
    letter.steps = steps;
    letter.button = Some(button);
    letter.closing = vec![
        office.help(),
        format!(
            "This mail comes once a day until a sync of {label} succeeds. Who gets it, and at which hour, is set in the portal."
        ),
    ];
    letter
}

fn headline(worst: Cause, account: &About, label: &str) -> (String, String) {
    let waiting = account.waiting.all;
    match worst {
        Cause::NotAuthorized => (
            format!("{label}: Auto Sync cannot sign in to Microsoft"),
            "Auto Sync cannot sign in to your Microsoft tenant".to_owned(),
        ),
        Cause::Failed => {
            (format!("{label}: the last sync to Teams failed"), "The last sync to Teams failed".to_owned())
        }
        Cause::Partly => (
            format!("{label}: the last sync to Teams was partly done"),
            "The last sync to Teams was partly done".to_owned(),
        ),
        Cause::Held => (
            format!("{label}: removals wait for your decision"),
            "Removals wait for your decision".to_owned(),
        ),
        Cause::Waiting => {
            let title = format!("Changes of {} wait for a sync", count(waiting, "user", "users"));
            (format!("{label}: changes wait for a sync to Teams"), title)
        }
    }
}

/// Why the last sync failed, in plain words.
fn why(account: &About) -> String {
    let known =
        account.error_code.as_deref().and_then(Quarantine::parse).map(|cause| cause.text().to_owned());
    match known.or_else(|| account.error_text.as_deref().map(said)) {
        Some(text) => format!("The reason: {text}."),
        None => "The reason was not recorded.".to_owned(),
    }
}

fn happened(reason: &Reason, account: &About, calendar: &Calendar) -> String {
    let since = calendar.text(reason.since);
    match reason.cause {
        Cause::NotAuthorized => {
            let text = account.authorization.map_or("there is no stored authorization", Quarantine::text);
            format!("Auto Sync is on, but the stored authorization has not worked since {since}: {text}.")
        }
        Cause::Failed => format!("No sync has succeeded since {since}. {}", why(account)),
        Cause::Partly => {
            format!("The last sync brought some users to Teams and not all of them. It is so since {since}.")
        }
        Cause::Held => format!(
            "{} held back since {since}, because so many at once may be a mistake. Nothing is removed before somebody decides.",
            count(account.held, "removal is", "removals are")
        ),
        Cause::Waiting if account.auto_sync => {
            format!("Changes have waited since {since}, although Auto Sync is on.")
        }
        Cause::Waiting => {
            format!("Changes saved since {since} are not in Teams yet. They get there with the next sync.")
        }
    }
}

fn by_itself(account: &About, has: &dyn Fn(Cause) -> bool, calendar: &Calendar) -> Vec<String> {
    let mut next: Vec<String> = about::retry(account, calendar).into_iter().collect();
    if has(Cause::Partly) && account.auto_sync {
        next.push(
            "Users that could not be finished are looked at again by themselves as soon as that may help."
                .to_owned(),
        );
    }
    if account.auto_sync && account.quarantine.is_some() {
        next.push(
            "Automatic syncs have stopped until the reason is gone; tries go on once a day.".to_owned(),
        );
    }
    if next.is_empty() {
        next.push("Nothing: this needs a person.".to_owned());
    }
    next
}

/// The steps, and the one place where they are taken.
fn to_do(office: &Office, account: &About, worst: Cause) -> (Vec<String>, Button) {
    let sign_in = "Sign in with your Microsoft account; it has to be the Global Admin linked to the account."
        .to_owned();
    let sync =
        if account.auto_sync { "Choose Sync Now, then Teams." } else { "Choose Sync Now, then Manual Sync." };
    let check = "Wait until the page shows In sync; then these mails stop.".to_owned();
    let open =
        |label: &str, page: &str| Button { label: label.to_owned(), url: office.page(&account.name, page) };
    match worst {
        Cause::NotAuthorized => {
            let remedy =
                account.authorization.map_or("the Global Administrator has to consent", Quarantine::remedy);
            let steps = vec![
                format!("Know what is wrong: {remedy}."),
                "Open the settings with the button below.".to_owned(),
                sign_in,
                "Switch Auto Sync off and on again, and agree to what Microsoft asks.".to_owned(),
            ];
            (steps, open("Open the settings", "settings"))
        }
        Cause::Held => (
            vec![
                "Open the list with the button below.".to_owned(),
                sign_in,
                "Look at who would be removed, then approve or reject the list.".to_owned(),
            ],
            open("See the removals", "held"),
        ),
        Cause::Failed | Cause::Partly => (
            vec![
                "Open the account with the button below.".to_owned(),
                sign_in,
                "Set right what is named above, where it is yours to do.".to_owned(),
                sync.to_owned(),
                check,
            ],
            open("Open the account", ""),
        ),
        Cause::Waiting => {
            let steps =
                vec!["Open the account with the button below.".to_owned(), sign_in, sync.to_owned(), check];
            (steps, open("Open the account", ""))
        }
    }
}
