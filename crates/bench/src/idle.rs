//! The shipped binary with nothing to do: `tandem run all` beside running servers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use secrecy::ExposeSecret;
use tandem_store::Login;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::cpu;
use crate::pbx::{DOMAIN_USERS, Pbx, SOURCE};
use crate::report::say;
use crate::servers::{PASSWORD, Servers, Stage};
use crate::tenant::Microsoft;

/// From ready until memory and CPU are looked at: the first read of the source is over by then.
const CALM: Duration = Duration::from_secs(5);
/// How long CPU is counted: a third of the time between two reads of a source.
const WATCH: Duration = Duration::from_secs(20);

/// One run.
pub(crate) struct Run {
    pub(crate) memory_mib: f64,
    pub(crate) cpu_percent: f64,
    pub(crate) ready_s: f64,
}

/// The binary beside this one, built when it is missing or old.
pub(crate) async fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    say("building tandem");
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--package", "tandem"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await
        .context("run cargo")?;
    ensure!(built.success(), "tandem could not be built");
    let binary = own.with_file_name("tandem");
    ensure!(binary.exists(), "{} is missing", binary.display());
    Ok(binary)
}

/// Starts it, waits until it is ready, lets it rest, looks.
pub(crate) async fn run(servers: &Servers, binary: &Path) -> Result<Run> {
    let stage = servers.stage().await?;
    let pbx = Pbx::make(servers, &stage, DOMAIN_USERS).await?;
    let microsoft = Microsoft::start(Duration::from_millis(300)).await?;
    let folder = servers.folder().join(format!("installation-{}", stage.database));
    let config = installation(&folder, &stage, &pbx, microsoft.sim.base_url())?;
    let port = tandem_servers::free_port()?;
    let log = std::fs::File::create(folder.join("log"))?;
    let http = reqwest::Client::new();

    let began = Instant::now();
    let mut child = Command::new(binary)
        .arg("--config")
        .arg(&config)
        .args(["run", "all", "--health", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("start tandem")?;
    let pid = child.id().context("the process id")?;
    loop {
        let ready = http.get(format!("http://127.0.0.1:{port}/readyz")).send().await;
        if ready.is_ok_and(|reply| reply.status().is_success()) {
            break;
        }
        ensure!(
            child.try_wait()?.is_none(),
            "tandem ended: {}",
            std::fs::read_to_string(folder.join("log"))?
        );
        ensure!(began.elapsed() < Duration::from_secs(30), "tandem is not ready");
        sleep(Duration::from_millis(5)).await;
    }
    let ready_s = began.elapsed().as_secs_f64();
    sleep(CALM).await;
    let before = cpu::own_seconds(pid)?;
    let watched = Instant::now();
    sleep(WATCH).await;
    let cpu_percent = (cpu::own_seconds(pid)? - before) / watched.elapsed().as_secs_f64() * 100.0;
    let memory_mib = cpu::memory_mib(pid, "VmRSS")?;
    say(&format!("  ready after {ready_s:.3} s, {memory_mib:.0} MiB, {cpu_percent:.2} % of a core"));
    child.kill().await?;
    microsoft.sim.shutdown().await;
    pbx.clear(servers).await?;
    servers.clear(stage).await?;
    Ok(Run { memory_mib, cpu_percent, ready_s })
}

/// A configuration with everything in it that a small provider has; the other settings are the defaults.
fn installation(folder: &Path, stage: &Stage, pbx: &Pbx, microsoft: &str) -> Result<PathBuf> {
    let nats = url::Url::parse(stage.nats.expose_secret())?;
    let secret = |name: String, text: &str| -> Result<()> {
        let file = folder.join(name);
        std::fs::write(&file, text)?;
        Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))?)
    };
    std::fs::create_dir_all(folder.join("passwords"))?;
    std::fs::create_dir_all(folder.join("push"))?;
    for login in Login::ALL {
        secret(format!("passwords/{}", login.name()), PASSWORD)?;
    }
    secret("nats".to_owned(), nats.password().unwrap_or_default())?;
    secret("pbx.url".to_owned(), pbx.url.expose_secret())?;
    secret("app".to_owned(), "demo-secret")?;
    let config = folder.join("tandem.toml");
    let text = format!(
        "environment = \"development\"\n\
         [database]\nport = {}\nname = \"{}\"\npasswords_dir = \"passwords\"\n\
         [bus]\nurl = \"nats://127.0.0.1:{}\"\nuser = \"{}\"\npassword_file = \"nats\"\nprefix = \"{}\"\n\
         [microsoft]\nauthority = \"{microsoft}\"\ngraph = \"{microsoft}\"\nclient_id = \"{}\"\nsecret_file = \"app\"\n\
         [[detector.sources]]\nname = \"{SOURCE}\"\nurl_file = \"pbx.url\"\nmapping = \"fusionpbx\"\n\
         [detector.push]\nlisten = \"127.0.0.1:0\"\nsecrets_dir = \"push\"\n",
        stage.config.port,
        stage.database,
        nats.port().context("a port")?,
        nats.username(),
        stage.prefix,
        msgraph_sim::DEMO_APP,
    );
    std::fs::write(&config, text)?;
    Ok(config)
}
