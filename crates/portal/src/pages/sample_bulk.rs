//! Samples of the pages about many jobs at once, about stopping one, and about tokens.

use askama::Template;
use serde_json::json;
use tandem_domain::job::JobState;
use tandem_domain::{AccountId, JobId};
use tandem_store::bulk::{Bulk, BulkAccount, Count};
use tandem_store::fleet_jobs::FleetJob;
use tandem_store::portal::tokens::TokenRow;
use uuid::Uuid;

use super::samples::{NOW, job_row, layout};
use super::{again, bulk, fleet_jobs, jobs as job_list, tokens};
use crate::work::Page;
use crate::work::bulk::{Draft, Seen};
use crate::work::fleet_jobs::{Asked, Found};

fn act(text: &str, over: bool) -> Bulk {
    Bulk {
        id: Uuid::from_u128(9),
        name: text.to_owned(),
        reason: text.to_owned(),
        person: text.to_owned(),
        filter: Some(json!({ "state": "failed", "q": text })),
        jobs: 300,
        created_at: NOW,
        aborted: over.then(|| (NOW, text.to_owned())),
        finished_at: over.then_some(NOW),
    }
}

fn seen(text: &str, over: bool) -> Seen {
    let count = |state: &str| Count { state: state.to_owned(), jobs: 3, accounts: 1 };
    let account = |state: &str, refused: Option<&str>| BulkAccount {
        account: AccountId(Uuid::from_u128(2)),
        name: "alpha".to_owned(),
        label: text.to_owned(),
        jobs: 3,
        state: state.to_owned(),
        job: refused.is_none().then(|| JobId(Uuid::from_u128(1))),
        refused: refused.map(str::to_owned),
        parked: Some("quarantine".to_owned()),
    };
    let rows = vec![
        account("queued", None),
        account("refused", Some("account_paused")),
        account("refused", Some("teams_needs_auto_sync")),
        account("refused", Some("not_found")),
    ];
    Seen {
        bulk: act(text, over),
        counts: ["waiting", "asked", "refused", "queued", "failed"].map(count).into(),
        accounts: Page { rows, next: Some(AccountId(Uuid::from_u128(2))) },
    }
}

pub(super) fn pages(text: &str) -> Vec<(&'static str, String)> {
    let asked = Asked { q: text.to_owned(), account: text.to_owned(), ..Asked::default() };
    let row = |account: Option<(String, String)>| FleetJob { row: job_row(text, JobState::Failed), account };
    let job = JobId(Uuid::from_u128(1));
    let found = Found {
        rows: vec![row(Some(("alpha".to_owned(), text.to_owned()))), row(None)],
        next: Some(job),
        looked_to: Some(job),
    };
    let nothing = Found { rows: Vec::new(), next: None, looked_to: None };
    let jobs = |asked, found| fleet_jobs::FleetJobsPage::of(layout(text), asked, found, NOW).render();
    let draft = |filter| Draft { filter, jobs: vec![job.0, job.0], accounts: 1, left_out: 1 };
    let new = |filter| bulk::NewPage::of(layout(text), &draft(filter), text.to_owned()).render();
    let list =
        |rows| bulk::ListPage { layout: layout(text), rows, older: Some("/fleet/bulk?after=x".to_owned()) };
    let shown = |over| bulk::Shown::of(&seen(text, over), text.to_owned());
    let cancel = again::CancelPage {
        layout: layout(text),
        name: "alpha".to_owned(),
        row: job_list::Row::of(&job_row(text, JobState::Running), NOW),
        key: text.to_owned(),
    };
    let token = |revoked: bool| {
        let row = TokenRow {
            id: Uuid::from_u128(5),
            name: text.to_owned(),
            created_at: NOW,
            expires_at: NOW + time::Duration::DAY,
            used_at: revoked.then_some(NOW),
            revoked_at: revoked.then_some(NOW),
        };
        tokens::Row::of(&row, NOW)
    };
    let tokens = |rows, made| tokens::TokensPage {
        layout: layout(text),
        rows,
        made,
        key: text.to_owned(),
        operator: true,
    };
    let rendered = [
        ("fleet jobs", jobs(asked.clone(), &found)),
        ("fleet jobs empty", jobs(Asked::default(), &nothing)),
        ("bulk new", new(Some(asked))),
        ("bulk new of a selection", new(None)),
        (
            "bulk acts",
            list(vec![bulk::Head::of(&act(text, true)), bulk::Head::of(&act(text, false))]).render(),
        ),
        ("bulk acts empty", list(Vec::new()).render()),
        ("bulk", bulk::BulkPage { layout: layout(text), shown: shown(false) }.render()),
        ("bulk aborted", bulk::BulkPage { layout: layout(text), shown: shown(true) }.render()),
        ("cancel", cancel.render()),
        ("tokens", tokens(vec![token(false), token(true)], Some(text.to_owned().into())).render()),
        ("tokens empty", tokens(Vec::new(), None).render()),
        ("bulk live", bulk::Live { shown: shown(false) }.render()),
    ];
    rendered.map(|(name, page)| (name, page.unwrap_or_else(|error| error.to_string()))).into()
}
