//! Processes leave in order when asked, at once when asked twice, and do not start where they cannot be watched.

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::Instant;

use crate::fleet::Fleet;

const N1: &str = "+12125550101";
const N2: &str = "+12125550102";

#[tokio::test(flavor = "multi_thread")]
async fn every_role_leaves_within_its_deadline() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let roles = ["detector", "debouncer", "teams-sync", "sync-log", "all"];
    let ids = roles.iter().map(|role| fleet.spawn(role, &[])).collect::<Result<Vec<_>>>()?;
    fleet.ready(&ids).await?;
    for id in ids {
        let asked = Instant::now();
        fleet.leave(id).await?;
        assert!(asked.elapsed() < tandem_runtime::lifecycle::DRAIN_DEADLINE, "{:?}", asked.elapsed());
    }
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_a_job_in_hand_leaves_in_order() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(2).await?;
    fleet.tester.settings(&json!({ "operationLatencyMs": 700 })).await?;
    for role in ["debouncer", "sync-log"] {
        fleet.run(role).await?;
    }
    let worker = fleet.run("teams-sync").await?;
    fleet.tester.save(&account, &[(1, Some(N1)), (2, Some(N2))]).await?;
    fleet.received("assignNumber", 1).await;
    fleet.leave(worker).await?;
    let running = fleet.tester.count("select count(*) from queue.jobs where state = 'running'").await?;
    assert_eq!(running, 0, "the job was finished or handed over, not left behind");
    fleet.run("teams-sync").await?;
    fleet.expect(&account, &[Some(N1), Some(N2)], 2).await?;
    let epochs = fleet.tester.count("select coalesce(max(epoch), 0)::bigint from queue.jobs").await?;
    assert_eq!(epochs, 1, "nothing had to be taken over");
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_aborts() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(1).await?;
    // the worker would wait for the operation, which is slow
    fleet
        .tester
        .fault(&json!({ "kind": "assignNumber", "times": 1, "action": { "type": "operation", "latencyMs": 2500 } }))
        .await?;
    for role in ["debouncer", "sync-log"] {
        fleet.run(role).await?;
    }
    let worker = fleet.run("teams-sync").await?;
    fleet.tester.save(&account, &[(1, Some(N1))]).await?;
    fleet.received("operation", 1).await;
    let process = fleet.process(worker);
    process.signal(Signal::SIGTERM)?;
    process.says("interrupt once more to abort").await;
    process.signal(Signal::SIGTERM)?;
    let status = process.ended().await?;
    assert_eq!(status.code(), Some(130), "{status}");
    fleet.run("teams-sync").await?;
    fleet.expect(&account, &[Some(N1)], 1).await?;
    fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_health_port_is_an_error_at_start() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    let refused = fleet.spawn("sync-log", &["--health", &address])?;
    let process = fleet.process(refused);
    let status = process.ended().await?;
    assert_eq!(status.code(), Some(1), "{status}");
    let said = process.said();
    assert!(said.contains(&format!("listen for health checks on {address}")), "{said}");
    fleet.finish().await
}
