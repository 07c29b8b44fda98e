//! Samples of the page about mail.

use askama::Template;
use tandem_domain::mail::{Address, Kind, Outcome, RecipientRole};
use tandem_domain::reminder::{Calendar, Chosen};
use tandem_domain::roles::{Role, Roles};
use tandem_letters::samples;
use tandem_store::mail::history::{Delivery, Mail};
use tandem_store::mail::people::Recipient;
use uuid::Uuid;

use super::mail;
use super::samples::{NOW, layout};
use crate::mailing::{Found, Next};

fn mailed(text: &str, outcome: Outcome) -> Mail {
    let delivery = Delivery {
        address: "ana@contoso.example".to_owned(),
        outcome,
        tries: 2,
        at: Some(NOW),
        next_try: (outcome == Outcome::Waiting).then_some(NOW),
        reply: Some(text.to_owned()),
    };
    let deliveries = if outcome == Outcome::Expired { Vec::new() } else { vec![delivery] };
    let (id, subject) = (Uuid::from_u128(5), Some(text.to_owned()));
    Mail { id, kind: Kind::Reminder, period: "2026-03-01".to_owned(), subject, created_at: NOW, deliveries }
}

fn found(text: &str, next: Option<Next>) -> Found {
    let recipient = Recipient {
        address: Address::parse("desk@contoso.example").unwrap(),
        role: RecipientRole::SecondContact,
        added_by: text.to_owned(),
        added_at: NOW,
    };
    Found {
        mails: Outcome::ALL.iter().map(|outcome| mailed(text, *outcome)).collect(),
        recipients: vec![recipient],
        admin: Some(text.to_owned()),
        own: Chosen { zone: Some(text.to_owned()), hour: Some(8) },
        next,
    }
}

/// The page with much, with little, and for somebody who may not change it.
pub(super) fn pages(text: &str) -> Vec<(&'static str, String)> {
    let calendar = Calendar::new("Europe/Berlin", 8).unwrap();
    let letters = samples::all(text, &samples::office(), &calendar);
    let letter = letters.into_iter().next().unwrap().1;
    let next = Next::At { at: NOW, text: calendar.text(NOW), letter: Box::new(letter) };
    let page = |found: &Found, role, notice| mail::MailPage {
        layout: layout(text),
        shown: mail::Shown::of("alpha", found, &Roles::new(vec![role]), "key".to_owned()).unwrap(),
        notice,
    };
    let bare = Found {
        mails: Vec::new(),
        recipients: Vec::new(),
        admin: None,
        own: Chosen::default(),
        next: Some(Next::Rest),
    };
    let rendered = [
        ("mail", page(&found(text, Some(next)), Role::GlobalAdmin, Some("Saved.")).render()),
        ("mail of nobody", page(&bare, Role::GlobalAdmin, None).render()),
        ("mail refused", page(&found(text, None), Role::AccountManager, None).render()),
    ];
    rendered.map(|(name, page)| (name, page.unwrap_or_else(|error| error.to_string()))).into()
}
