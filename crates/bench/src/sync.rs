//! Jobs: requests against what they must be, and time against what budget and latency allow.

use std::time::Duration;

use anyhow::{Result, ensure};
use tandem_teams_sync::TeamsSyncSettings;

use crate::report::say;
use crate::servers::{Servers, context, end};
use crate::tenant::{Customer, Microsoft, Pressure, graph, worker};

/// Users of the tenant.
const USERS: u32 = 1_000;
/// Users of the small job.
const CHANGED: u32 = 100;
/// An operation takes this long.
const LATENCY: Duration = Duration::from_millis(800);
/// Twenty times the default rate, so that a run takes seconds and not minutes.
const PRESSURE: Pressure = Pressure { rate_per_s: 100, operations: 50 };

/// One run.
pub(crate) struct Run {
    /// Requests of a job of 100 changed users against pages, writes and one poll for each.
    pub(crate) requests: f64,
    /// Time of the first sync of 1,000 users against the bound.
    pub(crate) wall: f64,
}

/// A first sync of 1,000 users, and a job of 100 changed users in a tenant of the same size.
pub(crate) async fn run(servers: &Servers) -> Result<Run> {
    let stage = servers.stage().await?;
    let microsoft = Microsoft::start(LATENCY).await?;
    let all = Customer::make(&stage, &microsoft, 1, USERS).await?;
    let some = Customer::make(&stage, &microsoft, 2, USERS).await?;
    stage.settle().await?;
    let outside = graph(microsoft.sim.base_url(), PRESSURE)?;
    let pages = some.pages(&microsoft, &outside).await?;

    let ctx = context();
    let settings = TeamsSyncSettings {
        worker: "bench".to_owned(),
        in_flight: PRESSURE.operations,
        sweep: Duration::from_millis(100),
        ..TeamsSyncSettings::default()
    };
    worker(&ctx, &stage, graph(microsoft.sim.base_url(), PRESSURE)?, &settings).await?;
    microsoft.counted().await?;
    servers.count_statements(&stage).await?;
    all.changed(&stage, 1, USERS).await?;
    let (state, seconds, counts) = all.ended(&stage, Duration::from_secs(120)).await?;
    ensure!(state == "succeeded", "the first sync ended {state}: {counts}");
    servers.tell_statements(&stage).await?;
    let first: u64 = microsoft.counted().await?.values().sum();
    let writes = f64::from(USERS);
    let by_budget = (pages as f64 + 2.0 * writes) / f64::from(PRESSURE.rate_per_s);
    let by_latency = writes * LATENCY.as_secs_f64() / PRESSURE.operations as f64;
    let bound = by_budget.max(by_latency);

    some.changed(&stage, 1, CHANGED).await?;
    let (state, small, counts) = some.ended(&stage, Duration::from_secs(60)).await?;
    ensure!(state == "succeeded", "the job ended {state}: {counts}");
    let kinds = microsoft.counted().await?;
    let requests: u64 = kinds.values().sum();
    let least = pages as f64 + 2.0 * f64::from(CHANGED);
    say(&format!(
        "  first sync {seconds:.1} s with {first} requests, bound {bound:.1} s (budget {by_budget:.1}, latency {by_latency:.1}); job of {CHANGED}: {small:.1} s, {requests} requests against {least} ({pages} pages): {kinds:?}"
    ));
    end(&ctx).await?;
    microsoft.sim.shutdown().await;
    servers.clear(stage).await?;
    Ok(Run { requests: requests as f64 / least, wall: seconds / bound })
}
