//! Roles as processes of their own: the shipped program, started, hurt and watched.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tandem_testkit::eventually;
use tokio::process::{Child, Command};
use url::Url;

/// No process of a test needs so long for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// The program under test: `tandem` beside the folder of the test programs. Cargo builds it for no test of another
/// package, so it may be missing, or older than its sources.
///
/// # Errors
/// When it has to be built.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the test program")?;
    let folder = own.parent().and_then(Path::parent).context("the test program lies in no target folder")?;
    let program = folder.join("tandem");
    let built = program.metadata().and_then(|about| about.modified());
    let built = built.with_context(|| format!("{} is missing; {BUILD}", program.display()))?;
    // what Cargo noted for build systems: the program, a colon, its sources
    let sources = std::fs::read_to_string(folder.join("tandem.d")).context("read the list of sources")?;
    let sources = sources.replace("\\ ", "\0");
    for source in sources.split_whitespace().skip(1).map(|source| source.replace('\0', " ")) {
        // generated beside the program, and again for every other set of packages
        if Path::new(&source).starts_with(folder) {
            continue;
        }
        let changed = Path::new(&source).metadata().and_then(|about| about.modified());
        ensure!(changed.is_ok_and(|at| at <= built), "{} is older than {source}; {BUILD}", program.display());
    }
    Ok(program)
}

const BUILD: &str = "build the binary first: cargo build -p tandem";

/// A process of `tandem`. It is killed when the value is dropped.
#[derive(Debug)]
pub struct Process {
    /// What it runs.
    pub role: String,
    child: Child,
    id: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts the program; what it says goes into the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(role: &str, args: &[&str], log: PathBuf) -> Result<Self> {
        let out = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        // the kernel ends it should this process be killed; doing that without setpriv would need unsafe code
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program()?)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone().context("share the log")?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {role}"))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).context("it ended at once")?;
        Ok(Self { role: role.to_owned(), child, id: Pid::from_raw(id), log })
    }

    /// Sends a signal. The process has not been waited for, so its id is its own.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "{} has ended already", self.role);
        kill(self.id, signal).with_context(|| format!("send {signal} to {}", self.role))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} does not end", self.role))??)
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill9(&mut self) -> Result<()> {
        self.child.start_kill().context("kill")?;
        self.ended().await.map(|_| ())
    }

    /// Its limits, as the kernel tells them.
    ///
    /// # Errors
    /// When it has ended.
    pub fn limits(&self) -> Result<String> {
        let file = format!("/proc/{}/limits", self.id);
        std::fs::read_to_string(&file).with_context(|| format!("read {file}"))
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said something.
    ///
    /// # Panics
    /// When it does not.
    pub async fn says(&self, what: &str) {
        eventually(PATIENCE, async || self.said().contains(what).then_some(())).await;
    }

    /// The address of the connect pages that it says a person should open.
    ///
    /// # Errors
    /// When it is no address.
    ///
    /// # Panics
    /// When it says none.
    pub async fn link(&self) -> Result<Url> {
        let found = eventually(PATIENCE, async || {
            let said = self.said();
            let mut lines = said.lines().map(str::trim);
            lines.find(|line| line.starts_with("http://localhost:")).map(str::to_owned)
        });
        Ok(Url::parse(&found.await)?)
    }

    /// Where it serves health and metrics; the log says it.
    ///
    /// # Errors
    /// When it ends before it serves.
    pub async fn health(&mut self) -> Result<SocketAddr> {
        let found = tokio::time::timeout(PATIENCE, async {
            let mut look = tokio::time::interval(Duration::from_millis(20));
            loop {
                look.tick().await;
                if let Some(address) = served(&self.said()) {
                    return Ok(address);
                }
                let ended = self.child.try_wait()?;
                ensure!(ended.is_none(), "{} ended at its start: {ended:?}\n{}", self.role, self.said());
            }
        });
        found.await.with_context(|| format!("{} does not serve health", self.role))?
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends before.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn ready(&mut self, http: &reqwest::Client) -> Result<()> {
        let address = self.health().await?;
        eventually(PATIENCE, async || {
            let reply = http.get(format!("http://{address}/readyz")).send().await.ok()?;
            reply.status().is_success().then_some(())
        })
        .await;
        Ok(())
    }
}

/// The address in the line `serving health and metrics` of a log in JSON.
fn served(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("serving health and metrics"))?;
    let (_, rest) = line.split_once("\"address\":\"")?;
    rest.split('"').next()?.parse().ok()
}
