//! Edits as the PBX makes them, each with the events that must come of it: `edits.sql`, step by step.

use anyhow::{Result, ensure};
use serde_json::Value;
use tandem_domain::guard::RemovalGuard;
use tandem_pbx::fixture;
use tandem_testkit::Pg;

use crate::detect::{Detector, load, run, source};

pub(crate) struct Step {
    pub(crate) title: String,
    pub(crate) sql: String,
    pub(crate) expected: Vec<Value>,
}

pub(crate) fn steps(text: &str) -> Result<Vec<Step>> {
    text.split("-- @step ")
        .skip(1)
        .map(|part| {
            let (title, rest) = part.split_once('\n').unwrap_or((part, ""));
            let lines: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix("-- @expect ")).collect();
            ensure!(!lines.is_empty(), "step without expectation: {title}");
            let expected =
                lines.iter().filter(|line| **line != "none").map(|line| Ok(serde_json::from_str(line)?));
            Ok(Step {
                title: title.to_owned(),
                sql: rest.to_owned(),
                expected: expected.collect::<Result<_>>()?,
            })
        })
        .collect()
}

/// Whether exactly the expected events came. `each` stands for many: `a/1101..1125`, or `a/*` with `count`.
pub(crate) fn compare(title: &str, mut events: Vec<Value>, expected: &[Value]) -> Result<()> {
    for wanted in expected {
        let (want_who, each) = match (wanted["who"].as_str(), wanted["each"].as_str()) {
            (Some(who), _) => (who, false),
            (_, Some(each)) => (each, true),
            _ => anyhow::bail!("{title}: neither who nor each"),
        };
        let count = if !each {
            1
        } else if let Some(count) = wanted["count"].as_u64() {
            count
        } else {
            let (from, to) =
                want_who.rsplit_once('/').and_then(|(_, range)| range.split_once("..")).unwrap_or(("0", "0"));
            to.parse::<u64>()? - from.parse::<u64>()? + 1
        };
        let account = want_who.split('/').next().unwrap_or_default();
        let before = events.len() as u64;
        events.retain(|event| {
            let who = event["who"].as_str().unwrap_or_default();
            let same_who = if each { who.split('/').next() == Some(account) } else { who == want_who };
            !(same_who
                && event["type"] == wanted["type"]
                && (wanted["changes"].is_null() || event["changes"] == wanted["changes"]))
        });
        let found = before - events.len() as u64;
        ensure!(
            found == count,
            "{title}: {found} instead of {count} events like {wanted}; others: {events:?}"
        );
    }
    ensure!(events.is_empty(), "{title}: nobody expected {events:?}");
    Ok(())
}

#[tokio::test]
async fn e5_every_edit_tells_its_events_and_no_others() -> Result<()> {
    let pg = Pg::start().await?;
    load(&pg.url, fixture::SCHEMA_5_4).await?;
    let source = source(&pg.url);
    let mut detector = Detector::default();
    ensure!(detector.settle(&source).await?.len() == 43);
    for step in steps(include_str!("edits.sql"))? {
        if step.title.starts_with("upgrade") {
            run(&pg.url, fixture::UPGRADE_5_4_TO_5_5).await?;
        }
        run(&pg.url, &step.sql).await?;
        compare(&step.title, detector.settle(&source).await?, &step.expected)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_mass_deletion_and_an_empty_source_are_not_believed() -> Result<()> {
    let pg = Pg::start().await?;
    load(&pg.url, fixture::SCHEMA_5_5).await?;
    let source = source(&pg.url);
    let mut detector = Detector::default();
    detector.settle(&source).await?;
    let alpha = fixture::domain_uuid("alpha.example.com").unwrap_or_default();
    run(&pg.url, &format!("DELETE FROM v_extensions WHERE domain_uuid = '{alpha}' AND extension < '1006'"))
        .await?;
    for _ in 0..3 {
        let (events, finish) = detector.look(&source, RemovalGuard::DEFAULT).await?;
        ensure!(events.is_empty() && finish.held.len() == 1 && finish.held[0].missing == 5, "{finish:?}");
    }
    run(&pg.url, "DELETE FROM v_extensions").await?;
    let (events, finish) = detector.look(&source, RemovalGuard::DEFAULT).await?;
    ensure!(events.is_empty() && finish.refused.is_some_and(|r| r.code() == "zero_rows"));
    run(&pg.url, "TRUNCATE v_domains, v_users, v_extension_users, v_voicemails, v_follow_me, v_follow_me_destinations, \
        v_destinations, v_xml_cdr, v_voicemail_messages")
    .await?;
    run(&pg.url, fixture::DEMO).await?;
    ensure!(detector.settle(&source).await?.is_empty(), "restored from a backup: nothing happened");
    Ok(())
}
