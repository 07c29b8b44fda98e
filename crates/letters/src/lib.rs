//! The words of every mail, as HTML and as plain text. No mail is sent here.
//!
//! A letter is made from how an account stands, and from the configured address of the portal: no request has a say in
//! where its button leads. Names and texts of others come in through [`said`].

mod about;
mod incident;
mod invitation;
mod reminder;
pub mod samples;
mod switched;

use askama::Template;
use tandem_domain::mail::one_line;
use url::Url;

pub use incident::{Failing, incident};
pub use invitation::{Invitation, invitation};
pub use reminder::reminder;
pub use switched::{Stopped, auto_sync_off, auto_sync_on, quarantine, quarantine_day, test};

/// Longest name or text of somebody else in a mail.
const SAID: usize = 120;
/// Longest subject.
const SUBJECT: usize = 120;

/// Who writes, and where the portal is.
#[derive(Clone, Debug)]
pub struct Office {
    /// Where people see the portal, without a path.
    pub base: Url,
    /// The provider's name.
    pub provider: String,
    /// How to reach its support, in a line.
    pub support: Option<String>,
}

impl Office {
    /// A page of an account.
    fn page(&self, account: &str, page: &str) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("accounts").push(account);
            if !page.is_empty() {
                path.push(page);
            }
        }
        url
    }

    /// Whom to call, as the last step or as a closing.
    fn help(&self) -> String {
        match &self.support {
            Some(support) => {
                format!("If that does not help, {} is there: {}", self.provider, one_line(support, 200))
            }
            None => format!("If that does not help, ask the support of {}.", self.provider),
        }
    }
}

/// Where to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// What it says.
    pub label: String,
    /// Where it leads.
    pub url: Url,
}

/// A list under a heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// Who, and what about them.
    pub lines: Vec<(String, String)>,
    /// How many more there are.
    pub more: i64,
}

/// A mail before it is put on paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The subject, one line.
    pub subject: String,
    /// The heading.
    pub title: String,
    /// What has happened.
    pub intro: Vec<String>,
    /// Who and what, in lists.
    pub sections: Vec<Section>,
    /// What happens next by itself.
    pub next: Vec<String>,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// The one place to do it.
    pub button: Option<Button>,
    /// Last words: why this mail comes, and who helps.
    pub closing: Vec<String>,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct Html<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct Text<'a> {
    letter: &'a Letter,
}

impl Letter {
    fn new(subject: &str, title: &str) -> Self {
        Self {
            subject: one_line(subject, SUBJECT),
            title: title.to_owned(),
            intro: Vec::new(),
            sections: Vec::new(),
            next: Vec::new(),
            steps: Vec::new(),
            button: None,
            closing: Vec::new(),
        }
    }

    /// As HTML.
    ///
    /// # Errors
    /// None of its own: the template writes to memory.
    pub fn html(&self) -> Result<String, askama::Error> {
        Html { letter: self }.render()
    }

    /// As plain text.
    ///
    /// # Errors
    /// None of its own: the template writes to memory.
    pub fn text(&self) -> Result<String, askama::Error> {
        Text { letter: self }.render()
    }
}

/// A name or text of somebody else: one line, not without end, and nothing that a mail program would make a link of.
#[must_use]
pub fn said(text: &str) -> String {
    let line = one_line(text, SAID);
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    // a word joiner shows as nothing, and ends what looks like an address
    while let Some(at) = rest.find(['.', ':', '@']) {
        let (before, mark) = rest.split_at(at);
        out.push_str(before);
        out.push_str(&mark[..1]);
        rest = &mark[1..];
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '/') {
            out.push('\u{2060}');
        }
    }
    out.push_str(rest);
    out
}

/// A count with its noun.
fn count(number: i64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests;
