//! Consent that is gone, permissions that are missing, tokens that are not ours, a login that is down: nothing is
//! written, the account waits on its ladder, and no change is lost.

use anyhow::Result;
use serde_json::json;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester, fast_sync};

/// The first automatic new try comes after six seconds.
fn patient() -> TeamsSyncSettings {
    TeamsSyncSettings { ladder_speed: 300, ..fast_sync("worker-1") }
}

async fn roles(tester: &mut Tester) -> Result<()> {
    tester.debouncer().await?;
    tester.teams_sync(&patient()).await?;
    tester.sync_log().await
}

/// Waits for a failed job with this code, and checks that nothing was written and the account waits.
async fn until_failed(tester: &Tester, account: &Account, code: &'static str) -> Result<()> {
    tester.until("select count(*) from queue.jobs where state = 'failed'", 1).await;
    let codes: Vec<String> =
        sqlx::query_scalar("select error_code from queue.jobs where account_id = $1 and state = 'failed'")
            .bind(account.id.0)
            .fetch_all(&tester.admin)
            .await?;
    assert_eq!(codes, [code]);
    let waiting =
        "select count(*) from sync.accounts where failures = 1 and retry_at > now() and covered_gen = 0";
    assert_eq!(tester.count(waiting).await?, 1, "on its ladder, the range not covered");
    Ok(())
}

async fn converges(tester: Tester, account: &Account) -> Result<()> {
    tester.at_rest().await;
    assert_eq!(tester.jobs(account).await?.last().map(String::as_str), Some("succeeded"));
    assert_eq!(tester.teams(account, 1).await?.number.as_deref(), Some("+12125550101"));
    assert_eq!(tester.count("select count(*) from sync.accounts where failures = 0").await?, 1);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_consent_fails_the_job_and_loses_nothing() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.revoke_consent(&account).await?;
    roles(&mut tester).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    until_failed(&tester, &account, "authorization_revoked").await?;
    assert_eq!(tester.stat("writes").await?, 0);
    tester.consent(&account, None).await?;
    converges(tester, &account).await
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_revoked_while_tokens_are_cached_stops_the_writes() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    roles(&mut tester).await?;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    tester.revoke_consent(&account).await?;
    let before = tester.stat("writes").await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'authorization_revoked'", 1).await;
    assert_eq!(tester.stat("writes").await?, before);
    tester.consent(&account, None).await?;
    converges(tester, &account).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_permission_ends_in_the_middle_keeps_what_was_done() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(8).await?;
    let refusal = json!({ "kind": "assignNumber", "skip": 2, "times": 1, "action": { "type": "respond", "status": 403 } });
    tester.fault(&refusal).await?;
    tester.debouncer().await?;
    tester.teams_sync(&TeamsSyncSettings { in_flight: 1, ..patient() }).await?;
    tester.sync_log().await?;
    let numbers: Vec<String> = (1..=8).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'permission_refused'", 1).await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 3, "nothing is started after the refusal");
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 8).await?.iter().flatten().count(), 8);
    let effective = tester.requests("assignNumber").await?.iter().filter(|r| r["status"] == 202).count();
    assert_eq!(effective, 8, "each number was given once");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    let weak = ["User.Read.All", "TeamsUserConfiguration.Read.All", "TeamsPolicyUserAssign.ReadWrite.All"];
    tester.consent(&account, Some(&weak)).await?;
    roles(&mut tester).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    until_failed(&tester, &account, "permission_missing").await?;
    let named =
        "select count(*) from queue.jobs where error_text like '%TeamsTelephoneNumber.ReadWrite.All%'";
    assert_eq!(tester.count(named).await?, 1);
    assert_eq!(tester.stat("writes").await?, 0);
    tester.consent(&account, None).await?;
    converges(tester, &account).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_tenant_is_never_used() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    let other = tester.account(1).await?;
    let action = json!({ "type": "token", "tid": other.tenant });
    tester.fault(&json!({ "kind": "token", "tenant": account.tenant, "action": action })).await?;
    roles(&mut tester).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    until_failed(&tester, &account, "wrong_tenant").await?;
    assert_eq!(tester.stat("writes").await?, 0);
    let log = tester.switch(reqwest::Method::GET, "requests", None).await?;
    let tokens_only = log["requests"].as_array().is_some_and(|all| all.iter().all(|r| r["kind"] == "token"));
    assert!(tokens_only, "not even a read was sent with it");
    tester.no_faults().await?;
    converges(tester, &account).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_stumbles_is_tried_again() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester
        .fault(&json!({ "kind": "token", "times": 1, "action": { "type": "respond", "status": 503 } }))
        .await?;
    roles(&mut tester).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    converges(tester, &account).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_down_costs_time_only() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.fault(&json!({ "kind": "token", "action": { "type": "respond", "status": 503 } })).await?;
    roles(&mut tester).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    eventually(std::time::Duration::from_secs(45), || async {
        let failed = "select count(*) from queue.jobs where error_code = 'microsoft_unavailable'";
        (tester.count(failed).await.ok()? == 1).then_some(())
    })
    .await;
    assert_eq!(tester.stat("writes").await?, 0);
    tester.no_faults().await?;
    converges(tester, &account).await
}
