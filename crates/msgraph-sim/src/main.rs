//! `msgraph-sim`: a stateful model of Microsoft login and Microsoft Graph for Teams Phone.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};
use msgraph_sim::{Sim, SimConfig, World, make_cert};
use tokio::signal::unix::{SignalKind, signal};

/// A stateful model of Microsoft login and Microsoft Graph for Teams Phone.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8480")]
    listen: SocketAddr,
    /// Speak TLS with this certificate chain and key (PEM files).
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Option<Vec<PathBuf>>,
    /// Start with this world (JSON) instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
    /// Seed of ids and drawn latencies.
    #[arg(long)]
    seed: Option<u64>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Write development certificates for --tls and for an application into a folder.
    MakeCert {
        /// Folder; created if missing.
        dir: PathBuf,
    },
    /// Print the built-in world, as a start for one's own.
    PrintWorld,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match cli.command {
        Some(Command::MakeCert { dir }) => {
            return make_cert(&dir).with_context(|| format!("certificates for {}", dir.display()));
        }
        Some(Command::PrintWorld) => {
            let world = serde_json::to_string_pretty(&World::demo())?;
            return writeln!(std::io::stdout(), "{world}").context("printing the world");
        }
        None => {}
    }
    let world = match &cli.world {
        None => None,
        Some(file) => {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            Some(serde_json::from_str(&text).with_context(|| format!("world {}", file.display()))?)
        }
    };
    let tls = cli.tls.and_then(|files| <[PathBuf; 2]>::try_from(files).ok()).map(|[cert, key]| (cert, key));
    let mut terminate = signal(SignalKind::terminate())?;
    let config = SimConfig { listen: Some(cli.listen), tls, world, seed: cli.seed };
    let handle = Sim::start(config).await?;
    // the one line that others wait for and read the address from
    writeln!(std::io::stdout(), "msgraph-sim listening on {}", handle.base_url())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    handle.shutdown().await;
    Ok(())
}
