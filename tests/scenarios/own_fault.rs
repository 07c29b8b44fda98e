//! Microsoft refuses the provider's own credential: nobody is disconnected, nobody is counted as failed, the jobs of
//! all tenants wait and go on by themselves.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tandem_domain::JobId;
use tandem_domain::job::JobType;
use tandem_store::Login;
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester, fast_sync};

/// The question whether the credential works again comes after three seconds, then after six and twelve.
fn patient() -> TeamsSyncSettings {
    TeamsSyncSettings { ladder_speed: 10, ..fast_sync("worker-1") }
}

async fn roles(tester: &mut Tester) -> Result<()> {
    tester.patience = Duration::from_secs(180);
    tester.debouncer().await?;
    tester.teams_sync(&patient()).await?;
    tester.sync_log().await
}

fn expired() -> Value {
    json!({ "kind": "token", "action": { "type": "tokenError", "code": 7_000_222, "error": "invalid_client",
            "description": "The provided client secret keys for app are expired.", "status": 401 } })
}

async fn texts(tester: &Tester, sql: &'static str) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(sql).fetch_all(&tester.admin).await?)
}

async fn nobody_is_to_blame(tester: &Tester) -> Result<()> {
    for (what, sql) in [
        ("a failed job", "select count(*) from queue.jobs where state in ('failed', 'partly', 'cancelled')"),
        ("an account on a ladder", "select count(*) from sync.accounts where failures > 0"),
        ("a deferred user", "select count(*) from sync.deferred"),
        ("a disconnected customer", "select count(*) from vault.authorizations where state <> 'healthy'"),
        ("a change on record", "select count(*) from vault.authorization_history where from_state <> 'none'"),
    ] {
        assert_eq!(tester.count(sql).await?, 0, "{what}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f47_an_expired_credential_parks_the_jobs_of_all_tenants_and_disconnects_none() -> Result<()> {
    let mut tester = Tester::start().await?;
    let mut accounts = Vec::new();
    for _ in 0..6 {
        accounts.push(tester.account(2).await?);
    }
    tester.fault(&expired()).await?;
    roles(&mut tester).await?;
    for account in &accounts {
        tester.save(account, &[(1, Some("+12125550101"))]).await?;
    }
    tester
        .until("select count(*) from queue.jobs where state = 'queued' and parked = 'own_credential'", 6)
        .await;
    tester.until("select count(*) from vault.apps where state = 'own_fault'", 1).await;
    nobody_is_to_blame(&tester).await?;
    // from now on one question at a time, whatever waits
    let before = tester.requests("token").await?.len();
    tester.until("select count(*) from vault.apps where probes >= 2", 1).await;
    let asked = tester.requests("token").await?.len() - before;
    assert!(asked <= 3, "{asked} questions for two or three probes: a storm");
    assert_eq!(tester.stat("writes").await?, 0);
    tester.no_faults().await?;
    tester.at_rest().await;
    for account in &accounts {
        assert_eq!(tester.jobs(account).await?, ["succeeded"]);
        assert_eq!(tester.teams(account, 1).await?.number.as_deref(), Some("+12125550101"));
    }
    nobody_is_to_blame(&tester).await?;
    assert_eq!(texts(&tester, "select state from vault.apps").await?, ["healthy"]);
    let told = "select count(distinct job_id) from log.steps where kind = 'parked' and data->>'reason' = 'own_credential'";
    assert_eq!(tester.count(told).await?, 6, "every job says that it waited");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f47_a_credential_that_ends_in_the_middle_of_a_job_loses_and_repeats_nothing() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(8).await?;
    // the token that the job begins with is rejected after three numbers, and no other is given
    let rejected = json!({ "kind": "assignNumber", "skip": 3, "times": 1, "action": { "type": "respond", "status": 401 } });
    tester.fault(&rejected).await?;
    let mut refused = expired();
    refused["skip"] = json!(1);
    tester.fault(&refused).await?;
    tester.patience = Duration::from_secs(180);
    tester.debouncer().await?;
    tester.teams_sync(&TeamsSyncSettings { in_flight: 1, ..patient() }).await?;
    tester.sync_log().await?;
    let numbers: Vec<String> = (1..=8).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester
        .until("select count(*) from queue.jobs where state = 'queued' and parked = 'own_credential'", 1)
        .await;
    nobody_is_to_blame(&tester).await?;
    tester.no_faults().await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"], "one job, put back once");
    assert_eq!(tester.numbers(&account, 8).await?.iter().flatten().count(), 8);
    let effective = tester.requests("assignNumber").await?.iter().filter(|r| r["status"] == 202).count();
    assert_eq!(effective, 8, "each number was given once");
    tester.until("select count(*) from sync.users where settled_gen > 0", 8).await;
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f47_what_one_tenant_says_of_our_credential_does_not_stop_the_others() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (odd, well) = (tester.account(1).await?, tester.account(1).await?);
    let mut fault = expired();
    fault["tenant"] = json!(odd.tenant);
    fault["action"]["code"] = json!(7_999_999);
    tester.fault(&fault).await?;
    roles(&mut tester).await?;
    tester.save(&odd, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where error_code = 'authorization_failed'", 1).await;
    tester.save(&well, &[(1, Some("+12125550102"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'succeeded'", 1).await;
    assert_eq!(tester.jobs(&well).await?, ["succeeded"]);
    assert_eq!(tester.count("select count(*) from vault.apps").await?, 0, "nobody was parked");
    assert_eq!(tester.count("select count(*) from vault.authorizations where state <> 'healthy'").await?, 0);
    tester.no_faults().await?;
    tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f47_a_customer_with_an_app_of_its_own_is_alone_at_fault() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (own, other) = (tester.account(1).await?, tester.account(1).await?);
    sqlx::query("update vault.authorizations set client_id = 'an-app-of-the-customer' where account_id = $1")
        .bind(own.id.0)
        .execute(&tester.admin)
        .await?;
    let mut fault = expired();
    fault["tenant"] = json!(own.tenant);
    tester.fault(&fault).await?;
    roles(&mut tester).await?;
    tester.save(&own, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from vault.authorizations where state = 'own_fault' and reason = 'own_credential'", 1).await;
    tester.save(&other, &[(1, Some("+12125550102"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'succeeded'", 1).await;
    assert_eq!(tester.jobs(&other).await?, ["succeeded"]);
    assert_eq!(tester.count("select count(*) from vault.apps").await?, 0);
    let quarantined = "select count(*) from sync.accounts where quarantine_reason = 'own_credential'";
    assert_eq!(tester.count(quarantined).await?, 1);
    tester.no_faults().await?;
    tester.abandon().await;
    Ok(())
}

/// Two jobs of one account when the fault is found: the one that ran is given up for the one that waits.
#[tokio::test(flavor = "multi_thread")]
async fn f47_a_job_with_a_successor_is_given_up_for_it() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'queued'", 1).await;
    // a worker that vanishes with the job in hand
    let store = tester.store(Login::TeamsSync);
    let lease = Duration::from_millis(200);
    let claim = eventually(Duration::from_secs(10), || async {
        tandem_store::claims::claim(&store, "vanished", JobType::Auto, 1, lease).await.ok()?.pop()
    })
    .await;
    store.close().await;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'queued'", 1).await;
    tester.fault(&expired()).await?;
    tester.teams_sync(&patient()).await?;
    tester.until("select count(*) from queue.jobs where state = 'cancelled'", 1).await;
    let given_up = texts(&tester, "select job_id::text from queue.jobs where state = 'cancelled'").await?;
    assert_eq!(given_up.first().context("none")?.parse::<uuid::Uuid>().map(JobId)?, claim.job);
    tester.no_faults().await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["cancelled", "succeeded"]);
    both(&tester, &account).await?;
    tester.finish().await
}

async fn both(tester: &Tester, account: &Account) -> Result<()> {
    let number = |n: &str| Some(n.to_owned());
    assert_eq!(tester.numbers(account, 2).await?, [number("+12125550101"), number("+12125550102")]);
    Ok(())
}
