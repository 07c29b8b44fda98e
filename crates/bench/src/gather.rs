//! Changes recorded, announced and gathered into windows, without HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sqlx::PgPool;
use tandem_debouncer::DebouncerSettings;
use tandem_domain::{AccountId, PbxUserId};
use tandem_outbox::{Announcer, Bell, Relay};
use tandem_runtime::{Clock, Ctx};
use tandem_store::change::{self, NewChange};
use tandem_store::{Login, Store, outbox};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::fleet::{Event, Fleet};
use crate::floor::{self, BATCH};
use crate::report::say;
use crate::servers::{Servers, Stage, context, end};

/// How often it is looked whether all is gathered.
const LOOK: Duration = Duration::from_millis(20);

/// One run: rate of the floor and rate of the product.
pub(crate) struct Run {
    pub(crate) floor: f64,
    pub(crate) rate: f64,
}

/// 100,000 changes over 1,000 accounts.
pub(crate) async fn usual(servers: &Servers) -> Result<Run> {
    let fleet = Fleet::new(1_000, 200);
    let mut events: Vec<Event> = fleet.bulks(2, 50).concat();
    // one writer's accounts in any order, yet a user's versions in theirs
    let (first, second) = events.split_at_mut(50_000);
    let mut random = StdRng::seed_from_u64(1);
    first.shuffle(&mut random);
    second.shuffle(&mut random);
    run(servers, &fleet, &events).await
}

/// 100,000 accounts, one change each.
pub(crate) async fn worst(servers: &Servers) -> Result<Run> {
    let fleet = Fleet::new(100_000, 1);
    let mut events: Vec<Event> =
        (0..fleet.accounts.len()).map(|account| Event { account, user: 0, version: 1 }).collect();
    events.shuffle(&mut StdRng::seed_from_u64(1));
    run(servers, &fleet, &events).await
}

async fn run(servers: &Servers, fleet: &Fleet, events: &[Event]) -> Result<Run> {
    let stage = servers.stage().await?;
    fleet.seed(&stage.owner).await?;
    stage.settle().await?;
    let floor = floor::events_per_s(&stage.owner, fleet, events).await?;
    stage.settle().await?;
    let ctx = context();
    let bell = debouncer(&ctx, &stage).await?;
    let now = Clock::system().now();
    let parts: Vec<Vec<Vec<NewChange>>> = floor::split(events)
        .map(|events| {
            events
                .chunks(BATCH)
                .map(|events| events.iter().map(|event| fleet.change(*event, now)).collect())
                .collect()
        })
        .into();
    let store = stage.store(Login::Detector);
    let announcer = Announcer::new(stage.subjects.clone(), "bench", &ctx);
    sqlx::raw_sql("create extension pg_stat_statements").execute(&stage.owner).await?;
    sqlx::raw_sql("select pg_stat_statements_reset()").execute(&stage.owner).await?;
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for batches in parts {
        let (store, announcer, bell) = (store.clone(), announcer.clone(), bell.clone());
        writers.spawn(async move {
            for batch in batches {
                record(&store, &announcer, &batch).await?;
                bell.ring();
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    let recorded = began.elapsed().as_secs_f64();
    all_gathered(&stage.owner).await?;
    let seconds = began.elapsed().as_secs_f64();
    let rate = events.len() as f64 / seconds;
    for row in sqlx::query_as::<_, (String, i64, f64, i64)>("select left(regexp_replace(query, '\\s+', ' ', 'g'), 110), calls, total_exec_time + total_plan_time, rows from pg_stat_statements order by 3 desc limit 14").fetch_all(&stage.owner).await? { say(&format!("{:>8.0} ms {:>6} calls {:>8} rows {}", row.2, row.1, row.3, row.0)); }
    let open = stage.number("select count(*) from queue.windows where due_at is not null").await?;
    anyhow::ensure!(open == i64::try_from(fleet.accounts.len())?, "{open} windows are open");
    say(&format!(
        "  floor {floor:.0}/s, recorded after {recorded:.2} s, gathered after {seconds:.2} s: {rate:.0}/s, ratio {:.3}",
        rate / floor
    ));
    end(&ctx).await?;
    store.close().await;
    servers.clear(stage).await?;
    Ok(Run { floor, rate })
}

/// A debouncer with its relay, as `tandem run` starts them; rings for the relay.
pub(crate) async fn debouncer(ctx: &Ctx, stage: &Stage) -> Result<Bell> {
    let store = stage.store(Login::Debouncer);
    let bus = stage.bus(ctx).await?;
    let bell = Relay::spawn(ctx, store.clone(), bus.clone());
    let parts = tandem_debouncer::Parts { store, bus, subjects: stage.subjects.clone(), bell: bell.clone() };
    tandem_debouncer::start(ctx, &parts, &DebouncerSettings::default());
    Ok(bell)
}

/// One transaction as the detector makes it.
async fn record(store: &Store, announcer: &Announcer, batch: &[NewChange]) -> Result<()> {
    let mut tx = store.begin("bench.record").await?;
    let recorded = change::record(&mut tx, "bench", batch).await?;
    let mut users: BTreeMap<AccountId, Vec<PbxUserId>> = BTreeMap::new();
    for change in batch {
        users.entry(change.account).or_default().extend(change.user.clone());
    }
    let mut announcements = Vec::with_capacity(recorded.len());
    for of in &recorded {
        let users = users.remove(&of.account).unwrap_or_default();
        let at = batch[0].detected_at;
        announcements.extend(announcer.changed(of.account, of.generation, &users, at, at)?);
    }
    outbox::put(&mut tx, &announcements).await?;
    Ok(tx.commit().await?)
}

/// Waits until every change is in a window. Asks about one account until it is, and only then for the next that is
/// not, so that asking costs next to nothing.
pub(crate) async fn all_gathered(owner: &PgPool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
    let behind = "select g.account_id from change.generations g
                   where g.gen > coalesce((select w.gathered_gen from queue.windows w where w.account_id = g.account_id), 0)
                     and ($1::uuid is null or g.account_id = $1) limit 1";
    let mut account: Option<Uuid> = None;
    loop {
        let found: Option<Uuid> = sqlx::query_scalar(behind).bind(account).fetch_optional(owner).await?;
        match (account, found) {
            (None, None) => return Ok(()),
            (Some(_), None) => account = None,
            (_, Some(found)) => {
                anyhow::ensure!(
                    Instant::now() < deadline,
                    "account {found} has changes that nobody gathered"
                );
                account = Some(found);
                sleep(LOOK).await;
            }
        }
    }
}
