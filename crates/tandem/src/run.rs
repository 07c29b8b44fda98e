//! `tandem run`: one role, or all of them, in one process.

mod database;
mod notifier;
mod portal;
mod prepared;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tandem_bus::Bus;
use tandem_graph::Graph;
use tandem_outbox::{Bell, Relay};
use tandem_runtime::lifecycle::{DRAIN_DEADLINE, Interrupts};
use tandem_runtime::telemetry::{Telemetry, TelemetryConfig};
use tandem_runtime::{Clock, Ctx, Ids, health, lifecycle, telemetry};
use tandem_store::Store;
use tandem_wire::{Subjects, settings};

use crate::config::Config;
use crate::failpoints::Failpoints;
pub(crate) use prepared::{Prepared, Role};

/// What runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where pushes are taken.
    pub(crate) push: Option<SocketAddr>,
    /// Where people are let in.
    pub(crate) portal: Option<SocketAddr>,
}

/// Options of `tandem run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// What to run
    #[arg(value_parser = parse_roles, value_name = "all|detector|debouncer|teams-sync|sync-log|portal|notifier")]
    roles: Roles,
    /// Serve health and metrics here instead of where the configuration says; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS")]
    health: Option<SocketAddr>,
    #[command(flatten)]
    failpoints: Failpoints,
}

#[derive(Clone, Debug)]
struct Roles(Vec<Role>);

fn parse_roles(text: &str) -> Result<Roles, String> {
    if text == "all" {
        return Ok(Roles(Role::ALL.to_vec()));
    }
    let role = Role::ALL.into_iter().find(|role| role.name() == text);
    role.map(|role| Roles(vec![role]))
        .ok_or_else(|| "one of all, detector, debouncer, teams-sync, sync-log, portal, notifier".to_owned())
}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(args: RunArgs, config: &Config) -> anyhow::Result<lifecycle::Exit> {
    args.failpoints.arm(config)?;
    let Roles(roles) = args.roles;
    // where all run in one process, nobody has to be let in, and no mail has to be sent
    let all = roles.len() > 1;
    let kept = |role: &Role| match role {
        Role::Portal => !all || config.portal.is_some(),
        Role::Notifier => !all || config.notifier.is_some(),
        _ => true,
    };
    let roles: Vec<Role> = roles.into_iter().filter(kept).collect();
    let prepared = Prepared::new(config, &roles)?;
    let interrupts = Interrupts::signals().context("catch signals")?;
    let service = match roles.as_slice() {
        [role] => format!("tandem-{}", role.name()),
        _ => "tandem".to_owned(),
    };
    let telemetry = telemetry(config, &service)?;
    let ctx = Ctx::new(Clock::system(), Ids::random(), telemetry.meter());
    let address = args.health.unwrap_or_else(|| prepared.health_address(config));
    serve_health(&ctx, address, telemetry.registry()).await?;
    let exit = work(&ctx, prepared, interrupts).await;
    telemetry.shutdown(Duration::from_secs(3)).await;
    Ok(exit)
}

/// Starts the roles and waits for their end. A start that fails, and one that is interrupted, ends like anything else.
async fn work(ctx: &Ctx, prepared: Prepared, interrupts: Interrupts) -> lifecycle::Exit {
    let begun = ctx.clone();
    ctx.spawn_once("start", async move {
        let started = Box::pin(start(&begun, &prepared)).await;
        match started {
            Err(error) if !begun.shutdown.is_cancelled() => Err(error.into()),
            _ => Ok(()),
        }
    });
    let exit = lifecycle::wait(ctx, interrupts, DRAIN_DEADLINE).await;
    for error in ctx.background_errors() {
        tracing::error!(task = error.task, kind = ?error.kind, "{}", error.message);
    }
    exit
}

/// Installs logs, metrics and traces.
pub(crate) fn telemetry(config: &Config, service: &str) -> anyhow::Result<Telemetry> {
    telemetry::init(TelemetryConfig {
        service: service.to_owned(),
        log_format: config.telemetry.log_format,
        otlp_endpoint: config.telemetry.otlp_endpoint.clone(),
        filter: None,
    })
}

/// Serves `/healthz`, `/readyz` and `/metrics`; where.
pub(crate) async fn serve_health(
    ctx: &Ctx,
    address: SocketAddr,
    registry: prometheus::Registry,
) -> anyhow::Result<SocketAddr> {
    let address = health::serve(ctx, address, registry).await?;
    tracing::info!(address = %address, "serving health and metrics");
    Ok(address)
}

/// Waits for the database, checks its schema, and starts the roles.
pub(crate) async fn start(ctx: &Ctx, prepared: &Prepared) -> anyhow::Result<Running> {
    // until everything has been started the process is not ready, whatever its parts say
    let starting = ctx.health.register("roles");
    let stores: Vec<Store> = prepared.stores();
    let first = &stores.first().context("no role to run")?.clone();
    database::ready(ctx, first).await?;
    // the portal writes requests and announcements, which others find and publish, and the notifier reads tables: alone,
    // they need no broker
    let shared = match prepared.roles.as_slice() {
        [Role::Portal | Role::Notifier] => None,
        _ => Some(shared(ctx, prepared, first).await?),
    };
    let mut running = Running { push: None, portal: None };
    for (role, store) in prepared.roles.iter().zip(stores) {
        start_role(ctx, prepared, *role, store, shared.as_ref(), &mut running).await?;
        tracing::info!(role = role.name(), "role started");
    }
    database::watch(ctx, first);
    starting.ok();
    Ok(running)
}

/// What the roles of a process share.
async fn shared(ctx: &Ctx, prepared: &Prepared, first: &Store) -> anyhow::Result<Shared> {
    let streams = settings::all_streams(&prepared.subjects, prepared.replicas);
    let bus = Bus::connect(ctx, prepared.bus.clone(), streams).await?;
    // one relay serves all roles of the process, through the login of one of them
    let bell = Relay::spawn(ctx, first.clone(), bus.clone());
    let graph = match &prepared.graph {
        Some(graph) => Some(Graph::new(graph.clone(), now(ctx))?),
        None => None,
    };
    Ok(Shared { bus, bell, subjects: prepared.subjects.clone(), graph })
}

struct Shared {
    bus: Bus,
    bell: Bell,
    subjects: Subjects,
    graph: Option<Graph>,
}

/// The clock as the client of Microsoft takes it.
pub(crate) fn now(ctx: &Ctx) -> tandem_graph::Now {
    let clock = ctx.clock.clone();
    std::sync::Arc::new(move || clock.now())
}

async fn start_role(
    ctx: &Ctx,
    prepared: &Prepared,
    role: Role,
    store: Store,
    shared: Option<&Shared>,
    running: &mut Running,
) -> anyhow::Result<()> {
    if role == Role::Portal {
        let portal = prepared.portal.as_ref().context("the portal is not prepared")?;
        running.portal = Some(portal.start(ctx, store).await?);
        return Ok(());
    }
    if role == Role::Notifier {
        prepared.notifier.as_ref().context("the notifier is not prepared")?.start(ctx, store);
        return Ok(());
    }
    let Shared { bus, bell, subjects, graph } = shared.context("the roles have no broker")?;
    let (bus, bell, subjects) = (bus.clone(), bell.clone(), subjects.clone());
    match role {
        Role::Detector => {
            let parts = tandem_detector::Parts { store, subjects, bell };
            let settings = prepared.detector.as_ref().context("the detector is not prepared")?;
            running.push = tandem_detector::start(ctx, &parts, settings).await?.push;
        }
        Role::Debouncer => {
            let parts = tandem_debouncer::Parts { store, bus, subjects, bell };
            tandem_debouncer::start(ctx, &parts, &prepared.debouncer);
        }
        Role::TeamsSync => {
            let graph = graph.clone().context("teams-sync needs the section [microsoft]")?;
            let vault = prepared.vault.clone();
            let parts = tandem_teams_sync::Parts { store, bus, subjects, bell, graph, vault };
            tandem_teams_sync::start(ctx, &parts, &prepared.teams_sync);
        }
        Role::SyncLog => {
            let parts = tandem_sync_log::Parts { store, bus, subjects };
            tandem_sync_log::start(ctx, &parts, &prepared.sync_log);
        }
        Role::Portal | Role::Notifier => {}
    }
    Ok(())
}
