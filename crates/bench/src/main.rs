//! `make bench`: what Tandem costs and how fast it is, one JSON line for each figure.
//!
//! Every measurement runs on private servers with their usual durability, on a disk, and against what a plain program
//! does there in the same run. Promised: the figures and targets of `docs/benchmarks.md`, each with all its runs.
//! Not promised: the same numbers on another machine, or on one that does something else meanwhile.

mod chain;
mod child;
mod cpu;
mod diff;
mod due;
mod figures;
mod fleet;
mod floor;
mod gather;
mod idle;
mod large;
mod pbx;
mod portal;
mod report;
mod servers;
mod sync;
mod takeover;
mod tenant;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

use crate::figures::{GROUPS, Group};
use crate::servers::Servers;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures Tandem; one JSON line for each figure on standard output
#[derive(Debug, Parser)]
#[command(name = "tandem-bench")]
struct Cli {
    /// Measure these figures only
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    figures: Vec<String>,
    /// Runs of each figure; the value is the median
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// List the figures and do nothing
    #[arg(long)]
    list: bool,
    /// Tell on standard error what each SQL statement cost; this costs something itself
    #[arg(long)]
    statements: bool,
    /// Folder on a disk for the servers' data, which is removed at the end
    #[arg(long, default_value = "/var/tmp", value_name = "FOLDER")]
    data: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One role, for the measurements themselves
    #[command(hide = true)]
    Child,
}

fn main() -> ExitCode {
    let written = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("warn,sqlx=error"))
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init();
    match written.map_err(anyhow::Error::from_boxed).and_then(|()| start()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ensure!(installed.is_ok(), "the cryptography provider was installed twice");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Child) => runtime.block_on(Box::pin(child::run())),
        None if cli.list => list(),
        None => runtime.block_on(Box::pin(measure(&cli))),
    }
}

fn list() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for group in GROUPS {
        writeln!(out, "{}: {}", group.names.join(", "), group.about)?;
    }
    Ok(())
}

async fn measure(cli: &Cli) -> Result<()> {
    let known: Vec<&str> = GROUPS.iter().flat_map(|group| group.names).copied().collect();
    for name in &cli.figures {
        ensure!(known.contains(&name.as_str()), "there is no figure {name}; these are: {}", known.join(", "));
    }
    ensure!(cli.runs > 0, "--runs must be at least 1");
    let wanted = |group: &&Group| {
        cli.figures.is_empty() || group.names.iter().any(|n| cli.figures.iter().any(|f| f == n))
    };
    let servers = Servers::start(&cli.data, cli.statements).await?;
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let work = async {
        for group in GROUPS.iter().filter(wanted) {
            Box::pin(group.measure(&servers, cli.runs, &cli.figures)).await?;
        }
        Ok(())
    };
    let result = tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = term.recv() => Err(anyhow::anyhow!("interrupted")),
    };
    servers.stop().await;
    result
}
