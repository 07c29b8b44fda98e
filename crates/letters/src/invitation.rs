//! The invitation: a link that leads a Global Administrator to the pages that connect a tenant.

use url::Url;

use crate::{Button, Letter, Office, said};

/// What an invitation says.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Name of the account for people.
    pub label: String,
    /// Where its link leads.
    pub link: Url,
    /// Until when the link works, as people write it.
    pub until: String,
}

/// An invitation.
#[must_use]
pub fn invitation(office: &Office, invitation: &Invitation) -> Letter {
    let label = said(&invitation.label);
    let provider = &office.provider;
    let mut letter =
        Letter::new(&format!("{label}: connect Microsoft Teams with {provider}"), "Connect Microsoft Teams");
    letter.intro = vec![
        format!(
            "{provider} would like to bring the telephony of {label} to Microsoft Teams. For that, a Global Administrator of your Microsoft tenant has to agree once."
        ),
        "No password is asked for by us or stored: you sign in at Microsoft.".to_owned(),
    ];
    letter.steps = vec![
        format!("Open the link with the button below. It works until {}, and once.", invitation.until),
        "Sign in at Microsoft with an account that is Global Administrator.".to_owned(),
        "Read what the application may do, and accept it.".to_owned(),
        "Come back to the page and wait until it says Connected.".to_owned(),
        "Choose which users get telephony, then start the first sync.".to_owned(),
    ];
    letter.next = vec![
        "Users and numbers load within minutes after that. If nothing has come after 24 hours, call support."
            .to_owned(),
    ];
    letter.button =
        Some(Button { label: "Connect Microsoft Teams".to_owned(), url: invitation.link.clone() });
    letter.closing = vec![
        office.help(),
        "The link is for you alone. If you did not expect this mail, leave it: nothing happens without your consent.".to_owned(),
    ];
    letter
}
