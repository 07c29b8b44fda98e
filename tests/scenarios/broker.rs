//! The servers below: PostgreSQL is the truth, the broker is a doorbell. A broker that dies, forgets everything or was
//! never there costs latency; a database that dies stops the work until it is back.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester};

async fn until_number(tester: &Tester, account: &Account, i: u32, number: &str) {
    eventually(Duration::from_secs(40), || async {
        (tester.teams(account, i).await.ok()?.number.as_deref() == Some(number)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_delays_nothing_that_matters() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    tester.nats.server.kill9().await;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    until_number(&tester, &account, 2, "+12125550102").await;
    tester.nats.server.restart().await?;
    tester.save(&account, &[(3, Some("+12125550103"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 3);
    assert_eq!(tester.numbers(&account, 3).await?.iter().flatten().count(), 3);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgets_everything_is_given_its_streams_again() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(4).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    // its acknowledgements are lies from here on
    tester.nats.server.wipe_store()?;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    until_number(&tester, &account, 2, "+12125550102").await;
    tester.nats.server.kill9().await;
    tester.nats.server.wipe_store()?;
    tester.nats.server.restart().await?;
    tester.save(&account, &[(3, Some("+12125550103"))]).await?;
    until_number(&tester, &account, 3, "+12125550103").await;
    tester.save(&account, &[(4, Some("+12125550104"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 4);
    assert_eq!(tester.numbers(&account, 4).await?.iter().flatten().count(), 4);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_the_sweeps_do_the_work() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.nats.server.kill9().await;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    until_number(&tester, &account, 1, "+12125550101").await;
    tester.save(&account, &[(1, Some("+12125550109")), (2, Some("+12125550101"))]).await?;
    until_number(&tester, &account, 2, "+12125550101").await;
    until_number(&tester, &account, 1, "+12125550109").await;
    // the log follows too; only announcements wait
    eventually(Duration::from_secs(40), || async {
        let unrest = tester.unrest(true).await.ok()?;
        unrest.iter().all(|(what, _)| what == "announcements waiting").then_some(())
    })
    .await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded", "succeeded"]);
    tester.nats.server.restart().await?;
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_blocks_nobody() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.all_roles().await?;
    tester.nats.server.pause();
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    until_number(&tester, &account, 1, "+12125550101").await;
    tester.nats.server.resume();
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_killed_in_the_middle_of_a_job_leads_to_no_second_write() -> Result<()> {
    let mut tester = Tester::start().await?;
    // what a client was told is committed stays committed, as in production
    sqlx::query("alter database test set synchronous_commit = on").execute(&tester.admin).await?;
    let account = tester.account(12).await?;
    tester.settings(&json!({ "operationLatencyMs": 600 })).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=12).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.until("select count(*) from sync.intents where state in ('sent', 'accepted')", 3).await;
    tester.pg.server.kill9().await;
    tester.pg.server.restart().await?;
    tester.at_rest().await;
    let expected: Vec<Option<String>> = numbers.into_iter().map(Some).collect();
    assert_eq!(tester.numbers(&account, 12).await?, expected);
    let effective = tester.requests("assignNumber").await?.iter().filter(|r| r["status"] == 202).count();
    assert_eq!(effective, 12, "each number was given once");
    tester.finish().await
}
