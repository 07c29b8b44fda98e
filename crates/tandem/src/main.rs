//! The one binary: every role, and the operators' commands.

mod accounts;
mod audit;
mod config;
mod demo;
mod doctor;
mod failpoints;
mod jobs;
mod keys;
mod login;
mod looks;
mod migrate;
mod operator;
mod pages;
mod people;
mod private;
mod remote;
mod run;
mod screen;
mod sources;
mod tenant;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

use crate::config::Config;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Keeps a telephone system and Microsoft Teams in step
#[derive(Debug, Parser)]
#[command(name = "tandem", version, disable_help_subcommand = true)]
struct Cli {
    /// The configuration file
    #[arg(
        long,
        global = true,
        env = "TANDEM_CONFIG",
        value_name = "FILE",
        default_value = "tandem.toml",
        hide_env_values = true
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one role, or all of them in one process
    Run(run::RunArgs),
    /// Bring the database's schema up to date and set the passwords of the roles' logins
    Migrate,
    /// Check the configuration
    #[command(subcommand)]
    Config(config::check::ConfigCommand),
    /// Look at everything this installation depends on
    Doctor(doctor::DoctorArgs),
    /// Accounts, licences, mappings and policy rules
    #[command(subcommand)]
    Accounts(accounts::AccountsCommand),
    /// Keep a token of the portal, for commands that work through it
    Login(login::LoginArgs),
    /// Sync jobs
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// The keys that secrets are sealed with
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Records of what people did
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// People who sign in to the portal
    #[command(subcommand)]
    People(people::PeopleCommand),
    /// Sources of PBX users
    #[command(subcommand)]
    Sources(sources::SourcesCommand),
    /// What has to be made in a customer's tenant once
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Run a small installation with a database and a broker of its own
    Up(up::UpArgs),
    /// Show one edit travel from a PBX to Microsoft Teams
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    begin(Cli::parse()).unwrap_or_else(|error| {
        screen::error(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn begin(cli: Cli) -> anyhow::Result<ExitCode> {
    no_core_dumps().context("forbid core dumps")?;
    // one provider for every TLS connection of the process; it can only fail when there is one already
    let _there_already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(Box::pin(entry(cli)))
}

/// Tokens and keys pass through roles, through the connect pages and through whatever seals: no core file shall keep
/// them, and no other process look into this one. Servers that it starts inherit the limit.
fn no_core_dumps() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}

/// The table of commands.
async fn entry(cli: Cli) -> anyhow::Result<ExitCode> {
    let load = || Config::load(&cli.config);
    match cli.command {
        Command::Run(args) => Ok(run::run(args, &load()?).await?.into()),
        Command::Migrate => migrate::command(&load()?).await,
        Command::Config(command) => config::check::run(&command, &cli.config),
        Command::Doctor(args) => doctor::run(args, &load()?).await,
        Command::Accounts(command) => accounts::run(command, &load()?).await,
        Command::Login(args) => login::run(args).await,
        Command::Jobs(command) => jobs::run(command, load).await,
        Command::Keys(command) => keys::run(command, &load()?).await,
        Command::Audit(command) => audit::run(command, &load()?).await,
        Command::People(command) => people::run(command, &load()?).await,
        Command::Sources(command) => sources::run(command, &load()?).await,
        Command::Tenant(command) => tenant::run(command, &load()?).await,
        Command::Up(args) => up::run(args).await,
        Command::Demo(args) => Box::pin(demo::run(args)).await,
    }
}
