//! Who may work on an account: hand-over to a waiting job, Auto Sync switched off, a person's request, and workers that
//! fell silent.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tandem_domain::JobId;
use tandem_domain::job::JobType;
use tandem_store::intents::NewIntent;
use tandem_store::{Login, claims, intents};
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Tester, fast_sync};
use uuid::Uuid;

/// One step after the other.
fn one_at_a_time() -> TeamsSyncSettings {
    TeamsSyncSettings { in_flight: 1, ..fast_sync("worker-1") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_hands_over_to_the_one_that_waits_but_not_inside_a_swap() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(14).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    let worker = tester.context();
    tester.teams_sync(&one_at_a_time()).await?;
    let old: Vec<String> = (1..=2).map(|i| account.telephone(i)).collect();
    tester.save(&account, &[(1, Some(&old[0])), (2, Some(&old[1]))]).await?;
    tester.at_rest().await;
    tester.settings(&json!({ "operationLatencyMs": 700 })).await?;
    let numbers: Vec<String> = (1..=14).map(|i| account.telephone(i)).collect();
    let mut edits: Vec<(u32, Option<&str>)> =
        (3..=13).map(|i| (i, Some(numbers[i as usize - 1].as_str()))).collect();
    edits.extend([(1, Some(old[1].as_str())), (2, Some(old[0].as_str()))]);
    tester.save(&account, &edits).await?;
    // the swap comes first; the change lands while it is under way
    tester.until("select count(*) from sync.intents where action = 'unassign_number'", 1).await;
    let generation = tester.save(&account, &[(14, Some(&numbers[13]))]).await?;
    let asked = worker.clock.now();
    tester.until_covered(&account, generation).await;
    assert!(
        worker.clock.now() - asked < time::Duration::seconds(20),
        "the next job did not wait for all of them"
    );
    tester.at_rest().await;
    let handed_over = tester.count("select count(*) from queue.events where kind = 'handed_over'").await?;
    assert_eq!(handed_over, 1);
    let jobs_of_swap = tester
        .count("select count(distinct job_id) from sync.intents where pbx_user_id in ('ext-00001', 'ext-00002') and
                created_at >= (select min(created_at) from sync.intents where action = 'unassign_number')")
        .await?;
    assert_eq!(jobs_of_swap, 1, "the swap was finished by the job that began it");
    let mut expected: Vec<Option<String>> = numbers.into_iter().map(Some).collect();
    expected.swap(0, 1);
    assert_eq!(tester.numbers(&account, 14).await?, expected);
    assert_eq!(tester.requests("assignNumber").await?.len(), 16, "nothing was written twice");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_auto_sync_off_a_queued_job_is_cancelled_and_its_changes_wait() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'queued'", 1).await;
    tester.setting(&account, "auto_sync", "update admin.accounts set auto_sync = false").await?;
    tester.teams_sync(&fast_sync("worker-1")).await?;
    tester.until("select count(*) from queue.jobs where state = 'cancelled'", 1).await;
    assert_eq!(tester.requests("assignNumber").await?.len(), 0);
    tester.setting(&account, "auto_sync", "update admin.accounts set auto_sync = true").await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["cancelled", "succeeded"]);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_ends_by_itself_loses_nothing() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'queued'", 1).await;
    sqlx::query(
        "update admin.accounts set paused_until = now() + interval '3 seconds', pause_reason = 'moving'",
    )
    .execute(&tester.admin)
    .await?;
    tester.teams_sync(&fast_sync("worker-1")).await?;
    tester.until("select count(*) from queue.jobs where state = 'cancelled'", 1).await;
    tester
        .until("select count(*) from queue.windows where first_change_at is not null and due_at is null", 1)
        .await;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["cancelled", "succeeded"]);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_stops_starting_users_once_auto_sync_is_off() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(12).await?;
    tester.settings(&json!({ "operationLatencyMs": 500 })).await?;
    tester.debouncer().await?;
    tester.teams_sync(&one_at_a_time()).await?;
    tester.sync_log().await?;
    let numbers: Vec<String> = (1..=12).map(|i| account.telephone(i)).collect();
    let edits: Vec<_> = numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.until("select count(*) from sync.intents", 1).await;
    sqlx::query("update admin.accounts set auto_sync = false").execute(&tester.admin).await?;
    tester.until("select count(*) from queue.jobs where state = 'cancelled'", 1).await;
    let sent = tester.requests("assignNumber").await?.len();
    assert!(sent < 12, "{sent} of 12 were sent after the switch");
    sqlx::query("update admin.accounts set auto_sync = true").execute(&tester.admin).await?;
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 12).await?.iter().flatten().count(), 12);
    assert_eq!(tester.requests("assignNumber").await?.len(), 12);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_joins_the_auto_job_that_waits() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until("select count(*) from queue.jobs where state = 'queued' and job_type = 'auto'", 1).await;
    tester.request(&account, "changed").await?;
    tester.until("select count(*) from queue.jobs where state = 'queued' and job_type = 'manual'", 1).await;
    tester.teams_sync(&fast_sync("worker-1")).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    assert_eq!(
        tester.count("select count(*) from log.jobs where job_type = 'manual' and person = 'test'").await?,
        1
    );
    assert_eq!(tester.requests("assignNumber").await?.len(), 1);
    tester.finish().await
}

/// A worker that claims the queued job and is never heard of again.
async fn claim_and_vanish(tester: &Tester) -> Result<claims::Claim> {
    let store = tester.store(Login::TeamsSync);
    let lease = Duration::from_secs(2);
    let claimed = eventually(Duration::from_secs(20), || async {
        let found = claims::claim(&store, "vanished", JobType::Auto, 1, lease).await.ok()?;
        found.into_iter().next()
    })
    .await;
    store.close().await;
    Ok(claimed)
}

/// The vanished worker had recorded a write and perhaps sent it.
async fn leave_intent(tester: &Tester, account: &Account, claim: &claims::Claim, number: &str) -> Result<()> {
    let store = tester.store(Login::TeamsSync);
    let mut tx = store.begin("test.intent").await?;
    let (user, id) = (account.user(1), Uuid::from_u128(0xdead));
    let intent = NewIntent {
        id,
        account: account.id,
        job: JobId(claim.job.0),
        epoch: claim.epoch,
        step: 1,
        user: &user,
        oid: account.oid(1),
        action: "assign_number",
        number: Some(number),
        policy_type: None,
        policy_name: None,
        client_request_id: id,
        look_after: Duration::from_secs(3),
    };
    assert!(intents::open(&mut tx, &intent).await?);
    tx.commit().await?;
    store.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_workers_job_is_taken_over_and_its_open_write_resolved_first() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    let claim = claim_and_vanish(&tester).await?;
    leave_intent(&tester, &account, &claim, "+12125550101").await?;
    tester.teams_sync(&fast_sync("worker-2")).await?;
    tester.at_rest().await;
    assert_eq!(tester.intents(&account, 1).await?, ["not_done", "done"]);
    let waited: f64 = sqlx::query_scalar(
        "select extract(epoch from min(at) filter (where kind = 'taken_over') - min(at) filter (where kind = 'started'))::float8
           from queue.events where job_id = $1",
    )
    .bind(claim.job.0)
    .fetch_optional(&tester.admin)
    .await?
    .context("the job was not taken over")?;
    assert!(waited >= 3.5, "taken over after {waited} s, before lease and wait-out had passed");
    // the verdicts at the end say that nothing was sent for the first user while the write was open
    assert_eq!(tester.numbers(&account, 2).await?.iter().flatten().count(), 2);
    assert_eq!(tester.requests("assignNumber").await?.len(), 2);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_silent_worker_that_had_its_effect_is_not_repeated() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    tester.debouncer().await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    let claim = claim_and_vanish(&tester).await?;
    leave_intent(&tester, &account, &claim, "+12125550101").await?;
    let path = format!("tenants/{}/numbers/%2B12125550101", account.tenant);
    let held = json!({ "telephoneNumber": "+12125550101", "assignedTo": account.upn(1), "keep": false });
    tester.switch(reqwest::Method::PUT, &path, Some(&held)).await?;
    tester.teams_sync(&fast_sync("worker-2")).await?;
    tester.at_rest().await;
    assert_eq!(tester.intents(&account, 1).await?, ["done"]);
    assert_eq!(tester.requests("assignNumber").await?.len(), 0);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    tester.finish().await
}
