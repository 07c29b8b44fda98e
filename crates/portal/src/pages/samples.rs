//! Samples of every page, rendered: with nothing, with much, and with texts that try to break out.

use askama::Template;
use serde_json::json;
use tandem_domain::account_state::{AccountState, Facts};
use tandem_domain::authorization::{AuthorizationState, Reason};
use tandem_domain::job::{JobScope, JobState, JobType};
use tandem_domain::roles::{Act, Role, Roles};
use tandem_domain::{AccountId, JobId, PbxUserId, TenantId};
use tandem_store::admin::requests::Answer;
use tandem_store::log_read::{JobRow, StepRow};
use tandem_store::portal::changes::Change;
use tandem_store::portal::names::Names;
use tandem_store::portal::overview::{Overview, ShortAuthorization, ShortJob};
use tandem_store::portal::pause::Kept;
use tandem_store::previews::Preview;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::pause::PauseForm;
use super::sample_plans::{contributor, held_list, inside, plan, preview, versioned, windows};
use super::{
    InPage, Layout, accounts, again, enter, error, held, job, jobs, overview, request, sample_bulk,
    sample_fleet, sample_mail, sample_provider, sample_users, settings, sign_in,
};
use crate::fault::Fault;
use crate::frame::Nonce;
use crate::pausing::Waits;
use crate::plots;

pub(super) const NOW: OffsetDateTime = datetime!(2026-03-01 14:07:09 UTC);
/// Texts that people or Microsoft could give us (B29).
const CORPUS: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x>",
    "javascript:alert(1)",
    "{{7*7}}",
    "${7*7}",
    "'; onload='x",
];

pub(super) fn layout(text: &str) -> Layout {
    let account = InPage {
        name: "alpha".to_owned(),
        label: text.to_owned(),
        roles: "Global Admin".to_owned(),
        mail: true,
        visit: Some(text.to_owned()),
    };
    Layout {
        person: Some((text.to_owned(), "mark".to_owned())),
        account: Some(account),
        here: "overview",
        paused: Some(text.to_owned()),
        ..Layout::open(&Nonce("nonce".to_owned()))
    }
}

fn overview_row(text: &str) -> Overview {
    let short = |state, finished_at, parked| ShortJob {
        job: JobId(Uuid::from_u128(1)),
        state,
        job_type: JobType::Auto,
        finished_at,
        parked,
    };
    Overview {
        account: AccountId(Uuid::from_u128(2)),
        name: "alpha".to_owned(),
        label: text.to_owned(),
        facts: Facts {
            bound: true,
            connected: true,
            mapped: true,
            queued: 3,
            auto_sync: true,
            ..Facts::default()
        },
        authorization: Some(ShortAuthorization {
            tenant: TenantId(Uuid::from_u128(3)),
            state: AuthorizationState::Revoked,
            reason: Some(Reason::Revoked),
            since: NOW,
            checked_at: Some(NOW),
            admin: Some(text.to_owned()),
            detail: Some(text.to_owned()),
        }),
        pause: Some((NOW, text.to_owned())),
        oldest: Some(NOW),
        due_at: Some(NOW),
        retry_at: None,
        current: Some(short(JobState::Queued, None, Some("quarantine".to_owned()))),
        last: Some(short(JobState::Failed, Some(NOW), None)),
        licences: 10,
        mapped: 4,
        landed: 3,
        leaving: 1,
    }
}

pub(super) fn job_row(text: &str, state: JobState) -> JobRow {
    JobRow {
        job: JobId(Uuid::from_u128(1)),
        account: AccountId(Uuid::from_u128(2)),
        job_type: JobType::Manual,
        scope: JobScope::All,
        state,
        cause: Some("request".to_owned()),
        person: Some(text.to_owned()),
        reason: Some(text.to_owned()),
        linked_job: Some(JobId(Uuid::from_u128(4))),
        queued_at: NOW,
        due_at: None,
        first_change_at: None,
        started_at: Some(NOW),
        finished_at: state.is_final().then_some(NOW),
        settled_at: None,
        from_gen: Some(1),
        to_gen: Some(2),
        counts: Some(json!({ "confirmed": 1 })),
        error_code: None,
        error_text: Some(text.to_owned()),
        fingerprint: None,
        failures: Vec::new(),
        excused: false,
        event_number: 3,
    }
}

fn step_row(text: &str) -> StepRow {
    let text = || Some(text.to_owned());
    StepRow {
        job: JobId(Uuid::from_u128(1)),
        number: 2,
        at: NOW,
        kind: "step".to_owned(),
        pbx_user: text().map(PbxUserId),
        microsoft_user: None,
        action: Some("assign_number".to_owned()),
        outcome: text(),
        before: text(),
        after: text(),
        reason: text(),
        detail: text(),
        request_id: text(),
        data: json!({}),
    }
}

fn change(text: &str) -> Change {
    Change {
        generation: 2,
        user: Some(text.to_owned()),
        kind: "updated".to_owned(),
        fields: vec!["display_name".to_owned()],
        before: None,
        after: Some(json!({ "display_name": text })),
        source: "pbx".to_owned(),
        detected_at: NOW,
    }
}

/// Every page by name, with this text wherever a text of somebody's goes.
fn pages(text: &str) -> Vec<(&'static str, String)> {
    let admin = Roles::new(vec![Role::GlobalAdmin]);
    let manager = Roles::new(vec![Role::AccountManager]);
    let key = || "key".to_owned();
    let row = overview_row(text);
    let kept = |minutes| Kept {
        changes: 4,
        users: 3,
        names: vec![text.to_owned()],
        since: Some(NOW - time::Duration::minutes(minutes)),
    };
    let shown = || overview::Shown::of(&row, Some(Waits::of(&kept(9), true, NOW)), NOW);
    let overview_page = |roles| overview::OverviewPage {
        layout: layout(text),
        shown: shown(),
        menu: overview::menu(true, roles, &key),
        asked: true,
        preview: Some("key".to_owned()),
        chart: plots::throughput(&std::collections::BTreeMap::new(), 24, NOW),
        pause: Some(PauseForm { action: "/accounts/alpha/pause".to_owned(), on: true }),
    };
    let asked: jobs::Asked = jobs::Asked { since: text.to_owned(), ..jobs::Asked::default() };
    let list = jobs::JobsPage {
        layout: layout(text),
        rows: vec![jobs::Row::of(&job_row(text, JobState::Partly), NOW)],
        older: Some("/accounts/alpha/jobs?after=x".to_owned()),
        ..jobs::JobsPage::filters(asked, "alpha".to_owned())
    };
    let empty_list = jobs::JobsPage {
        layout: layout(text),
        type_shown: false,
        ..jobs::JobsPage::filters(jobs::Asked::default(), "alpha".to_owned())
    };
    let job = |state| {
        let mut shown = job::Shown::of(
            "alpha",
            &job_row(text, state),
            &[step_row(text)],
            &[change(text)],
            &Names::default(),
            NOW,
        );
        shown.more = Some(199);
        let (mark, key) = (text.to_owned(), text.to_owned());
        shown.can = job::Can { replay: true, undo: true, cancel: true, bundle: true, held: true, mark, key };
        shown
    };
    let bare = job::Shown::of("alpha", &job_row(text, JobState::Queued), &[], &[], &Names::default(), NOW);
    let (fault, refused) = (Fault::NoAccount(text.to_owned()), Fault::Refused(Act::SyncStored));
    let nonce = Nonce("nonce".to_owned());
    let accounts = |rows: Vec<accounts::Row>, operator| accounts::AccountsPage {
        layout: layout(text),
        rows,
        next: Some("alpha".to_owned()),
        operator,
        state: operator.then_some(AccountState::Held),
    };
    let sign_in = |ended| sign_in::SignInPage {
        layout: Layout::open(&nonce),
        next: text,
        microsoft: true,
        provider: true,
        ended,
    };
    let enter = enter::EnterPage { layout: layout(text), name: "alpha".to_owned(), label: text.to_owned() };
    let open = |roles, expired| held::List::of(&held_list(text, expired), &Names::default(), roles, &key);
    let held = |list| held::HeldPage { layout: layout(text), name: "alpha".to_owned(), list };
    let inside = inside(text);
    let (asked_for, plan) = (Answer::default(), plan(text));
    let preview = |undone| Preview { undone, ..preview(text, plan.clone()) };
    let request = |answer: &Answer, preview: Option<&Preview>| request::RequestPage {
        layout: layout(text),
        shown: request::Shown::of(&inside, Uuid::from_u128(9), answer, preview, &Names::default(), key()),
    };
    let answered = Answer { answered: true, ..Answer::default() };
    let turned = Answer { refused: Some(("plan_changed".to_owned(), text.to_owned())), ..answered.clone() };
    let carried_out = Answer { job: Some(JobId(Uuid::from_u128(1))), ..Answer::default() };
    let settings = |found, roles| settings::SettingsPage {
        layout: layout(text),
        shown: settings::Shown::of("alpha", &found, &[contributor(text)], roles, windows()),
        saved: true,
        pbx: settings::Pbx {
            on: roles.may(Act::SwitchNextGen).then(|| (key(), text.to_owned())),
            refused: None,
        },
    };
    let replay = |auto| again::ReplayPage {
        layout: layout(text),
        name: "alpha".to_owned(),
        row: jobs::Row::of(&job_row(text, JobState::Failed), NOW),
        auto,
        key: key(),
    };
    let rendered = [
        ("overview", overview_page(&admin).render()),
        ("overview refused", overview_page(&manager).render()),
        ("overview live", overview::Live { shown: shown() }.render()),
        ("jobs", list.render()),
        ("jobs empty", empty_list.render()),
        ("job", job::JobPage { layout: layout(text), shown: job(JobState::Partly) }.render()),
        ("job bare", job::JobPage { layout: layout(text), shown: bare }.render()),
        ("job live", job::Live { shown: job(JobState::Running) }.render()),
        ("error", error::ErrorPage::of(&fault, &nonce).render()),
        ("error refused", error::ErrorPage::of(&refused, &nonce).render()),
        ("accounts", accounts(vec![accounts::Row::of(&row, NOW)], true).render()),
        ("accounts empty", accounts(Vec::new(), false).render()),
        ("sign in", sign_in(false).render()),
        ("signed out", sign_in(true).render()),
        ("enter", enter.render()),
        ("held", held(Some(open(&admin, false))).render()),
        ("held expired", held(Some(open(&admin, true))).render()),
        ("held refused", held(Some(open(&manager, false))).render()),
        ("held none", held(None).render()),
        ("request waits", request(&asked_for, None).render()),
        ("request of a plan", request(&answered, Some(&preview(None))).render()),
        ("request of an undo", request(&answered, Some(&preview(Some(JobId(Uuid::from_u128(1)))))).render()),
        ("request refused", request(&turned, None).render()),
        ("request done", request(&answered, None).render()),
        ("request live", request::Live { shown: request(&carried_out, None).shown }.render()),
        ("settings", settings(versioned(text, true), &admin).render()),
        ("settings off", settings(versioned(text, false), &admin).render()),
        ("settings refused", settings(versioned(text, true), &manager).render()),
        ("replay", replay(true).render()),
        ("replay of a manual one", replay(false).render()),
    ];
    let rendered = rendered.map(|(name, page)| (name, page.unwrap_or_else(|error| error.to_string())));
    let more = [
        sample_users::pages(text),
        sample_fleet::pages(text),
        sample_provider::pages(text),
        sample_bulk::pages(text),
        sample_mail::pages(text),
    ];
    rendered.into_iter().chain(more.into_iter().flatten()).collect()
}

#[test]
fn every_page_renders_its_samples_and_is_small() {
    for (name, page) in pages("Ana Costa") {
        assert!(page.trim_end().ends_with('>') && page.len() < 100_000, "{name}: {page}");
        assert!(page.contains("</"), "{name}: {page}");
        let whole = page.starts_with("<!doctype html>");
        assert_eq!(whole, !name.ends_with("live"), "{name}");
        if whole {
            for needed in ["<html lang=\"en\">", "<h1", "<main id=\"main\">", "name=\"viewport\""] {
                assert!(page.contains(needed), "{name} lacks {needed}");
            }
        }
    }
}

#[test]
fn b29_no_text_of_anybody_breaks_out_of_a_page() {
    for text in CORPUS {
        for ((name, page), (_, harmless)) in pages(text).into_iter().zip(pages("harmless")) {
            let tags = |page: &str| page.matches('<').count();
            assert_eq!(tags(&page), tags(&harmless), "{name} grows a tag of {text}");
            let quotes = |page: &str| page.matches('"').count();
            assert_eq!(quotes(&page), quotes(&harmless), "{name} grows an attribute of {text}");
            assert!(!page.contains(&format!("href=\"{text}")), "{name} leads to {text}");
        }
    }
}

#[test]
fn every_template_is_among_the_samples() {
    let source = concat!(
        include_str!("samples.rs"),
        include_str!("sample_users.rs"),
        include_str!("sample_fleet.rs"),
        include_str!("sample_provider.rs"),
        include_str!("sample_bulk.rs"),
        include_str!("sample_mail.rs")
    );
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        if module.starts_with("sample") {
            continue;
        }
        for page in
            text.split("#[template(path").skip(1).filter_map(|rest| rest.split("pub(crate) struct ").nth(1))
        {
            let name = page.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            assert!(source.contains(&format!("{module}::{name}")), "{module}::{name} has no sample");
        }
    }
}

#[test]
fn a5_whoever_may_not_sync_sees_why() {
    let refused = pages("x").into_iter().find(|(name, _)| *name == "overview refused").unwrap().1;
    assert!(refused.contains("only the Global Admin linked to the account"), "{refused}");
    assert!(!refused.contains("/sync\""), "no form to send");
}

#[test]
fn b33_names_as_long_as_they_may_be_in_any_script_leave_pages_whole() {
    // longer ones are refused where they come in
    for text in ["\u{1f469}\u{200d}\u{1f4bb}".repeat(133), "e\u{301}\u{202e}\u{430}dmin ".repeat(40)] {
        for (name, page) in pages(&text) {
            // fifty users, each field of each as long as it may be
            assert!(page.trim_end().ends_with('>') && page.len() < 1_000_000, "{name}: {} bytes", page.len());
        }
    }
}

#[test]
fn e33_before_the_first_sync_its_time_is_estimated_and_afterwards_no_more() {
    let mut row = overview_row("x");
    assert_eq!(overview::Shown::of(&row, None, NOW).first, None);
    (row.last, row.landed, row.mapped) = (None, 0, 50);
    let first = overview::Shown::of(&row, None, NOW).first.unwrap();
    assert_eq!(first, "A first sync of 50 users takes 30 s to 4 min 0 s.");
}

#[test]
fn auto_sync_is_never_on_beside_a_dead_authorization() {
    let shown = overview::Shown::of(&overview_row("x"), None, NOW);
    assert_eq!(shown.auto_sync, "waits for the authorization");
    assert_eq!(shown.state, "Not authorized");
}
