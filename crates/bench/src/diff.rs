//! Snapshots: what a read costs beyond the query, and what a large one needs in memory.

use std::time::Duration;

use anyhow::{Result, ensure};
use secrecy::SecretString;
use tandem_detector::{DetectorSettings, Parts, SourceSettings};
use tandem_outbox::Bell;
use tandem_runtime::Ctx;
use tandem_store::Login;
use tokio::time::{Instant, sleep};

use crate::child::{Child, Spec};
use crate::cpu;
use crate::pbx::{ONE_PERCENT, Pbx, SOURCE, source};
use crate::report::{median, say};
use crate::servers::{Servers, Stage, context, end};

const USERS: u32 = 50_000;
const MANY: u32 = 1_000_000;
/// Longer than any run: a read happens when it is asked for.
const NEVER: Duration = Duration::from_secs(100_000);

/// Share of the query's time that a read takes beyond it.
pub(crate) struct Run {
    pub(crate) unchanged: f64,
    pub(crate) one_percent: f64,
}

/// Reads of 50,000 users: `runs` of each kind, the query by itself in between.
pub(crate) async fn overheads(servers: &Servers, runs: usize) -> Result<Vec<Run>> {
    let stage = servers.stage().await?;
    let pbx = Pbx::make(servers, &stage, USERS).await?;
    let ctx = context();
    detector(&ctx, &stage, &pbx.url).await?;
    // the first read stores everybody; the second finds what a start leaves to do
    read(&stage).await?;
    stage.settle().await?;
    read(&stage).await?;
    let mut found = Vec::new();
    for _ in 0..runs {
        let before = pbx.query_s().await?;
        let unchanged = read(&stage).await?;
        let between = pbx.query_s().await?;
        sqlx::raw_sql(ONE_PERCENT).execute(&pbx.pool).await?;
        sqlx::raw_sql("vacuum analyze").execute(&pbx.pool).await?;
        let changes = stage.number("select coalesce(sum(gen), 0)::bigint from change.generations").await?;
        let one_percent = read(&stage).await?;
        let told = stage.number("select sum(gen)::bigint from change.generations").await? - changes;
        ensure!(told == i64::from(USERS / 100), "{told} changes were found");
        let after = pbx.query_s().await?;
        let query = median(&[before, between, after]);
        say(&format!(
            "  query {query:.3} s ({before:.3}, {between:.3}, {after:.3}), read unchanged {unchanged:.3} s, 1 % changed {one_percent:.3} s"
        ));
        found.push(Run { unchanged: unchanged / query - 1.0, one_percent: one_percent / query - 1.0 });
    }
    end(&ctx).await?;
    pbx.clear(servers).await?;
    servers.clear(stage).await?;
    Ok(found)
}

/// Peak memory of a detector process, in MiB, over two reads of 1,000,000 users: one that finds them all new, and one
/// that finds nothing changed.
pub(crate) async fn memory(servers: &Servers) -> Result<f64> {
    let stage = servers.stage().await?;
    say("  filling a PBX of 1,000,000 users");
    let pbx = Pbx::make(servers, &stage, MANY).await?;
    let child = Child::start(&Spec::detector(&stage, &pbx.url)).await?;
    let first = read(&stage).await?;
    let after_first = cpu::memory_mib(child.pid(), "VmHWM")?;
    let second = read(&stage).await?;
    let peak = cpu::memory_mib(child.pid(), "VmHWM")?;
    say(&format!(
        "  all new: {first:.1} s, peak {after_first:.0} MiB; unchanged: {second:.1} s, peak {peak:.0} MiB"
    ));
    child.kill().await?;
    let users = stage.number("select count(*) from pbx.profiles").await?;
    ensure!(users == i64::from(MANY), "{users} users are stored");
    pbx.clear(servers).await?;
    servers.clear(stage).await?;
    Ok(peak)
}

/// A detector that reads when it is asked to.
pub(crate) async fn detector(ctx: &Ctx, stage: &Stage, url: &SecretString) -> Result<()> {
    let settings = DetectorSettings {
        sources: vec![SourceSettings { name: SOURCE.to_owned(), source: source(url)?, poll: NEVER }],
        second_look: NEVER,
        tick: Duration::from_millis(10),
        ..DetectorSettings::default()
    };
    let store = stage.store(Login::Detector);
    let parts = Parts { store, subjects: stage.subjects.clone(), bell: Bell::default() };
    tandem_detector::start(ctx, &parts, &settings).await?;
    Ok(())
}

/// Asks for a read and waits for its end; how long it took, by the database's clock.
async fn read(stage: &Stage) -> Result<f64> {
    let ended =
        "select coalesce(max((extract(epoch from last_ended_at) * 1000000)::bigint), 0) from pbx.sources";
    // at the start the source is due without being asked for
    if stage.number("select count(*) from pbx.sources where last_ended_at is not null").await? > 0 {
        let before = stage.number(ended).await?;
        sqlx::raw_sql("update pbx.sources set read_now = true").execute(&stage.owner).await?;
        wait(stage, ended, before).await?;
    } else {
        wait(stage, ended, 0).await?;
    }
    let failed = stage.number("select count(*) from pbx.sources where last_error_code is not null").await?;
    ensure!(failed == 0, "the source could not be read");
    let seconds: f64 = sqlx::query_scalar(
        "select extract(epoch from last_ended_at - last_started_at)::float8 from pbx.sources",
    )
    .fetch_one(&stage.owner)
    .await?;
    Ok(seconds)
}

async fn wait(stage: &Stage, ended: &'static str, before: i64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(600);
    while stage.number(ended).await? <= before {
        ensure!(Instant::now() < deadline, "a read does not end");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
