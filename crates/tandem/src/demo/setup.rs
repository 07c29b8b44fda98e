//! What stands before the story can begin: certificate, simulator, configuration file.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use msgraph_sim::{Sim, SimConfig, SimHandle};
use tandem_graph::{AppCredential, CertificatePem};
use tandem_runtime::config::secret_file;

use super::world::{self, APP, PORTAL_CLIENT, SIGN_IN_APP, SOURCE};
use super::{pbx, screen::Screen};
use crate::private::{Private, quoted, write_once};

/// Times of the demo; a real installation gathers for a minute and settles after one.
pub(super) const QUIET: &str = "2s";
pub(super) const MAX_WAIT: &str = "8s";
pub(super) const SETTLE: &str = "3 s";
const LADDER_SPEED: u32 = 20;

const CERTIFICATE: &str = "app-cert.pem";
const KEY: &str = "app-key.pem";

/// The configuration file of the demo.
pub(super) fn config_file(data: &Path) -> PathBuf {
    data.join("tandem.toml")
}

/// The file with the accounts, mappings and policy rules.
pub(super) fn accounts_file(data: &Path) -> PathBuf {
    data.join("accounts.toml")
}

fn microsoft(data: &Path) -> PathBuf {
    data.join("microsoft")
}

/// Makes the certificate that the provider's application signs in with, once.
pub(super) async fn certificate(data: &Path, screen: &Screen) -> Result<String> {
    let folder = microsoft(data);
    if !folder.join(KEY).is_file() {
        let made = folder.clone();
        let work = tokio::task::spawn_blocking(move || msgraph_sim::make_cert(&made));
        screen.during("making the application's certificate", work).await?.context("make a certificate")?;
    }
    for entry in folder.read_dir().with_context(|| format!("list {}", folder.display()))? {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))
            .with_context(|| format!("close {} to others", path.display()))?;
    }
    let file = folder.join(CERTIFICATE);
    std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
}

/// The same certificate with its key, to sign in with.
pub(super) fn credential(data: &Path) -> Result<AppCredential> {
    let folder = microsoft(data);
    let file = folder.join(CERTIFICATE);
    let cert_pem = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let key_pem = secret_file(&folder.join(KEY))?;
    Ok(AppCredential::Certificates(vec![CertificatePem { cert_pem, key_pem }]))
}

/// Starts the Microsoft simulator with the demo's three tenants, on the port of the last start if it is free: links of
/// operations that a crash left open name it.
pub(super) async fn simulator(data: &Path, certificate: String) -> Result<SimHandle> {
    let file = microsoft(data).join("port");
    let last = std::fs::read_to_string(&file).ok().and_then(|port| port.trim().parse().ok());
    let world = Some(world::world(certificate));
    let config = SimConfig { world, ..SimConfig::default() };
    let started = match last {
        Some(port) => {
            let listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            Sim::start(SimConfig { listen, ..config.clone() }).await.ok()
        }
        None => None,
    };
    let sim = match started {
        Some(sim) => sim,
        None => Sim::start(config).await.context("start the Microsoft simulator")?,
    };
    let port = sim.address().port().to_string();
    std::fs::write(&file, port).with_context(|| format!("write {}", file.display()))?;
    Ok(sim)
}

/// Writes the configuration file, anew at each start because ports change.
pub(super) fn configuration(private: &Private, sim: &SimHandle) -> Result<SocketAddr> {
    let port = tandem_servers::free_port().context("choose a port for health and metrics")?;
    let health = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let portal = tandem_servers::free_port().context("choose a port for the portal")?;
    let microsoft = microsoft(&private.dir);
    let text = format!(
        r#"# Written by `tandem demo` at each start.
environment = "development"
{servers}
[telemetry]
log_format = "text"
[telemetry.health]
all = "{health}"

# the simulator is login authority and Graph at once
[microsoft]
authority = "{sim}"
graph = "{sim}"
client_id = "{APP}"
certificate = {{ cert_file = {cert}, key_file = {key} }}
# Microsoft would throttle so many; the simulator does when its switchboard says so
tenant_rate_per_s = 25
request_timeout = "4s"

[sign_in]
client_id = "{SIGN_IN_APP}"

# the simulator plays the provider's own issuer, too
[portal]
listen = "127.0.0.1:{portal}"
base = "http://localhost:{portal}"
[portal.provider]
issuer = "{sim}/provider"
client_id = "{PORTAL_CLIENT}"
role_claim = "role"
account_claim = "accounts"
roles = {{ operator = "operator", account_manager = "account_manager", account_admin = "account_admin" }}

# mail is written to files
[notifier]
from = "tandem@provider.example"
from_name = "Demo Telecom"
operators = ["noc@provider.example"]
folder = "mail"
sweep = "5s"
tick = "1s"

[detector]
poll = "1s"
second_look = "2s"
[[detector.sources]]
name = "{SOURCE}"
url_file = {url}
mapping = "fusionpbx"

# short, so that nobody has to wait: the defaults are 60s and 4m
[debouncer]
quiet = "{QUIET}"
max_wait = "{MAX_WAIT}"
tick = "200ms"
sweep = "10s"

# 20 times as fast: settled after {SETTLE} instead of a minute
[teams_sync]
ladder_speed = {LADDER_SPEED}
first_poll = "500ms"
sweep = "2s"
# what a crash leaves behind is looked at soon, so that the next start need not wait for it
lease = "12s"
heartbeat = "2s"
lease_margin = "5s"
wait_out = "4s"
intent_patience = "5s"
equal_reads = "5s"
look = "500ms"

[sync_log]
sweep = "10s"
"#,
        servers = private.sections(),
        sim = sim.base_url(),
        cert = quoted(&microsoft.join(CERTIFICATE)),
        key = quoted(&microsoft.join(KEY)),
        url = quoted(&pbx::reader_file(&private.dir)),
    );
    let file = config_file(&private.dir);
    std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    // somebody may have changed the accounts to try something
    write_once(&accounts_file(&private.dir), &world::accounts())?;
    Ok(health)
}
