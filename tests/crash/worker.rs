//! Deaths of teams-sync, and of a worker that is frozen past its lease.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::json;
use tandem_testkit::eventually;

use crate::fleet::{Fleet, Options};

const N1: &str = "+12125550101";
const N2: &str = "+12125550102";
const N3: &str = "+12125550103";

/// One user gets a number; the worker dies at `point`; so many writes at most.
async fn one_user(point: &str, most_writes: usize) -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(2).await?;
    let dying = fleet.run_armed("teams-sync", point).await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    fleet.reborn(dying).await?;
    fleet.expect(&account, &[Some(N1), None], most_writes).await?;
    fleet.finish().await
}

/// Three users get numbers at once.
async fn three_users(point: &str, most_writes: usize) -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(3).await?;
    let dying = fleet.run_armed("teams-sync", point).await?;
    fleet.tester.save(&account, &[(1, Some(N1)), (2, Some(N2)), (3, Some(N3))]).await?;
    fleet.reborn(dying).await?;
    fleet.expect(&account, &[Some(N1), Some(N2), Some(N3)], most_writes).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_dies_after_the_claim() -> Result<()> {
    three_users("wrk.after_claim", 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_dies_between_intent_and_request() -> Result<()> {
    one_user("wrk.after_intent_before_send", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_dies_between_intent_and_request_with_others_in_flight() -> Result<()> {
    three_users("wrk.after_intent_before_send:2", 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_is_killed_while_a_reply_is_held_back() -> Result<()> {
    // the effect is there: reading settles it and nothing is sent again
    killed_while_waiting(json!({ "type": "delayReply", "ms": 60_000 }), 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_is_killed_while_a_request_hangs() -> Result<()> {
    // the effect never comes: reading settles that too, and only then the number is sent again
    killed_while_waiting(json!({ "type": "hang", "when": "before" }), 2).await
}

async fn killed_while_waiting(action: serde_json::Value, most_writes: usize) -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(2).await?;
    fleet.tester.fault(&json!({ "kind": "assignNumber", "times": 1, "action": action })).await?;
    for role in ["debouncer", "sync-log"] {
        fleet.run(role).await?;
    }
    let worker = fleet.run("teams-sync").await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    fleet.received("assignNumber", 1).await;
    fleet.process(worker).kill9().await?;
    fleet.run("teams-sync").await?;
    fleet.expect(&account, &[Some(N1), None], most_writes).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_a_reply_is_lost_on_the_way() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(3).await?;
    fleet
        .tester
        .fault(&json!({ "kind": "assignNumber", "times": 1, "action": { "type": "drop", "when": "after" } }))
        .await?;
    fleet
        .tester
        .fault(&json!({ "kind": "assignNumber", "times": 1, "action": { "type": "drop", "when": "before" } }))
        .await?;
    fleet.run("all").await?;
    fleet.tester.save(&account, &[(1, Some(N1)), (2, Some(N2)), (3, Some(N3))]).await?;
    fleet.expect(&account, &[Some(N1), Some(N2), Some(N3)], 4).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_dies_before_the_operation_is_on_record() -> Result<()> {
    one_user("wrk.after_202_before_location_saved", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_dies_while_the_operation_runs() -> Result<()> {
    one_user("wrk.op_running", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_dies_after_the_last_user() -> Result<()> {
    three_users("wrk.after_last_user_before_finish", 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_dies_after_the_end_of_the_job() -> Result<()> {
    three_users("wrk.after_finish_before_ack", 3).await
}

/// A swap is four steps, the first of which cuts the ring; the worker dies after the `steps`-th.
async fn dies_inside_a_swap(steps: u32) -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.account_with(&[N1, N2]).await?;
    let dying = fleet.run_armed("teams-sync", &format!("wrk.between_halves:{steps}")).await?;
    fleet.tester.save(&account, &[(1, Some(N2)), (2, Some(N1))]).await?;
    fleet.reborn(dying).await?;
    fleet.expect(&account, &[Some(N2), Some(N1)], 4).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_dies_between_the_halves_of_a_swap() -> Result<()> {
    dies_inside_a_swap(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_dies_before_the_last_step_of_a_swap() -> Result<()> {
    dies_inside_a_swap(3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_dies_inside_a_ring() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.account_with(&[N1, N2, N3]).await?;
    let dying = fleet.run_armed("teams-sync", "wrk.between_halves:3").await?;
    fleet.tester.save(&account, &[(1, Some(N2)), (2, Some(N3)), (3, Some(N1))]).await?;
    fleet.reborn(dying).await?;
    fleet.expect(&account, &[Some(N2), Some(N3), Some(N1)], 6).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_a_worker_frozen_past_its_lease_does_nothing_when_it_wakes() -> Result<()> {
    let mut fleet = Fleet::with(Options { in_flight: 1, ..Options::default() }).await?;
    let account = fleet.tester.account(3).await?;
    // the reply of the first write is on its way when the worker freezes
    fleet
        .tester
        .fault(&json!({ "kind": "assignNumber", "times": 1, "action": { "type": "delayReply", "ms": 400 } }))
        .await?;
    for role in ["debouncer", "sync-log"] {
        fleet.run(role).await?;
    }
    let frozen = fleet.run("teams-sync").await?;
    fleet.tester.save(&account, &[(1, Some(N1)), (2, Some(N2)), (3, Some(N3))]).await?;
    fleet.received("assignNumber", 1).await;
    fleet.process(frozen).signal(Signal::SIGSTOP)?;
    fleet.run("teams-sync").await?;
    eventually(Duration::from_secs(30), async || {
        let taken = fleet.tester.count("select count(*) from queue.jobs where epoch = 2").await.ok()?;
        (taken == 1).then_some(())
    })
    .await;
    fleet.received("assignNumber", 3).await;
    fleet.process(frozen).signal(Signal::SIGCONT)?;
    // it notices that its claim is gone, and that its writes to the database are refused
    fleet.process(frozen).says("job left to its next claim").await;
    fleet.expect(&account, &[Some(N1), Some(N2), Some(N3)], 3).await?;
    let late = fleet
        .tester
        .count(
            "select count(*) from sync.intents i join queue.events e on e.job_id = i.job_id and e.kind = 'taken_over'
              where i.epoch = 1 and i.created_at > e.at",
        )
        .await?;
    assert_eq!(late, 0, "writes of the frozen worker after it was relieved");
    let after = fleet
        .tester
        .count("select count(*) from queue.events e join queue.jobs j using (job_id) where j.epoch = 2 and e.kind = 'planned'")
        .await?;
    assert_eq!(after, 2, "one plan for each claim");
    fleet.finish().await
}
