//! Changes recorded, announced and gathered into windows, without HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sqlx::PgPool;
use tandem_bus::Bus;
use tandem_debouncer::DebouncerSettings;
use tandem_domain::AccountId;
use tandem_outbox::{Announcer, Bell, Relay};
use tandem_runtime::{Clock, Ctx};
use tandem_store::change::{self, NewChange};
use tandem_store::{Login, Store, outbox};
use tandem_wire::Changed;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::chain;
use crate::cpu::Split;
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

/// 100,000 changes over 1,000 accounts, in the order in which the chain brings them: recorded, announced, gathered.
pub(crate) async fn usual(servers: &Servers) -> Result<Run> {
    let fleet = Fleet::new(chain::ACCOUNTS, chain::USERS);
    let events = fleet.bulks(chain::BULKS, chain::SIZE).concat();
    let (stage, floor) = prepared(servers, &fleet, &events).await?;
    let ctx = context();
    let bell = debouncer(&ctx, &stage).await?;
    let batches = batches(&fleet, &events);
    servers.count_statements(&stage).await?;
    let before = Split::now(servers.pids())?;
    let began = Instant::now();
    record(&ctx, &stage, batches, &bell).await?;
    let recorded = began.elapsed().as_secs_f64();
    all_gathered(&stage.owner).await?;
    let run = Run { floor, rate: events.len() as f64 / began.elapsed().as_secs_f64() };
    let used = Split::now(servers.pids())?.since(before);
    say(&format!(
        "  floor {floor:.0}/s, recorded after {recorded:.2} s, gathered: {:.0}/s, ratio {:.3}; {used}",
        run.rate,
        run.rate / floor
    ));
    finished(servers, stage, &fleet, &ctx).await?;
    Ok(run)
}

/// 100,000 accounts, one change each, recorded before the clock starts: announced and gathered.
pub(crate) async fn worst(servers: &Servers) -> Result<Run> {
    let fleet = Fleet::new(100_000, 1);
    let mut events: Vec<Event> =
        (0..fleet.accounts.len()).map(|account| Event { account, user: 0, version: 1 }).collect();
    events.shuffle(&mut StdRng::seed_from_u64(1));
    let (stage, floor) = prepared(servers, &fleet, &events).await?;
    let ctx = context();
    let (store, bus) = (stage.store(Login::Debouncer), stage.bus(&ctx).await?);
    start(&ctx, &stage, &store, &bus, Bell::default());
    record(&ctx, &stage, batches(&fleet, &events), &Bell::default()).await?;
    servers.count_statements(&stage).await?;
    let before = Split::now(servers.pids())?;
    let began = Instant::now();
    Relay::spawn(&ctx, store, bus);
    none_left(&stage.owner, UNTOUCHED).await?;
    let run = Run { floor, rate: events.len() as f64 / began.elapsed().as_secs_f64() };
    let used = Split::now(servers.pids())?.since(before);
    say(&format!(
        "  floor {floor:.0}/s, gathered: {:.0} windows/s, ratio {:.3}; {used}",
        run.rate,
        run.rate / floor
    ));
    finished(servers, stage, &fleet, &ctx).await?;
    Ok(run)
}

/// A stage with these accounts, and the floor measured on it.
async fn prepared(servers: &Servers, fleet: &Fleet, events: &[Event]) -> Result<(Stage, f64)> {
    let stage = servers.stage().await?;
    fleet.seed(&stage.owner).await?;
    stage.settle().await?;
    let before = Split::now(servers.pids())?;
    let floor = floor::events_per_s(&stage.owner, fleet, events).await?;
    say(&format!("  floor {floor:.0}/s; {}", Split::now(servers.pids())?.since(before)));
    Ok((stage, floor))
}

async fn finished(servers: &Servers, stage: Stage, fleet: &Fleet, ctx: &Ctx) -> Result<()> {
    servers.tell_statements(&stage).await?;
    let open = stage.number("select count(*) from queue.windows where due_at is not null").await?;
    anyhow::ensure!(open == i64::try_from(fleet.accounts.len())?, "{open} windows are open");
    end(ctx).await?;
    servers.clear(stage).await
}

/// What each writer records: batches of 500 changes.
fn batches(fleet: &Fleet, events: &[Event]) -> Vec<Vec<Vec<NewChange>>> {
    let now = Clock::system().now();
    let batch = |events: &[Event]| events.iter().map(|event| fleet.change(*event, now)).collect();
    floor::split(events).iter().map(|events| events.chunks(BATCH).map(batch).collect()).collect()
}

/// Records and announces.
async fn record(ctx: &Ctx, stage: &Stage, batches: Vec<Vec<Vec<NewChange>>>, bell: &Bell) -> Result<()> {
    let store = stage.store(Login::Detector);
    let announcer = Announcer::new(stage.subjects.clone(), "bench", ctx);
    let mut writers = JoinSet::new();
    for batches in batches {
        let (store, announcer, bell) = (store.clone(), announcer.clone(), bell.clone());
        writers.spawn(async move {
            for batch in batches {
                record_batch(&store, &announcer, &batch).await?;
                bell.ring();
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    store.close().await;
    Ok(())
}

/// A debouncer with its relay, as `tandem run` starts them; rings for the relay.
pub(crate) async fn debouncer(ctx: &Ctx, stage: &Stage) -> Result<Bell> {
    let store = stage.store(Login::Debouncer);
    let bus = stage.bus(ctx).await?;
    let bell = Relay::spawn(ctx, store.clone(), bus.clone());
    start(ctx, stage, &store, &bus, bell.clone());
    Ok(bell)
}

fn start(ctx: &Ctx, stage: &Stage, store: &Store, bus: &Bus, bell: Bell) {
    let subjects = stage.subjects.clone();
    let parts = tandem_debouncer::Parts { store: store.clone(), bus: bus.clone(), subjects, bell };
    tandem_debouncer::start(ctx, &parts, &DebouncerSettings::default());
}

/// One transaction as the detector makes it.
async fn record_batch(store: &Store, announcer: &Announcer, batch: &[NewChange]) -> Result<()> {
    let mut tx = store.begin("bench.record").await?;
    let recorded = change::record(&mut tx, "bench", batch).await?;
    let mut users: BTreeMap<AccountId, Vec<String>> = BTreeMap::new();
    for change in batch {
        users.entry(change.account).or_default().extend(change.user.as_ref().map(|user| user.0.clone()));
    }
    let at = batch[0].detected_at;
    let changed = recorded.iter().map(|of| Changed {
        account: of.account.0,
        generation: of.generation,
        users: users.remove(&of.account).unwrap_or_default(),
        first_detected_at: at,
        last_detected_at: at,
        traceparent: None,
    });
    outbox::put(&mut tx, &announcer.changed_together(changed.collect())?).await?;
    Ok(tx.commit().await?)
}

/// An account with changes that are in no window.
const BEHIND: &str = "select g.account_id from change.generations g
     where g.gen > coalesce((select w.gathered_gen from queue.windows w where w.account_id = g.account_id), 0)
       and ($1::uuid is null or g.account_id = $1) limit 1";

/// The same where no account has been gathered before and each has a change: to look at a hundred thousand counters would
/// take a good part of the time that is measured.
const UNTOUCHED: &str = "select w.account_id from queue.windows w
     where w.gathered_gen = 0 and ($1::uuid is null or w.account_id = $1) limit 1";

/// Waits until every change is in a window.
pub(crate) async fn all_gathered(owner: &PgPool) -> Result<()> {
    none_left(owner, BEHIND).await
}

/// Asks about one account until it is gathered, and only then for the next that is not, so that asking costs next to
/// nothing.
async fn none_left(owner: &PgPool, behind: &'static str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
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
