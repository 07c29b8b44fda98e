//! Samples of the pages of operators, and of the one for the PBX.

use askama::Template;

use super::samples::layout;
use super::{embed, provider};

/// Every page of operators by name, with this text wherever a text of somebody's goes.
pub(super) fn pages(text: &str) -> Vec<(&'static str, String)> {
    let invitation = |mailed: bool| provider::Invitation {
        invited: text.to_owned(),
        by: text.to_owned(),
        at: text.to_owned(),
        until: (!mailed).then(|| text.to_owned()),
        mailed: mailed.then(|| (text.to_owned(), "Waits for the mail server")),
    };
    let shown = |full: bool| provider::Shown {
        time_zone: text.to_owned(),
        tenant: text.to_owned(),
        licences: 10,
        mapped: 4,
        binding: full.then(|| (text.to_owned(), text.to_owned())),
        sources: if full { vec![text.to_owned(); 3] } else { Vec::new() },
        authorization: full.then(|| (text.to_owned(), text.to_owned())),
        auto_sync: full,
        removed: full.then(|| text.to_owned()),
        standing: if full { 7 } else { 0 },
        invitations: if full { vec![invitation(true), invitation(false)] } else { Vec::new() },
    };
    let page = |full: bool| provider::AdministrationPage {
        layout: layout(text),
        name: "alpha".to_owned(),
        shown: shown(full),
        notice: full.then_some("Saved."),
        mails: full,
    };
    let invited = provider::InvitedPage {
        layout: layout(text),
        name: "alpha".to_owned(),
        link: text.to_owned(),
        invited: text.to_owned(),
        tenant: text.to_owned(),
        until: text.to_owned(),
    };
    let framed = |queued: i64| embed::EmbedPage {
        state: "In sync",
        tone: "good",
        queued,
        portal: "https://portal.example/accounts/alpha".to_owned(),
    };
    let rendered = [
        ("embed", framed(0).render()),
        ("embed pending", framed(2).render()),
        ("account new", provider::NewPage { layout: layout(text) }.render()),
        ("administration", page(true).render()),
        ("administration empty", page(false).render()),
        ("invited", invited.render()),
    ];
    rendered.map(|(name, page)| (name, page.unwrap_or_else(|error| error.to_string()))).into()
}
