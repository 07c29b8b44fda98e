//! F46, F47: a token that is rejected in the middle and stays so, and a token endpoint that asks to wait.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_tests::{Account, Tester, fast_sync};

use super::stage::{quiet, settings, writes};

async fn edit(tester: &Tester, account: &Account, users: u32) -> Result<()> {
    let n: Vec<String> = (1..=users).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = n.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(account, &edits).await.map(|_| ())
}

/// Requests for tokens of an account's tenant.
async fn tokens(tester: &Tester, account: &Account) -> Result<usize> {
    let path = format!("requests?kind=token&tenant={}&limit=100000", account.tenant);
    let log = tester.switch(Method::GET, &path, None).await?;
    Ok(log["requests"].as_array().map_or(0, Vec::len))
}

/// From the third write on, Graph rejects every token: one fresh token shows that it means it. Then nothing is asked any
/// more but what the ladder allows, and when the tokens are good again the rest is done.
#[tokio::test(flavor = "multi_thread")]
async fn f46_a_rejection_that_lasts_stops_the_job_and_the_account() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(6).await?;
    let reject = json!({ "type": "captured", "name": "claims_challenge" });
    tester.fault(&json!({ "kind": "assignNumber", "skip": 2, "action": reject })).await?;
    // the canary and the next job meet the same
    tester.fault(&json!({ "kind": "organization", "action": reject })).await?;
    tester.debouncer().await?;
    let one_by_one = TeamsSyncSettings { in_flight: 1, ladder_speed: 10, ..fast_sync("worker-1") };
    tester.teams_sync(&one_by_one).await?;
    tester.sync_log().await?;
    tester.patience = Duration::from_secs(180);
    edit(&tester, &account, 6).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'token_rejected'", 1).await;
    let refused =
        "select count(*) from vault.authorizations where state = 'revoked' and reason = 'token_rejected'";
    assert_eq!(tester.count(refused).await?, 1);
    let quarantined = "select count(*) from sync.accounts where quarantine_reason = 'token_rejected'";
    assert_eq!(tester.count(quarantined).await?, 1);
    assert_eq!(
        writes(&tester, &account).await?.len(),
        4,
        "two given; the third refused with the old and a fresh token"
    );
    // two for the job, and one after the state was noted and the token at hand thrown away
    let fetched = tokens(&tester, &account).await?;
    assert!((2..=3).contains(&fetched), "{fetched} tokens");
    // a new change waits and asks nothing
    tester.save(&account, &[(1, Some("+12125550150"))]).await?;
    tester
        .until("select count(*) from queue.jobs where state = 'queued' and parked = 'not_authorized'", 1)
        .await;
    assert_eq!(writes(&tester, &account).await?.len(), 4);
    tester.no_faults().await?;
    sqlx::query("update vault.authorizations set next_canary = now()").execute(&tester.admin).await?;
    tester.at_rest().await;
    assert_eq!(tester.count("select count(*) from vault.authorizations where state = 'healthy'").await?, 1);
    assert_eq!(tester.numbers(&account, 6).await?.iter().flatten().count(), 6);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550150"));
    quiet(&tester).await?;
    tester.finish().await
}

/// A short wait is waited out within the job.
#[tokio::test(flavor = "multi_thread")]
async fn f47_i23_a_token_endpoint_that_asks_to_wait_is_obeyed() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    let action = json!({ "type": "throttle", "retryAfter": "2" });
    tester.fault(&json!({ "kind": "token", "times": 1, "action": action })).await?;
    tester.debouncer().await?;
    tester.teams_sync(&settings()).await?;
    tester.sync_log().await?;
    edit(&tester, &account, 3).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    assert_eq!(tokens(&tester, &account).await?, 2, "refused once, asked once more");
    quiet(&tester).await?;
    tester.finish().await
}

/// A long one parks the job, uncounted, for every worker; the neighbour is served, and the job goes on when it is over.
#[tokio::test(flavor = "multi_thread")]
async fn f47_i23_a_long_wait_for_a_token_parks_the_job_for_all_workers() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    let calm = tester.account(2).await?;
    let action = json!({ "type": "throttle", "retryAfter": "25" });
    tester.fault(&json!({ "kind": "token", "tenant": account.tenant, "times": 1, "action": action })).await?;
    tester.debouncer().await?;
    tester.teams_sync(&fast_sync("worker-1")).await?;
    tester.teams_sync(&fast_sync("worker-2")).await?;
    tester.sync_log().await?;
    tester.patience = Duration::from_secs(120);
    edit(&tester, &account, 2).await?;
    tester.until("select count(*) from queue.events where kind = 'parked'", 1).await;
    assert_eq!(tester.jobs(&account).await?, ["queued"]);
    let shut = "select count(*) from sync.budgets where scope like 'login:%' and shut_until > now()";
    assert_eq!(tester.count(shut).await?, 1, "all processes know");
    edit(&tester, &calm, 2).await?;
    tester.until("select count(*) from queue.jobs where state = 'succeeded'", 1).await;
    assert_eq!(tester.jobs(&calm).await?, ["succeeded"]);
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"], "the same job went on");
    assert_eq!(tester.stat("earlyCalls").await?, 0);
    let counted = "select coalesce(sum(failures), 0)::bigint from sync.accounts";
    assert_eq!(tester.count(counted).await?, 0, "waiting is not failing");
    let healthy = "select count(*) from vault.authorizations where state = 'healthy'";
    assert_eq!(tester.count(healthy).await?, 2, "and says nothing of the authorization");
    quiet(&tester).await?;
    tester.finish().await
}
