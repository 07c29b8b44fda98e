//! Processes of their own: this program again, as one role.

use std::process::Stdio;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tandem_runtime::lifecycle::{self, Interrupts};
use tandem_store::DbConfig;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::servers::{Stage, context};
use crate::tenant::Pressure;
use crate::{diff, tenant};

/// What a child runs. It comes over standard input, because it holds passwords.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    port: u16,
    database: String,
    nats: String,
    prefix: String,
    role: Role,
}

#[derive(Debug, Serialize, Deserialize)]
enum Role {
    Detector { pbx: String },
    Worker { name: String, slots: usize, graph: String, pressure: Pressure },
}

impl Spec {
    /// A detector over one PBX.
    pub(crate) fn detector(stage: &Stage, pbx: &SecretString) -> Self {
        Self::of(stage, Role::Detector { pbx: pbx.expose_secret().to_owned() })
    }

    /// A worker that takes so many Auto jobs at once.
    pub(crate) fn worker(stage: &Stage, name: &str, slots: usize, graph: &str, pressure: Pressure) -> Self {
        Self::of(stage, Role::Worker { name: name.to_owned(), slots, graph: graph.to_owned(), pressure })
    }

    fn of(stage: &Stage, role: Role) -> Self {
        Self {
            port: stage.config.port,
            database: stage.database.clone(),
            nats: stage.nats.expose_secret().to_owned(),
            prefix: stage.prefix.clone(),
            role,
        }
    }
}

/// A running child; killed when dropped, and by the kernel when this process ends.
pub(crate) struct Child(tokio::process::Child);

impl Child {
    /// Starts one.
    pub(crate) async fn start(spec: &Spec) -> Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let mut child = Command::new(program)
            .arg("child")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start a child")?;
        let mut stdin = child.stdin.take().context("the child's input")?;
        stdin.write_all(serde_json::to_string(spec)?.as_bytes()).await?;
        drop(stdin);
        Ok(Self(child))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id().unwrap_or(0)
    }

    /// Kills it as a crash would.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.0.kill().await?)
    }
}

/// Runs as a child until told to stop.
pub(crate) async fn run() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("end with the parent")?;
    let spec: Spec = serde_json::from_reader(std::io::stdin().lock()).context("read what to run")?;
    let stage = Stage::existing(DbConfig::local(spec.port, &spec.database), spec.nats, &spec.prefix)?;
    let ctx = context();
    match spec.role {
        Role::Detector { pbx } => diff::detector(&ctx, &stage, &pbx.into()).await?,
        Role::Worker { name, slots, graph, pressure } => {
            let graph = tenant::graph(&graph, pressure)?;
            let settings = tandem_teams_sync::TeamsSyncSettings {
                worker: name,
                auto_slots: slots,
                in_flight: pressure.operations,
                ..tandem_teams_sync::TeamsSyncSettings::default()
            };
            tenant::worker(&ctx, &stage, graph, &settings).await?;
        }
    }
    lifecycle::wait(&ctx, Interrupts::signals()?, lifecycle::DRAIN_DEADLINE).await;
    Ok(())
}
