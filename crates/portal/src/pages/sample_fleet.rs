//! Samples of the pages of operators.

use std::collections::BTreeMap;

use askama::Template;
use tandem_domain::AccountId;
use tandem_domain::account_state::AccountState;
use tandem_domain::job::JobState;
use tandem_store::admin::sources::SourceRow;
use tandem_store::portal::detector::{Hold, Push, Read};
use tandem_store::portal::fleet::{Count, FailureGroup, Lateness, Waiting};
use time::Duration;
use uuid::Uuid;

use super::detector;
use super::fleet::{self, Asked};
use super::pause::PauseForm;
use super::samples::{NOW, layout};
use crate::pages::Layout;
use crate::plots;
use crate::work::Page;
use crate::work::detector as work;
use crate::work::fleet::Standing;

fn operators(text: &str) -> Layout {
    Layout { account: None, operator: true, here: "fleet", ..layout(text) }
}

fn waiting(text: &str, minutes: i64) -> Waiting {
    Waiting {
        account: AccountId(Uuid::from_u128(2)),
        name: "alpha".to_owned(),
        label: text.to_owned(),
        since: NOW - Duration::minutes(minutes),
        due_at: (minutes == 1).then_some(NOW),
        parked: (minutes == 9).then(|| text.to_owned()),
        paused_until: (minutes == 12).then_some(NOW),
        changes: minutes * 100,
    }
}

fn detector_log(text: &str) -> work::Found {
    let read = |error| Read {
        source: text.to_owned(),
        started_at: NOW,
        ended_at: NOW,
        users: Some(5),
        unbound: Some(1),
        unusable: Some(0),
        held: Some(2),
        changes: None,
        error,
    };
    let hold = |released| Hold {
        account: "alpha".to_owned(),
        source: text.to_owned(),
        missing: 4,
        known: 9,
        since: NOW,
        released,
    };
    let push = Push {
        account: text.to_owned(),
        received_at: NOW,
        changed: 1,
        generation: 7,
        waiting: Some("paused".to_owned()),
    };
    let source = SourceRow {
        source: text.to_owned(),
        reading: false,
        last_ended_at: Some(NOW),
        last_ok_at: None,
        next_read_at: None,
        users: None,
        unbound: None,
        accounts: 3,
        held: 1,
        error_code: Some("zero_rows".to_owned()),
        error: Some(text.to_owned()),
    };
    let refused = ("zero_rows".to_owned(), text.to_owned());
    work::Found {
        sources: vec![source],
        holds: vec![hold(None), hold(Some((NOW, text.to_owned(), Some(text.to_owned()))))],
        reads: Page { rows: vec![read(None), read(Some(refused))], next: Some((NOW, "pbx".to_owned())) },
        pushes: vec![push],
    }
}

pub(super) fn pages(text: &str) -> Vec<(&'static str, String)> {
    let count = Count { accounts: 3, oldest: Some(NOW), oldest_auto: None };
    let standing = Standing {
        counts: AccountState::ALL.iter().map(|state| (*state, count)).collect(),
        waiting: Page {
            rows: [12, 9, 2, 1].map(|minutes| waiting(text, minutes)).into(),
            next: Some((NOW, "alpha".to_owned())),
        },
    };
    let none = Standing { counts: Vec::new(), waiting: Page { rows: Vec::new(), next: None } };
    let late = vec![(None, Lateness { started: 4, start_p50: Some(61.5), ..Lateness::default() })];
    let group = FailureGroup {
        fingerprint: "transient-0123abcd".to_owned(),
        code: "transient".to_owned(),
        text: text.to_owned(),
        jobs: 212,
        accounts: 38,
        since: NOW,
        last: NOW,
    };
    let shown = |standing| fleet::Shown::of(standing, &Asked::default(), NOW);
    let hour = NOW.replace_time(time::macros::time!(13:00));
    let jobs = BTreeMap::from([((hour, JobState::Succeeded), 7), ((hour, JobState::Failed), 1)]);
    let lates = BTreeMap::from([(hour, (61.0, 230.0))]);
    let pause = |on| PauseForm { action: "/fleet/pause".to_owned(), on };
    let full = fleet::FleetPage {
        layout: operators(text),
        shown: shown(&standing),
        hours: 24,
        charts: vec![plots::throughput(&jobs, 24, NOW), plots::late(&lates, 24, NOW)],
        late: fleet::LateRow::all(&late),
        failures: vec![fleet::FailureRow::of(&group, NOW)],
        pause: pause(true),
        kept: Some(fleet::kept((4, Some(NOW)), NOW)),
    };
    let empty = fleet::FleetPage {
        layout: operators(text),
        shown: shown(&none),
        hours: 72,
        charts: vec![plots::late(&BTreeMap::new(), 72, NOW)],
        late: fleet::LateRow::all(&Vec::new()),
        failures: Vec::new(),
        pause: pause(false),
        kept: None,
    };
    let some = detector_log(text);
    let nothing = work::Found {
        sources: Vec::new(),
        holds: Vec::new(),
        reads: Page { rows: Vec::new(), next: None },
        pushes: Vec::new(),
    };
    let detector =
        |found| detector::DetectorPage::of(operators(text), detector::Asked::default(), found, NOW);
    let rendered = [
        ("detector", detector(&some).render()),
        ("detector empty", detector(&nothing).render()),
        ("fleet", full.render()),
        ("fleet empty", empty.render()),
        ("fleet live", fleet::Live { shown: shown(&standing) }.render()),
    ];
    rendered.map(|(name, page)| (name, page.unwrap_or_else(|error| error.to_string()))).into()
}

#[test]
fn idea3_who_is_nearly_late_or_late_is_said_in_words() {
    let (_, page) = pages("x").into_iter().find(|(name, _)| *name == "fleet").unwrap();
    for needed in
        [">late</span>", ">nearly late</span>", ">in time</span>", "starts", "14:08 UTC", "1 min 1 s"]
    {
        assert!(page.to_lowercase().contains(&needed.to_lowercase()), "{needed}: {page}");
    }
    assert!(page.contains("href=\"/fleet/jobs?fingerprint=transient-0123abcd\""), "{page}");
}
