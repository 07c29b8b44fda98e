//! A fleet: the servers of a tester, a configuration file for them, and roles that run as processes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tandem_store::Login;
use tandem_testkit::TempDir;
use tandem_tests::{Account, PASSWORD, Process, Tester};
use tandem_vault::Keyring;
use url::Url;

/// Roles that most tests run.
pub(crate) const ROLES: [&str; 3] = ["debouncer", "teams-sync", "sync-log"];

/// Waits of seconds where production has minutes, in the same proportions.
const TIMES: &str = r#"
[detector]
poll = "300ms"
second_look = "300ms"
{sources}

[debouncer]
quiet = "300ms"
max_wait = "1500ms"
tick = "100ms"
sweep = "1s"

[teams_sync]
lease = "3s"
heartbeat = "300ms"
lease_margin = "1500ms"
wait_out = "1500ms"
sweep = "300ms"
operation_patience = "3s"
first_poll = "100ms"
step_retries = ["100ms", "300ms"]
intent_patience = "4500ms"
equal_reads = "1500ms"
look = "200ms"
ladder_speed = 60
in_flight = {in_flight}
auto_slots = {auto_slots}
manual_slots = {manual_slots}

[sync_log]
sweep = "1s"
"#;

/// Waits for a test in which no worker dies and which puts so much on the machine that seconds are too short.
const PATIENT: [(&str, &str); 6] = [
    ("request_timeout = \"1s\"", "request_timeout = \"10s\""),
    ("lease = \"3s\"", "lease = \"60s\""),
    ("heartbeat = \"300ms\"", "heartbeat = \"2s\""),
    ("lease_margin = \"1500ms\"", "lease_margin = \"15s\""),
    ("wait_out = \"1500ms\"", "wait_out = \"15s\""),
    ("operation_patience = \"3s\"", "operation_patience = \"60s\""),
];

/// What differs between the fleets of tests.
pub(crate) struct Options {
    /// Part of the detector's section: its sources.
    pub(crate) sources: String,
    /// Steps of a job in flight at once.
    pub(crate) in_flight: u32,
    /// Auto jobs in hand at once.
    pub(crate) auto_slots: u32,
    /// Manual jobs in hand at once.
    pub(crate) manual_slots: u32,
    /// With long waits for leases, operations and requests.
    pub(crate) patient: bool,
    /// Requests per second to all tenants.
    pub(crate) app_rate: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sources: String::new(),
            in_flight: 10,
            auto_slots: 500,
            manual_slots: 50,
            patient: false,
            app_rate: 2000,
        }
    }
}

/// Name of a process of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(usize);

/// Servers and processes of one test. Dropped before [`Fleet::finish`], it shows what the processes said.
pub(crate) struct Fleet {
    // processes end before the servers that they use
    processes: Vec<Process>,
    pub(crate) tester: Tester,
    folder: TempDir,
    passed: bool,
}

fn private(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(())
}

impl Fleet {
    /// Starts the servers; nothing of Tandem runs yet.
    pub(crate) async fn start() -> Result<Self> {
        Self::with(Options::default()).await
    }

    /// The same with options.
    pub(crate) async fn with(options: Options) -> Result<Self> {
        let tester = Tester::start().await?;
        let folder = TempDir::new()?;
        let passwords = folder.path().join("passwords");
        std::fs::create_dir(&passwords)?;
        for login in Login::ALL {
            private(&passwords.join(login.name()), PASSWORD)?;
        }
        let nats = Url::parse(&tester.nats.url()?)?;
        private(&folder.path().join("nats.password"), nats.password().context("password of the broker")?)?;
        private(&folder.path().join("app.secret"), "demo-secret")?;
        let key = Keyring::load(tester.keyring.path())?.newest();
        Keyring::publish(&folder.path().join("sealing.pub"), &key)?;
        let mut text = format!(
            "environment = \"development\"\n\
             [database]\nport = {postgres}\nname = \"{database}\"\npasswords_dir = \"passwords\"\nmax_connections = 6\n\
             [bus]\nurl = \"nats://127.0.0.1:{nats_port}\"\nuser = \"{user}\"\npassword_file = \"nats.password\"\n\
             [telemetry]\nlog_format = \"json\"\n\
             [vault]\nkeyring = \"{keyring}\"\npublic_key_file = \"sealing.pub\"\n\
             [sign_in]\nclient_id = \"{sign_in}\"\n\
             [microsoft]\nauthority = \"{sim}\"\ngraph = \"{sim}\"\nclient_id = \"{app}\"\nsecret_file = \"app.secret\"\n\
             tenant_rate_per_s = 500\napp_rate_per_s = {app_rate}\ntenant_operations_in_flight = 20\n\
             request_timeout = \"1s\"\nmax_wait = \"5s\"\n{times}",
            postgres = tester.pg.server.port(),
            database = tester.pg.database,
            nats_port = tester.nats.server.port(),
            user = nats.username(),
            keyring = tester.keyring.path().display(),
            sim = tester.sim.base_url(),
            app = msgraph_sim::DEMO_APP,
            sign_in = msgraph_sim::DEMO_SIGN_IN_APP,
            app_rate = options.app_rate,
            times = TIMES
                .replace("{sources}", &options.sources)
                .replace("{in_flight}", &options.in_flight.to_string())
                .replace("{auto_slots}", &options.auto_slots.to_string())
                .replace("{manual_slots}", &options.manual_slots.to_string()),
        );
        if options.patient {
            for (short, long) in PATIENT {
                ensure!(text.contains(short), "the configuration has no {short}");
                text = text.replace(short, long);
            }
        }
        private(&folder.path().join("tandem.toml"), &text)?;
        Ok(Self { processes: Vec::new(), tester, folder, passed: false })
    }

    /// The folder with the configuration, secrets and logs of the processes.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file with a secret into the folder of the configuration.
    pub(crate) fn secret(&self, name: &str, text: &str) -> Result<()> {
        private(&self.folder.path().join(name), text)
    }

    /// Starts `tandem run` with these arguments; it may not be ready yet.
    pub(crate) fn spawn(&mut self, role: &str, more: &[&str]) -> Result<Id> {
        let mut args = vec!["run", role];
        if !more.contains(&"--health") {
            args.extend(["--health", "127.0.0.1:0"]);
        }
        args.extend(more);
        self.command(role, &args)
    }

    /// Starts any command of the program; `name` is for the reports.
    pub(crate) fn command(&mut self, name: &str, args: &[&str]) -> Result<Id> {
        let id = Id(self.processes.len());
        let log: PathBuf = self.folder.path().join(format!("{}-{name}.log", id.0));
        let config = self.folder.path().join("tandem.toml");
        let config = config.to_str().context("the folder's name is text")?;
        let args = [&["--config", config], args].concat();
        self.processes.push(Process::spawn(name, &args, log)?);
        Ok(id)
    }

    /// Starts a role and waits until it is ready.
    pub(crate) async fn run(&mut self, role: &str) -> Result<Id> {
        let id = self.spawn(role, &[])?;
        self.ready(&[id]).await?;
        Ok(id)
    }

    /// Starts the usual roles, one of them armed to die at a point, and waits until all are ready.
    pub(crate) async fn run_armed(&mut self, role: &str, point: &str) -> Result<Id> {
        let mut ids = Vec::new();
        for name in ROLES {
            if name != role {
                ids.push(self.spawn(name, &[])?);
            }
        }
        let dying = self.spawn(role, &["--failpoint", point])?;
        ids.push(dying);
        self.ready(&ids).await?;
        Ok(dying)
    }

    /// Waits until processes are ready.
    pub(crate) async fn ready(&mut self, ids: &[Id]) -> Result<()> {
        let http = self.tester.http.clone();
        for id in ids {
            self.process(*id).ready(&http).await?;
        }
        Ok(())
    }

    /// A process.
    pub(crate) fn process(&mut self, id: Id) -> &mut Process {
        &mut self.processes[id.0]
    }

    /// Waits until a process has died at its point, then starts a fresh one of the same role.
    pub(crate) async fn reborn(&mut self, dying: Id) -> Result<Id> {
        let process = self.process(dying);
        let status = process.ended().await?;
        ensure!(process.said().contains("dying at a failpoint"), "it ended otherwise: {status}");
        let role = process.role.clone();
        self.run(&role).await
    }

    /// An account whose users 1 to `numbers.len()` have these numbers, set up by the fleet itself; then nothing runs.
    pub(crate) async fn account_with(&mut self, numbers: &[&str]) -> Result<Account> {
        let account = self.tester.account(u32::try_from(numbers.len())?).await?;
        let all = self.run("all").await?;
        let edits: Vec<(u32, Option<&str>)> = (1..).zip(numbers.iter().map(|n| Some(*n))).collect();
        self.tester.save(&account, &edits).await?;
        self.tester.at_rest().await;
        self.leave(all).await?;
        self.tester.switch(reqwest::Method::DELETE, "requests", None).await?;
        Ok(account)
    }

    /// Asks a process to stop; it must leave in order.
    pub(crate) async fn leave(&mut self, id: Id) -> Result<()> {
        let process = self.process(id);
        process.signal(Signal::SIGTERM)?;
        let status = process.ended().await?;
        ensure!(status.code() == Some(0), "{} left with {status}", process.role);
        Ok(())
    }

    /// Ends the test: the system comes to rest, the invariants hold, and every process that lives leaves in order.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.tester.at_rest().await;
        self.tester.verdicts().await?;
        self.judge_writes().await?;
        for index in 0..self.processes.len() {
            if self.processes[index].signal(Signal::SIGTERM).is_ok() {
                let process = &mut self.processes[index];
                let status = process.ended().await?;
                ensure!(status.code() == Some(0), "{} left with {status}", process.role);
            }
        }
        let back = self.tester.unrest(true).await?;
        ensure!(back.is_empty(), "work came back while the roles stopped: {back:?}");
        self.passed = true;
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "what the processes said belongs to the report of a failed test")]
impl Drop for Fleet {
    fn drop(&mut self) {
        if self.passed {
            return;
        }
        for process in &self.processes {
            println!("---- {}\n{}", process.role, process.said());
        }
    }
}
