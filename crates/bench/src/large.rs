//! A job of a very large account: how much memory its worker takes (I34).

use std::time::Duration;

use anyhow::{Context, Result};

use crate::child::{Child, Spec};
use crate::cpu;
use crate::report::say;
use crate::servers::Servers;
use crate::takeover::until;
use crate::tenant::{Customer, Microsoft};

/// Users of the account, all to be given a number.
const USERS: u32 = 100_000;
const LATENCY: Duration = Duration::from_millis(800);
/// Writes after which the worker has held everything that a job holds at once.
const WRITES: i64 = 50;

/// Peak memory of a worker process, in MiB, from its start until a first sync of everybody is well into its writes. The
/// rest of the writes, hours of them at the rate of production, adds what is kept of each user that is done.
pub(crate) async fn memory(servers: &Servers) -> Result<f64> {
    let stage = servers.stage().await?;
    let microsoft = Microsoft::start(LATENCY).await?;
    say(&format!("  making an account of {USERS} users"));
    let customer = Customer::make(&stage, &microsoft, 1, USERS).await?;
    stage.settle().await?;
    let child = Child::start(&Spec::worker(&stage, "large", 1, microsoft.sim.base_url())).await?;
    customer.everybody(&stage).await?;
    let sent = "select count(*) from sync.intents where account_id = $1";
    until(Duration::from_secs(600), || async {
        let sent: i64 = sqlx::query_scalar(sent).bind(customer.account.0).fetch_one(&stage.owner).await?;
        Ok((sent >= WRITES).then_some(()))
    })
    .await
    .context("the job does not come to its writes")?;
    let peak = cpu::memory_mib(child.pid(), "VmHWM")?;
    let now = cpu::memory_mib(child.pid(), "VmRSS")?;
    say(&format!("  peak {peak:.0} MiB, {now:.0} MiB while it writes"));
    child.kill().await?;
    microsoft.sim.shutdown().await;
    servers.clear(stage).await?;
    Ok(peak)
}
