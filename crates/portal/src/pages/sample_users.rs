//! Samples of the pages about users.

use askama::Template;
use serde_json::json;
use tandem_domain::eligible::{NotEligible, PhonePlan, UserKind};
use tandem_domain::job::JobState;
use tandem_domain::policy::Service;
use tandem_domain::roles::Act;
use tandem_domain::user_state::UserFacts;
use tandem_domain::wanted::{WantedNumber, WantedUser};
use tandem_domain::{NumberError, ObjectId, PbxUserId, Profile};
use tandem_store::admin::accounts::Mapping;
use tandem_store::microsoft_users::MicrosoftUser;
use tandem_store::portal::explain::Stands;
use tandem_store::portal::proposals::Proposal;
use tandem_store::portal::users::{UserRow, Wait};
use uuid::Uuid;

use super::samples::{NOW, job_row, layout};
use super::{imports, mapping, user, users};
use crate::work::users::Explained;

const OID: ObjectId = ObjectId(Uuid::from_u128(7));

fn user_row(text: &str) -> UserRow {
    UserRow {
        user: PbxUserId(text.to_owned()),
        profile: Some(Profile {
            display_name: Some(text.to_owned()),
            email: Some(text.to_owned()),
            extension: Some(text.to_owned()),
            did_numbers: vec![text.to_owned(); 5],
            ..Profile::default()
        }),
        gone: true,
        mapping: Some(Mapping { microsoft_user: OID, service: Service::App, number: Some(text.to_owned()) }),
        upn: Some(text.to_owned()),
        microsoft_name: Some(text.to_owned()),
        seen_at: Some(NOW),
        facts: UserFacts { mapped: true, deferred: true, ..UserFacts::default() },
        code: Some(text.to_owned()),
        detail: Some(text.to_owned()),
        wait: Some(Wait {
            reason: "licence_pending".to_owned(),
            detail: text.to_owned(),
            since: NOW,
            next_look: NOW,
        }),
        confirmed_at: Some(NOW),
        settled_at: None,
    }
}

fn bare_row(text: &str) -> UserRow {
    UserRow {
        profile: None,
        gone: false,
        mapping: None,
        upn: None,
        microsoft_name: None,
        seen_at: None,
        facts: UserFacts::default(),
        code: None,
        detail: None,
        wait: None,
        confirmed_at: None,
        ..user_row(text)
    }
}

fn microsoft_user(text: &str, why_not: Option<NotEligible>) -> MicrosoftUser {
    MicrosoftUser {
        oid: ObjectId(Uuid::from_u128(8)),
        upn: text.to_owned(),
        display_name: Some(text.to_owned()),
        kind: UserKind::User,
        phone_plan: PhonePlan::Enabled,
        account_enabled: true,
        why_not,
        flags: Vec::new(),
        mapped_to: Some(PbxUserId(format!("{text} of another"))),
        first_seen_at: NOW,
        seen_at: NOW,
        gone_at: None,
    }
}

/// Every page about users by name, with this text wherever a text of somebody's goes.
pub(super) fn pages(text: &str) -> Vec<(&'static str, String)> {
    let list = |rows: &[UserRow], power: bool| users::UsersPage {
        layout: layout(text),
        name: "alpha".to_owned(),
        asked: users::Asked { search: text.to_owned(), unmapped: "yes".to_owned(), after: String::new() },
        rows: rows.iter().map(|row| users::Row::of(row, NOW)).collect(),
        next: Some("/accounts/alpha/users?after=x".to_owned()),
        sees: power,
        saves: power,
    };
    let wanted = WantedUser {
        user: PbxUserId(text.to_owned()),
        oid: OID,
        service: Service::App,
        number: WantedNumber::Unusable { text: text.to_owned(), why: NumberError::NoPlus },
        policies: Default::default(),
        location_id: None,
    };
    let stands = Stands {
        microsoft_user: OID,
        number: Some(text.to_owned()),
        policies: json!({ text: text }),
        since: NOW,
    };
    let full = Explained {
        row: user_row(text),
        wanted: Some(wanted),
        stands: vec![stands],
        jobs: vec![job_row(text, JobState::Partly)],
    };
    let bare = Explained { row: bare_row(text), wanted: None, stands: Vec::new(), jobs: Vec::new() };
    let explained = |found: &Explained, power: bool| user::UserPage {
        layout: layout(text),
        name: "alpha".to_owned(),
        shown: user::Shown::of(found, NOW),
        sees: power,
        saves: power,
        refused: (!power).then(|| Act::SyncStored.refusal()),
        key: "key".to_owned(),
        asked: power,
    };
    let choices = [microsoft_user(text, None), microsoft_user(text, Some(NotEligible::Room))];
    let choose = |row: &UserRow, found: &[MicrosoftUser]| {
        mapping::MappingPage::of((layout(text), "alpha".to_owned()), row, (found, text.to_owned()), NOW)
    };
    let proposal = Proposal {
        user: PbxUserId(text.to_owned()),
        name: Some(text.to_owned()),
        extension: Some(text.to_owned()),
        microsoft_user: OID,
        upn: text.to_owned(),
    };
    let proposals = |rows: &[Proposal]| mapping::ProposalsPage {
        layout: layout(text),
        name: "alpha".to_owned(),
        rows: rows.iter().map(mapping::Proposed::of).collect(),
        version: "version".to_owned(),
        total: rows.len() * 2,
        version_of_all: "version".to_owned(),
    };
    let import = |stands: imports::Shown| imports::PreviewPage {
        layout: layout(text),
        name: "alpha".to_owned(),
        import: OID.to_string(),
        stands,
    };
    let row = |problem| imports::Row {
        line: 2,
        user: text.to_owned(),
        what: "add",
        before: text.to_owned(),
        after: text.to_owned(),
        problem,
    };
    let file = |spoilt: bool| imports::Preview {
        version: "version".to_owned(),
        until: text.to_owned(),
        counts: vec![("add", 1), ("bad", 1)],
        bad: usize::from(spoilt),
        changes: 1,
        removals: 7,
        held: true,
        licences: spoilt.then(|| (text.to_owned(), "Ask.")),
        clean: !spoilt,
        rows: vec![row(None), row(spoilt.then(|| ("code", text.to_owned(), "Mend it.")))],
        next: Some(200),
    };
    let upload = imports::ImportPage { layout: layout(text), name: "alpha".to_owned() };
    let rendered = [
        ("import", upload.render()),
        ("import preview", import(imports::Shown::Waits(Box::new(file(false)))).render()),
        ("import spoilt", import(imports::Shown::Waits(Box::new(file(true)))).render()),
        ("import saved", import(imports::Shown::Saved(text.to_owned(), 3)).render()),
        ("users", list(&vec![user_row(text); 50], true).render()),
        ("users empty", list(&[], false).render()),
        ("users of a contributor", list(&[bare_row(text)], false).render()),
        ("user", explained(&full, true).render()),
        ("user bare", explained(&bare, false).render()),
        ("mapping", choose(&user_row(text), &choices).render()),
        ("mapping empty", choose(&bare_row(text), &[]).render()),
        ("proposals", proposals(&vec![proposal; 50]).render()),
        ("proposals empty", proposals(&[]).render()),
    ];
    rendered.map(|(name, page)| (name, page.unwrap_or_else(|error| error.to_string()))).into()
}

#[test]
fn fifty_users_with_long_names_are_under_100_kb() {
    for (name, page) in pages(&"x".repeat(60)) {
        assert!(page.len() < 100_000, "{name}: {}", page.len());
    }
}
