//! Words about how an account stands that several letters share.

use tandem_domain::reminder::Calendar;
use tandem_store::mail::about::{About, Listed, Person};

use crate::{Office, Section, said};

/// A PBX user by name, extension or id.
fn who(person: &Person) -> String {
    let Some(user) = &person.user else { return "Settings of the account".to_owned() };
    match (&person.name, &person.extension) {
        (Some(name), Some(extension)) => format!("{} ({})", said(name), said(extension)),
        (Some(name), None) => said(name),
        (None, Some(extension)) => format!("Extension {}", said(extension)),
        (None, None) => said(user),
    }
}

/// A stable name as words.
fn words(name: &str) -> String {
    said(&name.replace('_', " "))
}

/// Who has saved changes, which fields, and since when.
pub(crate) fn waiting(listed: &Listed, calendar: &Calendar) -> Section {
    let line = |person: &Person| {
        let mut what: Vec<String> = Vec::new();
        for kind in &person.how {
            match kind.as_str() {
                "created" => what.push("new".to_owned()),
                "deleted" => what.push("deleted".to_owned()),
                "mapped" => what.push("mapped to a Microsoft user".to_owned()),
                "unmapped" => what.push("mapping taken away".to_owned()),
                _ => {}
            }
        }
        what.extend(person.what.iter().map(|field| words(field)));
        if what.is_empty() {
            what.push("changed".to_owned());
        }
        (who(person), format!("{}, since {}", what.join(", "), calendar.text(person.since)))
    };
    section("Changes that wait", listed, line)
}

/// Whom the last sync could not bring in line, and why.
pub(crate) fn troubled(listed: &Listed) -> Section {
    let line = |person: &Person| {
        let why = person.detail.as_deref().map(said);
        let why = why.or_else(|| person.what.first().map(|code| words(code)));
        (who(person), why.unwrap_or_else(|| "no reason was given".to_owned()))
    };
    section("Users that are not right in Teams yet", listed, line)
}

fn section(title: &str, listed: &Listed, line: impl Fn(&Person) -> (String, String)) -> Section {
    let lines: Vec<(String, String)> = listed.users.iter().map(line).collect();
    let more = listed.all - i64::try_from(lines.len()).unwrap_or(i64::MAX);
    Section { title: title.to_owned(), lines, more: more.max(0) }
}

/// What the provider does about it, where it is known.
pub(crate) fn known(office: &Office, about: &About) -> Vec<String> {
    let mut told = Vec::new();
    if about.incident {
        told.push(format!("{} knows of this problem and is working on it.", office.provider));
    }
    told
}

/// That the provider has paused the account.
pub(crate) fn pause(office: &Office, about: &About, calendar: &Calendar) -> Option<String> {
    let (until, why) = about.pause.as_ref()?;
    Some(format!(
        "{} has taken the account in hand and paused its syncs until {}: {}",
        office.provider,
        calendar.text(*until),
        said(why)
    ))
}

/// When a failed sync is tried again.
pub(crate) fn retry(about: &About, calendar: &Calendar) -> Option<String> {
    let at = about.retry_at.filter(|_| about.auto_sync)?;
    Some(format!("The sync is tried again by itself: {}.", calendar.text(at)))
}
