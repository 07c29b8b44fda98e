//! F45, the other half: a write that is given up while a job runs that planned before.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tandem_domain::JobId;
use tandem_domain::ladder::DeferReason;
use tandem_store::intents::{self, IntentEnd};
use tandem_store::users::{self, Deferral};
use tandem_store::{Login, StoreError};
use tandem_teams_sync::TeamsSyncSettings;
use tandem_tests::{Tester, fast_sync};

use super::stage::{quiet, settings, writes};

/// The job found the write of user 1 open and goes on with user 2; meanwhile a day is over and the write is given up.
/// The end of the job must not put user 1 back among those that wait, or a later job would send the write again.
#[tokio::test(flavor = "multi_thread")]
async fn f45_a_user_given_up_during_a_job_is_not_deferred_by_its_end() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    let stuck = json!({ "type": "operation", "stuck": true });
    tester
        .fault(&json!({ "kind": "assignNumber", "times": 1, "user": account.oid(1).0, "action": stuck }))
        .await?;
    tester.debouncer().await?;
    // ladders at the pace of the clock: nobody comes due by himself
    tester.teams_sync(&TeamsSyncSettings { ladder_speed: 1, ..settings() }).await?;
    tester.sync_log().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until_deferred(&account, 1, "operation_running").await;

    // the next worker is as patient with an operation as this test is
    tester.stop_roles().await?;
    let patient = TeamsSyncSettings {
        worker: "worker-2".to_owned(),
        ladder_speed: 1,
        operation_patience: Duration::from_secs(100),
        operation_life: Duration::from_secs(3600),
        ..fast_sync("worker-2")
    };
    tester.fault(&json!({ "kind": "operation", "action": { "type": "respond", "status": 404 } })).await?;
    tester.debouncer().await?;
    tester.teams_sync(&patient).await?;
    tester.sync_log().await?;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    tester.request(&account, "all").await?;
    let on_its_way = "select count(*) from sync.intents i join queue.jobs j using (job_id)
                       where j.state = 'running' and i.pbx_user_id like '%2' and i.state = 'accepted'";
    tester.until(on_its_way, 1).await;

    // the job follows the write of user 2; a day passes for that of user 1
    sqlx::query("update sync.intents set created_at = created_at - interval '1 day', next_look = now() where pbx_user_id = $1")
        .bind(account.user(1).0)
        .execute(&tester.admin)
        .await?;
    tester.until("select count(*) from sync.intents where state = 'given_up'", 1).await;
    assert_eq!(tester.count(on_its_way).await?, 1, "the job is still at work");
    tester.no_faults().await?;
    let all_over = "select (count(*) filter (where finished_at is null) = 0 and count(*) >= 2)::int::bigint from queue.jobs";
    tester.until(all_over, 1).await;

    assert_eq!(tester.count("select count(*) from sync.deferred").await?, 0, "nobody waits");
    let given_up = ("failed".to_owned(), Some("operation_not_finished".to_owned()));
    assert_eq!(tester.outcome(&account, 1).await?, given_up);
    assert_eq!(tester.outcome(&account, 2).await?.0, "confirmed");
    assert_eq!(writes(&tester, &account).await?.len(), 2, "one each");
    quiet(&tester).await?;
    tester.stop_roles().await?;
    tester.abandon().await;
    Ok(())
}

/// The same at the last moment: between the look at the open write and the commit of the job's end. Giving up waits for
/// the job, and then takes its deferral back.
#[tokio::test(flavor = "multi_thread")]
async fn f45_giving_up_waits_for_the_end_of_a_job_and_undoes_its_deferral() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    let stuck = json!({ "type": "operation", "stuck": true });
    tester.fault(&json!({ "kind": "assignNumber", "times": 1, "action": stuck })).await?;
    tester.debouncer().await?;
    tester.teams_sync(&TeamsSyncSettings { ladder_speed: 1, ..settings() }).await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.until_deferred(&account, 1, "operation_running").await;
    tester.stop_roles().await?;
    let (job, intent): (uuid::Uuid, uuid::Uuid) =
        sqlx::query_as("select job_id, intent_id from sync.intents").fetch_one(&tester.admin).await?;

    let store = tester.store(Login::TeamsSync);
    let mut ending = store.begin("test.finish").await?;
    let since = time::OffsetDateTime::UNIX_EPOCH;
    let given_up = intents::given_up(&mut ending, account.id, &[account.oid(1)], since).await?;
    assert!(given_up.is_empty(), "{given_up:?}");
    let mut giving_up = store.begin("test.give_up").await?;
    let (id, user) = (account.id, account.user(1));
    let given_up = tokio::spawn(async move {
        intents::end(&mut giving_up, intent, IntentEnd::GivenUp, Some("over"), None).await?;
        users::give_up(&mut giving_up, id, &user, "operation_not_finished", "over").await?;
        giving_up.commit().await?;
        Ok::<_, StoreError>(())
    });
    tester.until("select count(*) from pg_locks where not granted", 1).await;
    let deferral = Deferral {
        user: account.user(1),
        reason: DeferReason::OperationRunning,
        detail: "seen before".to_owned(),
        wait: Duration::from_secs(60),
    };
    users::defer(&mut ending, account.id, JobId(job), &[deferral]).await?;
    ending.commit().await?;
    given_up.await.context("the task")??;
    assert_eq!(tester.count("select count(*) from sync.deferred").await?, 0, "nobody waits");

    let mut later = store.begin("test.finish").await?;
    let known = intents::given_up(&mut later, account.id, &[account.oid(1)], since).await?;
    assert_eq!(known.get(&(account.user(1), account.oid(1))).map(String::as_str), Some("over"));
    let after = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(365 * 200);
    let old = intents::given_up(&mut later, account.id, &[account.oid(1)], after).await?;
    assert!(old.is_empty(), "what was given up before the job is no news to it: {old:?}");
    later.commit().await?;
    tester.abandon().await;
    Ok(())
}
