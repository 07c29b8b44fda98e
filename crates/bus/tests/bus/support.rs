//! A private broker, and the things every test of the bus needs.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tandem_bus::{Bus, BusConfig, BusError, DeadLetter, Outgoing};
use tandem_runtime::{BoxError, Clock, Ctx, Ids};
use tandem_wire::{ConsumerSettings, Headers, StreamSettings, Subjects, settings};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};
use uuid::Uuid;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "{what} did not come true");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A broker of this test's own, on a free port, with its files in a folder that goes with it.
pub(crate) struct Broker {
    dir: TempDir,
    port: u16,
    extra: String,
    server: Option<Child>,
}

impl Broker {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with("").await
    }

    /// With more lines in its configuration.
    pub(crate) async fn start_with(extra: &str) -> anyhow::Result<Self> {
        let mut broker = Self::absent()?;
        broker.extra = extra.to_owned();
        broker.up().await?;
        Ok(broker)
    }

    /// Not started yet.
    pub(crate) fn absent() -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { dir: tempfile::tempdir()?, port, extra: String::new(), server: None })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) async fn up(&mut self) -> anyhow::Result<()> {
        let config = self.dir.path().join("nats.conf");
        let (port, store) = (self.port, self.store());
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\" }}\n{}\n",
            store.display(),
            self.extra
        );
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(self.dir.path().join("nats.log"))?;
        // dies with the thread that started it, so that a killed test leaves nothing behind
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(find_server()?)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start nats-server")?;
        self.server = Some(child);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            if Instant::now() > end {
                bail!(
                    "nats-server did not start: {}",
                    std::fs::read_to_string(self.dir.path().join("nats.log"))?
                );
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// As `kill -9`.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut server) = self.server.take() {
            server.kill().await?;
        }
        Ok(())
    }

    /// Sends a signal by name.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.server.as_ref().and_then(Child::id).context("the broker runs")?;
        let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status().await?;
        anyhow::ensure!(sent.success(), "kill -s {name}");
        // the signal reaches one thread after the other, and a thread that still runs may answer once more
        while name == "STOP" && !all_stopped(pid)? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    pub(crate) fn wipe(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_dir_all(self.store())?)
    }
}

/// Whether every thread of a process is stopped (proc(5): state `T`, behind the name in parentheses).
fn all_stopped(pid: u32) -> anyhow::Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
        if !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T')) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[expect(clippy::disallowed_methods, reason = "tests find the broker's program through the environment")]
fn find_server() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("TANDEM_NATS_SERVER") {
        return Ok(path.into());
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/nats-server");
    if tools.is_file() {
        return Ok(tools);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .context("no nats-server: run `make tools`, or set TANDEM_NATS_SERVER")
}

pub(crate) fn ctx() -> Ctx {
    Ctx::quiet(Clock::system(), Ids::seeded(1))
}

pub(crate) fn config(broker: &Broker) -> BusConfig {
    BusConfig { connect_grace: Duration::from_secs(5), ..BusConfig::new(broker.url()) }
}

pub(crate) fn subjects() -> Subjects {
    Subjects::new("test").expect("a good prefix")
}

pub(crate) fn streams() -> Vec<StreamSettings> {
    settings::all_streams(&subjects(), 1)
}

pub(crate) async fn connect(ctx: &Ctx, broker: &Broker) -> Result<Bus, BusError> {
    Bus::connect(ctx, config(broker), streams()).await
}

/// A consumer that waits less than ours do, so that tests are quick.
pub(crate) fn quick(max_attempts: u32) -> ConsumerSettings {
    let second = Duration::from_secs(1);
    ConsumerSettings {
        max_attempts,
        ack_wait: second,
        backoff: vec![second],
        ..settings::debouncer(&subjects())
    }
}

pub(crate) fn message(body: impl Into<String>) -> Outgoing {
    Outgoing {
        subject: subjects().changed(Uuid::from_u128(7)),
        headers: Headers::from_iter([("ce-id", "7")]),
        payload: Bytes::from(body.into()),
        msg_id: None,
    }
}

/// Publishes until the broker has taken it: what the outbox does.
pub(crate) async fn publish(bus: &Bus, message: Outgoing) {
    eventually("publishing", async || bus.publish_batch(vec![message.clone()]).await.pop()?.ok()).await;
}

/// Notes what it is told, and can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Notes<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Notes<T> {
    pub(crate) fn add(&self, one: T) {
        self.0.lock().expect("no panic while noting").push(one);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().expect("no panic while noting").clone()
    }

    pub(crate) async fn at_least(&self, count: usize) -> Vec<T> {
        eventually(&format!("{count} notes"), async || Some(self.all()).filter(|all| all.len() >= count))
            .await
    }
}

/// Dead letters kept in memory.
pub(crate) fn letters() -> (Notes<DeadLetter>, Arc<impl tandem_bus::DeadLetters>) {
    let notes = Notes::default();
    let kept = notes.clone();
    let store = move |letter: DeadLetter| {
        kept.add(letter);
        std::future::ready(Ok::<(), BoxError>(()))
    };
    (notes, Arc::new(store))
}

/// Stops everything and checks that no background task failed.
pub(crate) async fn finish(ctx: Ctx) {
    assert!(ctx.drain(PATIENCE).await, "everything ends in time");
    assert_eq!(ctx.background_errors(), []);
}
