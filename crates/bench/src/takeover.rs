//! A worker process killed in the middle of a job: how long until the job runs again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::Row;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::child::{Child, Spec};
use crate::report::say;
use crate::servers::Servers;
use crate::tenant::{Customer, Microsoft, Pressure};

/// Long enough that no job ends before its worker is killed.
const LATENCY: Duration = Duration::from_secs(8);
const USERS: u32 = 200;
/// Between two kills, so that they fall into different moments of the heartbeat.
const APART: Duration = Duration::from_millis(3_300);

/// One value for each killed worker; all run side by side with a worker that stays. Leases, heartbeats, budgets and
/// sweeps as in production.
pub(crate) async fn run(servers: &Servers, kills: usize) -> Result<Vec<f64>> {
    let stage = servers.stage().await?;
    let microsoft = Microsoft::start(LATENCY).await?;
    let mut victims = Vec::new();
    for number in 1..=u32::try_from(kills)? {
        let customer = Customer::make(&stage, &microsoft, number, USERS).await?;
        customer.changed(&stage, 1, USERS).await?;
        let spec = Spec::worker(
            &stage,
            &format!("victim-{number}"),
            1,
            microsoft.sim.base_url(),
            Pressure::PRODUCTION,
        );
        let child = Child::start(&spec).await?;
        // writes under way, and none of them ended
        let sent = "select count(*) from sync.intents where account_id = $1 and ended_at is null";
        until(Duration::from_secs(60), || async {
            let open: i64 = sqlx::query_scalar(sent).bind(customer.account.0).fetch_one(&stage.owner).await?;
            Ok((open > 0).then_some(()))
        })
        .await
        .context("a job does not send anything")?;
        victims.push((customer.account.0, child));
    }
    let stays =
        Child::start(&Spec::worker(&stage, "successor", 500, microsoft.sim.base_url(), Pressure::PRODUCTION))
            .await?;
    let mut killed = Vec::new();
    for (account, child) in victims {
        sleep(APART).await;
        child.kill().await?;
        killed.push((account, Instant::now()));
    }
    say("  workers killed; waiting for their leases and what a successor waits beyond");
    let mut seconds = Vec::new();
    for (account, at) in killed {
        let taken =
            until(Duration::from_secs(180), || async { taken_over(&stage.owner, account).await }).await?;
        let late = taken.elapsed();
        seconds.push((at.elapsed() - late).as_secs_f64());
    }
    stays.kill().await?;
    microsoft.sim.shutdown().await;
    servers.clear(stage).await?;
    Ok(seconds)
}

/// When the account's job was claimed a second time, on this process's clock.
async fn taken_over(owner: &sqlx::PgPool, account: Uuid) -> Result<Option<Instant>> {
    let row = sqlx::query(
        "select extract(epoch from clock_timestamp() - e.at)::float8 as ago
           from queue.jobs j join queue.events e on e.job_id = j.job_id and e.kind = 'taken_over' where j.account_id = $1",
    )
    .bind(account)
    .fetch_optional(owner)
    .await?;
    Ok(row.map(|row| Instant::now() - Duration::from_secs_f64(row.get::<f64, _>("ago").max(0.0))))
}

async fn until<T, F>(within: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "waited for {} s", within.as_secs());
        sleep(Duration::from_millis(100)).await;
    }
}
