//! An installation of one test: servers, simulator, configuration file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use msgraph_sim::{AppSpec, ConsentSpec, Sim, SimConfig, SimHandle, TenantSpec, UserSpec, World};
use tandem_testkit::{Nats, Pg, TempDir};
use uuid::{Uuid, uuid};

pub(crate) const APP: Uuid = uuid!("c0ffee00-0000-4000-8000-000000000001");
pub(crate) const TENANT: Uuid = uuid!("7e4a0000-0000-4000-8000-00000000aaaa");
/// A tenant that gave fewer permissions than are needed.
pub(crate) const WEAK: Uuid = uuid!("7e4a0000-0000-4000-8000-00000000bbbb");
/// A tenant whose administrator has not consented.
pub(crate) const STRANGER: Uuid = uuid!("7e4a0000-0000-4000-8000-00000000cccc");
pub(crate) const ANA: Uuid = uuid!("0a0a0a0a-1111-4222-8333-444444444401");
pub(crate) const BEN: Uuid = uuid!("0a0a0a0a-1111-4222-8333-444444444402");
const SECRET: &str = "a-secret-only-tests-know";
const LOGINS: [&str; 9] = [
    "tandem_detector",
    "tandem_debouncer",
    "tandem_teams_sync",
    "tandem_sync_log",
    "tandem_portal",
    "tandem_portal_fleet",
    "tandem_portal_provider",
    "tandem_notifier",
    "tandem_operator",
];

/// The program with its arguments, away from the caller's environment.
pub(crate) fn tandem(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(arguments).env_clear().env("COLUMNS", "100").stdin(Stdio::null());
    command
}

pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) pg: Pg,
    _nats: Nats,
    pub(crate) sim: SimHandle,
}

impl Lab {
    /// Servers, simulator and a migrated database.
    pub(crate) async fn start() -> Result<Self> {
        let lab = Self::bare().await?;
        let done = lab.run(&["migrate"])?;
        ensure!(done.status.success(), "{}", said(&done));
        Ok(lab)
    }

    /// The same with an empty database.
    pub(crate) async fn bare() -> Result<Self> {
        let dir = TempDir::new()?;
        let pg = Pg::start().await?;
        let nats = Nats::start().await?;
        let config = SimConfig { world: Some(world()), ..SimConfig::default() };
        let sim = Sim::start(config).await?;
        for login in LOGINS {
            secret(&dir.path().join("passwords").join(login), &format!("password of {login}"))?;
        }
        let nats_url: url::Url = nats.url()?.parse()?;
        let owner: url::Url = pg.url.parse()?;
        secret(&dir.path().join("owner"), owner.password().context("a password")?)?;
        secret(&dir.path().join("nats"), nats_url.password().context("a password")?)?;
        secret(&dir.path().join("app"), SECRET)?;
        let text = format!(
            "environment = \"development\"\n[database]\nport = {}\nname = \"{}\"\npasswords_dir = \"passwords\"\n\
             owner = \"{}\"\nowner_password_file = \"owner\"\n[bus]\nurl = \"nats://127.0.0.1:{}\"\nuser = \"{}\"\n\
             password_file = \"nats\"\n[microsoft]\nauthority = \"{sim}\"\ngraph = \"{sim}\"\nclient_id = \"{APP}\"\n\
             secret_file = \"app\"\n[debouncer]\nquiet = \"500ms\"\nmax_wait = \"2s\"\ntick = \"100ms\"\n\
             [teams_sync]\nladder_speed = 20\n[sync_log]\nsweep = \"2s\"\n",
            pg.server.port(),
            pg.database,
            owner.username(),
            nats.server.port(),
            nats_url.username(),
            sim = sim.base_url(),
        );
        std::fs::write(dir.path().join("tandem.toml"), text)?;
        Ok(Self { dir, pg, _nats: nats, sim })
    }

    /// Changes the database as its owner would.
    pub(crate) async fn sql(&self, statement: &'static str) -> Result<()> {
        let pool = sqlx::PgPool::connect(&self.pg.url).await?;
        sqlx::query(statement).execute(&pool).await?;
        pool.close().await;
        Ok(())
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("tandem.toml")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tandem(arguments);
        command.env("TANDEM_CONFIG", self.config());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments).output().context("run tandem")
    }

    /// Runs a command that must succeed; what it printed.
    pub(crate) fn good(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {}", said(&output));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a command that must fail; what it said.
    pub(crate) fn bad(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        ensure!(!output.status.success(), "{arguments:?} succeeded: {}", said(&output));
        Ok(String::from_utf8(output.stderr)?)
    }

    /// Writes an accounts file.
    pub(crate) fn accounts(&self, text: &str) -> Result<String> {
        let file = self.dir.path().join("accounts.toml");
        std::fs::write(&file, text)?;
        Ok(file.to_string_lossy().into_owned())
    }
}

/// Everything that an ended process said.
pub(crate) fn said(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    let _ = write!(text, "{}", String::from_utf8_lossy(&output.stderr));
    text
}

pub(crate) fn secret(file: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text)?;
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o600))?;
    Ok(())
}

fn world() -> World {
    let user = |id: Uuid, name: &str, plan: &str| UserSpec {
        id: Some(id),
        user_principal_name: format!("{name}@customer.example"),
        phone_plan: Some(plan.to_owned()),
        ..UserSpec::default()
    };
    let consent = |roles: Option<Vec<String>>| ConsentSpec { app_id: APP, roles, ..ConsentSpec::default() };
    let tenant = |tid: Uuid, domain: &str| TenantSpec {
        tid: Some(tid),
        domains: vec![domain.to_owned()],
        ..TenantSpec::default()
    };
    World {
        apps: vec![AppSpec { app_id: APP, secrets: vec![SECRET.to_owned()], ..AppSpec::default() }],
        tenants: vec![
            TenantSpec {
                users: vec![user(ANA, "ana", "Enabled"), user(BEN, "ben", "Enabled")],
                consents: vec![consent(None)],
                ..tenant(TENANT, "customer.example")
            },
            TenantSpec {
                consents: vec![consent(Some(vec![
                    "User.Read.All".to_owned(),
                    "Organization.Read.All".to_owned(),
                ]))],
                ..tenant(WEAK, "weak.example")
            },
            tenant(STRANGER, "stranger.example"),
        ],
        provider: None,
        settings: None,
    }
}

/// Longest wait for anything that a test waits for.
pub(crate) const SOON: Duration = Duration::from_secs(30);
