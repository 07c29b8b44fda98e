//! The whole chain: push API in bulk, profile, change, outbox, JetStream, window, job.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tandem_detector::{DetectorSettings, PushSettings};
use tandem_domain::AccountId;
use tandem_outbox::Bell;
use tandem_pbx::push::{self, PushSecret};
use tandem_runtime::{Clock, Ctx};
use tandem_store::Login;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::cpu::Split;
use crate::fleet::{Event, Fleet};
use crate::report::say;
use crate::servers::{Servers, Stage, context, end};
use crate::{floor, gather};

/// Bulks of one account. Each changes the users that change often once more.
pub(crate) const BULKS: u32 = 2;
/// Users of a bulk.
pub(crate) const SIZE: usize = 50;
pub(crate) const ACCOUNTS: usize = 1_000;
pub(crate) const USERS: u32 = 200;
/// Accounts beside those that count, whose changes come before the clock starts: connections are open then and their
/// statements prepared, as for the floor.
const WARM: usize = 32;
/// Messages on their way at once.
const SENDERS: usize = 32;
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// One run.
pub(crate) struct Run {
    pub(crate) floor: f64,
    pub(crate) rate: f64,
    /// CPU seconds of everything per 100,000 changes, this process with the sender included.
    pub(crate) cpu: f64,
    /// Accounts with exactly one job.
    pub(crate) one_job: f64,
}

struct Message {
    path: String,
    id: String,
    body: String,
}

/// 100,000 changes over 1,000 accounts.
pub(crate) async fn run(servers: &Servers) -> Result<Run> {
    let stage = servers.stage().await?;
    let fleet = Fleet::new(ACCOUNTS + WARM, USERS);
    fleet.seed(&stage.owner).await?;
    fleet.seed_profiles(&stage.owner).await?;
    stage.settle().await?;
    let (warm, bulks): (Vec<_>, Vec<_>) = fleet
        .bulks(BULKS, SIZE)
        .into_iter()
        .partition(|bulk| bulk.iter().any(|event| event.account >= ACCOUNTS));
    let floor = floor::events_per_s(&stage.owner, &fleet, &bulks.concat()).await?;

    let ctx = context();
    let bell = gather::debouncer(&ctx, &stage).await?;
    let address = detector(&ctx, &stage, bell, servers).await?;
    let changes: usize = bulks.iter().map(Vec::len).sum();
    send(address, messages("warm", &warm)).await?;
    gather::all_gathered(&stage.owner).await?;
    let messages = messages("msg", &bulks);
    servers.count_statements(&stage).await?;
    let before = Split::now(servers.pids())?;
    let began = Instant::now();
    send(address, messages).await?;
    let sent = began.elapsed().as_secs_f64();
    gather::all_gathered(&stage.owner).await?;
    let seconds = began.elapsed().as_secs_f64();
    let used = Split::now(servers.pids())?.since(before);
    let rate = changes as f64 / seconds;
    servers.tell_statements(&stage).await?;
    let one_job = cut(&stage, &fleet.accounts[..ACCOUNTS]).await?;
    say(&format!(
        "  floor {floor:.0}/s, sent after {sent:.2} s, gathered after {seconds:.2} s: {rate:.0}/s, ratio {:.3}; {used}",
        rate / floor
    ));
    end(&ctx).await?;
    servers.clear(stage).await?;
    Ok(Run { floor, rate, cpu: used.sum() * 100_000.0 / changes as f64, one_job })
}

/// A detector with nothing but its push endpoint.
async fn detector(ctx: &Ctx, stage: &Stage, bell: Bell, servers: &Servers) -> Result<SocketAddr> {
    let secrets_dir = servers.folder().join(format!("secrets-{}", stage.database));
    std::fs::create_dir(&secrets_dir)?;
    for account in 0..ACCOUNTS + WARM {
        let file = secrets_dir.join(format!("a{account}"));
        std::fs::write(&file, SECRET)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    }
    let parts = tandem_detector::Parts {
        store: stage.store(Login::Detector),
        subjects: stage.subjects.clone(),
        bell,
    };
    let push = PushSettings { listen: ([127, 0, 0, 1], 0).into(), secrets_dir, rate_per_second: 50 };
    let settings = DetectorSettings { push: Some(push), ..DetectorSettings::default() };
    tandem_detector::start(ctx, &parts, &settings).await?.push.context("a push endpoint")
}

/// A message for each bulk, under ids that begin with `name`.
fn messages(name: &str, bulks: &[Vec<Event>]) -> VecDeque<Message> {
    bulks.iter().enumerate().map(|(number, bulk)| message(format!("{name}_{number}"), bulk)).collect()
}

fn message(id: String, bulk: &[Event]) -> Message {
    let users: Vec<Value> = bulk
        .iter()
        .map(|event| json!({ "id": Fleet::user(event.user).0, "profile": Fleet::profile(event.user, event.version) }))
        .collect();
    let account = bulk.first().map_or(0, |event| event.account);
    Message {
        path: format!("/pbx/v1/accounts/a{account}/users"),
        id,
        body: json!({ "users": users }).to_string(),
    }
}

/// Sends all messages, an account's in order: the second waits in the queue until long after the first.
async fn send(address: SocketAddr, messages: VecDeque<Message>) -> Result<()> {
    let queue = Arc::new(Mutex::new(messages));
    let client = reqwest::Client::new();
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (queue, client) = (Arc::clone(&queue), client.clone());
        senders.spawn(async move {
            let secret = PushSecret::parse(SECRET)?;
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(Message { path, id, body }) = next else { return anyhow::Ok(()) };
                let now = Clock::system().now();
                let reply = client
                    .post(format!("http://{address}{path}"))
                    .header("content-type", "application/json")
                    .header("webhook-id", &id)
                    .header("webhook-timestamp", now.unix_timestamp().to_string())
                    .header("webhook-signature", push::sign(&id, now, body.as_bytes(), &secret))
                    .body(body)
                    .send()
                    .await?;
                let status = reply.status();
                let text = reply.text().await?;
                ensure!(status.as_u16() == 202, "{path} answered {status}: {text}");
            }
        });
    }
    while let Some(done) = senders.join_next().await {
        done??;
    }
    Ok(())
}

/// Makes every window due and waits for the jobs; how many of the accounts have exactly one.
async fn cut(stage: &Stage, accounts: &[AccountId]) -> Result<f64> {
    sqlx::query("update queue.windows set due_at = now() where due_at is not null")
        .execute(&stage.owner)
        .await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while stage.number("select count(*) from queue.windows where due_at is not null").await? > 0 {
        ensure!(Instant::now() < deadline, "due windows are not cut");
        sleep(Duration::from_millis(50)).await;
    }
    let single = "select count(*) from (select from queue.jobs where account_id = any ($1)
                                          group by account_id having count(*) = 1) j";
    let accounts: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
    let found: i64 = sqlx::query_scalar(single).bind(accounts).fetch_one(&stage.owner).await?;
    Ok(found as f64)
}
