//! Microsoft asks to slow down: no request comes early, the work gets done, and other tenants do not notice.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester, fast_sync};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_job_waits_as_told_and_finishes() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(30).await?;
    let budget = json!({ "requests": 12, "windowSeconds": 1.0, "retryAfterSeconds": 1 });
    tester.settings(&json!({ "throttling": { "perAppTenant": budget } })).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=30).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    assert!(tester.stat("throttled").await? > 0, "there was something to wait for");
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    let expected: Vec<Option<String>> = numbers.into_iter().map(Some).collect();
    assert_eq!(tester.numbers(&account, 30).await?, expected);
    let effective = tester.requests("assignNumber").await?.iter().filter(|r| r["status"] == 202).count();
    assert_eq!(effective, 30, "each number was given once");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_in_the_middle_of_writes_and_reads_cost_time_only() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(4).await?;
    for (kind, skip) in [("assignNumber", 1), ("operation", 2), ("userConfigurations.get", 1)] {
        let action = json!({ "type": "throttle", "retryAfter": "1" });
        tester.fault(&json!({ "kind": kind, "skip": skip, "times": 1, "action": action })).await?;
    }
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=4).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_throttled_for_long_are_deferred_and_come_again() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    // longer than a call waits
    let action = json!({ "type": "throttle", "retryAfter": "14" });
    tester.fault(&json!({ "kind": "assignNumber", "times": 1, "action": action })).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    tester.until("select count(*) from sync.deferred where reason = 'throttled'", 1).await;
    tester.at_rest().await;
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    assert_eq!(tester.numbers(&account, 2).await?.iter().flatten().count(), 2);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storming_tenant_does_not_delay_another_account() -> Result<()> {
    let mut tester = Tester::start().await?;
    let storming = tester.account(3).await?;
    let calm = tester.account(3).await?;
    let action = json!({ "type": "throttle", "retryAfter": "3" });
    tester
        .fault(&json!({ "tenant": storming.tenant, "method": "GET", "times": 3, "action": action }))
        .await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=3).map(|i| calm.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&storming, &edits).await?;
    tester.until("select count(*) from queue.jobs where state = 'running'", 1).await;
    tester.save(&calm, &edits).await?;
    tester.until("select count(*) from queue.jobs where state = 'succeeded'", 1).await;
    assert_eq!(tester.jobs(&calm).await?, ["succeeded"]);
    assert_eq!(tester.jobs(&storming).await?, ["running"], "the calm one is through while the other waits");
    tester.at_rest().await;
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    assert_eq!(tester.numbers(&storming, 3).await?.iter().flatten().count(), 3);
    tester.finish().await
}

/// Edits that give every user of an account a number.
async fn give_numbers(tester: &Tester, account: &Account, users: u32) -> Result<()> {
    let numbers: Vec<String> = (1..=users).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(account, &edits).await.map(|_| ())
}

/// A worker with few places.
fn narrow(worker: &str, auto_slots: usize) -> TeamsSyncSettings {
    TeamsSyncSettings { auto_slots, ..fast_sync(worker) }
}

#[tokio::test(flavor = "multi_thread")]
async fn i22_a_parked_job_holds_no_slot() -> Result<()> {
    let mut tester = Tester::start().await?;
    let storming = tester.account(2).await?;
    let calm = tester.account(2).await?;
    // longer than a call waits
    let action = json!({ "type": "throttle", "retryAfter": "25" });
    tester
        .fault(&json!({ "tenant": storming.tenant, "method": "GET", "times": 1, "action": action }))
        .await?;
    tester.debouncer().await?;
    tester.teams_sync(&narrow("worker-1", 1)).await?;
    tester.sync_log().await?;
    give_numbers(&tester, &storming, 2).await?;
    tester.until("select count(*) from queue.events where kind = 'parked'", 1).await;
    assert_eq!(tester.jobs(&storming).await?, ["queued"], "it waits for Microsoft, and in the queue");
    give_numbers(&tester, &calm, 2).await?;
    tester.until("select count(*) from queue.jobs where state = 'succeeded'", 1).await;
    assert_eq!(tester.jobs(&calm).await?, ["succeeded"], "the only place was free");
    assert_eq!(tester.jobs(&storming).await?, ["queued"]);
    tester.at_rest().await;
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    assert_eq!(tester.jobs(&storming).await?, ["succeeded"], "the same job went on");
    let counted = "select coalesce(sum(failures), 0)::bigint from sync.accounts";
    assert_eq!(tester.count(counted).await?, 0, "waiting is not failing");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn i22_one_storming_tenant_does_not_delay_two_hundred_calm_ones() -> Result<()> {
    let mut tester = Tester::start().await?;
    tester.patience = Duration::from_secs(180);
    let storming = tester.account(3).await?;
    let mut calm = Vec::new();
    for _ in 0..200 {
        calm.push(tester.account(1).await?);
    }
    let action = json!({ "type": "throttle", "retryAfter": "2" });
    let storm = json!({ "tenant": storming.tenant, "pathContains": "/v1.0/", "action": action });
    tester.fault(&storm).await?;
    tester.debouncer().await?;
    tester.teams_sync(&narrow("worker-1", 20)).await?;
    tester.sync_log().await?;
    give_numbers(&tester, &storming, 3).await?;
    tester.until("select count(*) from queue.events where kind = 'started'", 1).await;
    for account in &calm {
        give_numbers(&tester, account, 1).await?;
    }
    let done = "select count(*) from queue.jobs where state = 'succeeded'";
    eventually(Duration::from_secs(150), || async { (tester.count(done).await.ok()? >= 200).then_some(()) })
        .await;
    let states = tester.jobs(&storming).await?;
    assert!(!states.contains(&"succeeded".to_owned()), "the storm went on all the while: {states:?}");
    let others = "select count(*) from queue.jobs where state in ('failed', 'partly', 'cancelled')";
    assert_eq!(tester.count(others).await?, 0);
    let late =
        "select count(*) from queue.jobs where state = 'succeeded' and started_at > due_at + interval '60 s'";
    assert_eq!(tester.count(late).await?, 0, "calm tenants started in time");
    assert!(tester.stat("throttled").await? > 0, "there was a storm");
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    tester.no_faults().await?;
    tester.at_rest().await;
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    assert_eq!(tester.numbers(&storming, 3).await?.iter().flatten().count(), 3);
    tester.finish().await
}

fn at(entry: &Value) -> Result<OffsetDateTime> {
    Ok(OffsetDateTime::parse(entry["at"].as_str().context("at")?, &Rfc3339)?)
}

/// What one worker is told about the whole app stops the other as well, and every tenant.
#[tokio::test(flavor = "multi_thread")]
async fn i23_an_app_wide_wait_stops_both_workers() -> Result<()> {
    let mut tester = Tester::start().await?;
    tester.rates = (40, 60);
    let mut accounts = Vec::new();
    for _ in 0..6 {
        accounts.push(tester.account(4).await?);
    }
    let action = json!({ "type": "throttle", "retryAfter": "4", "scope": "Application/ReadWrite/app" });
    tester.fault(&json!({ "kind": "operation", "skip": 3, "times": 1, "action": action })).await?;
    tester.debouncer().await?;
    tester.teams_sync(&narrow("worker-1", 3)).await?;
    tester.teams_sync(&narrow("worker-2", 3)).await?;
    tester.sync_log().await?;
    for account in &accounts {
        give_numbers(&tester, account, 4).await?;
    }
    tester.at_rest().await;
    let workers = "select count(distinct data->>'worker') from queue.events where kind = 'started'";
    assert_eq!(tester.count(workers).await?, 2, "both had jobs");
    let log = tester.switch(reqwest::Method::GET, "requests?limit=100000", None).await?;
    let graph: Vec<&Value> = log["requests"]
        .as_array()
        .context("a list")?
        .iter()
        .filter(|entry| entry["path"].as_str().is_some_and(|path| path.starts_with("/v1.0/")))
        .collect();
    let told = at(graph.iter().find(|entry| entry["status"] == 429).context("the refusal")?)?;
    // what was under way already may still arrive
    let (from, to) = (told + Duration::from_millis(500), told + Duration::from_millis(3_950));
    let mut early = 0;
    for entry in &graph {
        let when = at(entry)?;
        early += usize::from(when > from && when < to);
    }
    assert_eq!(early, 0, "requests while the whole app had to wait");
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    assert!(graph.iter().any(|entry| at(entry).is_ok_and(|when| when >= to)), "and then they went on");
    tester.finish().await
}
