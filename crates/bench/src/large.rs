//! A job of a very large account: how much memory its worker takes (I34).

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::child::{Child, Spec};
use crate::cpu;
use crate::report::say;
use crate::servers::Servers;
use crate::tenant::{Customer, Microsoft, Pressure};

/// Users of the account, all to be given a number.
const USERS: u32 = 100_000;
const LATENCY: Duration = Duration::from_millis(50);
/// Far more than a tenant bears, so that the whole job takes minutes and not hours.
const PRESSURE: Pressure = Pressure { rate_per_s: 5_000, operations: 100 };
const LONGEST: Duration = Duration::from_secs(1_800);

/// Peak memory of a worker process, in MiB, from its start until a first sync of everybody is over.
pub(crate) async fn memory(servers: &Servers) -> Result<f64> {
    let stage = servers.stage().await?;
    let microsoft = Microsoft::start(LATENCY).await?;
    say(&format!("  making an account of {USERS} users"));
    let customer = Customer::make(&stage, &microsoft, 1, USERS).await?;
    stage.settle().await?;
    let spec = Spec::worker(&stage, "large", 1, microsoft.sim.base_url(), PRESSURE);
    let child = Child::start(&spec).await?;
    customer.everybody(&stage).await?;
    let (state, seconds, counts) = customer.ended(&stage, LONGEST).await?;
    ensure!(state == "succeeded", "the job ended {state}: {counts}");
    let peak = cpu::memory_mib(child.pid(), "VmHWM")?;
    let now = cpu::memory_mib(child.pid(), "VmRSS")?;
    say(&format!("  peak {peak:.0} MiB, {now:.0} MiB afterwards; the job took {seconds:.0} s"));
    child.kill().await?;
    microsoft.sim.shutdown().await;
    servers.clear(stage).await?;
    Ok(peak)
}
