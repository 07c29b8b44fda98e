//! Incidents: jobs of several accounts that fail alike. For the provider's operators, never for customers.

use serde::{Deserialize, Serialize};

use crate::{Button, Letter, Office, Section, count, said};

/// Jobs that fail alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// What they have in common.
    pub fingerprint: String,
    /// The stable code.
    pub code: String,
    /// In words.
    pub text: String,
    /// Jobs that failed so.
    pub jobs: i64,
    /// Accounts they are of.
    pub accounts: i64,
    /// The first of them, by short name.
    pub names: Vec<String>,
    /// Since when, as people write it.
    pub since: String,
}

/// The mail to the operators.
#[must_use]
pub fn incident(office: &Office, failing: &Failing) -> Letter {
    let (jobs, accounts) =
        (count(failing.jobs, "job", "jobs"), count(failing.accounts, "account", "accounts"));
    let code = said(&failing.code);
    let mut letter = Letter::new(
        &format!("Incident: {code}, {jobs} of {accounts}"),
        &format!("{jobs} of {accounts} failed alike"),
    );
    letter.intro = vec![
        format!("Since {} jobs of several accounts fail with {code}: {}", failing.since, said(&failing.text)),
        "Customers get no mail about it beyond their daily reminder.".to_owned(),
    ];
    letter.sections = vec![Section {
        title: "Accounts".to_owned(),
        lines: failing.names.iter().map(|name| (said(name), String::new())).collect(),
        more: (failing.accounts - i64::try_from(failing.names.len()).unwrap_or(0)).max(0),
    }];
    letter.next = vec![
        "Each job follows its ladder and is tried again. This mail comes once for this fingerprint."
            .to_owned(),
    ];
    letter.steps = vec![
        "Open the accounts with the button below.".to_owned(),
        "Look at one of the failed jobs: its steps show the first request that went wrong.".to_owned(),
        "When the cause is gone, replay the failed jobs.".to_owned(),
    ];
    let mut url = office.base.clone();
    url.set_path("/accounts");
    letter.button = Some(Button { label: "Open the accounts".to_owned(), url });
    letter.closing = vec![format!("Fingerprint {}", said(&failing.fingerprint))];
    letter
}
