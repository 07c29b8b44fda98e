//! `tandem demo`: everything on one machine, and one edit that travels from a PBX into Microsoft Teams.
//!
//! Private PostgreSQL and nats-server, the Microsoft simulator, a demo PBX, all roles, and a demo provider with three
//! accounts. Nothing is made up for the screen: every line is read from the tables in which it happened.

mod cast;
mod edit;
mod pbx;
mod rest;
mod screen;
mod setup;
mod story;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use msgraph_sim::SimHandle;
use tandem_runtime::lifecycle::{self, Exit, Interrupts};
use tandem_runtime::telemetry::{self, LogFormat, Telemetry, TelemetryConfig};
use tandem_runtime::{Clock, Ctx, Ids};

use crate::config::Config;
use crate::migrate;
use crate::private::Private;
use crate::run::{self, Prepared, Role};
use cast::Cast;
use screen::Screen;

/// What `tandem demo` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Folder that keeps the demo's data; a second start goes on with it.
    #[arg(long, value_name = "DIR", default_value = ".demo", global = true)]
    data: PathBuf,
    /// End after the story: 0 if it came true, 1 if not.
    #[arg(long)]
    once: bool,
    /// Show the log of the roles, too.
    #[arg(long)]
    log: bool,
    #[command(subcommand)]
    command: Option<DemoCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum DemoCommand {
    /// Change a user in the PBX of the demo that runs.
    Edit(edit::EditArgs),
}

/// What stays up after the story.
struct Stage {
    private: Private,
    /// The simulator ends with its handle.
    sim: SimHandle,
    config: Config,
    health: std::net::SocketAddr,
    /// Where people come in, once the roles run.
    portal: Option<std::net::SocketAddr>,
}

/// Runs the command.
pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode> {
    let screen = Screen::stdout();
    if let Some(DemoCommand::Edit(edit)) = &args.command {
        edit::run(&args.data, edit, &screen).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let interrupts = Interrupts::signals().context("listen for Ctrl-C")?;
    let telemetry = telemetry::init(TelemetryConfig {
        service: "tandem-demo".to_owned(),
        log_format: LogFormat::Text,
        otlp_endpoint: None,
        filter: (!args.log).then(|| "error".to_owned()),
    })?;
    let ctx = Ctx::new(Clock::system(), Ids::random(), telemetry.meter());
    let code = Box::pin(play(&args, &ctx, interrupts, &telemetry, &screen)).await;
    telemetry.shutdown(Duration::from_secs(1)).await;
    code
}

/// Everything from the servers to the end of the story, then staying up until told otherwise.
async fn play(
    args: &DemoArgs,
    ctx: &Ctx,
    interrupts: Interrupts,
    telemetry: &Telemetry,
    screen: &Screen,
) -> Result<ExitCode> {
    let mut stage = None;
    let end = lifecycle::wait(ctx, interrupts, lifecycle::DRAIN_DEADLINE);
    tokio::pin!(end);
    let mut failure = None;
    let mut interrupted = false;
    let ended = tokio::select! {
        exit = &mut end => {
            interrupted = true;
            Some(exit)
        }
        told = show(args, ctx, telemetry, screen, &mut stage) => {
            failure = told.err();
            None
        }
    };
    let ended = match &stage {
        Some(stage) if ended.is_none() && failure.is_none() && !args.once => {
            what_next(args, stage, screen);
            tokio::select! {
                exit = &mut end => Some(exit),
                how = stage.private.ended() => {
                    failure = Some(anyhow::anyhow!("{how}"));
                    None
                }
            }
        }
        _ => ended,
    };
    screen.line("");
    screen.progress("stopping: the roles first, then the servers");
    ctx.stop();
    let exit = match ended {
        Some(exit) => exit,
        None => screen.during("stopping the roles", &mut end).await,
    };
    if let Some(stage) = stage {
        screen.during("stopping the servers", stage.private.stop()).await;
    }
    for error in ctx.background_errors() {
        screen.failure(&format!("the task {} {:?}: {}", error.task, error.kind, error.message));
    }
    match failure {
        Some(error) => Err(error),
        // the story was not told to its end, so it did not come true
        None if interrupted && exit == Exit::Clean => Ok(Exit::Aborted.into()),
        None => Ok(exit.into()),
    }
}

async fn show(
    args: &DemoArgs,
    ctx: &Ctx,
    telemetry: &Telemetry,
    screen: &Screen,
    stage: &mut Option<Stage>,
) -> Result<()> {
    screen.heading("The servers");
    let stage = stage.insert(set_up(&args.data, ctx, telemetry, screen).await?);
    screen.heading("The demo provider and the first sync of its accounts");
    let cast = Cast::gather(stage, ctx, screen).await?;
    Box::pin(start_roles(stage, ctx, screen)).await?;
    cast.first_sync(ctx, screen).await?;
    screen.heading("One edit in the PBX; seconds since it was saved");
    let times = format!(
        "a window closes {} after the last change and {} after the first, settled is asked after {}",
        setup::QUIET,
        setup::MAX_WAIT,
        setup::SETTLE
    );
    screen.item(&format!("the demo's times are short: {times}"));
    screen.item("(a real installation takes 60s, 4m and 1 min)");
    cast.story(stage, ctx, screen).await
}

/// Starts servers, simulator and roles on the data folder.
async fn set_up(data: &Path, ctx: &Ctx, telemetry: &Telemetry, screen: &Screen) -> Result<Stage> {
    let mut progress = |line: &str| screen.progress(line);
    let private = screen.during("starting the servers", Private::start(data, &mut progress)).await?;
    screen.item(&format!("PostgreSQL on 127.0.0.1:{}", private.postgres.port()));
    screen.item(&format!("nats-server on 127.0.0.1:{}", private.nats.port()));
    screen.during("filling the demo PBX", pbx::prepare(&private, &ctx.ids.stream("demo"))).await?;
    screen.item("demo PBX: a database shaped like FusionPBX with 3 domains and 43 extensions");
    let certificate = setup::certificate(&private.dir, screen).await?;
    let sim = setup::simulator(&private.dir, certificate).await?;
    screen.item(&format!("Microsoft simulator on {}", sim.base_url()));
    let health = setup::configuration(&private, &sim)?;
    let file = setup::config_file(&private.dir);
    let config = Config::load(&file)?;
    screen
        .during("bringing the schema up to date", migrate::run(&config))
        .await
        .context("go on with this data; `make clean-demo` removes it and the next start begins anew")?;
    let health = run::serve_health(ctx, health, telemetry.registry()).await?;
    Ok(Stage { private, sim, config, health, portal: None })
}

/// Starts every role in this process.
async fn start_roles(stage: &mut Stage, ctx: &Ctx, screen: &Screen) -> Result<()> {
    let prepared = Prepared::new(&stage.config, &Role::ALL)?;
    stage.portal = screen.during("starting the roles", run::start(ctx, &prepared)).await?.portal;
    let names = Role::ALL.map(Role::name).join(", ");
    screen.item(&format!("roles: {names}"));
    Ok(())
}

/// Commands for whoever wants to go on by hand.
fn what_next(args: &DemoArgs, stage: &Stage, screen: &Screen) {
    let program = program();
    let data = args.data.display();
    let config = setup::config_file(&args.data);
    let config = config.display();
    let (sim, health) = (stage.sim.base_url(), stage.health);
    let ana = world::CUSTOMERS[0].tenant;
    let domain = world::CUSTOMERS[0].domain;
    screen.heading("The demo stays up. In another terminal, try");
    for (what, command) in [
        (
            "give a user another number",
            format!("{program} demo edit --data {data} --user 1007 --number +12125550177"),
        ),
        (
            "and a mailbox, which is a calling policy in Teams",
            format!("{program} demo edit --data {data} --user 1006 --voicemail on"),
        ),
        ("jobs, and what one of them did", format!("{program} jobs list --config {config}")),
        ("", format!("{program} jobs show --config {config} JOB")),
        (
            "sync the account whose Auto Sync is off",
            format!("{program} jobs run --config {config} --account charlie --reason \"trying it\""),
        ),
        (
            "connect the tenant of an account that has none: sign in as gale",
            format!("{program} accounts connect --config {config} {}", world::NEWCOMER.0),
        ),
        ("how an account stands", format!("{program} accounts show --config {config} charlie")),
        (
            "what Microsoft would say, and what it was asked",
            format!("curl {sim}/_sim/tenants/{ana}/users/ana@{domain}"),
        ),
        ("", format!("curl '{sim}/_sim/requests?mutating=true'")),
        ("health and metrics", format!("curl http://{health}/readyz http://{health}/metrics")),
    ] {
        if !what.is_empty() {
            screen.item(&format!("# {what}"));
        }
        screen.item(&format!("  {command}"));
    }
    if let Some(portal) = stage.portal {
        screen.heading("The portal");
        screen.item(&format!("http://localhost:{}", portal.port()));
        screen.item("with Microsoft, pick a person of an account's own tenant:");
        let customers = world::CUSTOMERS.iter().map(|customer| (customer.name, customer.domain));
        for (name, domain) in customers {
            screen.item(&format!("  gale@{domain}, Global Admin of {name}"));
        }
        screen.item("at the provider, pick one of:");
        for (_, person, role, accounts) in world::PROVIDERS_PEOPLE {
            let of =
                if accounts.is_empty() { String::new() } else { format!(" of {}", accounts.join(" and ")) };
            screen.item(&format!("  {person}, {}{of}", role.replace('_', " ")));
        }
    }
    screen.line("");
    screen.item("Ctrl-C stops everything; the next start goes on with the same data.");
}

/// This program as one would type it.
fn program() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tandem"));
    let here = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(&here).unwrap_or(&program).display().to_string()
}
