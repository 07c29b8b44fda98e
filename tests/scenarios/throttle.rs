//! Microsoft asks to slow down: no request comes early, the work gets done, and other tenants do not notice.

use anyhow::Result;
use serde_json::json;
use tandem_tests::Tester;

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
